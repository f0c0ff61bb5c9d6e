"""Logs: our own events as JSON lines, nothing of a library's, and no place for what was not foreseen."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.logs import FACTS, Trouble, configure_logs, log_event
from gateway.store.tokens import KEY_FILE, Tokens
from tests.gateway.conftest import Clock

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("candor")
    before = (root.handlers[:], ours.handlers[:], ours.propagate, ours.level, logging.lastResort)
    yield
    root.handlers[:], ours.handlers[:], ours.propagate, logging.lastResort = before[0], before[1], before[2], before[4]
    ours.setLevel(before[3])


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_event_is_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "receive", lambda: NOW)
    log_event("instance received", study="ab", bytes=12)
    log_event("too quiet to be heard", "debug")
    assert lines(capsys) == [
        {
            "time": "2026-01-01T12:00:00.000+00:00",
            "level": "info",
            "process": "receive",
            "event": "instance received",
            "study": "ab",
            "bytes": 12,
        }
    ]


def test_libraries_are_not_heard_at_any_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("debug", "receive")
    for name in ("pynetdicom", "pydicom", "dbos", "uvicorn.access", "sqlalchemy.engine", "holoscan"):
        logging.getLogger(name).critical("Patient's Name: CANARY^BIRD")
    logging.getLogger().critical("CANARY")
    assert capsys.readouterr() == ("", "")


def test_what_was_not_foreseen_has_no_place() -> None:
    with pytest.raises(ValueError, match="no place for patient_name"):
        log_event("instance received", patient_name="CANARY^BIRD")


def test_no_fact_is_named_like_an_identifier() -> None:
    assert not [name for name in FACTS if "uid" in name or "patient" in name or "accession" in name]


def test_tokens_stand_for_uids_by_the_key_in_the_spool(tmp_path: Path) -> None:
    one, same, other = Tokens(tmp_path / "a"), Tokens(tmp_path / "a"), Tokens(tmp_path / "b")
    assert one.token("1.2.3") == same.token("1.2.3") != one.token("1.2.4")
    assert one.token("1.2.3") != other.token("1.2.3")
    assert len(one.token("1.2.3")) == 24
    assert (tmp_path / "a" / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "a").iterdir()] == [KEY_FILE]


def test_what_fails_again_and_again_is_said_once_a_minute_with_its_count(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "candor.gateway")
    clock = Clock()
    trouble = Trouble("sweep failed", "error", clock, what="drift")
    for _ in range(100):
        trouble.failed(kind="OperationalError")
    clock.pass_s(61)
    trouble.failed(kind="OperationalError")
    trouble.failed(kind="OperationalError")
    trouble.failed(kind="KeyError")
    trouble.worked()
    trouble.worked()
    said = [(record.message, record.__dict__["facts"]) for record in caplog.records]
    assert said == [
        ("sweep failed", {"what": "drift", "kind": "OperationalError", "count": 1}),
        ("sweep failed", {"what": "drift", "kind": "OperationalError", "count": 100}),
        ("sweep failed", {"what": "drift", "kind": "KeyError", "count": 2}),
        ("sweep failed: over", {"what": "drift", "count": 0}),
    ]
