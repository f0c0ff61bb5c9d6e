"""Makes the network's input from radiographs."""

from __future__ import annotations

from typing import Any

from candor.model.preprocess import InputSpec, to_network_input
from candor.study.case import CaseImage, assert_set
from operators.graph.base import ImageOperator
from operators.graph.sdk import Fragment


class Preprocessor(ImageOperator):
    """Scales each radiograph as the network's training did.

    Named input:
        case: a study with radiographs.

    Named output:
        case: the same with network inputs, ``(sizes, side, side)`` float32.

    Parameters
    ----------
    fragment
        The application.
    spec
        The network's input.
    """

    def __init__(self, fragment: Fragment, *args: Any, spec: InputSpec, **kwargs: Any) -> None:
        self._input_spec = spec
        super().__init__(fragment, *args, **kwargs)

    def work_on(self, image: CaseImage) -> None:
        """Scale one radiograph."""
        image.network_input = to_network_input(assert_set(image.radiograph), self._input_spec)
