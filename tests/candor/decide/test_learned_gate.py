"""The learned gate in NumPy answers as in torch, and its P(wrong) is shifted as Bayes says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from candor.decide.calibration import Calibration, CalibrationKind, Line, LogitMap
from candor.decide.heatmap_spread import SPREAD
from candor.decide.learned_gate import PRIOR, LearnedGate, Tensors, map_inputs, p_wrong, side_inputs
from tests.bundles import THREE
from training.learned_gate.network import ErrorNetwork

LINE = Line(CalibrationKind.PLATT, 0.7, -1.2)
Change = Callable[[dict[str, np.ndarray]], object]


def random_tensors(*, prior: bool, seed: int = 0) -> Tensors:
    """Weights of a network that was not fitted, with inputs that are standardised somehow."""
    rng = np.random.default_rng(seed)
    beside = len(SPREAD) + len(PRIOR) * prior
    torch.manual_seed(seed)
    state = {name: tensor.numpy() for name, tensor in ErrorNetwork(beside + len(THREE)).state_dict().items()}
    standard = {"side.mean": rng.random(beside), "side.scale": 0.5 + rng.random(beside)}
    return state | {name: values.astype(np.float32) for name, values in standard.items()}


def random_model(*, prior: bool = True, lung_field: bool = False) -> LearnedGate:
    """A learned gate that was not fitted."""
    return LearnedGate(
        findings=THREE,
        prior=prior,
        lung_field=lung_field,
        limit=0.25,
        line=LINE,
        tensors=random_tensors(prior=prior),
        description="made up for a test",
    )


def inputs(images: int = 5, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Maps and log-odds."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(images, 3, 7, 7)).astype(np.float32), rng.normal(size=(images, 3)) * 2


@pytest.mark.parametrize("prior", [True, False])
def test_numpy_answers_as_torch(prior: bool) -> None:
    model, (maps, log_odds) = random_model(prior=prior), inputs()
    beside = side_inputs(maps, log_odds, None, prior=prior)
    beside = (beside - model.tensors["side.mean"]) / model.tensors["side.scale"]
    with_finding = np.concatenate([beside, np.broadcast_to(np.eye(3), (5, 3, 3))], axis=-1).reshape(15, -1)
    network = ErrorNetwork(with_finding.shape[1]).double()
    network.load_state_dict(
        {n: torch.from_numpy(np.array(t)) for n, t in model.tensors.items() if not n.startswith("side")}
    )
    with torch.no_grad():
        reference = network(torch.from_numpy(map_inputs(maps).reshape(15, 3, 7, 7)), torch.from_numpy(with_finding))
    scores = model.scores(maps, log_odds, None)
    np.testing.assert_allclose(scores, reference.numpy().reshape(5, 3), atol=1e-10)
    np.testing.assert_allclose(model.p_wrong(maps, log_odds), 1 / (1 + np.exp(1.2 - 0.7 * scores)))


def test_the_map_of_any_grid_is_read() -> None:
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 6)).astype(np.float32)
    assert random_model().p_wrong(maps, np.zeros((2, 3))).shape == (2, 3)


def test_the_convolution_sees_the_map_without_its_scale_and_where_each_cell_is() -> None:
    maps, _ = inputs()
    layers = map_inputs(maps)
    np.testing.assert_allclose(layers, map_inputs(maps * np.float32(9)), atol=1e-6)
    np.testing.assert_allclose(layers[..., 0, :, :].mean(axis=(-2, -1)), 1)
    assert (layers[0, 0, 1, 0, 3], layers[0, 0, 1, 6, 3], layers[0, 0, 2, 3, 6]) == (-1, 1, 1)


def test_without_the_prior_neither_log_odds_nor_the_maps_scale_matter() -> None:
    model, (maps, log_odds) = random_model(prior=False), inputs()
    np.testing.assert_allclose(model.p_wrong(maps * np.float32(3), -log_odds), model.p_wrong(maps, log_odds), atol=1e-6)
    seeing = random_model(prior=True)
    assert np.abs(seeing.p_wrong(maps, -log_odds) - seeing.p_wrong(maps, log_odds)).max() > 1e-3
    assert np.abs(seeing.p_wrong(maps * np.float32(3), log_odds) - seeing.p_wrong(maps, log_odds)).max() > 1e-3


def test_a_lung_field_is_looked_at_only_by_a_model_that_was_fitted_with_it() -> None:
    maps, log_odds = inputs(1)
    fields = [np.eye(64, dtype=np.bool_)]
    blind, seeing = random_model(), random_model(lung_field=True)
    np.testing.assert_array_equal(blind.p_wrong(maps, log_odds, fields), blind.p_wrong(maps, log_odds))
    assert np.abs(seeing.p_wrong(maps, log_odds, fields) - seeing.p_wrong(maps, log_odds)).max() > 1e-3


def calibration(assumed: float) -> Calibration:
    """Fitted at 0.3."""
    line = Line(CalibrationKind.PLATT, 1.3, 0.4)
    return Calibration(dict.fromkeys(THREE, LogitMap(line, 0.3, assumed)), "made up for a test")


def test_at_the_fitted_prevalence_nothing_is_shifted() -> None:
    model, (maps, logits) = random_model(), inputs()
    expected = model.p_wrong(maps, 1.3 * logits + 0.4)
    for k in range(len(maps)):
        found = p_wrong(model, calibration(0.3), logits[k].astype(np.float32), maps[k])
        np.testing.assert_allclose(found, expected[k], atol=1e-6)


def test_another_prevalence_shifts_what_the_answer_says_of_presence() -> None:
    model, (maps, logits) = random_model(), inputs()
    fitted = model.p_wrong(maps, 1.3 * logits + 0.4)
    said = 1.3 * logits + 0.4 >= 0
    assert said.any()
    assert not said.all()
    present = np.where(said, 1 - fitted, fitted)
    weights = present * 0.05 / 0.3, (1 - present) * 0.95 / 0.7  # Bayes: each class by how much rarer it became
    shifted = weights[0] / (weights[0] + weights[1])
    favoured = calibration(0.05).probabilities(logits) >= 0.5
    assert (favoured != said).any()
    for k in range(len(maps)):
        arguments = (model, calibration(0.05), logits[k].astype(np.float32), maps[k])
        expected = np.where(favoured[k], 1 - shifted[k], shifted[k])
        np.testing.assert_allclose(p_wrong(*arguments), expected, atol=1e-6)
        absent = p_wrong(*arguments, answers=np.zeros(3, np.bool_))
        np.testing.assert_allclose(absent, shifted[k], atol=1e-6)
        np.testing.assert_allclose(p_wrong(*arguments, answers=np.ones(3, np.bool_)), 1 - absent)


def test_one_images_lung_field_is_passed_on() -> None:
    maps, logits = inputs(1)
    model, field = random_model(lung_field=True), np.eye(30, dtype=np.bool_)
    found = p_wrong(model, calibration(0.3), logits[0].astype(np.float32), maps[0], field)
    np.testing.assert_allclose(found, model.p_wrong(maps, 1.3 * logits + 0.4, [field])[0], atol=1e-6)


@pytest.mark.parametrize("limit", [0.0, 0.5, -1.0, float("nan")])
def test_an_impossible_limit_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match=r"the limit lies between 0 and 0.5 of the cost of an error, not at"):
        replace(random_model(), limit=limit)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("convolution.bias"), "the network lacks convolution.bias or hidden.bias"),
        (lambda t: t.update({"hidden.bias": np.float32(1)}), "the network lacks convolution.bias or hidden.bias"),
        (lambda t: t.pop("out.bias"), r"the tensor out.bias has shape None, not \(1,\)"),
        (lambda t: t.update(more=np.zeros(3)), r"the tensor more has shape \(3,\), not None"),
        (lambda t: t.update({"side.mean": np.zeros(3)}), r"the tensor side.mean has shape \(3,\), not \(11,\)"),
        (lambda t: t.update({"out.bias": np.full(1, np.nan)}), "a weight of the network is not finite"),
        (lambda t: t["side.scale"].fill(0), "or a scale is not positive"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(change: Change, message: str) -> None:
    tensors = {name: np.array(tensor) for name, tensor in random_tensors(prior=True).items()}
    change(tensors)
    with pytest.raises(ValueError, match=message):
        replace(random_model(), tensors=tensors)
