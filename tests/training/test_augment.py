"""Each change of augmentation, the presets, and the sheet that shows them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from cxr.errors import SettingsError
from cxr.radiograph import Radiograph
from tests.nih import make_nih
from training.__main__ import EXIT_UNUSABLE, main
from training.augment import PRESETS, Augmentation, augment, preset
from training.contact_sheet import GAP, contact_sheet


def changed(seed: int = 0, **changes: float) -> np.ndarray:
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
