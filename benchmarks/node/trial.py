"""One trial: a node on a temporary spool, its archives, a modality that sends, and the count at the end."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from pydicom import Dataset

from benchmarks.node import tally
from benchmarks.node.crash import KILLED, Node, Pacs, accepts, radiographs, send, wait_for
from benchmarks.node.faults import Webhook
from candor.study.provenance import derived_uid

GRACE_S: Final = 30.0
"""A deadline is enforced by sweeps, on a machine that may be loaded."""

_START_S: Final = 90.0
_SMALL: Final = 64


class Archive(Protocol):
    """What a trial needs of a PACS."""

    folder: Path
    port: int

    def start(self) -> None:
        """Listen."""

    def stop(self) -> None:
        """Go away."""


@dataclass(frozen=True)
class Scale:
    """How large a trial is.

    Parameters
    ----------
    studies
        How many are sent.
    deadline_s
        The setting ``studies.result_deadline_s``.
    outage_s
        How long what is taken away stays away.
    images
        In the large study.
    max_images
        The setting ``studies.max_images`` for it.
    echo_s
        The longest that a C-ECHO may take meanwhile; None where nobody looks.
    """

    studies: int
    deadline_s: float
    outage_s: float
    images: int
    max_images: int
    echo_s: float | None


LONG: Final = Scale(studies=12, deadline_s=90.0, outage_s=60.0, images=5000, max_images=500, echo_s=1.0)
SHORT: Final = Scale(studies=4, deadline_s=40.0, outage_s=8.0, images=300, max_images=50, echo_s=None)


class NotPossible(Exception):
    """Raised where the machine does not allow a scenario; the text says why."""


class Trial:
    """A node and what surrounds it.

    Parameters
    ----------
    folder
        Empty; for everything that the trial writes.
    scale
        How large it is.
    models
        The bundle.
    end
        When it must be over, in seconds of the monotonic clock.
    """

    def __init__(self, folder: Path, scale: Scale, models: Path, end: float) -> None:
        self.folder, self.scale, self._models, self._end = folder, scale, models, end
        folder.mkdir(exist_ok=True)
        self.archives: dict[str, Archive] = {"pacs": Pacs(folder / "pacs")}
        self.webhook = Webhook()
        self.tainted: set[str] = set()
        """Studies whose images were damaged."""
        self.excused: set[str] = set()
        """Studies that no archive need get a result of."""
        self.may_be_told: set[str] = set()
        """Destinations that need not get any result."""
        self.broken: list[str] = []
        """Other promises that were broken, in words."""
        self.notes: list[str] = []
        self.counted: dict[str, tally.Row] = {}
        """What came out, for each destination; counted when everything is settled."""
        self._sent: dict[str, str] = {}
        self._acknowledged: dict[str, float] = {}
        self._pending: set[str] = set()
        self._sending: list[threading.Thread] = []

    @property
    def spool(self) -> Path:
        """The node's spool."""
        return self.folder / "node" / "spool"

    @contextmanager
    def node(self, commitment: Sequence[str] = (), **settings: Any) -> Iterator[Node]:
        """Run the archives and the node, live; end with everything sent and answered, or the time over.

        Parameters
        ----------
        commitment
            Destinations that are asked for storage commitment.
        settings
            Blocks of ``gateway.yaml`` beside those that a trial needs; ``studies`` is added to.
        """
        destinations = [
            {
                "name": name,
                "ae_title": "PACS",
                "host": "127.0.0.1",
                "port": archive.port,
                "commitment": name in commitment,
            }
            for name, archive in self.archives.items()
        ]
        quick = {"quiet_s": 0.5, "result_deadline_s": self.scale.deadline_s} | settings.pop("studies", {})
        retries = {"first_retry_s": 0.5, "longest_retry_s": 2.0, "breaker_s": 1.0, "timeout_s": 3.0}
        retries["commitment_timeout_s"] = 5.0
        blocks = {
            "studies": quick,
            "destinations": destinations,
            "deliver": retries,
            "alarms": {"webhook": self.webhook.url},
        }
        node = Node(self.folder / "node", self._models, 0, **(blocks | settings))
        self.it = node
        for archive in self.archives.values():
            archive.start()
        try:
            node.command("live", "--reason", "a test", "--foreign-fit", "a test")
            node.start()
            wait_for(lambda: accepts(node.port), _START_S, "the receiver")
            wait_for(lambda: "worker ready" in node.log(), _START_S, "the worker")
            yield node
            self._settle()
            self.counted = self.rows()
            for name in self.counted.keys() - self.may_be_told:
                if owed := self._owed(self.counted[name]):
                    self.broken.append(f"{name} takes results, and did not get those of {owed} studies")
        finally:
            self._end = time.monotonic()
            for thread in self._sending:
                thread.join(60.0)
            node.stop()
            for kind in KILLED:  # children of a supervisor that was killed
                node.kill(kind)
            for archive in self.archives.values():
                archive.stop()
            self.webhook.stop()

    def send(self, instances: Sequence[Dataset]) -> None:
        """Send instances as a modality does: each again and again until it is acknowledged."""
        self._pending |= {str(each.SOPInstanceUID) for each in instances}
        for instance in instances:
            while send(self.it.port, instance) != 0:
                if time.monotonic() > self._end:
                    return
                time.sleep(0.2)
            self.acknowledge(instance)

    def acknowledge(self, instance: Dataset) -> None:
        """Note that an instance was acknowledged."""
        study, uid = str(instance.StudyInstanceUID), str(instance.SOPInstanceUID)
        self._sent[uid], self._acknowledged[study] = study, time.time()
        self._pending.discard(uid)

    def begin_to_send(self, instances: Sequence[Dataset]) -> None:
        """Send from a thread of its own."""
        thread = threading.Thread(target=self.send, args=(instances,), daemon=True)
        thread.start()
        self._sending.append(thread)

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the trial."""
        time.sleep(max(0.0, min(seconds, self._end - time.monotonic())))

    def wait(self, done: Callable[[], object], what: str, seconds: float | None = None) -> None:
        """Wait until something is so, or note that it is broken.

        Parameters
        ----------
        done
            Returns whether it is so.
        what
            For a person.
        seconds
            How long; by default as long as a result may take.
        """
        limit = self.scale.deadline_s + GRACE_S if seconds is None else seconds
        try:
            wait_for(done, max(0.0, min(limit, self._end - time.monotonic())), what, every_s=0.3)
        except TimeoutError:
            self.broken.append(what)

    def rows(self) -> dict[str, tally.Row]:
        """Count now, for each destination."""
        # First what came: a report that comes during the count is else one that the node does not know.
        arrivals = tally.arrivals({name: archive.folder for name, archive in self.archives.items()})
        database = self.it.database()
        try:
            tokens, assessed, newest = tally.known_studies(database)
            evidence = tally.Evidence(
                acknowledged=dict(self._acknowledged),
                tokens=tokens,
                assessed=assessed,
                newest=newest,
                made=tally.made(database),
                missing=tally.missing(database, self.spool, dict(self._sent)),
                arrivals=arrivals,
                alarms=tally.kept_alarms(database, list(self.webhook.alarms)),
                limit_s=self.scale.deadline_s + GRACE_S,
                tainted=frozenset(self.tainted),
            )
        finally:
            database.dispose()
        return {name: tally.row(evidence, name) for name in self.archives}

    def delivered(self, destination: str = "pacs") -> int:
        """Count the studies whose results have come to a destination."""
        here = tally.arrivals({destination: self.archives[destination].folder})
        return len({each.study for each in here if each.assessed})

    def _settle(self) -> None:
        """Wait until all is sent and answered, as long as a result may take."""
        for thread in self._sending:
            thread.join(max(0.0, self._end - time.monotonic()))
        if self._pending:
            self.broken.append(f"{len(self._pending)} images were not taken")
        limit = time.time() + self.scale.deadline_s + GRACE_S
        while time.time() < limit and time.monotonic() < self._end and not self._is_settled():
            time.sleep(1.0)

    def _is_settled(self) -> bool:
        rows = self.rows().items()
        return all(row.good and (name in self.may_be_told or not self._owed(row)) for name, row in rows)

    def _owed(self, row: tally.Row) -> int:
        return max(0, len(self._acknowledged) - len(self.excused) - row.delivered)


def studies_of(number: int, images: int = 1, salt: str = "") -> list[Dataset]:
    """Make studies of small radiographs; the images of one study come one after the other.

    Parameters
    ----------
    number
        Of studies.
    images
        Of each.
    salt
        Tells the UIDs of one call from those of another.
    """
    made = radiographs(number * images)
    for k, instance in enumerate(made):
        study = str(k // images)
        instance.StudyInstanceUID = derived_uid("chaos", "study", salt, study)
        instance.SeriesInstanceUID = derived_uid("chaos", "series", salt, study)
        instance.SOPInstanceUID = derived_uid("chaos", "instance", salt, str(k))
        instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
        instance.InstanceNumber = k % images + 1
    return made


def small_images(number: int) -> Iterator[Dataset]:
    """Make many tiny images of one study."""
    (sample,) = studies_of(1, salt="large")
    pixels = np.random.default_rng(0).integers(0, 4096, (_SMALL, _SMALL)).astype(np.uint16)
    sample.Rows = sample.Columns = _SMALL
    sample.PixelData = b""
    for k in range(number):
        instance = copy.deepcopy(sample)
        pixels[0, 0], pixels[0, 1] = k % 4096, k // 4096
        instance.PixelData = pixels.tobytes()
        instance.SOPInstanceUID = derived_uid("chaos", "instance", "large", str(k))
        instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
        yield instance
