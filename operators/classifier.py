"""Runs the network on the images of a study, several at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.case import Case, CaseImage, given
from cxr.engine import Engine, Outputs
from cxr.shortcut import Auditor
from operators.base import ImageOperator, attempt
from operators.sdk import Fragment


class Classifier(ImageOperator):
    """Computes logits, class activation and features.

    Named input:
        case: a study with network inputs.

    Named output:
        case: the same with logits ``(findings,)``, class activation ``(findings, height, width)`` and features
            ``(channels,)``; and with a shortcut audit where an image has marks or borders.

    Parameters
    ----------
    images_per_batch
        Most network inputs at once.
    auditor
        Blanks marks and borders, so that each image that has some is classified without them too; None: no audit.
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        engine: Engine,
        images_per_batch: int,
        auditor: Auditor | None = None,
        **kwargs: Any,
    ) -> None:
        self._engine = engine
        self._size = images_per_batch
        self._auditor = auditor
        super().__init__(fragment, *args, **kwargs)

    def work(self, case: Case) -> None:
        """Classify batch by batch; a batch that fails is tried again image by image."""
        images = case.assessed_images
        for start in range(0, len(images), self._size):
            self._attempt_batch(images[start : start + self._size])

    def work_on(self, image: CaseImage) -> None:
        """Classify one image, input by input: what was too much at once may not be one at a time."""
        self._run([image], 1)

    def _attempt_batch(self, batch: list[CaseImage]) -> None:
        attempt(lambda: self._run(batch, self._size), on_failure=lambda _: self._one_by_one(batch))

    def _one_by_one(self, batch: list[CaseImage]) -> None:
        for image in batch:
            self.attempt_image(image)

    def _run(self, batch: list[CaseImage], size: int) -> None:
        inputs = [given(image.network_input) for image in batch]
        blanked = [] if self._auditor is None else [self._auditor.blank(pixels) for pixels in inputs]
        again = [variant.network_input for variant in blanked if variant is not None]
        outputs = self._classified(inputs + again, size)
        for image, *answer in zip(batch, *(output[: len(batch)] for output in outputs), strict=True):
            image.logits, image.activation, image.features = answer
        if self._auditor is not None:
            without = iter(outputs.logits[len(batch) :])
            for image, variant in zip(batch, blanked, strict=True):
                if variant is not None:
                    image.shortcut = self._auditor.compare(variant, given(image.logits), next(without))

    def _classified(self, inputs: list[NDArray[np.float32]], size: int) -> Outputs:
        parts = [self._engine.run(np.stack(inputs[k : k + size])) for k in range(0, len(inputs), size)]
        outputs = Outputs(*map(np.concatenate, zip(*parts, strict=True)))
        if not np.isfinite(outputs.logits).all():
            raise FloatingPointError("the network's logits are not finite")
        return outputs
