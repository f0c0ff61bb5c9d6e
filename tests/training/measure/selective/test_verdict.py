"""A learned gate is activated only where it is better."""

from __future__ import annotations

import json

import numpy as np
import pytest

from training.measure.selective.verdict import verdict
from training.statistics.metrics import Floats
from training.statistics.signals import entropy, p_wrong, whole_images


def made(images: int = 600) -> tuple[Floats, Floats, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(4)
    labels = np.where(rng.random((images, 2)) < 0.05, np.nan, rng.random((images, 2)) < 0.3)
    probabilities = 1 / (1 + np.exp(-rng.normal(size=labels.shape) - 1.5 * np.nan_to_num(labels) + 1))
    return labels, probabilities, np.asarray([f"p{k // 2}" for k in range(images)]), rng


def test_a_gate_that_knows_the_errors_is_active() -> None:
    labels, probabilities, patients, rng = made()
    wrong = (probabilities >= 0.5) != (labels > 0)
    found = verdict(labels, probabilities, wrong + 0.1 * rng.random(labels.shape), patients, seed=0)
    assert found.active
    assert found.text.startswith("the learned gate is active: its AUGRC less that of calibrated confidence is -0.")
    assert json.loads(json.dumps(found.figures, allow_nan=False))["augrc_difference"]["high"] < 0


@pytest.mark.parametrize("signal", ["noise", "confidence", "entropy"])
def test_a_gate_that_knows_no_more_than_confidence_is_not(signal: str) -> None:
    labels, probabilities, patients, rng = made()
    signals = {
        "noise": rng.random(labels.shape),
        "confidence": p_wrong(probabilities),
        "entropy": entropy(probabilities),
    }
    found = verdict(labels, probabilities, signals[signal], patients, seed=0)
    assert not found.active
    assert found.text.startswith("the gate keeps calibrated confidence: the learned gate's AUGRC")
    assert ("misses more positives" in found.text) == (signal == "noise")


def test_a_gate_that_is_better_but_misses_more_positives_is_not() -> None:
    labels, probabilities, patients, _ = made()
    labels[:] = (np.random.default_rng(5).random(labels.shape) < 0.2).astype(float)
    probabilities = np.where(labels > 0, 0.4, 0.3)  # all positives are missed, and confidence defers them first
    alarms = (labels == 0) & (np.random.default_rng(6).random(labels.shape) < 0.5)
    probabilities[alarms] = 0.9  # many false alarms, of which confidence is sure
    found = verdict(labels, probabilities, alarms + 0.0, patients, seed=0)
    assert found.figures["augrc_difference"]["high"] < 0  # type: ignore[index]
    assert not found.active
    assert "misses more positives at a coverage of" in found.text


def test_the_same_seed_gives_the_same_verdict() -> None:
    labels, probabilities, patients, rng = made(100)
    signal = rng.random(labels.shape)
    one, again = (verdict(labels, probabilities, signal, patients, seed=3) for _ in range(2))
    assert one == again
    assert one.figures["images"] == 100


def test_an_image_is_as_unsure_as_all_its_answers() -> None:
    assert whole_images(np.array([[0.1, 0.2], [0.0, 0.5]])) == pytest.approx(np.array([[0.3, 0.3], [0.5, 0.5]]))


def test_entropy_sorts_like_confidence() -> None:
    p = np.random.default_rng(0).random(50)
    assert np.argsort(entropy(p)).tolist() == np.argsort(p_wrong(p)).tolist()
    assert entropy(np.array([0.0, 0.5, 1.0])) == pytest.approx([0, np.log(2), 0])
