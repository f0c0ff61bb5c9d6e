"""The fault bench: a node under one fault after the other, and what became of every study that it acknowledged.

    python -m benchmarks.node.chaos [--minutes 15] [--short] [--only SCENARIO ...] [--at-once 3] [--models models]

Every acknowledged study must be delivered to each destination or told by its deadline, never lost and never twice. The
exit code is 1 where one was lost, twice or silent, or where another promise was broken. Clock steps are not among the
faults: each part takes its time as an argument, and its tests turn the clock.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa
from pydicom import Dataset
from pynetdicom.ae import ApplicationEntity
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from benchmarks.node import faults, tally
from benchmarks.node.crash import KILLED, ROOT, Pacs, wreck
from benchmarks.node.faults import MoodyPacs, Webhook
from benchmarks.node.trial import GRACE_S, LONG, SHORT, Archive, NotPossible, Scale, Trial, small_images, studies_of
from gateway.store.schema import deliveries, instances, objects, studies
from gateway.store.states import DeliveryState
from tests.gateway import stalled
from tests.gateway.databases import empty_database, server
from tests.gateway.stalled import Proxy, Stall

_OVERLAY: Final = "1.2.840.10008.5.1.4.1.1.7"
_STALLED_MODALITIES: Final = 20
_KILLS: Final = 6
_HANGS_S: Final = 120.0
"""A loop that has not turned for so long hangs: an earlier deadline says nothing about supervision."""

_DISK_MIB: Final = 400  # a worker wants 256 MiB free
_DATABASE_MIB: Final = 50
_MAKE_ROOM_S: Final = 5.0
"""A scenario is not started with less time than this left beyond its node's start."""


