"""Shows where the evidence lies."""

from __future__ import annotations

from candor.evidence.heatmap import heatmap
from candor.study.case import CaseImage, assert_set
from operators.graph.base import ImageOperator


class Explainer(ImageOperator):
    """Makes a heatmap for every finding from the class activation.

    Named input:
        case: a study with class activation.

    Named output:
        case: the same with heatmaps, one for each finding.
    """

    def work_on(self, image: CaseImage) -> None:
        """Make the heatmaps of one image."""
        to_left = assert_set(image.radiograph).columns_to_left
        image.heatmaps = tuple(heatmap(activation, to_left) for activation in assert_set(image.activation))
