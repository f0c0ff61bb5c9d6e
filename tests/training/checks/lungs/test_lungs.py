"""The lung field: which pictures are learned from, that it is learned, and that its card is true."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn

from candor.files.hashes import file_sha256
from candor.picture.lungs import ASSET, SHARES, LungField, share
from candor.study.errors import BundleError, DataError, SettingsError
from tests.conftest import needs
from tests.lungs import chest, make_lung_data
from training.__main__ import EXIT_UNUSABLE, main
from training.checks.lungs.data import FREE, SPLIT, LungPicture, Part, mask_names, read_lungs, read_masks
from training.checks.lungs.export import TOLERANCE, agreement, graph
from training.checks.lungs.recipe import LungRecipe
from training.checks.lungs.score import by_source, dice, mean_dice, mean_mask
from training.checks.lungs.train import INPUT, batches, make_network, train_network
from training.data.pictures import as_radiograph, read_picture
from training.data.splits import Listed, Subset

DAY = "2026-01-02"

LEARNT, TESTED = (
    next(name for name in (f"p{k}" for k in range(99)) if SPLIT.subset(f"covid {name}", Listed.NOWHERE) is subset)
    for subset in (Subset.TRAIN, Subset.UNSEEN)
)
"""Two patients whom the hash puts on either side."""


def phantoms(count: int, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Made-up chests as the network sees them, and their lungs: ``(n, 1, 128, 128)`` and ``(n, 128, 128)``."""
    pairs = [chest(seed) for seed in range(first, first + count)]
    images, masks = (np.stack([pair[k][16:144, 16:144] for pair in pairs]) / np.float32(255) for k in (0, 1))
    return images[:, np.newaxis], masks


@pytest.fixture(scope="module")
def network() -> nn.Module:
    images, masks = phantoms(24, 0)
    return train_network(images, masks, LungRecipe(steps=40, batch=4, seed=1))


