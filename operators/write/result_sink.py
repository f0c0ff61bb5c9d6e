"""Sink: publishes each study's results and hands the job back when its last study is done."""

from __future__ import annotations

import time
from typing import Any

from candor.files.privacy import cause_of
from candor.study.case import Case
from candor.study.provenance import Provenance
from candor.words.results_json import FILE_NAME, summarise
from operators.graph.base import CASE, attempt
from operators.graph.jobs import JobQueue, JobResult, Ticket
from operators.graph.publish import clear, publish, write_index
from operators.graph.sdk import Fragment, Operator, OperatorSpec


class ResultSink(Operator):
    """Moves a study's objects into the output folder; after the job's last study writes ``results.json``.

    Named input:
        case: a study with its result objects.

    Parameters
    ----------
    fragment
        The application.
    jobs
        Where finished studies go.
    provenance
        What made the results, for ``results.json``.
    """

    def __init__(self, fragment: Fragment, *args: Any, jobs: JobQueue, provenance: Provenance, **kwargs: Any) -> None:
        self._jobs = jobs
        self._provenance = provenance
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the port."""
        spec.input(CASE)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """See :meth:`operators.graph.base.CaseOperator.compute`.

        Publish one study; finish its job when it was the last.
        """
        case: Case = op_input.receive(CASE)
        began = time.perf_counter()
        self._publish(case)
        case.seconds[self.name] = time.perf_counter() - began
        for image in case.images:
            image.release()
        ticket = self._jobs.finish(case)
        if ticket is not None:
            self._finish(ticket)

    def _publish(self, case: Case) -> None:
        if not case.study_instance_uid:
            return
        if case.failure or not case.written:
            case.written.clear()
            clear(case)
            return
        attempt(lambda: publish(case), on_failure=lambda error: self._fail(case, error))

    def _fail(self, case: Case, error: Exception) -> None:
        case.failure = f"the output folder cannot be written: {cause_of(error)}"
        case.written.clear()
        clear(case)

    def _finish(self, ticket: Ticket) -> None:
        attempt(lambda: ticket.future.set_result(self._result(ticket)), on_failure=ticket.future.set_exception)

    def _result(self, ticket: Ticket) -> JobResult:
        cases = tuple(ticket.done)
        if ticket.job.index:
            write_index(summarise(cases, self._provenance), ticket.job.output)
        return JobResult(cases, ticket.job.output / FILE_NAME)
