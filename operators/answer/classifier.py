"""Runs the network on the images of a study, several at once."""

from __future__ import annotations

from candor.study.case import CaseImage, assert_set
from operators.graph.batch import BatchOperator


class Classifier(BatchOperator):
    """Computes logits, class activation and features.

    Named input:
        case: a study with network inputs.

    Named output:
        case: the same with logits ``(findings,)``, class activation ``(findings, height, width)`` and features
            ``(channels,)``.
    """

    def work_on_batch(self, images: list[CaseImage]) -> None:
        """Classify some images at once."""
        outputs = self.classify([assert_set(image.network_input) for image in images])
        for image, *answer in zip(images, *outputs, strict=True):
            image.logits, image.activation, image.features = answer