@pytest.fixture(scope="module")
def card_and_asset(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The files that the command writes on miniature data."""
    folder = tmp_path_factory.mktemp("lungs")
    covid = [f"a{k}.jpg,{LEARNT},PA,CC BY 4.0" for k in range(3)]
    covid += [f"t.jpg,{TESTED},PA,CC BY", "n.jpg,stranger,AP,CC BY-NC-SA"]
    data = make_lung_data(folder, covid, ["x,h0,pa"], [*(f"a{k}.png" for k in range(3)), "t.png", "n.png"])
    places = [
        part
        for name, path in zip(("covid", "hannover", "masks"), data, strict=True)
        for part in (f"--{name}", str(path))
    ]
    out = folder / "assets" / "lungs.onnx"
    arguments = ["train-lungs", *places, "--out", str(out), "--steps", "2", "--batch", "2", "--date", DAY]
    assert main(arguments) == 0
    return json.loads(out.with_suffix(".json").read_text()), out


def parts_of(folder: Path, covid: list[str], hannover: list[str], masked: list[str]) -> dict[Part, list[str]]:
    """Names of the pictures in each part."""
    parts = read_lungs(*make_lung_data(folder, covid, hannover, masked))
    return {part: [picture.path.stem for picture in pictures] for part, pictures in parts.items()}


def test_only_free_licences_are_learnt_from(tmp_path: Path) -> None:
    licences = ["CC BY", "CC BY 3.0", "CC BY 4.0", "CC BY-NC-SA", "CC BY-NC-ND 4.0", "CC BY-SA", "", "all rights"]
    covid = [f"p{k}.jpg,{LEARNT if licence in FREE else k},PA,{licence}" for k, licence in enumerate(licences)]
    parts = parts_of(tmp_path, covid, ["h,h,pa"], [f"p{k}.png" for k in range(8)])
    assert parts == {Part.TRAIN: ["p0", "p1", "p2"], Part.HELD_OUT: [], Part.OTHER: ["p3", "p4", "p5", "p6", "p7"]}


def test_free_patients_are_divided_and_none_stands_on_both_sides(tmp_path: Path) -> None:
    covid = [f"a.jpg,{LEARNT},PA,CC BY", f"b.jpg,{LEARNT},PA,CC BY-NC-SA", f"c.jpg,{TESTED},PA,CC BY"]
    covid += [f"d.jpg,{TESTED},PA,CC BY-NC-SA"]
    parts = parts_of(tmp_path, covid, ["h,h,pa"], ["a.png", "b.png", "c.png", "d.png"])
    assert parts == {Part.TRAIN: ["a"], Part.HELD_OUT: ["c"], Part.OTHER: ["d"]}


def test_a_picture_in_both_sets_counts_once_and_joins_its_patients(tmp_path: Path) -> None:
    covid = ["h1.jpg,7,PA,CC BY 3.0", "c.jpg,7,PA,CC BY 3.0"]
    data = make_lung_data(tmp_path, covid, ["h,h1,pa", "h,h2,ap"], ["h1.jpg", "h2.jpg", "c.jpg"])
    pictures = [picture for part in _any_parts(data) for picture in part]
    assert sorted(picture.path.stem for picture in pictures) == ["c", "h1", "h2"]
    assert len({picture.patient for picture in pictures}) == 1
    assert {picture.path.stem: picture.source for picture in pictures} == {
        "h1": "hannover",
        "h2": "hannover",
        "c": "covid",
    }


def _any_parts(data: tuple[Path, Path, Path]) -> list[tuple[LungPicture, ...]]:
    """All parts, with one more patient who is learnt from, whichever side the others fall on, and is left out."""
    covid, _, masks = data
    with (covid / "metadata.csv").open("a") as table:
        table.write(f"sure.jpg,{LEARNT},PA,CC BY\n")
    with zipfile.ZipFile(masks, "a") as archive:
        archive.writestr("masks/sure.png", archive.read("masks/c.jpg"))
    return [tuple(p for p in part if p.path.stem != "sure") for part in read_lungs(*data).values()]


def test_laterals_and_pictures_without_a_mask_are_left_out(tmp_path: Path) -> None:
    covid = [f"a.jpg,{LEARNT},AP Supine,CC BY", f"b.jpg,{LEARNT},L,CC BY", f"c.jpg,{LEARNT},PA,CC BY"]
    parts = parts_of(tmp_path, covid, [f"{LEARNT},d,lateral"], ["a.png", "b.png", "d.png"])
    assert parts[Part.TRAIN] == ["a"]


def test_data_that_cannot_be_learnt_from_is_refused(tmp_path: Path) -> None:
    covid, hannover, masks = make_lung_data(tmp_path, ["a.jpg,1,PA,CC BY-NC-SA"], ["h,h,pa"], ["a.png"])
    with pytest.raises(DataError, match="no mask of a picture that may be learnt from"):
        read_lungs(covid, hannover, masks)
    masks.write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot be read as a ZIP archive"):
        mask_names(masks)
    with pytest.raises(DataError, match="cannot be read as a ZIP archive"):
        mask_names(tmp_path / "none.zip")


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_a_broken_mask_is_refused(tmp_path: Path, content: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
        archive.writestr("m.png", content)
    picture = LungPicture(tmp_path / "m.jpg", "m.png", "p", "covid", "CC BY")
    with pytest.raises(DataError, match=r"mask m\.png cannot be decoded"):
        read_masks(tmp_path / "masks.zip", [picture], 8)


def test_masks_are_squeezed_by_area(tmp_path: Path) -> None:
    data = make_lung_data(tmp_path, [f"a.jpg,{LEARNT},PA,CC BY"], ["h,h,pa"], ["a.png"])
    (squeezed,) = read_masks(data[2], read_lungs(*data)[Part.TRAIN], 40)
    expected = (chest(0)[1] > 127).reshape(40, 4, 40, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(squeezed, expected, atol=1e-6)


def test_it_learns_lungs_where_the_mean_mask_fails(network: nn.Module) -> None:
    images, masks = phantoms(12, 100)
    with torch.inference_mode():
        found = network(torch.from_numpy((images - np.float32(INPUT.mean)) / np.float32(INPUT.std))).numpy()[:, 0] > 0
    baseline = np.broadcast_to(mean_mask(phantoms(24, 0)[1]), found.shape)
    learnt, blind = dice(found, masks > 0.5).mean(), dice(baseline, masks > 0.5).mean()
    assert learnt > 0.85 > blind


def test_the_same_seed_gives_the_same_batches_and_another_others() -> None:
    images, masks = phantoms(4, 0)
    one, other, third = (next(batches(images, masks, LungRecipe(1, 2, seed=seed))) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(one[0], third[0])


def test_every_picture_comes_before_one_comes_again_and_moves_with_its_mask() -> None:
    lungs = np.zeros((6, 128, 128), np.float32)
    lungs[:, 40:90, 30:60] = 1
    drawn = list(batches(1 - lungs[:, np.newaxis], lungs, LungRecipe(60, 2)))
    inside = [float(p[lung > 0.99].mean()) for p, lung in drawn]
    outside = [float(p[:, :, 40:90, 40:90][lung[:, :, 40:90, 40:90] < 0.01].mean()) for p, lung in drawn]
    assert np.mean(np.asarray(inside) < np.asarray(outside)) > 0.95
    assert len({float(lung.sum()) for _, lung in drawn}) > 50
    marked = np.broadcast_to(np.linspace(0.1, 0.6, 6, dtype=np.float32)[:, None, None], lungs.shape)
    first = [lung.amax(dim=(1, 2, 3)) for _, lung in batches(marked[:, np.newaxis], marked, LungRecipe(3, 2))]
    np.testing.assert_allclose(torch.cat(first).sort().values, np.linspace(0.1, 0.6, 6), atol=0.01)


@pytest.mark.parametrize(("steps", "batch"), [(0, 8), (10, 1)])
def test_an_impossible_recipe_is_refused(steps: int, batch: int) -> None:
    with pytest.raises(SettingsError, match="are too few"):
        LungRecipe(steps, batch)


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(DataError, match="1 pictures to learn from are fewer than a batch of 8"):
        train_network(*phantoms(1, 0), LungRecipe())


def test_dice_is_the_f1_score_of_the_pixels() -> None:
    rng = np.random.default_rng(0)
    found, drawn = rng.random((2, 5, 7, 9)) < 0.4
    expected = [f1_score(d.ravel(), f.ravel()) for f, d in zip(found, drawn, strict=True)]
    np.testing.assert_allclose(dice(found, drawn), expected)
    empty = np.zeros((1, 2, 2), np.bool_)
    assert dice(empty, empty)[0] == 1
    assert dice(empty, ~empty)[0] == 0


def test_intervals_draw_patients_and_sources_stand_apart() -> None:
    def of(patient: str, source: str) -> LungPicture:
        return LungPicture(Path("x.jpg"), "x", patient, source, "CC BY")

    pictures = [of("a", "covid"), of("a", "covid"), of("b", "hannover"), of("b", "hannover")]
    scores = np.asarray([0.0, 0.0, 1.0, 1.0])
    whole = mean_dice(scores, pictures, 0)
    assert (whole.value, whole.low, whole.high) == (0.5, 0.0, 1.0)  # two patients: either may be drawn twice
    table: dict[str, Any] = by_source({"network": scores}, pictures, 0)
    assert list(table) == ["all", "covid", "hannover"]
    assert table["all"]["patients"] == 2
    assert table["hannover"] == {
        "pictures": 2,
        "patients": 1,
        "dice": {"network": {"value": 1.0, "low": 1.0, "high": 1.0}},
        "lowest": {"network": 1.0},
    }


def test_the_verb_leaves_an_asset_that_answers_and_a_card_that_belongs_to_it(
    card_and_asset: tuple[dict[str, Any], Path],
) -> None:
    card, asset = card_and_asset
    assert card["sha256"] == file_sha256(asset)
    assert card["date"] == DAY
    assert card["command"].startswith("python -m training train-lungs --covid ")
    assert card["training"]["pictures"] == 3
    assert card["training"]["licences"] == {"CC BY 4.0": 3}
    assert card["training"]["names"] == ["a0.jpg", "a1.jpg", "a2.jpg"]
    assert card["measured"]["held out"]["all"]["pictures"] == card["measured"]["other licences"]["all"]["pictures"] == 1
    assert 0 <= card["agreement"] <= TOLERANCE
    probabilities = LungField(asset).probabilities(np.zeros((2, 1, 128, 128), np.float32))
    assert probabilities.shape == (2, 1, 128, 128)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


def test_a_part_without_pictures_is_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    covid = [f"a{k}.jpg,{LEARNT},PA,CC BY" for k in range(2)]
    data = make_lung_data(tmp_path, covid, ["h,h,pa"], ["a0.png", "a1.png"])
    places = ["--covid", str(data[0]), "--hannover", str(data[1]), "--masks", str(data[2])]
    out = tmp_path / "lungs.onnx"
    assert main(["train-lungs", *places, "--out", str(out), "--steps", "1", "--batch", "2"]) == 0
    assert capsys.readouterr().out.splitlines() == ["{}", str(out)]


def test_a_missing_table_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, masks = make_lung_data(tmp_path / "data", ["a.jpg,1,PA,CC BY"], ["h,h,pa"], ["a.png"])
    none = str(tmp_path / "none")
    assert main(["train-lungs", "--covid", none, "--hannover", none, "--masks", str(masks)]) == EXIT_UNUSABLE
    assert "metadata.csv is not there" in capsys.readouterr().err


def test_a_graph_that_differs_from_torch_is_refused(card_and_asset: tuple[dict[str, Any], Path]) -> None:
    _, asset = card_and_asset
    images = np.random.default_rng(0).standard_normal((1, 1, 128, 128), np.float32)
    with pytest.raises(BundleError, match="differs from torch by"):
        agreement(make_network(), LungField(asset), images)


def test_a_graph_is_the_same_bytes_twice_and_names_no_path(network: nn.Module) -> None:
    content = graph(network)
    assert content == graph(network)
    assert b".py" not in content


def test_the_shipped_asset_holds_its_dice_on_patients_that_it_never_saw(covid: Path) -> None:
    masks, hannover = needs(covid.parent / "lungs" / "masks.zip"), needs(covid.parent / "hannover")
    parts = read_lungs(covid, hannover, masks)
    card = json.loads(ASSET.with_suffix(".json").read_text())
    assert [picture.path.name for picture in parts[Part.TRAIN]] == card["training"]["names"]
    lungs, held_out = LungField(), parts[Part.HELD_OUT]
    found = np.stack([lungs.mask(as_radiograph(read_picture(picture.path))) for picture in held_out])
    scores = dice(found, read_masks(masks, held_out, lungs.input.side) > 0.5)
    assert scores.mean() == pytest.approx(card["measured"]["held out"]["all"]["dice"]["network"]["value"], abs=0.005)
    assert scores.mean() > 0.85


@pytest.mark.full
def test_every_drawn_lung_field_is_plausible(covid: Path) -> None:
    masks, hannover = needs(covid.parent / "lungs" / "masks.zip"), needs(covid.parent / "hannover")
    pictures = [picture for part in read_lungs(covid, hannover, masks).values() for picture in part]
    shares = [share(mask > 0.5) for mask in read_masks(masks, pictures, INPUT.side)]
    assert (len(shares), round(min(shares), 2), round(max(shares), 2)) == (232, 0.09, 0.61)
    assert SHARES[0] < min(shares) < max(shares) < SHARES[1]
