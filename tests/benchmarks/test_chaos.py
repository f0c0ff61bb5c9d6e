"""The fault bench counts rightly, and its faults are what they say; in the full tier its short form is run."""

from __future__ import annotations

import dataclasses
import errno
import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.node import chaos, faults, tally
from benchmarks.node.crash import send, wait_for
from benchmarks.node.tally import Alarm, Arrival, Evidence
from benchmarks.node.trial import small_images, studies_of
from tests.conftest import ROOT
from tests.gateway.stalled import Proxy, Stall

MINUTES = 6.0
ANSWERED = Arrival("pacs", "study", "uid", "sha", 5.0, assessed=True)
BASE = Evidence(
    acknowledged={"study": 0.0},
    tokens={"study": "token"},
    assessed=frozenset({"study"}),
    newest={"study": 1},
    made={"uid": ("study", 1)},
    missing=frozenset(),
    arrivals=[],
    alarms=[],
    limit_s=10.0,
)


def counted(**changes: Any) -> tuple[int, ...]:
    """Delivered, told, lost, twice and silent."""
    row = tally.row(dataclasses.replace(BASE, **changes), "pacs")
    assert row.good == (not any((row.lost, row.twice, row.silent)))
    return row.delivered, row.told, row.lost, row.twice, row.silent


def test_a_result_in_time_is_delivered() -> None:
    assert counted(arrivals=[ANSWERED]) == (1, 0, 0, 0, 0)


def test_an_older_version_is_no_answer() -> None:
    made = {"uid": ("study", 1), "second": ("study", 2)}
    assert counted(arrivals=[ANSWERED], newest={"study": 2}, made=made) == (0, 0, 0, 0, 1)
    second = dataclasses.replace(ANSWERED, uid="second")
    assert counted(arrivals=[ANSWERED, second], newest={"study": 2}, made=made) == (1, 0, 0, 0, 0)


def test_nothing_is_silence() -> None:
    assert counted() == (0, 0, 0, 0, 1)
    assert counted(arrivals=[dataclasses.replace(ANSWERED, destination="other")]) == (0, 0, 0, 0, 1)


def test_a_late_result_is_silence_until_then() -> None:
    assert counted(arrivals=[dataclasses.replace(ANSWERED, time=11.0)]) == (1, 0, 0, 0, 1)


def test_a_late_result_after_an_alarm_is_none() -> None:
    late = dataclasses.replace(ANSWERED, time=11.0)
    for kind, subject in (("no_result", "token"), ("destination", "pacs"), ("process", "work"), ("standstill", "")):
        assert counted(arrivals=[late], alarms=[Alarm(kind, subject, 9.0, is_open=False)]) == (1, 0, 0, 0, 0)
    assert counted(arrivals=[late], alarms=[Alarm("drift", "", 9.0, is_open=False)]) == (1, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("kind", "subject", "told"), [("no_result", "token", 1), ("destination", "pacs", 1), ("process", "work", 0)]
)
def test_at_the_end_only_an_open_alarm_of_its_own_tells(kind: str, subject: str, told: int) -> None:
    assert counted(alarms=[Alarm(kind, subject, 1.0, is_open=True)]) == (0, told, 0, 0, 1 - told)
    assert counted(alarms=[Alarm(kind, subject, 1.0, is_open=False)]) == (0, 0, 0, 0, 1)


def test_a_report_of_no_assessment_tells() -> None:
    assert counted(arrivals=[dataclasses.replace(ANSWERED, assessed=False)]) == (0, 1, 0, 0, 0)


def test_a_result_of_a_damaged_image_is_no_answer() -> None:
    tainted = frozenset({"study"})
    assert counted(arrivals=[ANSWERED], tainted=tainted) == (1, 0, 0, 0, 1)
    assert counted(arrivals=[ANSWERED], tainted=tainted, alarms=[Alarm("dead_letter", "pacs", 1.0, True)])[-1] == 1
    assert counted(arrivals=[ANSWERED], tainted=tainted, alarms=[Alarm("damaged", "token", 1.0, True)])[-1] == 0


def test_what_is_missing_is_lost_unless_somebody_knows() -> None:
    assert counted(arrivals=[ANSWERED], missing=frozenset({"study"})) == (1, 0, 1, 0, 0)
    alarm = Alarm("damaged", "token", 1.0, is_open=True)
    assert counted(missing=frozenset({"study"}), alarms=[alarm]) == (0, 1, 0, 0, 0)


def test_twice_is_two_uids_or_two_contents_or_a_uid_of_nobody() -> None:
    again = dataclasses.replace(ANSWERED, time=6.0)
    second = dataclasses.replace(ANSWERED, uid="second")
    assert counted(arrivals=[ANSWERED, again])[3] == 0
    assert counted(arrivals=[ANSWERED, dataclasses.replace(again, sha256="other")])[3] == 1
    assert counted(arrivals=[ANSWERED, second])[3] == 1  # the node does not know it
    both = {"uid": ("study", 1), "second": ("study", 1)}
    assert counted(arrivals=[ANSWERED, second], made=both)[3] == 1
    assert counted(arrivals=[ANSWERED, dataclasses.replace(second, assessed=False)], made=both)[3] == 0
    assert counted(arrivals=[ANSWERED, second], made=both | {"second": ("study", 2)})[3] == 0


