"""How patients are divided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.study.errors import SettingsError
from tests.training.data.readers.trees import make_covid
from training.data.readers import read_dataset
from training.data.splits import FOLDS, OFFICIAL, PAPER, SEED, SPLITS, Listed, Split, Subset, fold_of

PATIENTS = [str(number) for number in range(20_000)]


def shares(split: Split, listed: Listed) -> dict[Subset, float]:
    found = [split.subset(patient, listed) for patient in PATIENTS]
    return {subset: found.count(subset) / len(found) for subset in Subset}


def test_the_papers_split_is_70_15_15() -> None:
    found = shares(PAPER, Listed.NOWHERE)
    assert found[Subset.TRAIN] == pytest.approx(0.70, abs=0.01)
    assert found[Subset.VALIDATION] == pytest.approx(0.15, abs=0.01)
    assert found[Subset.UNSEEN] == pytest.approx(0.15, abs=0.01)


@pytest.mark.parametrize("split", [OFFICIAL, PAPER])
def test_the_folds_divide_the_unseen_patients_evenly(split: Split) -> None:
    unseen = [patient for patient in PATIENTS if split.subset(patient, Listed.TEST) is Subset.UNSEEN]
    folds = [fold_of(patient) for patient in unseen]
    assert [folds.count(k) / len(folds) for k in range(FOLDS)] == pytest.approx([1 / FOLDS] * FOLDS, abs=0.02)
    assert {fold_of(patient, 3) for patient in unseen} == {0, 1, 2}
    assert [fold_of(patient, FOLDS, "another") for patient in unseen] != folds


def test_the_publishers_own_validation_list_is_kept() -> None:
    assert shares(OFFICIAL, Listed.TRAIN)[Subset.TRAIN] == 1
    assert shares(OFFICIAL, Listed.VALIDATION)[Subset.VALIDATION] == 1
    assert shares(OFFICIAL, Listed.TEST)[Subset.UNSEEN] == 1
    assert shares(OFFICIAL, Listed.TRAIN_VAL)[Subset.VALIDATION] == pytest.approx(0.10, abs=0.01)


@given(st.text(max_size=12), st.sampled_from(list(Listed)), st.sampled_from(list(Listed)))
def test_by_hash_the_lists_do_not_matter(patient: str, one: Listed, other: Listed) -> None:
    assert PAPER.subset(patient, one) is PAPER.subset(patient, other)


def test_another_seed_divides_otherwise_but_by_the_same_shares() -> None:
    other = replace(PAPER, seed="another")
    assert shares(other, Listed.TEST)[Subset.UNSEEN] == pytest.approx(0.15, abs=0.01)
    assert any(PAPER.subset(patient, Listed.TEST) is not other.subset(patient, Listed.TEST) for patient in PATIENTS)


def test_the_rule_in_words() -> None:
    assert OFFICIAL.rule == (
        "SHA-256 of 'seed:patient', its first 8 bytes as a number in [0, 1). "
        "Official train_val patients: validation under 0.1, else train. "
        "Official test patients: all unseen. "
        "Official train patients: all train. Official validation patients: all validation."
    )
    assert PAPER.rule.endswith("All patients: validation under 0.15, train under 0.85, else unseen.")


@pytest.mark.parametrize(
    "given_shares", [{Subset.TRAIN: 0.7, Subset.UNSEEN: 0.2}, {Subset.TRAIN: 1.5, Subset.UNSEEN: -0.5}]
)
def test_shares_that_do_not_sum_to_1_are_refused(given_shares: dict[Subset, float]) -> None:
    with pytest.raises(SettingsError, match=r"a split into train .* is impossible; give shares over 0 that sum to 1"):
        Split.by_hash(given_shares)


def test_the_record_names_the_split_that_was_used(tmp_path: Path) -> None:
    dataset = read_dataset(make_covid(tmp_path), split=replace(PAPER, seed="mine"))
    record = dataset.splits()
    assert (record["rule"], record["seed"]) == (PAPER.rule, "mine")
    assert set(SPLITS) == {"official", "70-15-15"}
    assert OFFICIAL.seed == PAPER.seed == SEED
