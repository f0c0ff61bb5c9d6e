"""The network's input: one size or several of one picture, and a change that reaches all of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from candor.model.preprocess import InputSpec, network_pixels, to_network_input, with_change
from candor.study.errors import Refused
from candor.study.radiograph import Radiograph

ONE, SEVERAL = InputSpec(64, 0.4, 0.2), InputSpec(64, 0.4, 0.2, (48, 32))
PICTURE = Radiograph(np.random.default_rng(0).random((150, 130), np.float32))


def test_each_size_is_what_a_network_of_that_size_reads() -> None:
    image = to_network_input(PICTURE, SEVERAL)
    assert (image.shape, image.dtype) == ((3, 64, 64), np.float32)
    for channel, side in zip(image, SEVERAL.sides, strict=True):
        alone = to_network_input(PICTURE, InputSpec(side, 0.4, 0.2))
        assert np.array_equal(channel[:side, :side], alone[0])
        assert not channel[side:].any()
        assert not channel[:, side:].any()


def test_one_size_is_a_picture_by_area_averaging() -> None:
    resized = cv2.resize(PICTURE.pixels, (64, 64), interpolation=cv2.INTER_AREA)
    image = to_network_input(PICTURE, ONE)
    assert np.array_equal(image[0], (resized - np.float32(0.4)) / np.float32(0.2))
    np.testing.assert_allclose(network_pixels(image, ONE), resized, atol=1e-6)


def test_the_largest_size_decides_what_is_too_small() -> None:
    with pytest.raises(Refused, match=r"60 x 130 pixels, and the network needs 64 a side"):
        to_network_input(Radiograph(PICTURE.pixels[:60]), SEVERAL)


def test_a_change_reaches_every_size_and_nothing_else_changes() -> None:
    image = to_network_input(PICTURE, SEVERAL)
    pixels = network_pixels(image, SEVERAL)
    pixels[:16, :16] = 0
    changed = with_change(image, SEVERAL, pixels)
    assert changed.shape == image.shape
    for before, after, side in zip(image, changed, SEVERAL.sides, strict=True):
        edge = side // 4
        assert np.abs(after[:edge, :edge] + 2).max() < 1  # near black: (0 - 0.4) / 0.2
        np.testing.assert_allclose(after[edge:], before[edge:], atol=1e-5)
        np.testing.assert_allclose(after[:, edge:], before[:, edge:], atol=1e-5)


def test_pictures_of_every_size_show_the_same_detail() -> None:
    spec = InputSpec(64, 0.4, 0.2, (32,), detail=48)
    small = cv2.resize(PICTURE.pixels, (48, 48), interpolation=cv2.INTER_AREA)
    image = to_network_input(PICTURE, spec)
    assert np.array_equal(image, to_network_input(Radiograph(small), spec))
    enlarged = cv2.resize(small, (64, 64), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(network_pixels(image, spec), enlarged, atol=1e-6)
    with pytest.raises(Refused, match=r"47 x 130 pixels, and the network needs 48 a side"):
        to_network_input(Radiograph(PICTURE.pixels[:47]), spec)
