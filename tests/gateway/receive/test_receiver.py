"""The receiver against well-behaved peers: what is acknowledged, what is refused, and in which order it is done."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    BasicTextSRStorage,
    ComprehensiveSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    KeyObjectSelectionDocumentStorage,
    XRayRadiationDoseSRStorage,
)
from pynetdicom.presentation import AllStoragePresentationContexts, build_role
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

from candor.study.provenance import MANUFACTURER
from gateway.dimse.contexts import STORAGE
from gateway.dimse.tls import client_context
from gateway.jobs.jobs import Jobs
from gateway.receive import receiver as receive_module
from gateway.receive.bounded_pdu import BoundedSocket
from gateway.receive.receiver import Receiver
from gateway.settings import Caller, Settings, Tls
from gateway.store import schema
from gateway.store.alarms import AlarmKind, raise_alarm
from gateway.store.database import writing
from gateway.store.spool import Part, Spool, Stored
from gateway.store.states import InstanceState, Priority
from gateway.store.tokens import Tokens
from gateway.watch.retention import retain
from tests.gateway.conftest import Clock
from tests.gateway.network import Authority, association, file_of, image, other, rejection_note, reread, store

Start = Callable[..., Receiver]
P_DATA_TF = 0x04
PRIVATE = "1.2.752.24.3.1"


@dataclass
class Reports:
    """Storage commitment reports that were handed on."""

    taken: list[tuple[int, str, float]] = field(default_factory=list)
    error: Exception | None = None

    def __call__(self, database: sa.Engine, event_type: int, information: Dataset, now: float) -> None:
        if self.error:
            raise self.error
        self.taken.append((event_type, information.TransactionUID, now))


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def start(
    settings: Settings, database: sa.Engine, spool: Spool, tokens: Tokens, clock: Clock, reports: Reports
) -> Iterator[Start]:
    """Start a receiver with changed settings of its block ``receive``."""
    started: list[Receiver] = []

    def start(keep: dict[str, Any] | None = None, studies: dict[str, Any] | None = None, **changes: Any) -> Receiver:
        changed = settings.model_copy(
            update={
                "studies": settings.studies.model_copy(update=studies or {}),
                "receive": settings.receive.model_copy(update=changes),
                "keep": settings.keep.model_copy(update=keep or {}),
            }
        )
        receiver = Receiver(changed, database, spool, tokens, reports, clock)
        receiver.start()
        started.append(receiver)
        return receiver

    yield start
    for receiver in started:
        with suppress(Exception):
            receiver.stop(0.0)


def rows(database: sa.Engine, table: sa.Table = schema.instances) -> list[Any]:
    with database.connect() as connection:
        return list(connection.execute(sa.select(table)))


def parts(spool: Spool) -> list[Path]:
    return list((spool.root / "incoming").iterdir())


def test_echo(start: Start) -> None:
    with association(start().port, (Verification, ImplicitVRLittleEndian)) as opened:
        assert opened.send_c_echo().Status == 0x0000


def test_an_image_is_kept_as_it_came_and_joins_its_study(
    start: Start, database: sa.Engine, spool: Spool, tokens: Tokens, clock: Clock
) -> None:
    sent = image("1")
    assert store(start().port, sent).Status == 0x0000

    (row,) = rows(database)
    assert (row.sop_instance_uid, row.study_instance_uid) == (sent.SOPInstanceUID, sent.StudyInstanceUID)
    assert (row.calling_ae_title, row.called_ae_title, row.peer) == ("MODALITY", "CANDOR", "127.0.0.1")
    assert (row.state, row.received) == (InstanceState.KEPT.value, clock.time)
    kept = reread(spool.path(row.file))
    assert kept == sent
    assert kept.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
    assert kept.file_meta.MediaStorageSOPInstanceUID == sent.SOPInstanceUID
    (study,) = rows(database, schema.studies)
    assert (study.version, study.images, study.token) == (1, 1, tokens.token(sent.StudyInstanceUID))
    assert [(link.version, link.instance) for link in rows(database, schema.study_instances)] == [(1, row.id)]
    assert not parts(spool)


def test_only_the_owner_can_read_the_spool(start: Start, spool: Spool) -> None:
    store(start().port, image())
    for path in spool.root.rglob("*"):
        if path.name not in ("gateway.db-wal", "gateway.db-shm"):
            assert path.stat().st_mode & 0o077 == 0, path


def test_the_same_bytes_again_are_acknowledged_and_change_nothing(start: Start, database: sa.Engine) -> None:
    port = start().port
    for _ in range(3):
        assert store(port, image()).Status == 0x0000
    assert len(rows(database)) == 1
    assert rows(database, schema.studies)[0].images == 1


def test_other_bytes_under_the_same_uid_are_kept_beside_the_first(start: Start, database: sa.Engine) -> None:
    port = start().port
    store(port, image())
    assert store(port, image(PatientSex="F")).Status == 0x0000
    assert len({row.file for row in rows(database)}) == 2


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_native_transfer_syntaxes(start: Start, database: sa.Engine, spool: Spool, syntax: str) -> None:
    sent = image()
    sent.file_meta.TransferSyntaxUID = syntax
    assert store(start().port, sent).Status == 0x0000
    assert reread(spool.path(rows(database)[0].file)).file_meta.TransferSyntaxUID == syntax


def test_what_cannot_be_decoded_is_refused_at_the_negotiation(start: Start) -> None:
    dx = image().SOPClassUID
    offered = [
        (dx, DeflatedExplicitVRLittleEndian),
        (dx, "1.2.840.10008.1.2.4.100"),  # MPEG2
        (dx, JPEG2000Lossless),
        (KeyObjectSelectionDocumentStorage, DeflatedExplicitVRLittleEndian),  # a rejection note has to be read
        (EncapsulatedPDFStorage, DeflatedExplicitVRLittleEndian),
        ("1.2.752.24.3.1", ExplicitVRLittleEndian),  # private, and not in the settings
    ]
    with association(start().port, *offered) as opened:
        accepted = [(cx.abstract_syntax, cx.transfer_syntax[0]) for cx in opened.accepted_contexts]
    assert accepted == [(dx, JPEG2000Lossless), (EncapsulatedPDFStorage, DeflatedExplicitVRLittleEndian)]


def test_every_storage_class_is_accepted(start: Start) -> None:
    """More than one association may propose; those of pynetdicom, which knows the newest, are among them."""
    classes = sorted({str(context.abstract_syntax) for context in AllStoragePresentationContexts} | STORAGE)
    assert len(classes) > 190
    port = start(private_classes=("1.2.752.24.3.1",)).port
    accepted: set[str] = set()
    for offered in (classes[:100], classes[100:], ["1.2.752.24.3.1"]):
        with association(port, *((uid, ImplicitVRLittleEndian) for uid in offered)) as opened:
            accepted |= {str(context.abstract_syntax) for context in opened.accepted_contexts}
    assert accepted == {*classes, "1.2.752.24.3.1"}


def test_the_order_of_durability(
    start: Start, database: sa.Engine, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content, its fsync, its name, the folder's fsync, the row's commit, and only then the answer."""
    receiver = start()
    trace: list[str] = []

    def traced(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            result = function(*arguments, **named)
            trace.append(name)
            return result

        return call

    def fsync(descriptor: int) -> None:
        target = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if ".part-" in target:
            assert Path(target).stat().st_size > len(image().PixelData), "all content is written by now"
        real_fsync(descriptor)
        trace.append("fsync file" if ".part-" in target else "fsync folder")

    real_fsync = os.fsync
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", traced("name", os.link))
    sa.event.listen(
        database,
        "before_cursor_execute",
        lambda _c, _cur, statement, *_: trace.append("commit") if statement == "COMMIT" else None,
    )
    real_send = receive_module.StreamingDimse.send_msg
    monkeypatch.setattr(receive_module.StreamingDimse, "send_msg", traced("response", real_send))

    assert store(receiver.port, image()).Status == 0x0000
    assert trace == ["fsync file", "name", "fsync folder", "commit", "response"]


def test_the_reserve_of_the_disk(start: Start, database: sa.Engine, spool: Spool) -> None:
    port = start(keep={"reserve_gib": 1e6}).port
    answer = store(port, image())
    assert (answer.Status, answer.ErrorComment) == (0xA700, "the disk is down to its reserve")
    assert not rows(database)
    assert not parts(spool)
    assert not list(spool.instances())
    (alarm,) = rows(database, schema.alarms)
    assert alarm.kind == "disk"
    assert alarm.cleared is None


def test_the_alarm_ends_when_there_is_room_again(
    start: Start, database: sa.Engine, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = start(keep={"reserve_gib": 1.0}).port
    monkeypatch.setattr(Spool, "free_bytes", lambda self: 0)
    assert store(port, image()).Status == 0xA700
    monkeypatch.setattr(Spool, "free_bytes", lambda self: 1 << 40)
    assert store(port, image()).Status == 0x0000
    assert rows(database, schema.alarms)[0].cleared is not None


def test_a_start_finds_what_a_crash_has_left(start: Start, database: sa.Engine, spool: Spool) -> None:
    """The file without a row gets one, half a file goes, and the disk is no trouble until it refuses something."""
    spool.store(file_of(image()))
    os.utime(spool.begin().path, (0.0, 0.0))
    raise_alarm(database, AlarmKind.DISK, "", "images are refused", 0.0)
    start()
    assert [row.sop_instance_uid for row in rows(database)] == [image().SOPInstanceUID]
    assert not parts(spool)
    assert [row.cleared is None for row in rows(database, schema.alarms)] == [False]


def test_every_image_that_is_acknowledged_is_a_sign_of_life(
    settings: Settings, database: sa.Engine, spool: Spool, tokens: Tokens, reports: Reports
) -> None:
    acknowledged: list[bool] = []
    receiver = Receiver(
        settings, database, spool, tokens, reports, acknowledged=lambda: acknowledged.append(bool(rows(database)))
    )
    receiver.start()
    assert store(receiver.port, image()).Status == 0x0000
    assert store(receiver.port, image(StudyInstanceUID="no UID")).Status == 0xC000
    receiver.stop(0.0)
    assert acknowledged == [True]


def test_a_disk_that_fails_while_writing(start: Start, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    port = start().port
    monkeypatch.setattr("gateway.store.spool.Part.write", fail)
    assert store(port, image()).Status == 0xA700
    monkeypatch.undo()
    monkeypatch.setattr("gateway.store.spool.sync_folder", fail)
    assert store(port, image()).Status == 0xA700
    assert not parts(spool)


def test_a_journal_that_is_locked(start: Start, database: sa.Engine, settings: Settings) -> None:
    receiver = start()
    database.dispose()  # new connections wait less long
    sa.event.listen(database, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=50"))
    locked = sa.create_engine(settings.database)
    with locked.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        answer = store(receiver.port, image())
        assert (answer.Status, answer.ErrorComment) == (0xA700, "the journal cannot be written")
        connection.exec_driver_sql("ROLLBACK")
    locked.dispose()
    assert not rows(database)
    assert store(receiver.port, image()).Status == 0x0000
    assert len(rows(database)) == 1


def test_an_object_over_the_limit(start: Start, database: sa.Engine, spool: Spool) -> None:
    port = start(max_object_mib=1).port
    huge = image(PixelData=bytes(2 << 20))
    answer = store(port, huge)
    assert answer.Status == 0xC000
    assert "max_object_mib" in answer.ErrorComment
    assert not rows(database)
    assert not rows(database, schema.alarms)  # the disk has no part in it
    assert not parts(spool)
    assert store(port, image()).Status == 0x0000


def test_uids_that_disagree(start: Start, database: sa.Engine, spool: Spool) -> None:
    with association(start().port) as opened:
        for keyword, other in (("SOPInstanceUID", "1.2.3"), ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.1")):
            assert _store_as(opened, image(), **{keyword: other}).Status == 0xA900
    assert not rows(database)
    assert not parts(spool)
    assert not list(spool.instances())


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
@pytest.mark.parametrize("uid", ["../../../tmp/x", "1.2\x00.3", "1." * 40 + "1", "", None])
def test_uids_that_are_none_never_get_far(
    start: Start, database: sa.Engine, spool: Spool, keyword: str, uid: str | None
) -> None:
    before = sorted(spool.root.rglob("*"))
    with association(start().port) as opened:
        assert _store_as(opened, image(), **{keyword: uid}).Status == 0xC000
    assert not rows(database)
    assert [path for path in sorted(spool.root.rglob("*")) if "gateway.db" not in path.name] == [
        path for path in before if "gateway.db" not in path.name
    ]


def test_a_path_in_the_request(start: Start, database: sa.Engine) -> None:
    with association(start().port) as opened:
        opened.send_c_store(dataset := image())
        dataset.SOPInstanceUID = "../../x"
        assert _store_as(opened, dataset, request="../../x").Status == 0xC000
    assert len(rows(database)) == 1


def test_own_results_coming_back_join_no_study(start: Start, database: sa.Engine, clock: Clock) -> None:
    port = start().port
    report = _report_document(Manufacturer="Candor")
    assert store(port, report).Status == 0x0000
    known = image("known")
    with database.begin() as connection:
        connection.execute(
            schema.objects.insert().values(
                sop_instance_uid=known.SOPInstanceUID,
                sop_class_uid=known.SOPClassUID,
                series_instance_uid="1.2",
                study_instance_uid="1.2",
                version=1,
                kind="sc",
                file="x",
                sha256="0",
                made=clock.time,
            )
        )
    assert store(port, known).Status == 0x0000
    assert [row.state for row in rows(database)] == [InstanceState.FOREIGN_RESULT.value, InstanceState.OWN_RESULT.value]
    assert not rows(database, schema.studies)
    assert [row.kind for row in rows(database, schema.alarms)] == ["foreign_result"]  # of the one that no table knows


def test_a_radiograph_whose_manufacturer_has_our_name_is_kept_and_told(
    start: Start, database: sa.Engine, tokens: Tokens
) -> None:
    assert store(start().port, image(Manufacturer="CANDOR")).Status == 0x0000
    assert [row.state for row in rows(database)] == ["kept"]
    assert [row.images for row in rows(database, schema.studies)] == [1]
    (alarm,) = rows(database, schema.alarms)
    assert (alarm.kind, alarm.subject) == ("foreign_result", tokens.token(image().StudyInstanceUID))


def test_retention_between_file_and_row_leaves_no_acknowledged_image_without_a_file(
    start: Start, database: sa.Engine, spool: Spool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = start()
    assert store(receiver.port, image()).Status == 0x0000
    with writing(database) as connection:
        connection.execute(schema.studies.update().values(state="stored", finished=1.0))
    keep = Spool.keep
    jobs = Jobs(database, settings, "test")

    def keep_and_purge(self: Spool, part: Part) -> Stored:
        stored = keep(self, part)
        assert retain(database, settings, spool, jobs, 1.8e9) == 1
        assert not spool.path(stored.file).exists()
        return stored

    monkeypatch.setattr(Spool, "keep", keep_and_purge)
    assert store(receiver.port, image()).Status == 0x0000
    jobs.stop()
    (row,) = rows(database)
    assert spool.path(row.file).is_file()
    assert [(each.version, each.state, each.images) for each in rows(database, schema.studies)] == [
        (1, "stored", 1),
        (2, "receiving", 1),
    ]
    assert not parts(spool)


def test_a_good_copy_takes_the_place_of_a_damaged_file(start: Start, database: sa.Engine, spool: Spool) -> None:
    receiver = start()
    assert store(receiver.port, image()).Status == 0x0000
    (row,) = rows(database)
    good = spool.path(row.file).read_bytes()
    spool.path(row.file).write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert store(receiver.port, image()).Status == 0x0000
    assert spool.path(row.file).read_bytes() == good
    assert not parts(spool)
    counted = {each.name: each.value for each in rows(database, schema.counters)}
    assert counted["files_repaired_total"] == 1


def test_a_study_over_the_limit_is_one_version(start: Start, database: sa.Engine) -> None:
    port = start(studies={"max_images": 3}).port
    for number in range(3):
        assert store(port, image(str(number), study="a")).Status == 0x0000
    with writing(database) as connection:
        connection.execute(schema.studies.update().values(state="stored"))
    for number in range(3, 10):
        assert store(port, image(str(number), study="a")).Status == 0x0000
        with writing(database) as connection:  # as if it were answered at once
            connection.execute(schema.studies.update().values(state="not assessed"))
    assert [(each.version, each.images) for each in rows(database, schema.studies)] == [(1, 3), (2, 10)]
    assert len(rows(database, schema.study_instances)) == 13


def test_documents_of_others_are_ignored(start: Start, database: sa.Engine, spool: Spool) -> None:
    assert store(start().port, _report_document(Manufacturer="Somebody")).Status == 0x0000
    assert not rows(database)
    assert ignored(database) == {"BasicTextSRStorage": 1}
    assert not parts(spool)
    assert not list(spool.instances())


@pytest.mark.parametrize("sop_class_uid", ["1.2.840.10008.5.1.4.1.1.9", "1.2.840.10008.5.1.4.39.1"])
def test_retired_classes_and_those_of_no_patient_are_answered(
    start: Start, database: sa.Engine, sop_class_uid: str
) -> None:
    assert store(start().port, other(sop_class_uid)).Status == 0x0000
    assert sum(ignored(database).values()) == 1


@pytest.mark.parametrize("first", [True, False])
def test_a_whole_study_is_taken_in_any_order(start: Start, database: sa.Engine, spool: Spool, first: bool) -> None:
    """What a PACS forwards over one association: nothing is refused, and the radiograph is there."""
    others = [other(uid) for uid in OTHERS]
    sent = [image("1", study="a"), *others] if first else [*others, image("1", study="a")]
    pairs = [(each.SOPClassUID, each.file_meta.TransferSyntaxUID) for each in sent]
    with association(start(private_classes=(PRIVATE,)).port, *pairs) as opened:
        assert [opened.send_c_store(each).Status for each in sent] == [0x0000] * len(sent)
    (row,) = rows(database)
    assert row.sop_class_uid == image().SOPClassUID
    assert len(list(spool.instances())) == 1
    assert sum(ignored(database).values()) == len(others)
    assert ignored(database)["private"] == 1


def test_others_are_kept_for_reference_by_setting(
    start: Start, settings: Settings, database: sa.Engine, spool: Spool, clock: Clock
) -> None:
    port = start(other_objects="keep").port
    for uid in (EncapsulatedPDFStorage, BasicTextSRStorage):
        assert store(port, other(uid)).Status == 0x0000
    assert {row.state for row in rows(database)} == {InstanceState.OTHER.value}
    assert not rows(database, schema.studies)
    assert ignored(database) == {"EncapsulatedPDFStorage": 1, "BasicTextSRStorage": 1}
    assert len(list(spool.instances())) == 2
    clock.pass_s(settings.keep.results_d * 86400 + 1)
    jobs = Jobs(database, settings, "test")
    retain(database, settings, spool, jobs, clock())
    jobs.stop()
    assert not list(spool.instances())


@pytest.mark.parametrize("other_objects", ["drop", "keep"])
def test_no_size_and_no_full_disk_refuses_what_is_ignored(
    start: Start, database: sa.Engine, spool: Spool, monkeypatch: pytest.MonkeyPatch, other_objects: str
) -> None:
    port = start(max_object_mib=1, other_objects=other_objects).port
    assert store(port, other(EncapsulatedPDFStorage, EncapsulatedDocument=bytes(3 << 20))).Status == 0x0000
    monkeypatch.setattr("gateway.store.spool.Spool.free_bytes", lambda _: -1)
    assert store(port, other(EncapsulatedPDFStorage)).Status == 0x0000
    assert store(port, image()).Status == 0xA700
    assert not rows(database)
    assert not parts(spool)
    assert ignored(database) == {"EncapsulatedPDFStorage": 2}


def test_a_report_that_cannot_be_read_is_ignored(start: Start, database: sa.Engine) -> None:
    document = _report_document()
    del document.StudyInstanceUID
    assert store(start().port, document).Status == 0x0000
    assert ignored(database) == {"BasicTextSRStorage": 1}


@pytest.mark.parametrize("code", ["113001", "113037", "113038", "113039"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_rejection_note_takes_its_image_out(start: Start, database: sa.Engine, code: str, is_first: bool) -> None:
    """In any order: a note may come before its image."""
    port, rejected, kept = start().port, image("1", study="a"), image("2", study="a")
    sent = (
        [rejection_note(code, rejected), rejected, kept]
        if is_first
        else [rejected, kept, rejection_note(code, rejected)]
    )
    for each in [*sent, rejected]:
        assert store(port, each).Status == 0x0000
    assert {row.sop_instance_uid: row.state for row in rows(database)} == {
        sent[0 if is_first else 2].SOPInstanceUID: "rejection note",
        rejected.SOPInstanceUID: "rejected",
        kept.SOPInstanceUID: "kept",
    }
    (row,) = rows(database, schema.rejections)
    assert (row.sop_instance_uid, row.code, row.done) == (rejected.SOPInstanceUID, code, None)


def test_a_note_without_evidence_is_read_by_its_content(start: Start, database: sa.Engine) -> None:
    port, rejected = start().port, image("1", study="a")
    document = rejection_note("113001", rejected)
    del document.CurrentRequestedProcedureEvidenceSequence
    assert store(port, rejected).Status == store(port, document).Status == 0x0000
    assert {row.state for row in rows(database)} == {"rejected", "rejection note"}


def test_key_objects_that_reject_nothing_are_ignored(start: Start, database: sa.Engine) -> None:
    port, good = start().port, image("1", study="a")
    of_interest, ours, elsewhere = (
        rejection_note("113000", good),
        rejection_note("113037", good),
        rejection_note("113037", good),
    )
    ours.Manufacturer = MANUFACTURER  # it names results, and would not reject an image
    elsewhere.CurrentRequestedProcedureEvidenceSequence[0].StudyInstanceUID = "1.2.3"
    long = rejection_note("113037", good)
    long.add_new(0x00091000, "OB", bytes(5 << 20))
    assert store(port, good).Status == 0x0000
    for each in (of_interest, ours, elsewhere, long):
        assert store(port, each).Status == 0x0000
    (row,) = (row for row in rows(database) if row.sop_class_uid == good.SOPClassUID)
    assert row.state == "kept"
    assert ignored(database) == {"KeyObjectSelectionDocumentStorage": 2}


@pytest.mark.parametrize(
    ("c_store", "requested", "rule", "study_date", "expected"),
    [
        (0, None, None, "20260101", Priority.ROUTINE),
        (1, None, None, "20260101", Priority.URGENT),
        (2, None, None, "20260101", Priority.BACKFILL),
        (0, "STAT", None, "20260101", Priority.URGENT),
        (2, "HIGH", None, "20260101", Priority.URGENT),
        (0, "ROUTINE", None, "", Priority.ROUTINE),
        (1, "STAT", "routine", "20260101", Priority.ROUTINE),
        (0, None, "urgent", "20260101", Priority.URGENT),
        (1, "STAT", "urgent", "20240101", Priority.BACKFILL),
        (0, None, None, "yesterday", Priority.ROUTINE),
    ],
)
def test_priorities(
    start: Start,
    database: sa.Engine,
    c_store: int,
    requested: str | None,
    rule: str | None,
    study_date: str,
    expected: Priority,
) -> None:
    port = start(callers=(Caller(ae_title="MODALITY", priority=rule),)).port
    sent = image(StudyDate=study_date, **({"RequestedProcedurePriority": requested} if requested else {}))
    with association(port) as opened:
        assert _store_as(opened, sent, priority=c_store).Status == 0x0000
    assert Priority(rows(database)[0].priority) is expected
    assert Priority(rows(database, schema.studies)[0].priority) is expected


def test_callers(start: Start, database: sa.Engine) -> None:
    callers = (
        Caller(ae_title="MODALITY", addresses=("127.0.0.0/8",)),
        Caller(ae_title="FAR", addresses=("192.0.2.1",)),
    )
    port = start(callers=callers).port
    assert store(port, image()).Status == 0x0000
    for names in ({"calling": "STRANGER"}, {"calling": "FAR"}, {"called": "SOMEBODY"}):
        with association(port, **names) as opened:
            assert opened.is_rejected, names
    assert len(rows(database)) == 1


def test_addresses_that_nobody_has_are_not_listened_to(start: Start) -> None:
    port = start(callers=(Caller(ae_title="FAR", addresses=("192.0.2.1",)),)).port
    with association(port, calling="FAR") as opened:
        assert not opened.is_established
        assert not opened.is_rejected


def test_nothing_is_taken_from_an_association_that_was_never_admitted(
    start: Start, database: sa.Engine, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pynetdicom goes on after an error in the handler that admits; the others do not."""
    monkeypatch.setattr("gateway.receive.callers.Callers.admit", lambda *_: 1 / 0)
    port = start().port
    assert store(port, image()).Status == 0x0124
    with association(port, (Verification, ImplicitVRLittleEndian)) as opened:
        assert opened.send_c_echo().Status == 0x0124
    with _commitment(port) as opened:
        assert _send_report(opened, 1).Status == 0x0124
    assert not rows(database)
    assert not reports.taken


def test_too_many_associations(start: Start) -> None:
    port = start(max_associations=1).port
    with association(port) as first:
        assert first.is_established
        with association(port) as second:
            assert second.is_rejected
    while "Status" not in store(port, image()):  # until the first has ended on the other side too
        pass


def test_mutual_tls(start: Start, tmp_path: Path, database: sa.Engine) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    ours, known, unlisted, foreign = (
        _tls(who.issue(name)[:2], authority)
        for who, name in ((authority, "node"), (authority, "known"), (authority, "unlisted"), (stranger, "foreign"))
    )
    der = client_certificate(Path(known.certificate))
    port = start(tls=ours, callers=(Caller(ae_title="MODALITY", certificate_sha256=der),)).port

    assert store(port, image(), tls=client_context(known)).Status == 0x0000
    with association(port, tls=client_context(unlisted)) as opened:
        assert opened.is_rejected
    without = client_context(known)
    without = type(without)(without.protocol)
    without.load_verify_locations(authority.file)
    for context in (client_context(foreign), without, None):
        with association(port, tls=context) as opened:
            assert not opened.is_established
    assert len(rows(database)) == 1


def test_storage_commitment_reports(start: Start, reports: Reports, clock: Clock) -> None:
    with _commitment(start().port) as opened:
        assert _send_report(opened, 1).Status == 0x0000
        assert _send_report(opened, 3).Status == 0x0113
        reports.error = sa.exc.OperationalError("", {}, Exception())
        assert _send_report(opened, 2).Status == 0x0110
        reports.error = AttributeError("no TransactionUID")
        assert _send_report(opened, 2).Status == 0x0115
    assert reports.taken == [(1, "1.2.3", clock.time)]


def test_one_association_may_bring_many_reports(start: Start, reports: Reports) -> None:
    with _commitment(start().port) as opened:
        assert [_send_report(opened, 1).Status for _ in range(20)] == [0x0000] * 20
    assert len(reports.taken) == 20


def test_a_report_that_is_too_long(start: Start, reports: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.receive.stream._LONGEST_REPORT", 10)
    with _commitment(start().port) as opened:
        assert _send_report(opened, 1).Status == 0x0213
    assert not reports.taken


def test_eight_associations_at_once(start: Start, database: sa.Engine) -> None:
    port, statuses = start().port, []

    def send(number: int) -> None:
        with association(port, calling=f"SENDER{number}") as opened:
            statuses.extend(opened.send_c_store(image(f"{number}.{count}")).Status for count in range(4))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [0x0000] * 32
    assert len(rows(database)) == 32


@pytest.mark.full
def test_a_thousand_images_from_eight_associations(start: Start, database: sa.Engine) -> None:
    """No refusal, no loss, and the memory that the first two hundred took is enough for all."""
    port, statuses = start(idle_timeout_s=300.0).port, list[int]()  # eight senders share this process's cores

    def send(number: int, counts: range) -> None:
        with association(port, calling=f"SENDER{number}") as opened:
            opened.network_timeout = opened.dimse_timeout = 300
            statuses.extend(opened.send_c_store(image(f"{number}.{count}")).Status for count in counts)

    memory = []
    for counts in (range(25), range(25, 125)):
        threads = [threading.Thread(target=send, args=(number, counts)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        memory.append(_resident_mib())
    assert statuses == [0x0000] * 1000
    assert len(rows(database)) == 1000
    assert memory[1] - memory[0] < 32


def test_stopping_lets_a_message_finish_and_ends_idle_associations(
    start: Start, database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = start(idle_timeout_s=600.0)
    reached, goes_on = threading.Event(), threading.Event()
    real = Spool.keep

    def slow(spool: Spool, part: Any) -> Any:
        reached.set()
        goes_on.wait(60)
        return real(spool, part)

    monkeypatch.setattr(Spool, "keep", slow)
    answers: list[Dataset] = []
    with association(receiver.port) as idle:
        sender = threading.Thread(target=lambda: answers.append(store(receiver.port, image())))
        sender.start()
        assert reached.wait(60)
        stopper = threading.Thread(target=receiver.stop, args=(60.0,))
        stopper.start()
        while idle.is_established:
            idle.join(0.05)
        goes_on.set()
        stopper.join(60)
        sender.join(60)
    assert [answer.Status for answer in answers] == [0x0000]
    assert len(rows(database)) == 1


@pytest.mark.parametrize("secure", [False, True])
def test_stopping_lets_an_answer_out_that_is_about_to_be_sent(
    start: Start, database: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secure: bool
) -> None:
    ended, how = threading.Event(), {}
    if secure:
        authority = Authority(tmp_path)
        (certificate, key, _), (their_certificate, their_key, _) = authority.issue("node"), authority.issue("modality")
        node = Tls(certificate=str(certificate), key=str(key), authorities=str(authority.file))
        theirs = Tls(certificate=str(their_certificate), key=str(their_key), authorities=str(authority.file))
        how = {"tls": client_context(theirs)}
    receiver = start(tls=node) if secure else start()
    stopper = threading.Thread(target=receiver.stop, args=(60.0,))
    send, hang_up, end_reading = BoundedSocket.send, BoundedSocket.hang_up, BoundedSocket.end_reading

    def late(connection: BoundedSocket, pdu: bytes) -> None:
        if pdu[0] == P_DATA_TF:
            stopper.start()
            assert ended.wait(60)
        send(connection, pdu)

    def ending(end: Callable[[BoundedSocket], None]) -> Callable[[BoundedSocket], None]:
        def act(connection: BoundedSocket) -> None:
            end(connection)
            ended.set()

        return act

    monkeypatch.setattr(BoundedSocket, "send", late)
    monkeypatch.setattr(BoundedSocket, "hang_up", ending(hang_up))
    monkeypatch.setattr(BoundedSocket, "end_reading", ending(end_reading))
    assert store(receiver.port, image(), **how).Status == 0x0000
    stopper.join(60)
    assert not stopper.is_alive()
    assert len(rows(database)) == 1


def test_no_thread_of_a_receiver_keeps_a_process_that_wants_to_end(start: Start) -> None:
    before = set(threading.enumerate())
    start()
    begun = set(threading.enumerate()) - before
    assert begun
    assert all(thread.daemon for thread in begun)


def test_a_receiver_that_was_stopped_takes_no_connection(start: Start) -> None:
    receiver = start()
    port = receiver.port
    receiver.stop(0.0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 60)


def test_the_port_of_a_receiver_that_does_not_listen(
    settings: Settings, database: sa.Engine, spool: Spool, tokens: Tokens, reports: Reports
) -> None:
    receiver = Receiver(settings, database, spool, tokens, reports)
    receiver.stop(0.0)
    with pytest.raises(RuntimeError, match="not started"):
        _ = receiver.port


@pytest.mark.skipif(shutil.which("storescu") is None, reason="DCMTK is not installed")
def test_dcmtk_sends(start: Start, database: sa.Engine, tmp_path: Path) -> None:
    for number in range(3):
        image(str(number)).save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    command = ["storescu", "-aet", "MODALITY", "-aec", "CANDOR", "127.0.0.1", str(start().port), "+sd", str(tmp_path)]
    subprocess.run(command, check=True, timeout=60)
    assert len(rows(database)) == 3


def _resident_mib() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def client_certificate(file: Path) -> str:
    """SHA-256 of a certificate, as OpenSSL says it."""
    command = ["openssl", "x509", "-in", str(file), "-noout", "-fingerprint", "-sha256"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return said.partition("=")[2].strip().replace(":", "").lower()


def _tls(files: tuple[Path, Path], authority: Authority) -> Tls:
    certificate, key = files
    return Tls(certificate=str(certificate), key=str(key), authorities=str(authority.file))


def _store_as(
    opened: Any, dataset: Dataset, request: str | None = None, priority: int = 0, **contents: str | None
) -> Dataset:
    """Send a data set whose content is not what the request says."""
    from pynetdicom import dimse_primitives
    from pynetdicom.dsutils import encode

    original = dimse_primitives.C_STORE()
    original.MessageID, original.Priority = 7, 0
    original._priority = priority
    original.AffectedSOPClassUID = dataset.SOPClassUID
    original._affected_sop_instance_uid = request or dataset.SOPInstanceUID
    for keyword, value in contents.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            dataset.add_new(keyword, "UI", value)
    from io import BytesIO

    original.DataSet = BytesIO(encode(dataset, False, True) or b"")
    opened._reactor_checkpoint.clear()
    opened.dimse.send_msg(original, opened.accepted_contexts[0].context_id)
    _, answer = opened.dimse.get_msg(block=True)
    opened._reactor_checkpoint.set()
    status = Dataset()
    status.Status = answer.Status
    return status


OTHERS = (
    XRayRadiationDoseSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    ComprehensiveSRStorage,
    CTImageStorage,
    PRIVATE,
)


def ignored(database: sa.Engine) -> dict[str, float]:
    """How many objects were ignored, by SOP class."""
    counted = [row for row in rows(database, schema.counters) if row.name == "objects_ignored_total"]
    return {row.labels.split('"')[1]: row.value for row in counted}


def _report_document(**attributes: Any) -> Dataset:
    document = image("report", **attributes)
    document.SOPClassUID = BasicTextSRStorage
    document.file_meta = FileMetaDataset()
    document.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return document


def _commitment(port: int) -> Any:
    role = build_role(StorageCommitmentPushModel, scp_role=True)
    return association(port, (StorageCommitmentPushModel, ImplicitVRLittleEndian), ext_neg=[role])


def _send_report(opened: Any, event_type: int) -> Dataset:
    information = Dataset()
    information.TransactionUID = "1.2.3"
    answer, _ = opened.send_n_event_report(
        information, event_type, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1"
    )
    return answer  # type: ignore[no-any-return]
