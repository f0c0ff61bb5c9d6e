"""What all operators share: a case in, a case out, and failures that stay with what failed.

An exception that leaves ``compute()`` stops the whole graph and loses the studies behind it. So this module
holds the one border at which every exception is caught, recorded on its image or case, and logged.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
        """Work on one case and pass it on, whatever happens."""
        case: Case = op_input.receive(CASE)
        began = time.perf_counter()
        attempt(lambda: self.work(case), on_failure=lambda error: self.fail(case, error))
        case.seconds[self.name] = time.perf_counter() - began
        op_output.emit(case, CASE)

    def work(self, case: Case) -> None:
        """Do this stage's work on a case."""
        raise NotImplementedError

    def fail(self, case: Case, error: Exception) -> None:
        """Record that the stage failed for the case as a whole."""
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


class Unexpected(RuntimeError):
    """An error that nobody foresaw: its type and place, without its message."""


def refuse(image: CaseImage, stage: str, error: Exception) -> None:
    """Take an image out of the assessment because of an error."""
    if isinstance(error, Refused):
        image.refuse(error.reason, error.detail)
    else:
        image.refuse(Reason.PROCESSING_FAILED, f"{stage} failed with {kind(error)}")


def kind(error: Exception) -> str:
    """Name an error: what the system says of it, else its type; never its message, nor a path with a UID in it."""
    if isinstance(error, Unexpected):
        return str(error).split(" ", 1)[0]
    cause = error.__cause__ or error
    return (isinstance(cause, OSError) and cause.strerror) or type(error).__name__


def attempt(action: Callable[[], None], on_failure: Callable[[Exception], None]) -> None:
    """Run an action; hand any exception on instead of raising it."""
    try:
        action()
    except (CandorError, OSError) as error:
        on_failure(error)
    except Exception as error:  # noqa: BLE001 - the border named at the top of this module
        log.error("%s at %s", type(error).__name__, where(error))
        on_failure(Unexpected(f"{type(error).__name__} at {where(error)}"))


def where(error: Exception) -> str:
    """Say where an exception came from, innermost call last.

    Never its message: a library's message may hold a patient's data.
    """
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
