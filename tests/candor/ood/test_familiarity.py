"""What lies far from the training images is found, as far as an independent covariance says; broken files are named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from candor.files.hashes import file_sha256
from candor.model.bundle import FAMILIARITY, FAMILIARITY_TENSORS, load_bundle, load_model
from candor.ood.familiarity import Familiarity, fit_tensors, stabilised
from candor.ood.linear_score import LinearScore
from candor.study.errors import BundleError
from candor.study.reasons import Reason
from training.checks.familiarity import write_familiarity

CHANNELS = 12
KEPT = 4
CHILD = LinearScore({"weight": np.ones(CHANNELS, np.float32), "bias": np.float32([0])}, 100.0)
NOT_FRONTAL = replace(CHILD, limit=120.0)


def gaussian(n: int, seed: int) -> NDArray[np.float32]:
    """Features whose square roots are normal, most of their variance in ``KEPT`` directions."""
    mixing = np.random.default_rng(7).normal(size=(KEPT, CHANNELS))
    rng = np.random.default_rng(seed)
    roots = 9 + rng.normal(size=(n, KEPT)) @ mixing + rng.normal(0, 0.1, (n, CHANNELS))
    return np.asarray(roots**2, np.float32)


@pytest.fixture(scope="module")
def fitted() -> Familiarity:
    """A check whose limits are round numbers."""
    return Familiarity(fit_tensors(gaussian(600, 0), KEPT), 1.5, 5.0, "made up for a test")


def test_the_distance_is_mahalanobis_under_the_covariance_of_probabilistic_pca(fitted: Familiarity) -> None:
    roots, unseen = stabilised(gaussian(600, 0)), gaussian(20, 1)
    values, vectors = np.linalg.eigh(np.cov(roots.T))
    values[: CHANNELS - KEPT] = values[: CHANNELS - KEPT].mean()
    apart = stabilised(unseen) - roots.mean(axis=0)
    inverse = np.linalg.inv(vectors @ np.diag(values) @ vectors.T)
    expected = np.sqrt(np.einsum("ni,ij,nj->n", apart, inverse, apart) / CHANNELS)
    np.testing.assert_allclose(fitted.distances(unseen), expected, rtol=1e-3)


def test_training_images_lie_about_one_away(fitted: Familiarity) -> None:
    squared = fitted.distances(gaussian(600, 0)) ** 2
    assert squared.mean() == pytest.approx(1, abs=0.01)


def test_a_planted_outlier_is_found_that_no_single_feature_shows(fitted: Familiarity) -> None:
    _, _, directions = np.linalg.svd(stabilised(gaussian(600, 0)) - 9, full_matrices=True)
    across = directions[-1]  # where the training images hardly vary
    roots = stabilised(gaussian(1, 2))[0]
    for size, reason in ((0.0, None), (0.7, Reason.UNLIKE_TRAINING), (3.0, Reason.UNLIKE_CHEST)):
        judgement = fitted.judge(np.asarray((roots + size * across) ** 2, np.float32))
        assert (judgement and judgement[0]) is reason
        if judgement is not None:
            assert judgement[1].endswith(
                f"{fitted.unlike_training if size < 1 else fitted.unlike_chest:.2f} is the limit"
            )


def test_the_look_of_a_child_is_that_of_the_square_roots(fitted: Familiarity) -> None:
    knows = replace(fitted, child=CHILD)
    features = np.stack([np.full(CHANNELS, 64.0), np.full(CHANNELS, 81.0)])
    np.testing.assert_allclose(knows.scores(CHILD, features), [8 * CHANNELS, 9 * CHANNELS])
    assert knows.judge_age(features[0]) is None
    assert "looks like a child's" in str(knows.judge_age(features[1]))
    assert fitted.judge_age(features[1]) is None


def test_what_looks_like_no_frontal_chest_is_unlike_training_however_near_it_is(fitted: Familiarity) -> None:
    near, far = gaussian(1, 2)[0], np.full(CHANNELS, 1e6, np.float32)
    assert fitted.judge(near) is None
    score = float(fitted.scores(NOT_FRONTAL, near[np.newaxis])[0])
    assert replace(fitted, not_frontal=replace(NOT_FRONTAL, limit=score + 1)).judge(near) is None
    over = replace(fitted, not_frontal=replace(NOT_FRONTAL, limit=score - 1))
    assert over.judge(near) == (
        Reason.UNLIKE_TRAINING,
        "it looks like something else than an upright frontal chest "
        f"(score {score:.2f}, limit {over.not_frontal.limit if over.not_frontal else 0:.2f})",
    )
    assert (over.judge(far) or [None])[0] is Reason.UNLIKE_CHEST


def test_negative_features_keep_their_sign() -> None:
    np.testing.assert_array_equal(stabilised(np.float32([[-4, 0, 9]])), [[-2, 0, 3]])


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((2, CHANNELS + 1), np.float32), rf"shape \(2, {CHANNELS + 1}\), not \(images, {CHANNELS}\)"),
        (np.zeros(CHANNELS, np.float32), "shape"),
        (np.full((1, CHANNELS), np.nan, np.float32), "not finite"),
    ],
)
def test_features_of_another_network_are_refused(
    fitted: Familiarity, features: NDArray[np.float32], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fitted.distances(features)


@pytest.mark.parametrize("kept", [0, CHANNELS, 8])
def test_too_few_images_or_channels_are_said(kept: int) -> None:
    with pytest.raises(ValueError, match=f"9 images with {CHANNELS} features cannot support {kept} variances"):
        fit_tensors(gaussian(9, 0), kept)


def test_features_that_hardly_vary_are_said() -> None:
    with pytest.raises(ValueError, match="vary in no more than 2 directions"):
        fit_tensors(np.ones((30, CHANNELS), np.float32), 2)


@pytest.fixture
def whole(bundle: Path) -> Path:
    """A bundle with a check of familiarity."""
    check = Familiarity(fit_tensors(gaussian(100, 0), KEPT), 1.5, 5.0, "made up for a test", CHILD, NOT_FRONTAL)
    write_familiarity(load_model(bundle), check, {}, {})
    return bundle


def test_a_bundle_brings_its_check_and_its_hash_tells(whole: Path) -> None:
    loaded = load_bundle(whole)
    assert loaded.familiarity is not None
    assert (loaded.familiarity.unlike_training, loaded.familiarity.unlike_chest) == (1.5, 5.0)
    assert loaded.familiarity.child is not None
    assert loaded.familiarity.child.limit == 100.0
    assert loaded.familiarity.not_frontal is not None
    assert loaded.familiarity.not_frontal.limit == 120.0
    assert loaded.familiarity.distances(gaussian(3, 1)).shape == (3,)
    for file in (FAMILIARITY, FAMILIARITY_TENSORS):
        (whole / file).unlink()
    without = load_bundle(whole)
    assert without.familiarity is None
    assert without.sha256 != loaded.sha256


def _edit(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads((bundle / FAMILIARITY).read_text())
    change(values)
    (bundle / FAMILIARITY).write_text(json.dumps(values))


def _replace(**tensors: NDArray[np.float32] | None) -> Callable[[Path], None]:
    def change(bundle: Path) -> None:
        path = bundle / FAMILIARITY_TENSORS
        found = {name: tensor for name, tensor in (load_file(path) | tensors).items() if tensor is not None}
        save_file(found, path)
        _edit(bundle, lambda v: v.update(tensors_sha256=file_sha256(path)))

    return change


def _garbage(bundle: Path) -> None:
    (bundle / FAMILIARITY_TENSORS).write_bytes(b"garbage")
    _edit(bundle, lambda v: v.update(tensors_sha256=file_sha256(bundle / FAMILIARITY_TENSORS)))


def _set(**values: object) -> Callable[[Path], None]:
    return lambda bundle: _edit(bundle, lambda v: v.update(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set(weights_sha256="0" * 64), r"weights_sha256 says that it belongs to the model.safetensors"),
        (_set(tensors_sha256="0" * 64), r"tensors_sha256 says that it belongs to the familiarity.safetensors"),
        (_set(limits={"unlike_training": 2.0}), r"limits.unlike_chest is missing"),
        (
            _set(limits={"unlike_training": 6.0, "unlike_chest": 5.0, "child": 1.0, "not_frontal": 1.0}),
            r"the limits 6 \(training\) and 5 \(chest\)",
        ),
        (
            _set(limits={"unlike_training": 0.0, "unlike_chest": 5.0, "child": 1.0, "not_frontal": 1.0}),
            r"the limits 0 \(training\) and 5 \(chest\)",
        ),
        (
            _set(limits={"unlike_training": "1", "unlike_chest": 5.0}),
            r"limits.unlike_training is '1'; it must be a",
        ),
        (_replace(rest=None), r"the tensors are components, mean, variances, not components, mean, rest, variances"),
        (_replace(rest=np.float32([0])), r"a variance is not positive"),
        (_replace(mean=np.zeros(3, np.float32)), r"components has the shape \(4, 12\), which does not fit"),
        (_replace(mean=np.full(CHANNELS, np.nan, np.float32)), r"the tensor mean is not finite"),
        (_replace(variances=np.zeros((0,), np.float32)), r"has the shape"),
        (_set(limits={"unlike_training": 1.0, "unlike_chest": 5.0}), r"limits.child is missing"),
        (_set(limits={"unlike_training": 1.0, "unlike_chest": 5.0, "child": 1.0}), r"limits.not_frontal is missing"),
        (_replace(**{"child.bias": None}), r"the tensors of a score are weight, not bias, weight"),
        (_replace(**{"child.weight": np.ones(3, np.float32)}), r"the score child has 3 channels, not 12"),
        (_replace(**{"not_frontal.weight": np.ones(3, np.float32)}), r"the score not_frontal has 3 channels, not 12"),
        (_garbage, r"cannot be used with familiarity.safetensors"),
    ],
)
def test_a_check_that_is_broken_or_of_another_network_is_named(
    whole: Path, change: Callable[[Path], None], message: str
) -> None:
    change(whole)
    with pytest.raises(BundleError, match=rf"familiarity.json.*{message}.*; fit it again .*, or delete it"):
        load_bundle(whole)
