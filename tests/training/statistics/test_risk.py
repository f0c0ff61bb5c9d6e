"""Risk and coverage against a loop over the definition and over all orders of ties, and against closed forms."""

from __future__ import annotations

from itertools import chain, permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from training.statistics.metrics import Floats, patient_weights
from training.statistics.risk import Ordered, _known_counts, _whole_weights, areas, by_finding, kept, pooled
from training.statistics.risk_kernels import kept_counts, risk_areas

small = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 2)), min_size=1, max_size=6)


def columns(items: list[tuple[bool, bool, int]]) -> tuple[Floats, np.ndarray, Floats]:
    labels, called, uncertainty = zip(*items, strict=True)
    return (
        np.asarray(labels, np.float64)[:, np.newaxis],
        np.asarray(called)[:, np.newaxis],
        np.asarray(uncertainty, np.float64)[:, np.newaxis],
    )


def orders(uncertainty: Floats) -> list[list[int]]:
    """All orders by uncertainty."""
    groups = [np.flatnonzero(uncertainty == value).tolist() for value in np.unique(uncertainty)]
    return [list(chain(*parts)) for parts in product(*(list(permutations(group)) for group in groups))]


def by_definition(wrong: np.ndarray, uncertainty: Floats) -> tuple[float, float, float]:
    """AURC, its least value and AUGRC, by loops over the answers and over all orders of the ties."""
    n = len(wrong)

    def aurc(order: list[int]) -> float:
        return float(np.mean([wrong[order[: k + 1]].mean() for k in range(n)]))

    def augrc(order: list[int]) -> float:
        risk = [wrong[order[:k]].sum() / n for k in range(n + 1)]
        return sum((risk[k] + risk[k + 1]) / 2 / n for k in range(n))

    every = orders(uncertainty)
    best = sorted(range(n), key=lambda k: wrong[k])
    return float(np.mean([aurc(o) for o in every])), aurc(best), float(np.mean([augrc(o) for o in every]))


@settings(max_examples=60)
@given(small)
def test_the_areas_are_the_mean_over_all_orders_of_the_ties(items: list[tuple[bool, bool, int]]) -> None:
    labels, called, uncertainty = columns(items)
    found = areas(by_finding(labels, called, uncertainty))
    aurc, least, augrc = by_definition((called != (labels > 0))[:, 0], uncertainty[:, 0])
    assert found.aurc[0, 0] == pytest.approx(aurc)
    assert found.excess_aurc[0, 0] == pytest.approx(aurc - least)
    assert found.augrc[0, 0] == pytest.approx(augrc)


@settings(max_examples=60)
@given(small, st.floats(0, 1))
def test_what_is_kept_is_the_mean_over_all_orders_of_the_ties(
    items: list[tuple[bool, bool, int]], coverage: float
) -> None:
    labels, called, uncertainty = columns(items)
    found = kept(by_finding(labels, called, uncertainty), np.array([coverage]))
    missed, wanted, whole = (labels > 0)[:, 0] & ~called[:, 0], coverage * len(labels), 0.0
    for order in orders(uncertainty[:, 0]):
        reached = int(wanted)
        part = missed[order[reached : reached + 1]].sum() * (wanted - reached)
        whole += missed[order[:reached]].sum() + part
    assert found.size[0, 0, 0] == pytest.approx(wanted, abs=1e-6)
    assert found.missed[0, 0, 0] == pytest.approx(whole / len(orders(uncertainty[:, 0])), abs=1e-6)


def made(images: int = 300, findings: int = 3) -> tuple[Floats, np.ndarray, Floats]:
    rng = np.random.default_rng(1)
    labels = np.where(rng.random((images, findings)) < 0.1, np.nan, rng.random((images, findings)) < 0.3)
    scores = np.round(rng.normal(size=labels.shape) + np.nan_to_num(labels), 1)
    return labels, scores > 0.5, -np.abs(scores - 0.5)


def test_augrc_is_the_auc_of_the_errors_in_closed_form() -> None:
    labels, called, uncertainty = made()
    found = areas(by_finding(labels, called, uncertainty)).augrc[0]
    for k in range(3):
        known = ~np.isnan(labels[:, k])
        wrong = called[known, k] != (labels[known, k] > 0)
        auc, right = roc_auc_score(wrong, uncertainty[known, k]), 1 - wrong.mean()
        assert found[k] == pytest.approx((1 - auc) * right * (1 - right) + (1 - right) ** 2 / 2)


