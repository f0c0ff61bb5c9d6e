"""Pictures, their cache, and augmentation: training sees what the application sees."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from candor.model.preprocess import InputSpec, to_network_input
from candor.study.errors import DataError
from candor.study.radiograph import Radiograph
from tests.nih import make_nih, read_nih
from training.data import cache as cache_module
from training.data.augmentation import Augmentation, augment
from training.data.batches import pixel_statistics, training_input
from training.data.cache import open_cache
from training.data.pictures import as_radiograph, read_picture, shrunk
from training.data.readers import Dataset, LabelledImage

SPEC = InputSpec(64, 0.5, 0.25)
STILL = Augmentation(rotation=0, zoom=0, shift=0, contrast=0, brightness=0, gamma=0)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A few pictures that the test may change."""
    return read_nih(make_nih(tmp_path / "nih", train_val=4, test=2))


def test_the_cache_gives_back_what_reading_gives(dataset: Dataset, tmp_path: Path) -> None:
    cache = open_cache(dataset.images, tmp_path / "cache")
    assert len(cache) == len(dataset.images)
    for position, image in enumerate(dataset.images):
        assert np.array_equal(cache.stored(position), read_picture(image.path))
        assert np.array_equal(cache.radiograph(position).pixels, as_radiograph(read_picture(image.path)).pixels)


