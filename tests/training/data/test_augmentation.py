"""Each change of augmentation, the presets, and the contact sheet."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from candor.study.errors import SettingsError
from candor.study.radiograph import Radiograph
from tests.nih import make_nih
from training.__main__ import EXIT_UNUSABLE, main
from training.data.augmentation import PRESETS, Augmentation, augment, preset
from training.data.contact_sheet import GAP, contact_sheet


def changed(seed: int = 0, **changes: float | bool | None) -> np.ndarray:
    """A picture of grey with a bright left third, changed in one way."""
    return augment(half_bright(), Augmentation(**{**_still(), **changes}), np.random.default_rng(seed)).pixels


def _still() -> dict[str, float]:
    return dict.fromkeys(("rotation", "zoom", "shift", "contrast", "brightness", "gamma"), 0.0)


def half_bright() -> Radiograph:
    pixels = np.full((60, 60), 0.4, np.float32)
    pixels[:, :20] = 0.8
    return Radiograph(pixels)


def test_flipping_exchanges_left_and_right() -> None:
    np.testing.assert_allclose(changed(flip=1.0), half_bright().pixels[:, ::-1], atol=1e-6)
    flipped = [changed(seed, flip=0.5)[0, 0] < 0.5 for seed in range(200)]
    assert np.mean(flipped) == pytest.approx(0.5, abs=0.12)


def test_blur_softens_the_edge_and_keeps_the_mean() -> None:
    blurred = max((changed(seed, blur=0.05) for seed in range(5)), key=lambda pixels: pixels[30, 20])
    assert np.abs(np.diff(blurred[30])).max() < 0.2
    assert blurred.mean() == pytest.approx(half_bright().pixels.mean(), abs=0.02)


def test_noise_has_at_most_its_deviation() -> None:
    spread = [float((changed(seed, noise=0.1) - half_bright().pixels).std()) for seed in range(20)]
    assert 0.05 < max(spread) < 0.11
    assert min(spread) < 0.05


def test_masks_blank_corners_and_borders_and_leave_the_middle() -> None:
    original = half_bright().pixels
    for seed in range(20):
        masked = changed(seed, mask=1.0, mask_size=0.2)
        np.testing.assert_allclose(masked[12:48, 12:48], original[12:48, 12:48], atol=1e-6)
        assert masked[0, 0] == pytest.approx(original.mean(), abs=1e-5)
    assert np.array_equal(changed(mask=0.0), changed())


def test_a_zoom_that_does_not_shrink_leaves_no_margin() -> None:
    both = [changed(seed, zoom=0.3, fill=1.0)[0, 0] for seed in range(30)]
    inward = [changed(seed, zoom=0.3, fill=1.0, shrink=False)[0, 0] for seed in range(30)]
    assert 5 < sum(corner > 0.9 for corner in both) < 25
    assert max(inward) < 0.9


def test_what_the_picture_leaves_is_filled_or_mirrored() -> None:
    for fill in (0.0, 0.5):
        assert changed(shift=0.3, fill=fill)[-1, -1] == pytest.approx(fill, abs=1e-6)
    assert changed(shift=0.3, fill=None).min() == pytest.approx(0.4, abs=1e-6)


def test_a_change_is_made_as_often_as_asked() -> None:
    still = changed()
    for change in ("rotation", "zoom", "contrast", "brightness"):
        made = [not np.allclose(changed(seed, **{change: 0.2, "often": 0.75}), still, atol=1e-4) for seed in range(200)]
        assert np.mean(made) == pytest.approx(0.75, abs=0.12)


PUBLISHED = {
    "auc-margin": {"degrees": 15, "translate": (0.05, 0.05), "scale": (0.95, 1.05), "fill": 128 / 255},
    "torchxrayvision": {"degrees": 45, "translate": (0.15, 0.15), "scale": (0.85, 1.15), "fill": 0.0},
}
"""What the projects give torchvision's RandomAffine, in its words; white is 1."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_affine_preset_is_its_projects(name: str) -> None:
    how, theirs = preset(name), PUBLISHED[name]
    assert how is not None
    assert (how.rotation, how.fill, (how.shift, how.shift)) == (theirs["degrees"], theirs["fill"], theirs["translate"])
    assert (1 - how.zoom, 1 + how.zoom) == pytest.approx(theirs["scale"])
    assert (how.contrast, how.brightness, how.gamma, how.flip) == (0, 0, 0, 0)


@pytest.mark.parametrize("name", PRESETS)
def test_only_the_presets_of_papers_mirror(name: str) -> None:
    how = preset(name)
    assert (how is not None and how.flip > 0) == (name in ("chexnet", "fastai"))


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"augmentation is 'lots'; it can be none, plain"):
        preset("lots")


def test_the_sheet_shows_the_original_first() -> None:
    sheet = contact_sheet([half_bright(), half_bright()], Augmentation(), copies=3, side=30)
    assert sheet.shape == (2 * (30 + GAP), 4 * (30 + GAP))
    first = sheet[GAP // 2 : GAP // 2 + 30, GAP // 2 : GAP // 2 + 30]
    np.testing.assert_allclose(first, np.rint(half_bright().pixels[::2, ::2] * 255), atol=1)
    assert not np.array_equal(first, sheet[GAP // 2 : GAP // 2 + 30, 30 + GAP + GAP // 2 : 60 + GAP + GAP // 2])


def test_the_verb_draws_the_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_nih(tmp_path / "nih", train_val=5, test=1)
    given = [
        "augment-sheet",
        "--data",
        str(data),
        "--work",
        str(tmp_path),
        "--stage",
        "40",
        "1",
        "1",
        "--pictures",
        "3",
    ]
    assert main([*given, "--augmentation", "poor-equipment"]) == 0
    path = Path(capsys.readouterr().out.splitlines()[-1])
    assert cv2.imread(str(path)).shape[:2] == (3 * (40 + GAP), 8 * (40 + GAP))
    assert main([*given, "--augmentation", "none"]) == EXIT_UNUSABLE
    assert main([*given, "--pictures", "0"]) == EXIT_UNUSABLE
    assert main([*given, "--augmentation", "lots"]) == EXIT_UNUSABLE
    assert "training: augmentation is 'lots'; it can be none, plain" in capsys.readouterr().err


def test_a_coarse_picture_loses_detail_and_keeps_shape_and_mean() -> None:
    fine = Radiograph(np.random.default_rng(0).random((200, 160), np.float32))
    still = Augmentation(**{**_still(), "coarse": 1.0})
    coarse = [augment(fine, still, np.random.default_rng(seed)).pixels for seed in range(20)]
    assert {pixels.shape for pixels in coarse} == {(200, 160)}
    spread = [float(pixels.std()) for pixels in coarse]
    assert min(spread) < 0.3 * float(fine.pixels.std())  # near 64 of 160 pixels
    assert max(spread) > 1.5 * min(spread)  # near its own size
    assert np.allclose([pixels.mean() for pixels in coarse], fine.pixels.mean(), atol=0.01)


def test_a_picture_of_64_pixels_is_not_made_coarser() -> None:
    fine = Radiograph(np.random.default_rng(0).random((64, 64), np.float32))
    still = augment(fine, Augmentation(**{**_still(), "coarse": 1.0}), np.random.default_rng(0))
    np.testing.assert_allclose(still.pixels, fine.pixels, atol=1e-6)