def test_perfect_random_and_worst_order_in_closed_form() -> None:
    labels = np.ones((10, 1))
    called = np.arange(10)[:, np.newaxis] >= 4  # four of ten are wrong
    perfect, worst = (areas(by_finding(labels, called, sign * called)) for sign in (-1.0, 1.0))
    random = areas(by_finding(labels, called, np.zeros((10, 1))))
    assert perfect.excess_aurc[0, 0] == pytest.approx(0)
    assert perfect.augrc[0, 0] == pytest.approx(0.4**2 / 2)
    assert random.aurc[0, 0] == pytest.approx(0.4)
    assert random.augrc[0, 0] == pytest.approx(0.4 / 2)
    assert worst.augrc[0, 0] == pytest.approx(0.4 - 0.4**2 / 2)
    assert worst.aurc[0, 0] == pytest.approx(np.mean([1, 1, 1, 1, 4 / 5, 4 / 6, 4 / 7, 4 / 8, 4 / 9, 4 / 10]))


def repeated(array: np.ndarray, drawn: Floats) -> np.ndarray:
    return np.repeat(array, drawn.astype(int), axis=0)


@pytest.mark.parametrize("make", [by_finding, pooled])
def test_a_resample_is_the_images_repeated(make: type[Ordered]) -> None:
    labels, called, uncertainty = made(60)
    weights = patient_weights(np.repeat(np.arange(20), 3).astype(np.str_), 4, seed=3)
    order, coverages = make(labels, called, uncertainty), np.array([0.0, 0.3, 0.75, 1.0])
    found, counts = areas(order, weights), kept(order, coverages, weights)
    for k, drawn in enumerate(weights):
        again = make(*(repeated(part, drawn) for part in (labels, called, uncertainty)))
        for name in ("aurc", "excess_aurc", "augrc"):
            np.testing.assert_allclose(getattr(found, name)[k], getattr(areas(again), name)[0])
        for name in ("true_positive", "false_positive", "false_negative", "true_negative"):
            np.testing.assert_allclose(getattr(counts, name)[k], getattr(kept(again, coverages), name)[0])


def test_pooled_is_one_finding_with_all_answers() -> None:
    labels, called, uncertainty = made(50)
    flat = (part.reshape(-1, 1) for part in (labels, called, uncertainty))
    assert areas(pooled(labels, called, uncertainty)).aurc == pytest.approx(areas(by_finding(*flat)).aurc)


def test_figures_of_what_is_kept_by_hand() -> None:
    labels = np.array([[1.0], [0], [0], [1], [np.nan]])
    called = np.array([[True], [True], [False], [False], [True]])
    found = kept(by_finding(labels, called, np.array([[1.0], [2], [3], [4], [0]])), np.array([0.75, 1]))
    assert found.accuracy[0, 0].tolist() == pytest.approx([2 / 3, 1 / 2])
    assert found.always_absent[0, 0].tolist() == pytest.approx([2 / 3, 1 / 2])
    assert found.npv[0, 0].tolist() == pytest.approx([1, 1 / 2])
    assert found.ppv[0, 0].tolist() == pytest.approx([1 / 2, 1 / 2])
    assert found.sensitivity[0, 0].tolist() == pytest.approx([1, 1 / 2])
    assert found.missed[0, 0].tolist() == pytest.approx([0, 1])


def test_nothing_known_is_not_a_number() -> None:
    order = by_finding(np.full((2, 1), np.nan), np.ones((2, 1), bool), np.zeros((2, 1)))
    assert np.isnan(areas(order).aurc).all()
    assert np.isnan(kept(order, np.array([1.0])).accuracy).all()


def test_the_compiled_loops_are_the_python_ones() -> None:
    labels, called, uncertainty = made(30)
    order = by_finding(labels, called, uncertainty)
    rows = _whole_weights(order, patient_weights(np.arange(30).astype(np.str_), 2, seed=0))
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, 100))])
    arrays = (rows, order.owner, order.kind, order.ends)
    np.testing.assert_allclose(risk_areas.py_func(*arrays, harmonic), risk_areas(*arrays, harmonic))
    rest = (_known_counts(order, rows), np.array([0.2, 0.9, 1.0]))
    np.testing.assert_allclose(kept_counts.py_func(*arrays, *rest), kept_counts(*arrays, *rest))


def test_what_cannot_be_measured_is_refused() -> None:
    labels, called, uncertainty = made(4)
    with pytest.raises(ValueError, match="must be alike"):
        by_finding(labels[:, :1], called, uncertainty)
    with pytest.raises(ValueError, match="uncertainty is NaN"):
        pooled(labels, called, np.full_like(uncertainty, np.nan))
    order = by_finding(labels, called, uncertainty)
    with pytest.raises(ValueError, match="whole numbers"):
        areas(order, np.full((1, 4), 0.5))
    with pytest.raises(ValueError, match="must rise"):
        kept(order, np.array([1.0, 0.5]))
