"""The fit finds only planted errors, is reproducible, and is judged on other patients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from candor.decide.calibration import sigmoid
from candor.study.errors import DataError, SettingsError
from tests.training.learned_gate.planted import TWO, planted
from training.learned_gate.evidence import Evidence
from training.learned_gate.fit import Fitted, fit, fit_network
from training.learned_gate.judge import judge
from training.learned_gate.options import Options
from training.predictions.cross_fitting import folds_of

QUICK = Options(epochs=60)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit(planted(), TWO, QUICK)


def known(evidence: Evidence, values: np.ndarray) -> np.ndarray:
    """The values where the label is known."""
    return values[evidence.known]


def test_where_wrong_answers_have_diffuse_maps_the_learned_gate_is_activated(fitted: Fitted) -> None:
    judged = judge(fitted, planted(), QUICK)
    assert judged.verdict.active
    assert "is active" in judged.verdict.text
    told = {name: estimate["value"] for name, estimate in judged.tells_wrong.items() if estimate is not None}
    assert told["learned"] > 0.95
    assert 0.4 < told["confidence"] < 0.6


def test_without_the_prior_the_maps_alone_activate_it() -> None:
    options = replace(QUICK, prior=False, balanced=True)
    assert judge(fit(planted(), TWO, options), planted(), options).verdict.active


def test_with_shuffled_maps_it_is_not_activated() -> None:
    judged = judge(fit(planted(shuffled=True), TWO, QUICK), planted(shuffled=True), QUICK)
    assert not judged.verdict.active
    assert "keeps calibrated confidence" in judged.verdict.text


def test_what_is_told_of_wrong_is_scikit_learns_auc(fitted: Fitted) -> None:
    test, learned = planted(), fitted.out_of_fold
    areas = [roc_auc_score(test.wrong[test.known[:, k], k], learned[test.known[:, k], k]) for k in range(2)]
    told = judge(fitted, test, QUICK).tells_wrong["learned"]
    assert told is not None
    assert told["value"] == pytest.approx(np.mean(areas))


@pytest.mark.parametrize("balanced", [False, True])
def test_p_wrong_is_calibrated_out_of_fold_balanced_or_not(balanced: bool) -> None:
    evidence = planted(shuffled=True)
    found = fit(evidence, TWO, replace(QUICK, balanced=balanced, epochs=5))
    share = known(evidence, evidence.wrong).mean()
    assert known(evidence, found.out_of_fold).mean() == pytest.approx(share, abs=0.01)


def test_balancing_raises_the_scores_of_the_network(fitted: Fitted) -> None:
    evidence = planted(shuffled=True)
    scores = []
    for balanced in (False, True):
        tensors = fit_network(evidence, replace(QUICK, balanced=balanced, epochs=20))
        scores.append(replace(fitted.model, tensors=tensors).scores(evidence.maps, evidence.log_odds, None))
    wrong = known(evidence, evidence.wrong)
    assert known(evidence, sigmoid(scores[0])).mean() == pytest.approx(wrong.mean(), abs=0.1)
    assert known(evidence, sigmoid(scores[1])).mean() == pytest.approx(0.5, abs=0.1)


def test_each_patients_out_of_fold_answer_comes_from_a_network_without_that_patient(fitted: Fitted) -> None:
    evidence = planted()
    folds = folds_of(evidence.patients)
    assert len(np.unique(folds)) == 5
    for patient in np.unique(evidence.patients):
        assert len(np.unique(folds[evidence.patients == patient])) == 1
    out = folds == 2
    left, rest = evidence.take(out), evidence.take(~out)
    other = replace(fitted.model, tensors=fit_network(rest, QUICK))
    scores = logit(fitted.out_of_fold[out])  # a line of the network's scores, fitted to the others
    assert np.corrcoef(other.scores(left.maps, left.log_odds, None).ravel(), scores.ravel())[0, 1] > 1 - 1e-6


def test_the_same_seed_gives_the_same_bytes_and_leaves_torch_as_it_was() -> None:
    evidence, options = planted(), replace(QUICK, epochs=2)
    threads, before = torch.get_num_threads(), torch.get_rng_state()
    first = fit_network(evidence, options)
    torch.manual_seed(7)
    torch.set_num_threads(2)
    second = fit_network(evidence, options)
    torch.set_num_threads(threads)
    torch.set_rng_state(before)
    other = fit_network(evidence, replace(options, seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert {name: tensor.tobytes() for name, tensor in first.items()} == {n: t.tobytes() for n, t in second.items()}
    assert first["hidden.weight"].tobytes() != other["hidden.weight"].tobytes()


def test_an_unknown_label_teaches_nothing() -> None:
    evidence, options = planted(), replace(QUICK, epochs=2)
    unknown = ~evidence.known
    assert unknown.any()
    assert not evidence.wrong[unknown].any()
    other = replace(evidence, log_odds=np.where(unknown, 9.0, evidence.log_odds))
    first, second = fit_network(evidence, options), fit_network(other, options)
    for name, tensor in first.items():
        np.testing.assert_array_equal(tensor, second[name])


def test_the_description_counts_images_and_patients(fitted: Fitted) -> None:
    assert fitted.model.description == "fitted to the answers on 300 images of 200 patients"
    assert (fitted.model.findings, fitted.model.limit, fitted.model.lung_field) == (TWO, 0.25, False)


def test_lung_fields_go_with_their_images() -> None:
    evidence = planted(12)
    fields = [np.full((8, 8), k % 2 == 0) if k % 3 else None for k in range(12)]
    taken = replace(evidence, lung_fields=fields).take(np.arange(12) >= 10)
    assert taken.lung_fields is not None
    assert taken.lung_fields[0] is fields[10]
    assert taken.lung_fields[1] is fields[11]
    assert fit_network(replace(evidence, lung_fields=fields), replace(QUICK, epochs=1))["side.mean"][6] > 0


@pytest.mark.parametrize("right", [True, False])
def test_answers_that_are_all_right_or_all_wrong_are_refused(right: bool) -> None:
    evidence = planted(30)
    labels = (evidence.log_odds >= 0) == right
    with pytest.raises(
        DataError, match=r"without one part of the patients \d+ of \d+ answers are wrong, .*; give more"
    ):
        fit(replace(evidence, labels=labels.astype(np.float64)), TWO, QUICK)


def test_a_single_patient_is_too_few() -> None:
    evidence = planted(30)
    with pytest.raises(DataError, match="1 patients are too few for cross-fitting"):
        fit(replace(evidence, patients=np.full(30, "1")), TWO, QUICK)


@pytest.mark.parametrize("limit", [0.0, 0.5, float("nan")])
def test_an_impossible_limit_is_refused(limit: float) -> None:
    with pytest.raises(SettingsError, match=r"limit is .*; it must lie between 0 and 0.5 of the cost of an error"):
        Options(limit=limit)


def test_no_epoch_and_no_seed_are_refused() -> None:
    with pytest.raises(SettingsError, match="epochs is 0; give at least 1"):
        Options(epochs=0)
    with pytest.raises(SettingsError, match="seed is -1; give 0 or more"):
        Options(seed=-1)
