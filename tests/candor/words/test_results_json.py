"""``results.json`` says what the model can check, and what it cannot."""

from __future__ import annotations

from dataclasses import replace

from candor.study.provenance import NO_FAMILIARITY
from candor.words.results_json import summarise
from tests.cases import PROVENANCE


def test_a_model_with_a_check_of_familiarity_tells_what_it_was_fitted_to() -> None:
    model = summarise([], PROVENANCE)["model"]
    assert model["familiarity"] == PROVENANCE.familiarity
    assert model["notes"] == []


def test_a_model_without_one_says_so() -> None:
    model = summarise([], replace(PROVENANCE, familiarity=None))["model"]
    assert model["familiarity"] is None
    assert model["notes"] == [NO_FAMILIARITY]
