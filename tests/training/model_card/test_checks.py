"""The card shows which checks a bundle has, with the figures of its files, and which it does not have."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from candor.model.bundle import FAMILIARITY, LEARNED_GATE, load_model
from candor.ood.familiarity import Familiarity, fit_tensors
from candor.ood.linear_score import LinearScore
from tests.training.conftest import Made
from training.checks.familiarity import write_familiarity
from training.model_card.card import write_card
from training.model_card.checks import checks
from training.records import Occasion

FIGURES = {
    "unseen adults, out of fold": {
        "images": 50,
        "unlike_training": 0.02,
        "unlike_chest": 0.0,
        "like_a_child": 0.01,
        "unread": 3,
    },
    "work/none": {"images": 0, "unlike_training": None, "unlike_chest": None, "like_a_child": None, "unread": 9},
}
TOLD = {"children": 22, "adults": 900, "auc": {"value": 0.9, "low": 0.8, "high": 0.95}}
CHILD = {"under_years": 16, "patients": 76, "images": 97, "told_apart": TOLD}


def write_check(root: Path, child: dict[str, Any]) -> None:
    """Write a check of familiarity with made-up figures into a bundle."""
    features = np.random.default_rng(0).normal(5, 1, (40, 8)).astype(np.float32) ** 2
    look = LinearScore({"weight": np.ones(8, np.float32), "bias": np.zeros(1, np.float32)}, 1.0)
    known = None if "left_out" in child else look
    fitted = Familiarity(fit_tensors(features, 3), 1.25, 2.5, "fitted to 40 training images", known, look)
    facts = Occasion(date(2026, 1, 2), "made up").facts | {"child": child}
    write_familiarity(load_model(root), fitted, facts, FIGURES)


@pytest.fixture
def root(random_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that a test may change."""
    return Path(shutil.copytree(random_bundle, tmp_path / "cxr"))


def test_a_bundle_without_either_says_so(root: Path) -> None:
    text = "\n".join(checks(root))
    assert "The bundle has no check of familiarity: no image is compared with the training images." in text
    assert "The bundle has none: thresholds or costs decide" in text


def test_figures_are_those_of_the_file(root: Path) -> None:
    write_check(root, CHILD)
    text = "\n".join(checks(root))
    assert "The check was fitted to 40 training images." in text
    assert "over a distance of 1.250, and no chest over 2.500. It is unlike them too over a score of 1.000 for" in text
    assert "97 pictures of 76 patients under 16 years. On 22 pictures of children and 900 of adults" in text
    assert "its AUC is 0.900 [0.800, 0.950]." in text
    assert "| unseen adults, out of fold | 50 | 2.0% | 0.0% | 1.0% | 3 |" in text
    assert "| work/none | 0 | - | - | - | 9 |" in text


def test_a_check_without_the_look_of_children_says_so(root: Path) -> None:
    write_check(root, {"left_out": "2 patients are stated to be under 16 years"})
    assert "It does not know the look of children." in "\n".join(checks(root))
    values = json.loads((root / FAMILIARITY).read_text())
    del values["child"]  # as the check was written before it knew any
    (root / FAMILIARITY).write_text(json.dumps(values))
    assert "It does not know the look of children." in "\n".join(checks(root))


@pytest.mark.parametrize(("active", "told"), [(True, "Active"), (False, "Not active")])
def test_the_verdict_on_the_learned_gate_is_told_in_its_words(root: Path, active: bool, told: str) -> None:
    (root / LEARNED_GATE).write_text(json.dumps({"active": active, "verdict": "its AUGRC is what it is"}))
    assert f"{told}: its AUGRC is what it is." in list(checks(root))


def test_the_card_has_both_before_its_limits(made: Made, tmp_path: Path) -> None:
    card = write_card(Path(shutil.copytree(made.bundle, tmp_path / "cxr"))).read_text()
    order = [
        card.index(f"## {title}") for title in ("When it answers", "Whether an", "The learned gate", "What it cannot")
    ]
    assert order == sorted(order)
