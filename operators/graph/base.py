"""What all operators share: a case in, a case out, and failures that stay with what failed.

An exception that leaves ``compute()`` stops the whole graph and loses the studies behind it. So this module
holds the one border at which every exception is caught, recorded on its image or case, and logged.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from candor.files.privacy import Unexpected, cause_of, name_of, place_of
from candor.study.case import Case, CaseImage
from candor.study.errors import CandorError, Refused
from candor.study.reasons import Reason
from operators.graph.sdk import Operator, OperatorSpec

log = logging.getLogger("candor")

CASE = "case"
"""Name of the one input and the one output of every operator."""


class CaseOperator(Operator):
    """Base of the operators between source and sink.

    Named input:
        case: the study so far.

    Named output:
        case: the same study with what this stage added.
    """

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        spec.input(CASE)
        spec.output(CASE)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Work on one case and pass it on; a failure is recorded in the case.

        Parameters
        ----------
        op_input
            Where the case comes from.
        op_output
            Where it goes.
        context
            The SDK's; not used.
        """
        case: Case = op_input.receive(CASE)
        began = time.perf_counter()
        attempt(lambda: self.work(case), on_failure=lambda error: self.fail(case, error))
        case.seconds[self.name] = time.perf_counter() - began
        op_output.emit(case, CASE)

    def work(self, case: Case) -> None:
        """Do this stage's work on a case."""
        raise NotImplementedError

    def fail(self, case: Case, error: Exception) -> None:
        """Record that the stage failed for the case as a whole.

        Parameters
        ----------
        case
            The study.
        error
            What went wrong.
        """
        for image in case.images:
            refuse(image, self.name, error)


class ImageOperator(CaseOperator):
    """Base of the operators that work on one image at a time; a failure stays with its image."""

    def work(self, case: Case) -> None:
        """Do this stage's work on every image that is still assessed."""
        for image in case.assessed_images:
            self.attempt_image(image)

    def attempt_image(self, image: CaseImage) -> None:
        """Work on one image, and refuse it if that fails."""
        attempt(lambda: self.work_on(image), on_failure=lambda error: refuse(image, self.name, error))

    def work_on(self, image: CaseImage) -> None:
        """Do this stage's work on one image."""
        raise NotImplementedError


def refuse(image: CaseImage, stage: str, error: Exception) -> None:
    """Take an image out of the assessment because of an error.

    Parameters
    ----------
    image
        Changed in place.
    stage
        Name of the operator.
    error
        What went wrong.
    """
    if isinstance(error, Refused):
        image.refuse(error.reason, error.detail)
    else:
        image.refuse(Reason.PROCESSING_FAILED, f"{stage} failed with {cause_of(error)}")


def attempt(action: Callable[[], None], on_failure: Callable[[Exception], None]) -> None:
    """Run an action and catch any exception.

    Parameters
    ----------
    action
        What to run.
    on_failure
        Called with the exception; an unexpected one is logged and stands there as :class:`Unexpected`.
    """
    try:
        action()
    except (CandorError, OSError) as error:
        on_failure(error)
    except Exception as error:  # noqa: BLE001 - the border named at the top of this module
        log.error("%s at %s", name_of(error), place_of(error))
        on_failure(Unexpected.of(error))
