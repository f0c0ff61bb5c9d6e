"""A node for tests: its tables and spool, a clock to turn, and an application that answers at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from candor.dicom.shared.file import describe
from candor.files.hashes import file_sha256
from candor.study.findings import Finding
from candor.study.profile import Profile
from candor.study.provenance import derived_uid
from candor.study.result import Decision, Disposition, StudyAnswer
from candor.study.result_object import Kind, Predecessor, ResultObject
from gateway.assess.assessor import Assessed, Assessor
from gateway.dimse.header import read_head
from gateway.jobs.jobs import Jobs
from gateway.jobs.lease import new_executor_id
from gateway.receive.journal import Journal, Received
from gateway.settings import Settings
from gateway.store import schema
from gateway.store.database import open_database, writing
from gateway.store.spool import Spool
from gateway.store.states import Priority
from gateway.store.tokens import Tokens
from tests.gateway.conftest import Clock
from tests.gateway.network import file_of


@dataclass
class FakeApplication:
    """Writes a report and an overlay that depend on the input alone; ``error`` and ``failure`` go wrong instead.

    With ``profiles`` it writes a report for each of them.
    """

    error: Exception | None = None
    failure: str | None = None
    disposition: Disposition = Disposition.DEFERRED
    salt: str = ""
    seen: list[list[str]] = field(default_factory=list)
    outputs: list[Path] = field(default_factory=list)
    profiles: Sequence[Profile] = ()
    predecessors: list[tuple[Predecessor, ...]] = field(default_factory=list)
    answer: StudyAnswer | None = None
    refused: tuple[tuple[str, str], ...] = ()
    unknown: tuple[tuple[str, str], ...] = ()

    def __call__(
        self, study_instance_uid: str, source: Path, output: Path, time: datetime, predecessors: tuple[Predecessor, ...]
    ) -> Assessed:
        inputs = sorted(file_sha256(path) for path in source.iterdir())
        self.seen.append(
            [str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in sorted(source.iterdir())]
        )
        self.outputs.append(output)
        self.predecessors.append(predecessors)
        if self.error is not None:
            raise self.error
        keys = [profile.key for profile in self.profiles] or [None]
        written = [self._write(output, "sr", None, study_instance_uid, inputs, time, key) for key in keys]
        written.append(self._write(output, "sc", Finding.EFFUSION, study_instance_uid, inputs, time))
        findings = {"Effusion": Decision.PRESENT.value, "Nodule": Decision.DEFERRED.value}
        said: dict[str, Any] = {"answer": self.answer, "refused": self.refused, "unknown": self.unknown}
        return Assessed(self.disposition, findings, tuple(written), "b" * 64, self.failure, **said)

    def _write(
        self,
        output: Path,
        kind: Kind,
        finding: Finding | None,
        study: str,
        inputs: list[str],
        time: datetime,
        profile: str | None = None,
    ) -> ResultObject:
        about = (kind, *inputs, *([profile] if profile else []))
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = Comprehensive3DSRStorage if kind == "sr" else SecondaryCaptureImageStorage
        dataset.SOPInstanceUID = derived_uid("fake", *about)
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID = derived_uid("fake series", kind, *inputs), study
        dataset.ContentDate, dataset.ContentTime = time.strftime("%Y%m%d"), time.strftime("%H%M%S")
        dataset.SeriesDescription = self.salt
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        path = output / f"{kind}{(profile or '').replace(':', '-')}.dcm"
        dcmwrite(path, dataset, enforce_file_format=True)
        profiles = (profile,) if profile else None
        return describe(dataset, kind, path.name, finding=finding, profiles=profiles)


class Node:
    """What the processes of a node share, and one of each of them that a test calls by hand."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings, self.clock = settings, clock
        self.database = open_database(settings.database)
        self.spool = Spool(Path(settings.spool))
        self.tokens = Tokens(Path(settings.spool))
        self.jobs = Jobs(self.database, settings, new_executor_id())
        self.application = FakeApplication()
        self.timeouts: list[float] = []

    def close(self) -> None:
        self.jobs.stop()
        self.database.dispose()

    @property
    def assessor(self) -> Assessor:
        return Assessor(
            self.database,
            self.settings,
            self.spool,
            self.jobs,
            self.application,
            self.clock,
            lambda: self.timeouts.append(self.clock()),
        )

    def receive(self, dataset: Dataset, priority: Priority = Priority.ROUTINE, calling: str = "MODALITY") -> str:
        """Take an instance as the receiver does; returns its Study Instance UID."""
        stored = self.spool.store(file_of(dataset))
        head = read_head(self.spool.path(stored.file))
        received = Received(stored, head, self.clock(), priority, calling, "CANDOR", "192.0.2.1")
        with writing(self.database) as connection:
            Journal(self.tokens, self.settings).record(connection, received)
        return str(dataset.StudyInstanceUID)

    def wait(self, study_instance_uid: str, version: int = 1) -> None:
        """Let a version wait for the application."""
        self.put(study_instance_uid, version, state="waiting", queued=self.clock())

    def put(self, study_instance_uid: str, version: int = 1, **values: Any) -> None:
        with writing(self.database) as connection:
            connection.execute(schema.studies.update().where(self._key(study_instance_uid, version)).values(**values))

    def study(self, study_instance_uid: str, version: int = 1) -> Any:
        return self.rows(sa.select(schema.studies).where(self._key(study_instance_uid, version)))[0]

    def rows(self, query: Any) -> list[Any]:
        with self.database.connect() as connection:
            return list(connection.execute(query).all())

    def table(self, table: sa.Table) -> list[Any]:
        return self.rows(sa.select(table))

    def scalars(self, column: Any) -> list[Any]:
        return [row[0] for row in self.rows(sa.select(column).order_by(column))]

    def execute(self, statement: Any) -> None:
        with writing(self.database) as connection:
            connection.execute(statement)

    @staticmethod
    def _key(study_instance_uid: str, version: int) -> Any:
        columns = schema.studies.c
        return sa.and_(columns.study_instance_uid == study_instance_uid, columns.version == version)
