"""All settings of the node, each with its default, its unit in its name, and what it is for.

``gateway.yaml`` holds them. An unknown or impossible setting is an error that names the line; nothing falls back in
silence.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import Field, StringConstraints, model_validator

from candor.files.reader import Block, read_settings
from candor.study.errors import DataError
from candor.study.findings import findings_named
from candor.study.profile import Profile, ReportClass
from candor.study.result_object import Kind

_AE_TITLE: Final = r"^[!-\[\]-~]([ -\[\]-~]*[!-\[\]-~])?$"
AETitle = Annotated[str, StringConstraints(min_length=1, max_length=16, pattern=_AE_TITLE)]
"""PS3.5 6.2, VR AE: up to 16 characters without control characters and backslash, no blank at either end."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Uid = Annotated[str, StringConstraints(max_length=64, pattern=r"^[0-9]+(\.[0-9]+)+$")]
"""PS3.5 9.1."""

Seconds = Annotated[float, Field(gt=0, le=30 * 86400, allow_inf_nan=False)]


AnyBlock = TypeVar("AnyBlock", bound=Block)


def _network(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Read an address or a network.

    Raises
    ------
    ValueError
        It is neither; the message names it.
    """
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError:
        raise ValueError(f"address {name!r} is neither an IP address nor a network") from None


class Tls(Block):
    """Keys for TLS 1.2 and later; both sides show a certificate."""

    certificate: str = Field(description="PEM file with this node's certificate, and the chain above it.")
    key: str = Field(description="PEM file with its private key, without a passphrase; readable by its owner alone.")
    authorities: str = Field(description="PEM file with the authorities whose certificates are taken from the peers.")


class Caller(Block):
    """A modality or archive that may send to the node."""

    ae_title: AETitle = Field(description="Its AE title (the calling AE title).")
    addresses: tuple[str, ...] = Field(
        default=(), description="Addresses or networks (192.0.2.0/24) that it calls from; empty for any."
    )
    certificate_sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of its certificate (DER), in hexadecimal; null for any that the authorities have signed.",
    )
    priority: Literal["urgent", "routine", "backfill"] | None = Field(
        default=None, description="Of its studies; null: what the C-STORE or the request says."
    )
    max_connections: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Of each of its addresses, which have to be listed; null: `receive.max_connections_per_address`.",
    )

    @model_validator(mode="after")
    def _addresses_can_be(self) -> Self:
        if self.max_connections is not None and not self.addresses:
            raise ValueError("max_connections needs addresses: it is decided before the caller gives its AE title")
        for address in self.addresses:
            _network(address)
        return self


class Receive(Block):
    """The DICOM receiver (C-ECHO and C-STORE)."""

    ae_title: AETitle = Field(default="CANDOR", description="The node's own AE title.")
    host: str = Field(default="0.0.0.0", description="Address to listen on.")  # noqa: S104 - a PACS calls from elsewhere
    port: Port = Field(default=11112, description="TCP port to listen on.")
    require_called_ae_title: bool = Field(default=True, description="Refuse callers that ask for another AE title.")
    callers: tuple[Caller, ...] = Field(
        default=(), description="Who may send; empty: anybody, which is for trials on a closed network only."
    )
    tls: Tls | None = Field(default=None, description="TLS with client certificates; null for plain TCP.")
    max_associations: int = Field(default=32, ge=1, le=1000, description="Open at once; more are refused for the time.")
    max_connections_per_address: int = Field(
        default=16, ge=1, le=1000, description="Connections that one address may have open; a caller may have its own."
    )
    associate_timeout_s: Seconds = Field(
        default=10.0,
        description="A connection without a valid A-ASSOCIATE-RQ by then is closed (the ARTIM timer, PS3.8 9.1.5).",
    )
    max_object_mib: int = Field(
        default=512, ge=1, le=4096, description="Largest object that is kept, in MiB; a larger image is refused."
    )
    other_objects: Literal["drop", "keep"] = Field(
        default="drop",
        description="What is done with objects that are no radiographs (reports, PDF files, presentation states, other "
        "images), which are acknowledged in any case: `drop` them as they come, or `keep` them in the spool for "
        "reference as long as results.",
    )
    private_classes: tuple[Uid, ...] = Field(
        default=(), description="UIDs of private storage classes that are accepted as well, and treated the same."
    )
    idle_timeout_s: Seconds = Field(default=60.0, description="An association without a word for so long is closed.")
    min_rate_kib_s: float = Field(
        default=16.0,
        gt=0,
        le=1 << 20,
        description="A message that comes more slowly is given up, and its association ended; pauses are allowed as "
        "long as `receive.idle_timeout_s` in all.",
    )


class Studies(Block):
    """When a study becomes a job."""

    quiet_s: float = Field(default=10.0, ge=0, le=3600, description="Quiet for so long, a study counts as complete.")
    growing_limit_s: Seconds = Field(default=300.0, description="A study that keeps growing is assessed after so long.")
    max_images: int = Field(
        default=500, ge=1, le=100000, description="A study with more images is not assessed; its report says so."
    )
    result_deadline_s: Seconds = Field(
        default=900.0,
        description="From the last image: a study without a delivered result by then gets a NOT ASSESSED report and "
        "an alarm.",
    )
    max_study_age_d: float = Field(
        default=7.0, gt=0, le=36500, description="Studies taken longer ago count as backfill and run last."
    )
    longest_wait_s: Seconds = Field(
        default=600.0, description="A routine study that has waited so long is no longer overtaken by urgent ones."
    )


class Work(Block):
    """The worker that runs the application."""

    models: str = Field(default="models", description="The model bundle, or the folder that holds it.")
    application: str = Field(default="app.yaml", description="The application's settings.")
    max_tries: int = Field(default=3, ge=1, le=20, description="A study that broke the worker so often is parked.")
    study_timeout_s: Seconds = Field(default=300.0, description="A study that takes longer breaks the worker.")


class Destination(Block):
    """An archive that takes results."""

    name: Name = Field(description="For logs, the page and `resend`.")
    ae_title: AETitle = Field(description="Its AE title (the called AE title).")
    host: str = Field(min_length=1, description="Name or address.")
    port: Port = Field(description="TCP port.")
    tls: Tls | None = Field(default=None, description="TLS with our certificate; null for plain TCP.")
    kinds: tuple[Kind, ...] = Field(
        default=("sr", "sc", "gsps", "ko"),
        description="Object kinds that it takes: `sr` report, `sc` overlays, `gsps` outlines over the source image, "
        "`ko` key objects, `pm` all heatmaps as numbers. What it gets refers to nothing else.",
    )
    report_class: Literal["comprehensive-3d", "comprehensive", "enhanced"] = Field(
        default="comprehensive-3d",
        description="SOP class of its reports, for viewers that show but one; the content is the same.",
    )
    flag_deferrals: bool = Field(
        default=False,
        description="Key objects name deferred images as well as positive ones; most studies have a deferral.",
    )
    findings: tuple[str, ...] | None = Field(
        default=None, description="Overlays of these findings only, by label; null for all."
    )
    commitment: bool = Field(default=False, description="Ask for storage commitment, and purge only after it.")
    only_from: tuple[AETitle, ...] = Field(
        default=(), description="Only studies that came from these AE titles; empty for all."
    )

    @model_validator(mode="after")
    def _findings_are_known(self) -> Self:
        try:
            findings_named(self.findings or ())
        except DataError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def profile(self) -> Profile:
        """What it takes of a study's results, and in which form."""
        findings = None if self.findings is None else frozenset(findings_named(self.findings))
        return Profile(frozenset(self.kinds), ReportClass(self.report_class), findings, self.flag_deferrals)


class Deliver(Block):
    """How results go out."""

    ae_title: AETitle | None = Field(default=None, description="Calling AE title; null for the receiver's own.")
    first_retry_s: Seconds = Field(default=5.0, description="Wait before the second try; it doubles with each try.")
    longest_retry_s: Seconds = Field(default=3600.0, description="Longest wait between tries.")
    give_up_d: float = Field(default=14.0, gt=0, le=365, description="Undeliverable for so long: the dead letter.")
    breaker_failures: int = Field(default=3, ge=1, le=100, description="So many failures in a row open the breaker.")
    breaker_s: Seconds = Field(default=30.0, description="A destination with an open breaker is left alone so long.")
    commitment_timeout_s: Seconds = Field(default=600.0, description="Ask again for a commitment unheard of so long.")
    timeout_s: Seconds = Field(
        default=30.0,
        description="Longest wait for a connection, and for an answer; either is ended after twice that at the latest.",
    )


class Keep(Block):
    """What is kept, and for how long."""

    results_d: float = Field(default=7.0, gt=0, le=3650, description="Days that images and results are kept.")
    reserve_gib: float = Field(
        default=5.0, ge=0, le=1e6, description="Below so much free disk the receiver refuses (0xA700); in GiB."
    )
    purge_below_gib: float = Field(
        default=10.0, ge=0, le=1e6, description="Below so much free disk the oldest delivered studies go early; in GiB."
    )
    scrub_from_hour: int = Field(
        default=1, ge=0, le=23, description="From this hour (local time) stored files are compared with their hashes."
    )
    scrub_hours: int = Field(default=4, ge=0, le=24, description="For so many hours; 0: never.")
    scrub_mib_per_s: float = Field(default=20.0, gt=0, le=10000, description="At most so fast, in MiB/s.")
    audit_trail_d: float = Field(default=365.0, gt=0, le=36500, description="Days that the audit trail is kept.")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Web(Block):
    """The page, and the metrics."""

    host: str = Field(default="127.0.0.1", description="Address to listen on; beyond loopback it needs TLS or a proxy.")
    port: Port = Field(default=8080, description="TCP port.")
    health_host: str = Field(
        default="127.0.0.1", description="Address on which `/healthz`, `/readyz` and `/metrics` answer on their own."
    )
    health_port: Port | None = Field(
        default=8081,
        description="Their TCP port, which no load on the page takes away; null: they answer on the page's port alone.",
    )
    certificate: str | None = Field(default=None, description="PEM file with the page's certificate; null without TLS.")
    key: str | None = Field(default=None, description="PEM file with its private key.")
    behind_proxy: bool = Field(
        default=False, description="A proxy in front of the page speaks TLS; people reach the page through it alone."
    )
    proxies: tuple[str, ...] = Field(
        default=("127.0.0.1", "::1"),
        description="Addresses or networks of that proxy; the headers that it adds are believed from these alone.",
    )
    login_header: str | None = Field(
        default=None, description="Header in which a proxy's single sign-on names the user; null: the page's own login."
    )
    operators: tuple[str, ...] = Field(default=(), description="Users of the single sign-on who are operators.")
    session_h: float = Field(default=8.0, gt=0, le=168, description="A login lasts so many hours.")
    upload: bool = Field(default=False, description="The form for trying the model on one image; not for a hospital.")

    @model_validator(mode="after")
    def _is_guarded(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together; give both or neither")
        if self.login_header is not None and not self.behind_proxy:
            raise ValueError("login_header needs behind_proxy: without a proxy anybody could send that header")
        if self.behind_proxy and not self.proxies:
            raise ValueError("behind_proxy needs proxies: the addresses whose headers are believed")
        for proxy in self.proxies:
            if _network(proxy).prefixlen == 0:
                raise ValueError(f"proxies: {proxy!r} is every address; name those of the proxy")
        hosts = (self.host,) if self.health_port is None else (self.host, self.health_host)
        for host in hosts:
            if not _loopback(host) and self.certificate is None and not self.behind_proxy:
                raise ValueError(f"host {host!r} is not this machine alone; give certificate and key, or behind_proxy")
        if self.health_port == self.port:
            raise ValueError("health_port is the page's port; choose another, or null")
        return self


class Alarms(Block):
    """Who is told when a person is needed."""

    webhook: str | None = Field(
        default=None, pattern=r"^https?://", description="URL that gets each alarm as JSON; null for none."
    )
    deferral_drift: float = Field(
        default=0.15,
        gt=0,
        le=1,
        description="Alarm when the share of deferred findings leaves its own baseline by more than this.",
    )


class Settings(Block):
    """All of ``gateway.yaml``."""

    database: str = Field(
        default="sqlite:///spool/gateway.db",
        description="sqlite:///FILE on a local disk, or postgresql://USER:PASSWORD@HOST/NAME for several machines.",
    )
    spool: str = Field(default="spool", description="Folder for images and results, shared by all machines.")
    site: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="The site's name, as `calibrate` and `fit-gate` got it with `--site`. `live` asks for a bundle "
        "that is fitted to it, or for `--foreign-fit`.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")
    receive: Receive = Receive()
    studies: Studies = Studies()
    work: Work = Work()
    destinations: tuple[Destination, ...] = Field(default=(), description="Where results go.")
    deliver: Deliver = Deliver()
    keep: Keep = Keep()
    web: Web = Web()
    alarms: Alarms = Alarms()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [destination.name for destination in self.destinations]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two destinations are named {twice[0]!r}")
        if not re.match(r"^(sqlite:///|postgresql://)", self.database):
            raise ValueError("database must begin with sqlite:/// or postgresql://")
        if self.studies.growing_limit_s < self.studies.quiet_s:
            raise ValueError("studies.growing_limit_s must be at least studies.quiet_s")
        return self

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """The distinct profiles of all destinations; none where there is no destination.

        Where no destination takes reports there is one for the node itself: a study without a report is silence.
        """
        profiles = dict.fromkeys(destination.profile for destination in self.destinations)
        if profiles and not any("sr" in profile.kinds for profile in profiles):
            profiles[Profile(frozenset({"sr"}))] = None
        return tuple(profiles)

    @property
    def delivering_ae_title(self) -> str:
        """The calling AE title of deliveries."""
        return self.deliver.ae_title or self.receive.ae_title


def tls_blocks(settings: Settings) -> list[tuple[str, Tls]]:
    """List all TLS blocks with the places where they stand."""
    places = [("receive.tls", settings.receive.tls)]
    places += [(f"destinations.{peer.name}.tls", peer.tls) for peer in settings.destinations]
    return [(place, tls) for place, tls in places if tls is not None]


def load_settings(path: Path) -> Settings:
    """Read ``gateway.yaml``; what it does not name keeps its default, and relative paths count from its folder.

    Raises
    ------
    SettingsError
        The file cannot be read, is no YAML, or names a setting that is unknown or impossible.
    """
    return _anchored(read_settings(path, Settings), path.resolve().parent)


def _anchored(settings: Settings, folder: Path) -> Settings:
    """Let relative paths count from the folder of the file, wherever the node is started from."""

    def tls(block: Tls | None) -> Tls | None:
        return None if block is None else _moved(block, folder, "certificate", "key", "authorities")

    def destination(block: Destination) -> Destination:
        return block.model_copy(update={"tls": tls(block.tls)})

    kind, _, rest = settings.database.partition(":///")
    return _moved(settings, folder, "spool").model_copy(
        update={
            "database": f"sqlite:///{folder / rest}" if kind == "sqlite" else settings.database,
            "receive": settings.receive.model_copy(update={"tls": tls(settings.receive.tls)}),
            "work": _moved(settings.work, folder, "models", "application"),
            "destinations": tuple(map(destination, settings.destinations)),
            "web": _moved(settings.web, folder, "certificate", "key"),
        }
    )


def _moved(block: AnyBlock, folder: Path, *names: str) -> AnyBlock:
    values = {name: getattr(block, name) for name in names}
    return block.model_copy(update={name: str(folder / value) for name, value in values.items() if value is not None})