def half(trial: Trial) -> tuple[list[Dataset], list[Dataset]]:
    """Make a trial's studies, in two halves."""
    made = studies_of(trial.scale.studies)
    return made[: len(made) // 2], made[len(made) // 2 :]


def stalled_modalities(trial: Trial) -> None:
    """Send while silent, half, dripping and deaf callers hold one address; the modality calls from another."""
    with trial.node() as node, faults.stalled_modalities(node.port, _STALLED_MODALITIES):
        trial.pause(3.0)
        trial.send(studies_of(trial.scale.studies))


def stalled_archives(trial: Trial) -> None:
    """Deliver to six archives that stall, each in its way, beside a good one."""
    for name, stall in {
        "silent": stalled.SILENT,
        "half-accept": stalled.HALF_ACCEPT,
        "drips-accept": stalled.DRIPPING_ACCEPT,
        "stops-reading": Stall(answers=1, reads=1 << 12),
        "half-answer": stalled.HALF_ANSWER,
        "drips-answer": stalled.DRIPPING_ANSWER,
    }.items():
        trial.archives[name] = Stalled(trial.folder / name, stall)
        trial.may_be_told.add(name)
    with trial.node():
        trial.send(studies_of(trial.scale.studies))


class Stalled:
    """A PACS behind a proxy that stalls."""

    def __init__(self, folder: Path, stall: Stall) -> None:
        self.folder, self._pacs = folder, MoodyPacs(folder)
        self._proxy = Proxy(self._pacs.port, stall)
        self.port = self._proxy.port

    def start(self) -> None:
        """Start the PACS; the proxy listens already."""
        self._pacs.start()

    def stop(self) -> None:
        """End both."""
        self._proxy.close()
        self._pacs.stop()


def moody_archives(trial: Trial) -> None:
    """Deliver to archives that warn, abort in mid-association, are busy at first, and refuse for good."""
    folder = trial.folder
    moods: dict[str, Archive] = {
        "warns": MoodyPacs(folder / "warns", lambda request, number: 0xB000),
        "aborts-at-overlays": MoodyPacs(
            folder / "aborts", lambda request, number: None if request.AffectedSOPClassUID == _OVERLAY else 0
        ),
        "aborts-now-and-then": MoodyPacs(folder / "now", lambda request, number: None if number % 3 == 0 else 0),
        "busy-at-first": MoodyPacs(folder / "busy", lambda request, number: 0xA700 if number < 6 else 0),
        "refuses": MoodyPacs(folder / "refuses", lambda request, number: 0xC000),
    }
    trial.archives |= moods
    trial.may_be_told.add("refuses")
    with trial.node():
        trial.send(studies_of(trial.scale.studies))


def commitment(trial: Trial) -> None:
    """Ask archives that commit late, partly, falsely and never."""
    asked: list[str] = []

    def uids(action: Dataset) -> list[str]:
        return [str(item.ReferencedSOPInstanceUID) for item in action.ReferencedSOPSequence]

    def late(pacs: MoodyPacs, action: Dataset) -> None:
        time.sleep(8.0)  # beyond the time after which the node asks again
        pacs.report(action, uids(action))

    def partly(pacs: MoodyPacs, action: Dataset) -> None:
        wanted = uids(action)
        first = [uid for uid in wanted if uid not in asked]
        asked.extend(first)
        pacs.report(action, [uid for uid in wanted if uid not in first[::2]], first[::2])

    def falsely(pacs: MoodyPacs, action: Dataset) -> None:
        pacs.report(action, ["1.2.3.4"])
        pacs.report(action, uids(action), transaction="2.25.1")

    def never(pacs: MoodyPacs, action: Dataset) -> None:
        pass

    commits = {"commits-late": late, "commits-partly": partly, "commits-falsely": falsely, "commits-never": never}
    moody = {name: MoodyPacs(trial.folder / name, commit=commit) for name, commit in commits.items()}
    trial.archives |= moody
    with trial.node(commitment=list(commits)) as node:
        for pacs in moody.values():
            pacs.node_port = node.port
        trial.send(studies_of(trial.scale.studies))
        for name in ("commits-late", "commits-partly"):
            trial.wait(lambda name=name: _all_committed(trial, name), f"{name}: not all is committed")  # type: ignore[misc]
        for name, pacs in moody.items():
            if _committed(trial, name) - pacs.reported:
                trial.broken.append(f"{name}: committed without its word")


def _committed(trial: Trial, destination: str) -> set[str]:
    query = sa.select(deliveries.c.sop_instance_uid).where(
        deliveries.c.destination == destination, deliveries.c.state == DeliveryState.COMMITTED.value
    )
    with trial.it.database().connect() as connection:
        return set(connection.execute(query).scalars())


def _all_committed(trial: Trial, destination: str) -> bool:
    query = sa.select(sa.func.count()).select_from(deliveries).where(deliveries.c.destination == destination)
    with trial.it.database().connect() as connection:
        everything = int(connection.execute(query).scalar_one())
    return everything >= trial.scale.studies and len(_committed(trial, destination)) == everything


def killed(trial: Trial) -> None:
    """Kill processes one after the other while studies come."""
    pacs = trial.archives["pacs"]
    assert isinstance(pacs, Pacs)
    with trial.node() as node:
        made = studies_of(trial.scale.studies)
        trial.begin_to_send(made)
        wreck(node, pacs, _KILLS, lambda: True, seed=0, pause_s=2.0)


def supervisor_killed(trial: Trial) -> None:
    """Kill ``serve``, then what is left of worker and delivery; start it again later."""
    first, rest = half(trial)
    with trial.node() as node:
        trial.send(first)
        node.kill_supervisor()
        trial.wait(
            lambda: not any(map(node.processes, KILLED)),
            "the processes outlive their supervisor, and nobody looks",
            15.0,
        )
        node.kill("work")
        node.kill("deliver")
        trial.begin_to_send(rest)
        trial.pause(min(10.0, trial.scale.outage_s))
        node.start()


def hung(kind: str) -> Callable[[Trial], None]:
    """Return the scenario in which one kind of process is stopped (SIGSTOP) past its lease and every deadline."""

    def scenario(trial: Trial) -> None:
        first, rest = half(trial)
        trial.scale = replace(trial.scale, deadline_s=_HANGS_S)
        with trial.node() as node:
            trial.send(first)
            trial.wait(lambda: trial.delivered() == len(first), "the first results did not come")
            with faults.stopped(node.processes(kind)):
                trial.send(rest)
                trial.pause(trial.scale.deadline_s + GRACE_S)

    return scenario


def database_locked(trial: Trial) -> None:
    """Hold SQLite's lock by another connection."""
    first, rest = half(trial)
    with trial.node():
        trial.send(first)
        with faults.locked(trial.spool / "gateway.db"):
            trial.begin_to_send(rest)
            trial.pause(trial.scale.outage_s)


def database_away(trial: Trial) -> None:
    """Move SQLite's files away, kill the receiver meanwhile, and bring them back."""
    first, rest = half(trial)
    with trial.node() as node:
        trial.send(first)
        with faults.away(trial.spool / "gateway.db"):
            node.kill("receive")
            trial.begin_to_send(rest)
            trial.pause(trial.scale.outage_s)
        for kind in KILLED:  # what an operator does after bringing the files back
            node.kill(kind)


def postgresql(trial: Trial) -> None:
    """Stop PostgreSQL (SIGSTOP) for a while."""
    first, rest = half(trial)
    try:
        with server() as address:
            port = address.rpartition(":")[2]
            with trial.node(database=empty_database(address, "chaos")):
                trial.send(first)
                with faults.stopped(faults.family(_listening(port))):
                    trial.begin_to_send(rest)
                    trial.pause(trial.scale.outage_s)
    except pytest.skip.Exception as reason:
        raise NotPossible(str(reason)) from None


def _listening(port: str) -> int:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and f"port={port}" in _command(entry):
            return int(entry.name)
    raise NotPossible("the server's process is not to be seen")


def _command(entry: Path) -> list[str]:
    try:
        return (entry / "cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []


def bit_rot(trial: Trial) -> None:
    """Change a bit of two images before they are assessed, send one of them again, and change a bit of a report."""
    made = studies_of(trial.scale.studies)
    pacs = trial.archives["pacs"]
    trial.excused |= {str(image.StudyInstanceUID) for image in made[:3]}
    with trial.node(studies={"quiet_s": 5.0}):
        pacs.stop()
        trial.send(made)
        for damaged in made[:2]:
            faults.flip(_stored(trial, damaged))
        trial.send(made[1:2])
        trial.tainted.add(str(made[0].StudyInstanceUID))
        trial.wait(lambda: _report(trial, made[2]) is not None, "there is no report to damage")
        report = _report(trial, made[2])
        whole = b"" if report is None else report.read_bytes()
        if report is not None:
            faults.flip(report)
        pacs.start()
    study, as_made = str(made[2].StudyInstanceUID), hashlib.sha256(_data_set(whole)).hexdigest()
    if any(each.study == study and each.sha256 != as_made for each in tally.arrivals({"pacs": pacs.folder})):
        trial.broken.append("a damaged report went out")


def _data_set(content: bytes) -> bytes:
    """Return the bytes after a file's meta information, whose length stands in its first element (PS3.10 7.1)."""
    return content[144 + int.from_bytes(content[140:144], "little") :]


def _stored(trial: Trial, instance: Dataset) -> Path:
    query = sa.select(instances.c.file).where(instances.c.sop_instance_uid == str(instance.SOPInstanceUID))
    with trial.it.database().connect() as connection:
        return trial.spool / str(connection.execute(query).scalar_one())


def _report(trial: Trial, instance: Dataset) -> Path | None:
    study = str(instance.StudyInstanceUID)
    query = sa.select(objects.c.file).where(objects.c.study_instance_uid == study, objects.c.kind == "sr")
    with trial.it.database().connect() as connection:
        file = connection.execute(query).scalar()
    return None if file is None else trial.spool / str(file)


def full_disk(trial: Trial) -> None:
    """Fill the small disk of spool and database to the last byte (ENOSPC)."""
    first, rest = half(trial)
    with faults.small_disk(trial.spool, _DISK_MIB) as mounted:
        if not mounted:
            raise NotPossible("this user cannot mount a disk")
        with trial.node():
            trial.send(first)
            ballast = faults.fill(trial.spool)
            trial.begin_to_send(rest)
            trial.pause(trial.scale.outage_s)
            ballast.unlink()


def read_only_disk(trial: Trial) -> None:
    """Remount the spool's disk read-only; the database lies elsewhere."""
    first, rest = half(trial)
    with ExitStack() as disks:
        # Heartbeats and locks are open for writing all the time; with them nothing can be remounted.
        for folder, mib in ((trial.spool, _DISK_MIB), (trial.spool / "run", 1)):
            if not disks.enter_context(faults.small_disk(folder, mib)):
                raise NotPossible("this user cannot mount a disk")
        with trial.node(database=f"sqlite:///{trial.folder}/gateway.db"):
            trial.send(first)
            with faults.read_only(trial.spool) as done:
                if not done:
                    trial.broken.append("the disk could not be remounted")
                trial.begin_to_send(rest)
                trial.pause(trial.scale.outage_s)


def large_study(trial: Trial) -> None:
    """Send thousands of small images of one study over one association."""
    scale, slowest = trial.scale, 0.0
    trial.may_be_told.add("pacs")
    with trial.node(studies={"max_images": scale.max_images, "quiet_s": 5.0}) as node:  # a pause is no end
        sample = next(small_images(1))
        entity = ApplicationEntity("MODALITY")
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 60
        entity.add_requested_context(sample.SOPClassUID, sample.file_meta.TransferSyntaxUID)
        association = entity.associate("127.0.0.1", node.port, ae_title="CANDOR")
        next_echo = 0.0
        for instance in small_images(scale.images):
            if "Status" not in (answer := association.send_c_store(instance)) or answer.Status != 0:
                trial.broken.append("an image of the large study was not taken")
                break
            trial.acknowledge(instance)
            if time.monotonic() > next_echo:
                slowest, next_echo = max(slowest, _echo_s(node.port)), time.monotonic() + 1.0
        association.release()
        trial.pause(5.0)
    with node.database().connect() as connection:
        versions = int(connection.execute(sa.select(sa.func.count()).select_from(studies)).scalar_one())
    mib = sum(path.stat().st_size for path in trial.spool.glob("gateway.db*")) / 1024**2
    trial.notes.append(f"{versions} versions, database {mib:.0f} MiB, slowest C-ECHO {slowest:.2f} s")
    if versions > 1:
        trial.broken.append(f"{versions} versions of the large study")
    if mib > _DATABASE_MIB:
        trial.broken.append(f"the database has {mib:.0f} MiB")
    if scale.echo_s and slowest > scale.echo_s:
        trial.broken.append(f"a C-ECHO took {slowest:.1f} s")


def _echo_s(port: int) -> float:
    entity, began = ApplicationEntity("ECHO"), time.monotonic()
    entity.add_requested_context(Verification)
    association = entity.associate("127.0.0.1", port, ae_title="CANDOR")
    if association.is_established:
        association.send_c_echo()
        seconds = time.monotonic() - began
        association.release()
        return seconds
    return float("inf")


def several_images(trial: Trial) -> None:
    """Send studies of three images; the last comes late, and the first is sent twice."""
    made = studies_of(trial.scale.studies, images=3)
    with trial.node():
        trial.send([image for image in made if image.InstanceNumber == 1])
        trial.send([image for image in made if image.InstanceNumber < 3])
        trial.pause(3.0)
        trial.send([image for image in made if image.InstanceNumber == 3])


def slow_webhook(trial: Trial) -> None:
    """Let the webhook's answer drip while the worker hangs: the deadline must be kept all the same."""
    trial.webhook.stop()
    trial.webhook = Webhook(drips=True)
    trial.archives["gone"] = Stalled(trial.folder / "gone", stalled.SILENT)
    trial.may_be_told |= {"gone", "pacs"}
    with trial.node() as node:
        trial.send(studies_of(1, salt="first"))
        trial.wait(lambda: trial.rows()["gone"].told == 1, "no alarm about the destination")
        with faults.stopped(node.processes("work")):
            trial.send(studies_of(trial.scale.studies))
            trial.pause(trial.scale.deadline_s + GRACE_S)


def shadow(trial: Trial) -> None:
    """Stop all sending while results are due, as an operator does, and let it go on later."""
    made = studies_of(trial.scale.studies)
    pacs = trial.archives["pacs"]
    with trial.node() as node:
        pacs.stop()
        trial.send(made)
        trial.wait(lambda: trial.rows()["pacs"].assessed == len(made), "not all is assessed")
        node.command("shadow", "--reason", "a test")
        pacs.start()
        trial.pause(8.0)
        if sent := trial.delivered():
            trial.broken.append(f"{sent} results went out in shadow mode")
        node.command("live", "--reason", "a test", "--foreign-fit", "a test")


@dataclass(frozen=True)
class Scenario:
    """One fault.

    Parameters
    ----------
    run
        Brings it about.
    in_short
        Whether it is part of the short form.
    """

    run: Callable[[Trial], None]
    in_short: bool = False


SCENARIOS: Final[dict[str, Scenario]] = {
    "several-images": Scenario(several_images, in_short=True),
    "killed": Scenario(killed),
    "moody-archives": Scenario(moody_archives, in_short=True),
    "stalled-archives": Scenario(stalled_archives, in_short=True),
    "stalled-modalities": Scenario(stalled_modalities, in_short=True),
    "commitment": Scenario(commitment, in_short=True),
    "supervisor-killed": Scenario(supervisor_killed, in_short=True),
    "worker-hangs": Scenario(hung("work")),
    "upkeep-hangs": Scenario(hung("upkeep")),
    "delivery-hangs": Scenario(hung("deliver")),
    "database-locked": Scenario(database_locked, in_short=True),
    "database-away": Scenario(database_away),
    "postgresql-hangs": Scenario(postgresql),
    "bit-rot": Scenario(bit_rot, in_short=True),
    "full-disk": Scenario(full_disk, in_short=True),
    "read-only-disk": Scenario(read_only_disk, in_short=True),
    "large-study": Scenario(large_study, in_short=True),
    "slow-webhook": Scenario(slow_webhook),
    "shadow": Scenario(shadow, in_short=True),
}


@dataclass
class Outcome:
    """What came out of a scenario: a row for each destination, or why it was not run."""

    name: str
    rows: dict[str, tally.Row]
    broken: list[str]
    notes: list[str]
    skipped: str = ""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return not self.broken and all(row.good for row in self.rows.values())


def run_one(name: str, scale: Scale, models: Path, end: float) -> Outcome:
    """Run one scenario in a temporary folder.

    Parameters
    ----------
    name
        Of the scenario.
    scale
        How large it is.
    models
        The bundle.
    end
        When it must be over, in seconds of the monotonic clock.
    """
    began = time.monotonic()
    if end - began < scale.outage_s + GRACE_S + _MAKE_ROOM_S:
        return Outcome(name, {}, [], [], "not run: no time was left")
    with tempfile.TemporaryDirectory(prefix="candor-chaos-", ignore_cleanup_errors=True) as folder:
        trial = Trial(Path(folder), scale, models, end)
        try:
            SCENARIOS[name].run(trial)
        except NotPossible as reason:
            return Outcome(name, {}, [], [], f"not run: {reason}")
        except Exception as error:  # noqa: BLE001 - one scenario that breaks must not hide the others
            trial.broken.append(f"the bench broke: {type(error).__name__}: {error}")
        return Outcome(name, trial.counted, trial.broken, trial.notes, seconds=time.monotonic() - began)


def run_all(names: Sequence[str], scale: Scale, models: Path, minutes: float, at_once: int) -> list[Outcome]:
    """Run scenarios, some at once.

    Parameters
    ----------
    names
        Of the scenarios.
    scale
        How large they are.
    models
        The bundle.
    minutes
        For all of them.
    at_once
        How many nodes run at a time.
    """
    end = time.monotonic() + 60.0 * minutes
    with ThreadPoolExecutor(at_once) as pool:
        outcomes = []
        for outcome in pool.map(lambda name: run_one(name, scale, models, end), names):
            print(f"{outcome.name}: {outcome.skipped or ('kept' if outcome.good else 'BROKEN')}", file=sys.stderr)
            outcomes.append(outcome)
    return outcomes


def report(outcomes: Sequence[Outcome]) -> str:
    """Return the table, and what else is to be said, as Markdown."""
    rows: list[tuple[str, tally.Row | str]] = []
    remarks = []
    for outcome in outcomes:
        if outcome.skipped:
            rows.append((outcome.name, outcome.skipped))
        for destination, row in outcome.rows.items():
            rows.append((outcome.name if len(outcome.rows) == 1 else f"{outcome.name}: {destination}", row))
        remarks += [f"- {outcome.name}: {note}." for note in outcome.notes]
        remarks += [f"- {outcome.name}: **broken**: {text}." for text in outcome.broken]
    return "\n\n".join(filter(None, [tally.markdown(rows), "\n".join(remarks)]))


def main(words: Sequence[str] | None = None) -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15.0, help="for the whole run")
    parser.add_argument("--short", action="store_true", help="the short form: fewer scenarios, shorter outages")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--at-once", type=int, default=3, help="nodes that run at a time")
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    options = parser.parse_args(words)
    names = options.only or [name for name, each in SCENARIOS.items() if each.in_short or not options.short]
    scale = SHORT if options.short else LONG
    outcomes = run_all(names, scale, options.models, options.minutes, options.at_once)
    print(report(outcomes))
    return 0 if all(outcome.good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