def test_the_cache_is_made_once(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_cache(dataset.images, tmp_path / "cache")
    monkeypatch.setattr(cache_module, "read_picture", lambda path: pytest.fail("decoded again"))
    open_cache(dataset.images, tmp_path / "cache")


@pytest.mark.parametrize("stop", ["decoding", "before the index"])
def test_a_cache_whose_making_was_killed_is_made_again(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if stop == "decoding":
            patched.setattr(cache_module.os, "fsync", killed)
        else:
            patched.setattr(cache_module, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            open_cache(dataset.images, tmp_path / "cache")
    cache = open_cache(dataset.images, tmp_path / "cache")
    assert np.array_equal(cache.stored(3), read_picture(dataset.images[3].path))
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".u8", ".json", ".lock"}


@pytest.mark.parametrize("damage", [lambda pixels: pixels.unlink(), lambda pixels: os.truncate(pixels, 10)])
def test_a_cache_whose_pixels_were_lost_is_made_again(
    dataset: Dataset, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    open_cache(dataset.images, tmp_path / "cache")
    (pixels,) = (tmp_path / "cache").glob("*.u8")
    damage(pixels)
    cache = open_cache(dataset.images, tmp_path / "cache")
    assert np.array_equal(cache.stored(3), read_picture(dataset.images[3].path))


def _open_and_report(images: tuple[LabelledImage, ...], folder: Path, made: Path) -> None:
    read = cache_module.read_picture

    def noted(path: Path) -> NDArray[np.uint8]:
        with made.open("a") as file:
            file.write(f"{path.name}\n")
        return read(path)

    cache_module.read_picture = noted  # type: ignore[assignment]
    open_cache(images, folder)


def test_several_processes_make_one_cache(dataset: Dataset, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    given = (dataset.images, tmp_path / "cache", tmp_path / "made")
    processes = [context.Process(target=_open_and_report, args=given) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len((tmp_path / "made").read_text().split()) == len(dataset.images)


def test_a_killed_process_leaves_nothing_that_hinders_the_next(dataset: Dataset, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_killed_while_decoding, args=(dataset.images, tmp_path / "cache"))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert [path.suffix for path in (tmp_path / "cache").iterdir() if path.suffix in (".u8", ".json")] == []
    cache = open_cache(dataset.images, tmp_path / "cache")
    assert np.array_equal(cache.stored(3), read_picture(dataset.images[3].path))
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".u8", ".json", ".lock"}


def _killed_while_decoding(images: tuple[LabelledImage, ...], folder: Path) -> None:
    cache_module.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    open_cache(images, folder)


def test_pictures_are_shrunk_to_the_longest_side_asked_for(dataset: Dataset, tmp_path: Path) -> None:
    cv2.imwrite(str(dataset.images[0].path), np.full((80, 160), 7, np.uint8))
    whole, small = (open_cache(dataset.images, tmp_path / "cache", longest) for longest in (None, 40))
    assert (whole.stored(0).shape, small.stored(0).shape) == ((80, 160), (20, 40))
    assert np.array_equal(small.stored(1), shrunk(whole.stored(1), 40))
    assert np.array_equal(shrunk(small.stored(0), 41), small.stored(0))
    assert abs(float(small.stored(1).mean()) - float(whole.stored(1).mean())) < 1


def test_making_the_cache_shows_how_far_it_is(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_cache(dataset.images, tmp_path / "cache")
    shown = capsys.readouterr()
    count = len(dataset.images)
    assert shown.out == ""
    assert "decoding: 100%" in shown.err
    assert f"{count}/{count} [00:" in shown.err


def test_the_cache_is_made_again_when_a_picture_changed(dataset: Dataset, tmp_path: Path) -> None:
    open_cache(dataset.images, tmp_path / "cache")
    path = dataset.images[1].path
    cv2.imwrite(str(path), np.full((80, 90), 7, np.uint8))
    os.utime(path, ns=(1, 1))
    cache = open_cache(dataset.images, tmp_path / "cache")
    assert cache.stored(1).shape == (80, 90)
    assert np.array_equal(cache.stored(2), read_picture(dataset.images[2].path))


def test_a_cache_travels_to_another_process_without_its_pixels(dataset: Dataset, tmp_path: Path) -> None:
    cache = open_cache(dataset.images, tmp_path / "cache")
    sent = pickle.dumps(cache)
    assert len(sent) < cache.stored(0).size
    assert np.array_equal(pickle.loads(sent).stored(3), cache.stored(3))


def test_the_cache_follows_the_order_of_the_pictures(dataset: Dataset, tmp_path: Path) -> None:
    open_cache(dataset.images, tmp_path / "cache")
    cache = open_cache(dataset.images[::-1], tmp_path / "cache")
    assert np.array_equal(cache.stored(0), read_picture(dataset.images[-1].path))


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"a.jpg cannot be decoded as a picture"):
        read_picture(tmp_path / "a.jpg")


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_and_transparency_are_read_as_grey(tmp_path: Path, channels: int) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    planes = [grey] * 3 + [np.full_like(grey, 200)] * (channels - 3)
    cv2.imwrite(str(tmp_path / "a.png"), np.stack(planes, axis=2))
    assert np.array_equal(read_picture(tmp_path / "a.png"), grey)


def test_black_and_white_are_0_and_1() -> None:
    pixels = as_radiograph(np.asarray([[0, 255], [128, 51]], np.uint8)).pixels
    np.testing.assert_allclose(pixels, [[0, 1], [128 / 255, 0.2]], rtol=1e-6)


def test_without_augmentation_training_sees_what_the_application_sees(dataset: Dataset) -> None:
    rng = np.random.default_rng(0)
    for image in dataset.images:
        radiograph = as_radiograph(read_picture(image.path))
        given_to_network = training_input(radiograph, SPEC, None, rng)
        assert np.array_equal(given_to_network, to_network_input(radiograph, SPEC))


def test_an_augmentation_of_nothing_changes_nothing(dataset: Dataset) -> None:
    radiograph = as_radiograph(read_picture(dataset.images[0].path))
    changed = augment(radiograph, STILL, np.random.default_rng(0))
    np.testing.assert_allclose(changed.pixels, radiograph.pixels, atol=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(20, 60), st.integers(20, 60))
def test_augmentation_keeps_shape_range_and_the_original(seed: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    original = rng.random((rows, columns), np.float32)
    before = original.copy()
    changed = augment(Radiograph(original, (0.2, 0.2), True), Augmentation(), rng)
    assert changed.pixels.shape == (rows, columns)
    assert changed.pixels.dtype == np.float32
    assert 0 <= changed.pixels.min() <= changed.pixels.max() <= 1
    assert changed.columns_to_left is True
    assert np.array_equal(original, before)


def test_augmentation_never_mirrors() -> None:
    pixels = np.zeros((64, 64), np.float32)
    pixels[:, 48:] = 1
    for seed in range(50):
        changed = augment(Radiograph(pixels), Augmentation(), np.random.default_rng(seed)).pixels
        assert changed[:, 40:].mean() > changed[:, :24].mean()


def test_pixel_statistics_are_those_of_all_pixels(dataset: Dataset, tmp_path: Path) -> None:
    cache = open_cache(dataset.images, tmp_path / "cache")
    everything = np.concatenate([cache.radiograph(k).pixels.ravel() for k in range(len(cache))]).astype(np.float64)
    assert pixel_statistics(cache) == pytest.approx((everything.mean(), everything.std()), rel=1e-6)
