"""Base of the operators that send images through the network, several at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candor.model.outputs import Engine, Outputs
from candor.study.case import Case, CaseImage
from operators.graph.base import ImageOperator, attempt
from operators.graph.sdk import Fragment


class BatchOperator(ImageOperator):
    """Works batch by batch; a batch that fails is tried again image by image, so that a failure stays with its image.

    Named input:
        case: the study so far.

    Named output:
        case: the same study with what this stage added.

    Parameters
    ----------
    fragment
        The application.
    engine
        Runs the network.
    images_per_batch
        Most images at once.
    """

    def __init__(self, fragment: Fragment, *args: Any, engine: Engine, images_per_batch: int, **kwargs: Any) -> None:
        self._engine = engine
        self._size = images_per_batch
        super().__init__(fragment, *args, **kwargs)

    def work(self, case: Case) -> None:
        """Do this stage's work on every image that it concerns, batch by batch."""
        images = self.concerned(case.assessed_images)
        for start in range(0, len(images), self._size):
            self._attempt_batch(images[start : start + self._size])

    def concerned(self, images: list[CaseImage]) -> list[CaseImage]:
        """Pick the images that this stage works on: all."""
        return images

    def work_on(self, image: CaseImage) -> None:
        """Do this stage's work on one image."""
        self.work_on_batch([image])

    def work_on_batch(self, images: list[CaseImage]) -> None:
        """Do this stage's work on some images at once; if it raises, no image has been changed."""
        raise NotImplementedError

    def classify(self, inputs: Sequence[NDArray[np.float32]]) -> Outputs:
        """Run the network on inputs ``(sizes, side, side)``.

        Raises
        ------
        FloatingPointError
            A logit is not finite.
        """
        outputs = self._engine.run(np.stack(inputs))
        if not np.isfinite(outputs.logits).all():
            raise FloatingPointError("the network's logits are not finite")
        return outputs

    def _attempt_batch(self, batch: list[CaseImage]) -> None:
        attempt(lambda: self.work_on_batch(batch), on_failure=lambda _: self._one_by_one(batch))

    def _one_by_one(self, batch: list[CaseImage]) -> None:
        for image in batch:
            self.attempt_image(image)
