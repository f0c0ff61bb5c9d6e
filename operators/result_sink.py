"""Sink: publishes each study's results and hands the job back when its last study is done."""

from __future__ import annotations

import logging
import time
from typing import Any

from cxr.case import Case
from cxr.provenance import Provenance
from cxr.summary import summarise
from operators.base import CASE, where
from operators.jobs import JobQueue, JobResult, Ticket
from operators.publish import clear, publish, write_index
from operators.sdk import Fragment, Operator, OperatorSpec

log = logging.getLogger("candor")


class ResultSink(Operator):
    """Moves a study's objects into the output folder; after the job's last study writes ``results.json``.

    Named input:
        case: a study with its result objects.
    """

    def __init__(self, fragment: Fragment, *args: Any, jobs: JobQueue, provenance: Provenance, **kwargs: Any) -> None:
        self._jobs = jobs
        self._provenance = provenance
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the port."""
        spec.input(CASE)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Publish one study; finish its job when it was the last."""
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
        try:
            publish(case)
        except OSError as error:
            log.error("results of a study cannot be published: %s at %s", error.strerror, where(error))
            case.failure = f"the output folder cannot be written: {error.strerror}"
            case.written.clear()
            clear(case)

    def _finish(self, ticket: Ticket) -> None:
        cases = tuple(ticket.done)
        try:
            index = write_index(summarise(cases, self._provenance), ticket.job.output)
        except OSError as error:
            ticket.future.set_exception(error)
        else:
            ticket.future.set_result(JobResult(cases, index))
