"""Selects the images that can be assessed, by their headers."""

from __future__ import annotations

from typing import Any

from candor.dicom.read.select import select
from candor.study.case import Case
from candor.study.selection import Words
from operators.graph.base import CaseOperator
from operators.graph.sdk import Fragment


class ImageSelector(CaseOperator):
    """Keeps frontal chest radiographs for presentation; refuses the others with a reason.

    Named input:
        case: a study with headers.

    Named output:
        case: the same; images that are not assessed carry a refusal.

    Parameters
    ----------
    fragment
        The application.
    minimum_side
        Fewest rows and columns of an image, in pixels.
    words
        The words for body parts, views and the like.
    """

    def __init__(self, fragment: Fragment, *args: Any, minimum_side: int, words: Words, **kwargs: Any) -> None:
        self._minimum_side, self._words = minimum_side, words
        super().__init__(fragment, *args, **kwargs)

    def work(self, case: Case) -> None:
        """Select among the images of one study."""
        select(case.images, self._minimum_side, self._words)
