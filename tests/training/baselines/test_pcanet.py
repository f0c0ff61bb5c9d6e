"""PCANet learns without gradients, and each of its steps is what the paper writes."""

from __future__ import annotations

import numpy as np
import pytest

from candor.study.errors import DataError
from training.baselines.pcanet import PcaNet, PcaNetSpec, convolved, hashed, principal_filters

SMALL = PcaNetSpec(patch=5, filters=(4, 4), block=8, step=4)


def toy(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Stripes across or along, and a bright corner: two findings in noise, 24 pixels a side."""
    rng = np.random.default_rng(seed)
    labels = rng.random((count, 2)) < 0.5
    images = rng.normal(0, 0.5, (count, 24, 24))
    wave = np.sin(np.arange(24) * 1.3)
    images[:, 6:18, 6:18] += np.where(labels[:, :1, None], wave[6:18, None], wave[None, 6:18])
    images[:, :8, :8] += labels[:, 1:, None] * wave[:8] * 2
    return images, labels


def test_it_solves_the_toy() -> None:
    images, labels = toy(120, 0)
    net = PcaNet(SMALL).fit(images, labels)
    unseen, truth = toy(80, 1)
    assert (net.predict(unseen) == truth).mean() > 0.95
    assert net.decision(unseen).shape == (80, 2)
    assert net.features(unseen).shape == (80, 4 * 25 * 16)


def test_a_second_fit_is_the_first() -> None:
    images, labels = toy(40, 0)
    one, other = (PcaNet(SMALL, seed=3).fit(images, labels).decision(images) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_filters_are_the_leading_components_of_mean_free_patches() -> None:
    images = np.random.default_rng(0).normal(size=(6, 12, 12)).cumsum(axis=1)
    filters = principal_filters(images, 3, 8).reshape(8, 9)
    np.testing.assert_allclose(filters @ filters.T, np.eye(8), atol=1e-9)
    np.testing.assert_allclose(filters.sum(axis=1), 0, atol=1e-6)
    patches = np.stack([im[r : r + 3, c : c + 3].ravel() for im in images for r in range(10) for c in range(10)])
    patches -= patches.mean(axis=1, keepdims=True)
    spectrum = np.linalg.svd(patches, compute_uv=False) ** 2
    np.testing.assert_allclose(((patches @ filters.T) ** 2).sum(axis=0), spectrum[:8], rtol=1e-6)


def test_convolution_and_hashing_are_those_of_the_paper() -> None:
    rng = np.random.default_rng(0)
    image, filters = rng.normal(size=(9, 9)), rng.normal(size=(3, 3, 3))
    padded = np.pad(image, 1)
    expected = [[[(padded[r : r + 3, c : c + 3] * w).sum() for c in range(9)] for r in range(9)] for w in filters]
    np.testing.assert_allclose(convolved(image[None], filters)[0], expected, atol=1e-12)
    bits = np.asarray(expected) > 0
    np.testing.assert_array_equal(hashed(image[None], filters)[0], bits[0] + 2 * bits[1] + 4 * bits[2])


def test_histograms_count_every_pixel_of_every_block() -> None:
    images, labels = toy(20, 0)
    features = PcaNet(SMALL).fit(images, labels).features(images[:2]).toarray()
    np.testing.assert_array_equal(features.reshape(2, 4 * 25, 16).sum(axis=2), 64)


def test_what_cannot_be_learned_is_refused() -> None:
    images, labels = toy(10, 0)
    with pytest.raises(DataError, match="none of the images shows a finding, or all do"):
        PcaNet(SMALL).fit(images, np.ones_like(labels))
    with pytest.raises(DataError, match="smaller than a patch or a block"):
        PcaNet(SMALL).fit(images[:, :6, :6], labels)
    with pytest.raises(DataError, match="PCANet is not fitted yet"):
        PcaNet().decision(images)
