"""The queue between whoever submits jobs and the graph."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from candor.study.case import Case
from operators.graph.jobs import Job, JobQueue


def case(output: Path) -> Case:
    return Case("1.2", [], output / "1.2", datetime(2026, 1, 1, tzinfo=UTC))


def test_jobs_come_in_their_order(tmp_path: Path) -> None:
    jobs = JobQueue()
    for name in ("a", "b"):
        jobs.submit(Job(Path(name), tmp_path))
    taken = [jobs.take(0), jobs.take(0)]
    assert [ticket and ticket.job.input.name for ticket in taken] == ["a", "b"]
    assert jobs.take(0) is None


def test_a_job_is_finished_by_its_last_case(tmp_path: Path) -> None:
    jobs = JobQueue()
    jobs.submit(Job(Path("a"), tmp_path))
    ticket = jobs.take(0)
    assert ticket is not None
    jobs.start(ticket, cases=2)
    assert jobs.finish(case(tmp_path)) is None
    assert jobs.finish(case(tmp_path)) is ticket
    assert len(ticket.done) == 2


def test_a_cancelled_job_is_not_begun(tmp_path: Path) -> None:
    jobs = JobQueue()
    assert jobs.submit(Job(Path("a"), tmp_path)).cancel()
    assert jobs.take(0) is None


def test_stopping_fails_what_was_begun_cancels_the_rest_and_leaves_nothing_hidden(tmp_path: Path) -> None:
    jobs = JobQueue()
    begun, waiting = jobs.submit(Job(Path("a"), tmp_path)), jobs.submit(Job(Path("b"), tmp_path))
    ticket = jobs.take(0)
    assert ticket is not None
    jobs.start(ticket, cases=1)
    (tmp_path / ".partial-1.2").mkdir()
    jobs.close()
    assert jobs.closed
    jobs.abandon()
    with pytest.raises(InterruptedError, match="stopped before the job was done"):
        begun.result(timeout=0)
    assert waiting.cancelled()
    assert jobs.submit(Job(Path("c"), tmp_path)).cancelled()
    assert not list(tmp_path.iterdir())
