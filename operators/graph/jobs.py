"""Jobs: a folder of instances in, a folder of results out, and what became of them."""

from __future__ import annotations

import queue
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from candor.study.case import Case
from candor.study.provenance import ForeignFit
from candor.study.result_object import Predecessor
from operators.graph.publish import remove_unfinished


@dataclass(frozen=True, slots=True)
class Job:
    """One folder to work on.

    Parameters
    ----------
    input
        Folder with DICOM files of one or more studies, at any depth.
    output
        Folder for ``results.json`` and a folder of result objects for each study; it exists.
    time
        The time that all results carry, with a time zone; None takes the newest file's of each study.
    predecessors
        The reports that studies of the folder got before, oldest first: theirs take their place.
    foreign_fit
        The permission to answer by a fit to other patients, which the reports name; None where there is none.
    index
        Whether ``results.json`` is written.
    """

    input: Path
    output: Path
    time: datetime | None = None
    predecessors: tuple[Predecessor, ...] = ()
    foreign_fit: ForeignFit | None = None
    index: bool = True


@dataclass(frozen=True, slots=True)
class JobResult:
    """What became of a job: every study's case, and the path of ``results.json`` if the job asks for it."""

    cases: tuple[Case, ...]
    index: Path

    @property
    def failures(self) -> list[str]:
        """Why results of a study could not be written, one line for each; empty when all went well."""
        return [case.failure for case in self.cases if case.failure]


@dataclass(slots=True)
class Ticket:
    """A job under way: how many of its cases are still in the graph, and who waits for it."""

    job: Job
    future: Future[JobResult] = field(default_factory=Future)
    outstanding: int = 0
    done: list[Case] = field(default_factory=list)


class JobQueue:
    """Hands jobs to the graph's source, and results back to whoever submitted them.

    The graph works on one case at a time and in order, so the oldest ticket is the one that a finished case
    belongs to.
    """

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Ticket] = queue.SimpleQueue()
        self._started: deque[Ticket] = deque()
        self._closed = False
        self._abandoned = False

    def submit(self, job: Job) -> Future[JobResult]:
        """Queue a job.

        The future's exception is a :class:`candor.study.errors.CandorError` where the job could not be carried out, an
        ``InterruptedError`` where the graph stopped before it was done; a closed queue cancels it.
        """
        ticket = Ticket(job)
        self._waiting.put(ticket)
        if self._abandoned:
            self.abandon()
        return ticket.future

    def close(self) -> None:
        """Stop the source when it next looks; jobs still waiting are cancelled."""
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def take(self, timeout_s: float) -> Ticket | None:
        """Return the next job after waiting at most ``timeout_s`` seconds; None where none came."""
        try:
            ticket = self._waiting.get(timeout=timeout_s)
        except queue.Empty:
            return None
        return ticket if ticket.future.set_running_or_notify_cancel() else None

    def start(self, ticket: Ticket, cases: int) -> None:
        """Note that the studies of a job are going into the graph.

        Parameters
        ----------
        ticket
            The job.
        cases
            How many studies.
        """
        ticket.outstanding = cases
        self._started.append(ticket)

    def finish(self, case: Case) -> Ticket | None:
        """Hand a case back.

        Returns
        -------
        Its job's ticket where that was the last case of the job; else None.
        """
        ticket = self._started[0]
        ticket.done.append(case)
        ticket.outstanding -= 1
        return self._started.popleft() if ticket.outstanding == 0 else None

    def abandon(self) -> None:
        """Cancel all that was not begun, and fail what was not finished, once the graph has stopped."""
        self._abandoned = True
        while self._started:
            ticket = self._started.popleft()
            remove_unfinished(ticket.job.output)
            ticket.future.set_exception(InterruptedError("stopped before the job was done"))
        while not self._waiting.empty():
            self._waiting.get().future.cancel()
