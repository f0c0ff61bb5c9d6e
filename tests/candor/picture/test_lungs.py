"""The lung field answers on its grid, keeps two lungs, and says when it is none."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from scipy import ndimage

from candor.files.hashes import file_sha256
from candor.picture.lungs import ASSET, SHARES, LungField, field, implausible, share
from candor.study.errors import BundleError, Refused
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason
from tests.conftest import needs
from training.data.pictures import as_radiograph, read_picture


def write_asset(folder: Path, **changes: Any) -> Path:
    """Write a graph that takes what is darker than the middle for lung, and its card."""
    image, lung = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1, 16, 16]) for name in ("image", "lung")
    )
    nodes = [helper.make_node("Neg", ["image"], ["dark"]), helper.make_node("Sigmoid", ["dark"], ["lung"])]
    model = helper.make_model(
        helper.make_graph(nodes, "dark", [image], [lung]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    asset = folder / "lungs.onnx"
    asset.write_bytes(model.SerializeToString())
    card = {"sha256": file_sha256(asset), "input": {"side": 16, "mean": 0.5, "std": 0.25}} | changes
    asset.with_suffix(".json").write_text(json.dumps(card))
    return asset


def two_lungs(rows: int, columns: int) -> Radiograph:
    """Two dark boxes in a bright picture, each 3/16 by 8/16 of it."""
    pixels = np.full((16, 16), 0.9, np.float32)
    pixels[4:12, 3:6] = pixels[4:12, 10:13] = 0.1
    return Radiograph(np.kron(pixels, np.ones((rows // 16, columns // 16), np.float32)))


@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (160, 160), (320, 160), (48, 256)])
def test_the_grid_spans_the_whole_picture_whatever_its_shape(tmp_path: Path, rows: int, columns: int) -> None:
    mask = LungField(write_asset(tmp_path)).mask(two_lungs(rows, columns))
    assert mask.shape == (16, 16)
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask, two_lungs(16, 16).pixels < 0.5)
    assert share(mask) == 48 / 256
    assert implausible(mask) is None


def test_a_picture_smaller_than_the_grid_is_refused(tmp_path: Path) -> None:
    lungs = LungField(write_asset(tmp_path))
    with pytest.raises(Refused) as caught:
        lungs.mask(Radiograph(np.zeros((15, 40), np.float32)))
    assert caught.value.reason is Reason.TOO_SMALL


def test_a_batch_answers_as_its_pictures_alone(tmp_path: Path) -> None:
    lungs = LungField(write_asset(tmp_path))
    images = np.random.default_rng(0).standard_normal((3, 1, 16, 16), np.float32)
    together = lungs.probabilities(images)
    np.testing.assert_allclose(together, 1 / (1 + np.exp(images)), atol=1e-6)
    np.testing.assert_array_equal(together[1:2], lungs.probabilities(images[1:2]))


def test_the_field_is_the_two_largest_pieces_without_holes() -> None:
    probabilities = np.asarray(ndimage.gaussian_filter(np.random.default_rng(0).random((40, 40)), 2.0), np.float32)
    probabilities += np.float32(0.5 - np.median(probabilities))
    pieces, count = ndimage.label(probabilities > 0.5)
    assert count > 3
    areas = ndimage.sum_labels(pieces > 0, pieces, np.arange(1, count + 1))
    largest = np.isin(pieces, 1 + np.argsort(-areas, kind="stable")[:2])
    expected = ndimage.binary_fill_holes(largest)
    assert expected.sum() > largest.sum()  # there was a hole
    np.testing.assert_array_equal(field(probabilities), expected)


def test_one_lung_alone_is_a_field_and_nothing_is_none() -> None:
    alone = np.zeros((20, 20), np.float32)
    assert not field(alone).any()
    alone[5:15, 3:8] = 0.51
    assert field(alone).sum() == 50
    assert implausible(field(alone)) is None


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (0, "no lung field was found"),
        (7, "the lung field takes 7% of the picture, and 8% to 70% would be plausible"),
        (8, None),
        (70, None),
        (71, "the lung field takes 71% of the picture, and 8% to 70% would be plausible"),
    ],
)
def test_a_share_that_no_chest_has_is_implausible(cells: int, sentence: str | None) -> None:
    assert SHARES == (0.08, 0.70)
    assert implausible(np.arange(100).reshape(10, 10) < cells) == sentence


def test_an_asset_and_a_card_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"sha256 says that it belongs to the lungs\.onnx .* install Candor again"):
        LungField(write_asset(tmp_path, sha256="0" * 64))


@pytest.mark.parametrize(
    "spec", [{"side": 16, "mean": 0.5}, {"side": 16.5, "mean": 0, "std": 1}, {"side": 16, "mean": 0, "std": 0}]
)
def test_a_card_without_a_usable_input_is_refused(tmp_path: Path, spec: dict[str, float]) -> None:
    with pytest.raises(BundleError, match=r"lungs\.json line \d+: input\.(std|side)"):
        LungField(write_asset(tmp_path, input=spec))


def test_a_missing_or_broken_asset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"lungs\.json cannot be read"):
        LungField(tmp_path / "lungs.onnx")
    asset = write_asset(tmp_path)
    asset.write_bytes(b"no graph")
    card = json.loads(asset.with_suffix(".json").read_text()) | {"sha256": file_sha256(asset)}
    asset.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(BundleError, match=r"lungs\.onnx cannot be loaded; install Candor again"):
        LungField(asset)


def test_the_shipped_asset_is_small_and_says_nothing_of_where_it_was_made() -> None:
    assert ASSET.stat().st_size < 1.2e6
    model = onnx.load(ASSET)
    onnx.checker.check_model(model)
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    assert [[value.name for value in side] for side in (model.graph.input, model.graph.output)] == [["image"], ["lung"]]


def test_the_shipped_card_names_what_was_learnt_from_and_under_which_licence() -> None:
    card = json.loads(ASSET.with_suffix(".json").read_text())
    training = card["training"]
    assert set(training["licences"]) <= {"CC BY", "CC BY 3.0", "CC BY 4.0"}
    assert sum(training["licences"].values()) == training["pictures"] == len(set(training["names"])) > 0
    assert card["plausible_share"] == list(SHARES)
    assert card["use"] == "Research use only, not for diagnosis"


def test_no_picture_of_the_shipped_training_is_non_commercial(covid: Path) -> None:

    names = set(json.loads(ASSET.with_suffix(".json").read_text())["training"]["names"])
    with (covid / "metadata.csv").open() as file:
        licences = {row["license"] for row in csv.DictReader(file) if row["image"] in names}
    assert licences
    assert not [licence for licence in licences if "NC" in licence or "ND" in licence or "SA" in licence]


def test_real_chests_have_a_plausible_field_on_either_side(nih: Path) -> None:
    lungs = LungField()
    pictures = sorted((needs(nih / "images")).glob("*.jpg"))[:200:20]
    masks = [lungs.mask(as_radiograph(read_picture(path))) for path in pictures]
    assert len(masks) == 10
    assert [implausible(mask) for mask in masks] == [None] * 10
    assert sum(mask[:, :64].any() and mask[:, 64:].any() for mask in masks) == 10
