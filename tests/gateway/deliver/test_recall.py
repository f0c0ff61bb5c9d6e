"""Recall: what is listed, what goes out, and what does not go out any more; and sending stored results again."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa
from pydicom import Dataset

from candor.dicom.write.rejection_note import Rejection
from candor.study.errors import ObjectIncomplete
from gateway.deliver.recall import Answered, answered_with, answers_to, line_of, recall
from gateway.deliver.resend import Selection, resend
from gateway.store.schema import alarms, audit_trail, counters, deliveries, objects, studies
from gateway.store.study import Study
from gateway.store.tokens import Tokens
from tests.gateway.archive import STUDY, Archive, Sender
from tests.gateway.network import reread
from tests.spoilt import spoil_function, without_language

OTHER = f"{STUDY[:-1]}7" if STUDY[-1] != "7" else f"{STUDY[:-1]}8"


def recall_one(sender: Sender, answered: Answered, rejection: Rejection = Rejection.PATIENT_SAFETY) -> bool:
    return recall(sender.database, sender.spool, sender.queue, answered, rejection, "ann", sender.clock())


def recall_study(sender: Sender) -> bool:
    (answered,) = answers_to(sender.database, STUDY)
    return recall_one(sender, answered)


def acts(sender: Sender) -> list[tuple[str, str, str]]:
    rows = sender.rows(sa.select(audit_trail).order_by(audit_trail.c.id))
    return [(row.who, row.what, row.detail) for row in rows]


def note_of(sender: Sender) -> Dataset:
    (uid,) = sender.column(objects.c.sop_instance_uid, objects.c.kind == "note")
    return reread(sender.path(uid))


def test_a_bundles_answers_are_listed_by_how_its_hash_begins(sender: Sender) -> None:
    sender.both()
    sender.study(uid=OTHER, bundle_sha256="cd" * 32)
    sender.result("sr", study=OTHER)
    sender.study(version=2, bundle_sha256="ab" * 32)  # without a result: nothing was answered
    (found,) = answered_with(sender.database, "ABABAB")
    assert (found.study, found.unsent) == (Study(STUDY, 1), 2)
    assert {item.kind for item in found.results} == {"sr", "sc"}
    assert found.destinations == ()
    assert [each.study.study_instance_uid for each in answered_with(sender.database, "cd")] == [OTHER]
    assert answered_with(sender.database, "%") == []


def test_a_note_goes_to_whoever_has_the_results(sender: Sender, archive: Archive) -> None:
    report, overlay = sender.both()
    sender.deliver()
    assert recall_study(sender)
    note = note_of(sender)
    named = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in note.ContentSequence
        if "ReferencedSOPSequence" in item
    }
    assert named == {report, overlay}
    assert note.StudyInstanceUID == STUDY
    assert note.PatientID == reread(sender.path(overlay)).PatientID
    assert sender.queue.queued[-1][:2] == (1, "pacs")
    sender.deliver()
    assert archive.uids() == [report, overlay, str(note.SOPInstanceUID)]
    assert sender.states() == ["recalled", "recalled", "sent"]
    assert sender.delivery(note.SOPInstanceUID).tries == 1
    assert acts(sender) == [("ann", "recall", "Rejected for Patient Safety Reasons: pacs")]


def test_a_destination_that_was_sent_nothing_gets_no_note(sender: Sender, archive: Archive) -> None:
    uids = sender.both()
    sender.deliver()
    for uid in uids:
        copy = {"sop_instance_uid": uid, "destination": "other", "state": "due", "due": sender.clock(), "tries": 0}
        sender.execute(deliveries.insert().values(copy | {"reason": ""}))
    assert recall_study(sender)
    assert [item[1] for item in sender.queue.queued] == ["pacs"]
    assert sender.column(deliveries.c.state, deliveries.c.destination == "other") == ["recalled", "recalled"]


def test_results_that_go_nowhere_are_not_called_recalled(sender: Sender) -> None:
    sender.study()
    sender.result("sr", due=False)
    (found,) = answers_to(sender.database, STUDY)
    assert (found.unsent, found.destinations, found.is_recalled) == (0, (), False)
    assert line_of(found).endswith("sent nowhere, 0 deliveries not tried yet")


def test_a_line_says_what_is_to_be_recalled(sender: Sender) -> None:
    sender.both()
    sender.deliver()
    (found,) = answers_to(sender.database, STUDY)
    assert line_of(found) == (
        f"{STUDY} version 1: deferred, model abababababababab, 2 objects, may be at pacs, 0 deliveries not tried yet"
    )
    assert ": no disposition, model none, " in line_of(replace(found, disposition=None, bundle_sha256=None))


def test_results_of_all_kinds_are_rejected_after_what_refers_to_them(sender: Sender, archive: Archive) -> None:
    sender.both()
    outlines, key_objects, heatmaps = (sender.result(kind) for kind in ("gsps", "ko", "pm"))
    sender.deliver()
    assert key_objects in archive.uids()
    assert recall_study(sender)
    sender.deliver()
    assert archive.uids()[5:] == [str(note_of(sender).SOPInstanceUID)]
    named = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID: item.ValueType
        for item in note_of(sender).ContentSequence
        if "ReferencedSOPSequence" in item
    }
    assert {outlines: "COMPOSITE", key_objects: "COMPOSITE", heatmaps: "IMAGE"}.items() <= named.items()
    (found,) = answers_to(sender.database, STUDY)
    assert sorted(item.kind for item in found.results) == ["gsps", "ko", "pm", "sc", "sr"]


def test_what_was_not_sent_is_never_sent(sender: Sender, archive: Archive) -> None:
    sender.both()
    assert recall_study(sender)
    sender.deliver()
    assert archive.received == []
    assert sender.states() == ["recalled", "recalled"]
    assert "note" not in sender.column(objects.c.kind)  # nobody has what a note would name
    assert resend(sender.database, sender.queue, Selection(sent=True), "ann", sender.clock()) == 0


def test_who_was_sent_something_without_an_answer_gets_the_note_too(sender: Sender, archive: Archive) -> None:
    archive.statuses = [None, None]
    sender.both()
    sender.deliver()
    assert recall_study(sender)
    sender.clock.pass_s(60)
    sender.deliver(attempt=1)
    assert archive.uids() == [note_of(sender).SOPInstanceUID]


def test_a_second_recall_adds_nothing(sender: Sender, archive: Archive) -> None:
    sender.both()
    sender.deliver()
    assert recall_study(sender)
    (before,) = answers_to(sender.database, STUDY)
    assert before.is_recalled
    content = sender.path(note_of(sender).SOPInstanceUID).read_bytes()
    sender.clock.pass_s(60)
    assert recall_one(sender, before)
    assert sender.path(note_of(sender).SOPInstanceUID).read_bytes() == content
    sender.deliver()
    assert len(archive.received) == 3
    assert len(sender.queue.queued) == 1


def test_a_crash_before_the_recall_is_written_leaves_everything_as_it_was(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.both()
    sender.deliver()

    def crash(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sender.queue, "enqueue_delivery", crash)
        with pytest.raises(KeyboardInterrupt):
            recall_study(sender)
    assert sender.states() == ["sent", "sent"]
    assert acts(sender) == []
    sender.clock.pass_s(60)
    assert recall_study(sender)  # the file that was left is written anew, under the same name


def test_after_retention_nothing_says_whose_the_results_are(sender: Sender) -> None:
    report, overlay = sender.both()
    sender.deliver()
    for uid in (overlay, report):
        sender.path(uid).unlink()
    assert not recall_study(sender)
    assert sender.states() == ["sent", "sent"]


def test_a_note_that_fails_the_check_recalls_nothing_and_raises_an_alarm(
    sender: Sender, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, overlay = sender.both()
    sender.deliver()
    with monkeypatch.context() as patched:
        spoil_function(patched, "gateway.deliver.recall.build_rejection_note", without_language)
        with pytest.raises(ObjectIncomplete, match="kind note lacks"):
            recall_study(sender)
    assert sender.states() == ["sent", "sent"]
    assert acts(sender) == []
    assert sender.queue.queued == []
    assert "note" not in sender.column(objects.c.kind)
    (row,) = sender.rows(sa.select(alarms))
    assert (row.kind, row.subject, row.cleared) == ("recall", Tokens(sender.spool.root).token(STUDY), None)
    assert "TID 1204 row 1" in row.text
    assert "recall again" in row.text
    counted = sender.rows(
        sa.select(counters.c.labels, counters.c.value).where(counters.c.name == "objects_incomplete_total")
    )
    assert counted == [('kind="note"', 1.0)]
    folder = sender.spool.quarantine(row.subject, 1)
    assert sorted(path.suffix for path in folder.iterdir()) == [".dcm", ".json"]
    assert recall_study(sender)
    sender.deliver()
    assert archive.uids() == [report, overlay, str(note_of(sender).SOPInstanceUID)]
    (row,) = sender.rows(sa.select(alarms))
    assert row.cleared == sender.clock()


def test_dead_letters_go_out_again_as_the_files_that_they_are(sender: Sender, archive: Archive) -> None:
    archive.statuses = [0xC000]
    report, overlay = sender.both()
    sender.deliver()
    assert sender.state_of_study() == "failed"
    sender.clock.pass_s(60)
    assert resend(sender.database, sender.queue, Selection(destination="pacs"), "ann", sender.clock()) == 1
    assert sender.state_of_study() == "delivering"
    assert sender.queue.queued == [(1, "pacs", 1, 0.0, f"resend-{int(sender.clock())}")]
    sender.deliver(attempt=1)
    assert archive.uids() == [report, overlay, report]
    assert archive.contents[0] == archive.contents[2]
    assert sender.state_of_study() == "delivered"
    assert acts(sender) == [("ann", "resend", "pacs")]


def test_a_resent_object_has_all_its_time_again(sender: Sender, archive: Archive) -> None:
    archive.statuses = [0xC000, 0, 0xA700]
    report, _ = sender.both()
    sender.deliver()
    sender.clock.pass_s(30 * 86400)
    resend(sender.database, sender.queue, Selection(), "ann", sender.clock())
    sender.deliver(attempt=1)
    assert sender.delivery(report).state == "due"
    assert sender.queue.queued[-1] == (1, "pacs", 3, 5.0, "")


def test_what_was_sent_goes_again_when_asked_for(sender: Sender, archive: Archive) -> None:
    sender.both()
    sender.deliver()
    assert resend(sender.database, sender.queue, Selection(STUDY), "ann", sender.clock()) == 0
    assert resend(sender.database, sender.queue, Selection(OTHER, sent=True), "ann", sender.clock()) == 0
    assert resend(sender.database, sender.queue, Selection(destination="no", sent=True), "ann", sender.clock()) == 0
    assert resend(sender.database, sender.queue, Selection(STUDY, sent=True), "ann", sender.clock()) == 2
    sender.deliver(attempt=1)
    assert len(archive.received) == 4


def test_a_study_that_was_parked_stays_parked(sender: Sender) -> None:
    sender.both()
    sender.change("studies", state="failed", assessed=None)
    sender.change("deliveries", state="dead")
    assert resend(sender.database, sender.queue, Selection(), "ann", sender.clock()) == 2
    assert sender.column(studies.c.state) == ["failed"]
    assert set(sender.column(deliveries.c.state)) == {"due"}
