"""Source: takes jobs from the queue and emits their studies, one at a time."""

from __future__ import annotations

from collections import deque
from typing import Any

from candor.dicom.read.folder import scan
from candor.study.case import Case
from candor.study.errors import InputError
from operators.graph.base import CASE, attempt
from operators.graph.jobs import JobQueue, Ticket
from operators.graph.sdk import Fragment, Operator, OperatorSpec

POLL_S = 0.05
"""How long one look at an empty queue may take: the graph's thread has nothing else to do meanwhile."""


class StudyLoader(Operator):
    """Reads the headers of a job's files and groups them by study.

    Named output:
        case: one study; a case without images' pixels.

    Parameters
    ----------
    fragment
        The application.
    jobs
        Where jobs come from.
    """

    def __init__(self, fragment: Fragment, *args: Any, jobs: JobQueue, **kwargs: Any) -> None:
        self._jobs = jobs
        self._cases: deque[Case] = deque()
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the port."""
        spec.output(CASE)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """See :meth:`operators.graph.base.CaseOperator.compute`.

        Emit the next study, or look for a job; a closed queue ends the run.
        """
        if self._jobs.closed:
            self.stop_execution()
            return
        if not self._cases:
            self._begin_job()
        if self._cases:
            op_output.emit(self._cases.popleft(), CASE)

    def _begin_job(self) -> None:
        ticket = self._jobs.take(POLL_S)
        if ticket is None:
            return
        attempt(lambda: self._scan(ticket), on_failure=ticket.future.set_exception)

    def _scan(self, ticket: Ticket) -> None:
        job = ticket.job
        cases = readable(scan(job.input, job.output, job.time))
        for case in cases:
            case.foreign_fit = job.foreign_fit
            case.predecessors = tuple(
                each for each in job.predecessors if each.study_instance_uid == case.study_instance_uid
            )
        self._jobs.start(ticket, len(cases))
        self._cases.extend(cases)


def readable(cases: list[Case]) -> list[Case]:
    """Return the cases, unless none of their files is DICOM.

    Raises
    ------
    InputError
        No file could be read as DICOM.
    """
    images = [image for case in cases for image in case.images]
    if not any(image.header for image in images):
        raise InputError(f"none of the {len(images)} files of the input folder is readable DICOM; check --input")
    return cases
