"""Runs the network on the images of a study, several at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from cxr.case import Case, CaseImage, given
from cxr.engine import Engine
from operators.base import ImageOperator, attempt
from operators.sdk import Fragment


class Classifier(ImageOperator):
    """Computes logits and class activation.

    Named input:
        case: a study with network inputs.

    Named output:
        case: the same with logits ``(findings,)`` and class activation ``(findings, height, width)``.
    """

    def __init__(self, fragment: Fragment, *args: Any, engine: Engine, images_per_batch: int, **kwargs: Any) -> None:
        self._engine = engine
        self._size = images_per_batch
        super().__init__(fragment, *args, **kwargs)

    def work(self, case: Case) -> None:
        """Classify batch by batch; a batch that fails is tried again image by image."""
        images = case.assessed_images
        for start in range(0, len(images), self._size):
            self._attempt_batch(images[start : start + self._size])

    def work_on(self, image: CaseImage) -> None:
        """Classify one image."""
        self._run([image])

    def _attempt_batch(self, batch: list[CaseImage]) -> None:
        attempt(lambda: self._run(batch), on_failure=lambda _: self._one_by_one(batch))

    def _one_by_one(self, batch: list[CaseImage]) -> None:
        for image in batch:
            self.attempt_image(image)

    def _run(self, batch: list[CaseImage]) -> None:
        logits, activation = self._engine.run(np.stack([given(image.network_input) for image in batch]))
        if not np.isfinite(logits).all():
            raise FloatingPointError("the network's logits are not finite")
        for image, its_logits, its_activation in zip(batch, logits, activation, strict=True):
            image.logits, image.activation = its_logits, its_activation