def test_the_table_and_the_remarks() -> None:
    row = tally.Row(4, 4, 3, 1, 0, 0, 0)
    outcomes = [
        chaos.Outcome("one", {"pacs": row}, [], ["a note"]),
        chaos.Outcome("two", {"pacs": row, "other": row}, ["a promise"], []),
        chaos.Outcome("three", {}, [], [], "not run: no disk"),
    ]
    assert [outcome.good for outcome in outcomes] == [True, False, True]
    assert chaos.report(outcomes).splitlines() == [
        "| scenario | acknowledged | assessed | delivered | told | lost | twice | silent |",
        "|---|---|---|---|---|---|---|---|",
        "| one | 4 | 4 | 3 | 1 | 0 | 0 | 0 |",
        "| two: pacs | 4 | 4 | 3 | 1 | 0 | 0 | 0 |",
        "| two: other | 4 | 4 | 3 | 1 | 0 | 0 | 0 |",
        "| three | not run: no disk |  |  |  |  |  |  |",
        "",
        "- one: a note.",
        "- two: **broken**: a promise.",
    ]


def test_a_run_without_time_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert chaos.main(["--only", "killed", "--minutes", "0"]) == 0
    assert "| killed | not run: no time was left |" in capsys.readouterr().out


def test_a_scenario_that_breaks_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(trial: chaos.Trial) -> None:
        raise OSError("no such thing")

    monkeypatch.setitem(chaos.SCENARIOS, "killed", chaos.Scenario(breaks))
    assert chaos.main(["--only", "killed"]) == 1
    assert "the bench broke: OSError" in capsys.readouterr().out


def test_stalling_passes_on_what_it_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as archive:
        proxy = Proxy(archive.getsockname()[1], Stall(answers=1, then=3))
        with socket.create_connection(("127.0.0.1", proxy.port)) as node:
            node.sendall(b"request")
            behind, _ = archive.accept()
            with behind:
                assert behind.recv(7, socket.MSG_WAITALL) == b"request"
                behind.sendall(b"\x02\x00\x00\x00\x00\x02ab" + b"\x04\x00\x00\x00\x00\x09")
                assert node.recv(11, socket.MSG_WAITALL) == b"\x02\x00\x00\x00\x00\x02ab\x04\x00\x00"
                node.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    node.recv(1)
        proxy.close()


def test_an_archive_answers_as_its_mood_is(tmp_path: Path) -> None:
    answers: list[int | None] = [0xB000, 0xA700, None, 0]
    pacs = faults.MoodyPacs(tmp_path, lambda request, number: answers[number])
    pacs.start()
    made = studies_of(4)
    assert [send(pacs.port, instance, "PACS") for instance in made] == [0xB000, 0xA700, None, 0]
    kept = [line["sop_instance_uid"] for line in pacs.received()]
    assert kept == [str(made[0].SOPInstanceUID), str(made[3].SOPInstanceUID)]
    pacs.stop()


def test_the_webhook_keeps_alarms() -> None:
    hook = faults.Webhook()
    assert httpx.post(hook.url, json={"alarm": {"kind": "disk", "subject": "token"}}).is_success
    hook.stop()
    assert [alarm[1:] for alarm in hook.alarms] == [("disk", "token")]


def test_one_bit_is_flipped(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(200))
    before = path.stat()
    faults.flip(path)
    assert path.read_bytes() == bytes(100) + b"\x10" + bytes(99)
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_sqlite_is_locked_and_away(tmp_path: Path) -> None:
    database = tmp_path / "gateway.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE t (x)")
    other = sqlite3.connect(database, timeout=0)
    with faults.locked(database), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("INSERT INTO t VALUES (1)")
    other.close()
    with faults.away(database):
        assert not database.exists()
        database.write_bytes(b"another")
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_a_small_disk_is_full_and_read_only(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    with faults.small_disk(folder, 1) as mounted:
        if not mounted:
            pytest.skip("this user cannot mount a disk")
        ballast = faults.fill(folder)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            (folder / "more").write_bytes(b"x" * 5000)
        ballast.unlink()
        with faults.read_only(folder) as done:
            assert done
            with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
                (folder / "other").write_bytes(b"x")
        (folder / "other").write_bytes(b"x")
    assert not any(folder.iterdir())


def test_a_process_and_its_children_are_stopped() -> None:
    words = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", words], stdin=subprocess.PIPE) as process:
        wait_for(lambda: len(faults.family(process.pid)) == 2, 60.0, "the child")
        pids = faults.family(process.pid)
        with faults.stopped(pids):
            wait_for(lambda: {_state(pid) for pid in pids} == {"T"}, 60.0, "they stop")
        wait_for(lambda: "T" not in {_state(pid) for pid in pids}, 60.0, "they go on")
        process.communicate(b"\n")


def _state(pid: int) -> str:
    """Its state as proc(5) gives it; T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def test_images_of_a_study() -> None:
    made = studies_of(2, images=3)
    assert len({image.SOPInstanceUID for image in made}) == 6
    assert [image.InstanceNumber for image in made] == [1, 2, 3, 1, 2, 3]
    assert [len({image.StudyInstanceUID for image in made[k : k + 3]}) for k in (0, 3)] == [1, 1]
    tiny = list(small_images(3))
    assert len({image.PixelData for image in tiny}) == len({image.SOPInstanceUID for image in tiny}) == 3
    assert len({image.StudyInstanceUID for image in tiny}) == 1


@pytest.mark.full
def test_the_short_form(capsys: pytest.CaptureFixture[str]) -> None:
    names = [name for name, each in chaos.SCENARIOS.items() if each.in_short]
    outcomes = chaos.run_all(names, chaos.SHORT, ROOT / "models", MINUTES, at_once=4)
    with capsys.disabled():
        print(f"\n{chaos.report(outcomes)}")
    assert [outcome.name for outcome in outcomes if not outcome.good] == []
