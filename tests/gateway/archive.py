"""The other side of deliveries, for tests: an archive with scripted answers, and a node that has something to send."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from candor.files.hashes import file_sha256
from candor.study.result import Disposition
from gateway.deliver.deliverer import Deliverer
from gateway.deliver.stop import Stop
from gateway.settings import Destination, Settings
from gateway.store.database import upsert, writing
from gateway.store.schema import deliveries, metadata, node_state, objects, studies
from gateway.store.spool import Spool
from gateway.store.states import DeliveryState, Mode, Priority
from gateway.store.study import Study
from gateway.store.tokens import Tokens
from tests.cases import header_of
from tests.gateway.conftest import Clock
from tests.gateway.network import image
from tools.small_pacs import break_off

DOCUMENTS = {
    "sr": (Comprehensive3DSRStorage, "SR"),
    "gsps": (GrayscaleSoftcopyPresentationStateStorage, "PR"),
    "ko": (KeyObjectSelectionDocumentStorage, "KO"),
    "pm": (ParametricMapStorage, "OT"),
}
"""SOP class and modality of what is no overlay."""

CLASSES = (SecondaryCaptureImageStorage, *(uid for uid, _ in DOCUMENTS.values()))
STUDY = str(image().StudyInstanceUID)


@dataclass
class Archive:
    """A storage SCP; each C-STORE takes the next of ``statuses``, then success. None aborts the association.

    So does each object of a class in ``poison``. ``on_store`` is called with the UID of each before it is answered.
    """

    statuses: list[int | None] = field(default_factory=list)
    classes: tuple[str, ...] = CLASSES
    syntaxes: tuple[str, ...] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    commits: Callable[[Archive, Any], int] | None = None
    received: list[tuple[str, str]] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    actions: list[Dataset] = field(default_factory=list)
    associations: int = 0
    port: int = 0
    poison: tuple[str, ...] = ()
    on_store: Callable[[str], None] = lambda uid: None

    def uids(self) -> list[str]:
        return [uid for uid, _ in self.received]

    def store(self, event: Any) -> int:
        poisoned = event.request.AffectedSOPClassUID in self.poison
        status = None if poisoned else self.statuses.pop(0) if self.statuses else 0
        if status is None:
            break_off(event.assoc)
            return 0
        content = event.request.DataSet.getvalue()
        self.contents.append(content)
        self.received.append((event.request.AffectedSOPInstanceUID, event.context.transfer_syntax))
        self.on_store(event.request.AffectedSOPInstanceUID)
        return status

    def accept(self, _: Any) -> None:
        self.associations += 1

    def act(self, event: Any) -> tuple[int, None]:
        self.actions.append(event.action_information)
        return (self.commits(self, event) if self.commits else 0), None


@contextmanager
def running(archive: Archive, tls: ssl.SSLContext | None = None) -> Iterator[Archive]:
    """Let an archive listen."""
    entity = AE("ARCHIVE")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 60
    for uid in archive.classes:
        entity.add_supported_context(uid, list(archive.syntaxes))
    if archive.commits is not None:
        entity.add_supported_context(StorageCommitmentPushModel)
    handlers: list[Any] = [
        (evt.EVT_C_STORE, archive.store),
        (evt.EVT_ACCEPTED, archive.accept),
        (evt.EVT_N_ACTION, archive.act),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=tls)
    archive.port = server.socket.getsockname()[1]
    try:
        yield archive
    finally:
        threading.Thread(target=server.shutdown, daemon=True).start()  # it takes half a second


def report(action: Dataset, failed: dict[str, int] | None = None, committed: list[str] | None = None) -> Dataset:
    """The event information that answers an N-ACTION; by default everything is committed to."""
    failures = failed or {}
    information = Dataset()
    information.TransactionUID = action.TransactionUID
    asked = [item.ReferencedSOPInstanceUID for item in action.ReferencedSOPSequence]
    safe = [uid for uid in asked if uid not in failures] if committed is None else committed
    information.ReferencedSOPSequence = [
        item for item in action.ReferencedSOPSequence if item.ReferencedSOPInstanceUID in safe
    ]
    if failures:
        information.FailedSOPSequence = [_failed(action, uid, reason) for uid, reason in failures.items()]
    return information


def _failed(action: Dataset, uid: str, reason: int) -> Dataset:
    (named,) = (item for item in action.ReferencedSOPSequence if item.ReferencedSOPInstanceUID == uid)
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = named.ReferencedSOPClassUID, uid
    item.FailureReason = reason
    return item


def on_the_same_association(archive: Archive, event: Any) -> int:
    """Report on the association of the request, once its response is out."""
    association, information = event.assoc, report(archive.actions[-1])

    def send() -> None:
        association.send_n_event_report(information, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)

    threading.Timer(0.1, send).start()
    return 0


def on_a_new_association(port: int, information: Dataset, event_type: int = 1) -> int | None:
    """Report to a receiver on an association of the archive's own; returns the receiver's status."""
    entity = AE("ARCHIVE")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 60
    role = build_role(StorageCommitmentPushModel, scp_role=True)
    contexts = [build_context(StorageCommitmentPushModel)]
    association = entity.associate("127.0.0.1", port, contexts, "CANDOR", ext_neg=[role])
    if not association.is_established:
        return None
    try:
        status, _ = association.send_n_event_report(
            information, event_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
    finally:
        association.release()
    return None if status is None else status.get("Status")


@dataclass
class FakeQueue:
    """Remembers what is queued; the job runner is not needed for it."""

    queued: list[tuple[int, str, int, float, str]] = field(default_factory=list)

    def enqueue_delivery(
        self,
        connection: sa.Connection,
        study: Study,
        destination: str,
        attempt: int = 0,
        delay_s: float = 0.0,
        occasion: str = "",
    ) -> str:
        self.queued.append((study.version, destination, attempt, delay_s, occasion))
        return f"{study.version}:{destination}:{attempt}:{occasion}"


class Sender:
    """A node with results to send: an overlay and a report, of one study, to one destination named "pacs"."""

    def __init__(self, settings: Settings, database: sa.Engine, spool: Spool, clock: Clock) -> None:
        self.settings, self.database, self.spool, self.clock = settings, database, spool, clock
        self.queue = FakeQueue()
        self.stop = Stop()
        self.enter(Mode.LIVE)

    def enter(self, mode: Mode) -> None:
        """Change the node's mode, without an act in the trail."""
        with writing(self.database) as connection:
            connection.execute(upsert(self.database, node_state, {"key": "mode", "value": mode.value}, "value"))

    @property
    def deliverer(self) -> Deliverer:
        return Deliverer(self.database, self.settings, self.spool, self.queue, self.clock, lambda: 0.5, self.stop)

    def towards(self, archive: Archive, **changes: Any) -> Sender:
        """Send to an archive from now on."""
        destination = Destination(name="pacs", ae_title="ARCHIVE", host="localhost", port=archive.port, **changes)
        self.settings = self.settings.model_copy(update={"destinations": (destination,)})
        return self

    def with_deliver(self, **changes: Any) -> Sender:
        """Change the settings of delivering."""
        deliver = self.settings.deliver.model_copy(update=changes)
        self.settings = self.settings.model_copy(update={"deliver": deliver})
        return self

    def study(self, version: int = 1, uid: str = STUDY, **values: Any) -> str:
        """Give a study its row, DELIVERING."""
        now = self.clock()
        row = {
            "study_instance_uid": uid,
            "version": version,
            "token": Tokens(self.spool.root).token(uid),
            "state": "delivering",
            "reason": "",
            "priority": Priority.ROUTINE.value,
            "first_image": now,
            "last_image": now,
            "deadline": now + 900,
            "assessed": now,
            "disposition": Disposition.DEFERRED.value,
            "bundle_sha256": "ab" * 32,
        }
        self.execute(studies.insert().values(row | values))
        return uid

    def result(self, kind: str = "sc", version: int = 1, study: str = STUDY, due: bool = True, **values: Any) -> str:
        """Give a study a result, due at the destination; returns its SOP Instance UID."""
        dataset = _overlay(version, study) if kind == "sc" else _document(kind, version, study)
        folder = self.spool.results(Tokens(self.spool.root).token(study), version)
        path = folder / f"{kind}.dcm"
        dcmwrite(path, dataset, enforce_file_format=True)
        uid = str(dataset.SOPInstanceUID)
        row = {
            "sop_instance_uid": uid,
            "sop_class_uid": str(dataset.SOPClassUID),
            "series_instance_uid": str(dataset.SeriesInstanceUID),
            "study_instance_uid": study,
            "version": version,
            "kind": kind,
            "file": path.relative_to(self.spool.root).as_posix(),
            "sha256": file_sha256(path),
            "made": self.clock(),
        }
        self.execute(objects.insert().values(row))
        if due:
            delivery = {"sop_instance_uid": uid, "destination": "pacs", "state": "due", "due": self.clock(), "tries": 0}
            self.execute(deliveries.insert().values(delivery | {"reason": ""} | values))
        return uid

    def both(self) -> tuple[str, str]:
        """A study with a report and an overlay, both due; their UIDs in the order in which they are to go out."""
        self.study()
        return self.result("sr"), self.result("sc")

    def deliver(self, version: int = 1, attempt: int = 0, study: str = STUDY) -> None:
        self.deliverer.deliver(Study(study, version), "pacs", attempt)

    def delivery(self, uid: str) -> Any:
        (row,) = self.rows(sa.select(deliveries).where(deliveries.c.sop_instance_uid == uid))
        return row

    def states(self) -> list[str]:
        return sorted(self.column(deliveries.c.state))

    def state_of_study(self, version: int = 1) -> str:
        (state,) = self.column(studies.c.state, studies.c.version == version)
        return str(state)

    def path(self, uid: str) -> Path:
        (file,) = self.column(objects.c.file, objects.c.sop_instance_uid == uid)
        return self.spool.path(file)

    def change(self, table: str, **values: Any) -> None:
        self.execute(metadata.tables[table].update().values(**values))

    def rows(self, query: Any) -> list[Any]:
        with self.database.connect() as connection:
            return list(connection.execute(query).all())

    def column(self, column: Any, where: Any = None) -> list[Any]:
        query = sa.select(column) if where is None else sa.select(column).where(where)
        return [row[0] for row in self.rows(query)]

    def execute(self, statement: Any) -> None:
        with writing(self.database) as connection:
            connection.execute(statement)


def data_set_of(path: Path) -> bytes:
    """The bytes of a file after its File Meta Information."""
    content = path.read_bytes()
    length = int.from_bytes(content[140:144], "little")  # (0002,0000) is the first element
    return content[144 + length :]


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def decoded(content: bytes) -> Dataset:
    """An implicit little endian data set."""
    return dcmread(BytesIO(content), force=True)


def due_states(sender: Sender) -> bool:
    return DeliveryState.DUE.value in sender.states()


def _overlay(version: int, study: str) -> Dataset:
    overlay = image(seed=f"sc{version}{study[-3:]}")
    overlay.SOPClassUID = SecondaryCaptureImageStorage
    overlay.StudyInstanceUID = study
    return _named(overlay)


def _document(kind: str, version: int, study: str) -> Dataset:
    document = header_of(seed=f"{kind}{version}{study[-3:]}")
    document.SOPClassUID, document.Modality = DOCUMENTS[kind]
    document.StudyInstanceUID = study
    return _named(document)


def _named(dataset: Dataset) -> Dataset:
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset
