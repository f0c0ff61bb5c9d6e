"""The classifier runs images in batches; each gets its own answer, and a failure stays with its image."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from candor.study.case import Case, CaseImage, assert_set
from candor.study.reasons import Reason
from operators.answer.classifier import Classifier
from operators.graph.sdk import Application
from tests.operators.network import Brightest


def classified(engine: Brightest, brightest: list[float], size: int = 8) -> list[CaseImage]:
    """Run the classifier on an image for each of ``brightest``, which is the last of its ever brighter pixels."""
    images = [
        CaseImage(str(k), Path(str(k)), network_input=np.linspace(0, last, 64, dtype=np.float32).reshape(1, 8, 8))
        for k, last in enumerate(brightest)
    ]
    classifier = Classifier(Application(), name="classify", engine=engine, images_per_batch=size)
    classifier.work(Case("1.2", images, Path("out"), datetime(2026, 1, 1, tzinfo=UTC)))
    return images


def test_each_image_gets_its_own_answer() -> None:
    images = classified(Brightest(), [0.25, 1.0, 0.5])
    for image, last in zip(images, [0.25, 1.0, 0.5], strict=True):
        assert assert_set(image.logits).tolist() == [last, -last]
        assert np.array_equal(assert_set(image.activation), np.full((2, 3, 3), last))
        assert np.array_equal(assert_set(image.features), assert_set(image.network_input)[0, 0, :5])
        assert image.shortcut is None


@pytest.mark.parametrize(("size", "batches"), [(1, [1, 1, 1]), (2, [2, 1]), (8, [3])])
def test_a_batch_is_never_larger_than_set(size: int, batches: list[int]) -> None:
    engine = Brightest()
    classified(engine, [0.25, 1.0, 0.5], size)
    assert engine.batches == batches


def test_a_failure_stays_with_its_image() -> None:
    engine = Brightest(broken=0.75)
    images = classified(engine, [0.25, 1.0, 0.5])
    assert engine.batches == [3, 1, 1, 1]
    assert [image.assessed for image in images] == [True, False, True]
    assert assert_set(images[1].refusal).reason is Reason.PROCESSING_FAILED
    assert images[1].logits is None
    assert assert_set(images[2].logits)[0] == 0.5
