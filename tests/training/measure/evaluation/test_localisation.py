"""Pointing game, energy and IoU against loops over every pixel, and the table of boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_jaccard_index

from candor.study.errors import DataError
from tests.training.measure.evaluation.samples import make_sample
from training.measure.evaluation.localisation import (
    BOXES,
    CANVAS,
    PEAK_SHARES,
    Box,
    localisation,
    maps_of,
    read_boxes,
    score,
)

HEADER = "image,finding,x,y,w,h\n"


def inside(box: Box) -> np.ndarray:
    """The pixels whose centres are in a box, one by one: a mask of the canvas."""
    rows = [box.y <= k + 0.5 < box.y + box.height for k in range(CANVAS)]
    columns = [box.x <= k + 0.5 < box.x + box.width for k in range(CANVAS)]
    return np.outer(rows, columns)


def random_box(rng: np.random.Generator, image: int = 0, finding: int = 0) -> Box:
    x, y = rng.uniform(0, 800, 2)
    return Box(image, finding, x, y, *rng.uniform(20, 400, 2))


@pytest.mark.parametrize("seed", range(5))
def test_the_scores_are_their_definitions_on_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    small = rng.normal(size=(7, 7)).astype(np.float32)
    box = random_box(rng)
    scores = score(small[np.newaxis], [box])
    large = cv2.resize(np.where(small > 0, small, 0), (CANVAS, CANVAS), interpolation=cv2.INTER_LINEAR).astype(float)
    mask = inside(box)
    hottest = max((large[r, c], -r, -c) for r in range(0, CANVAS) for c in np.flatnonzero(large[r] == large[r].max()))
    assert scores.hit[0] == mask[-hottest[1], -hottest[2]]
    assert scores.energy[0] == pytest.approx(large[mask].sum() / large.sum(), rel=1e-6)
    for k, share in enumerate(PEAK_SHARES):
        region = torch.from_numpy(large >= np.float32(share * large.max()))
        theirs = float(binary_jaccard_index(region.int(), torch.from_numpy(mask).int()))
        assert scores.iou[0, k] == pytest.approx(theirs, abs=1e-4)


def test_the_map_of_a_box_meets_the_box() -> None:
    canvas = np.zeros((1, CANVAS, CANVAS), np.float32)
    canvas[0, 100:300, 200:600] = 2
    found = score(canvas, [Box(0, 0, 200, 100, 400, 200)])
    assert found.hit[0] == found.energy[0] == 1
    assert np.all(found.iou == 1)


def test_a_map_without_evidence_misses() -> None:
    found = score(np.full((1, 7, 7), -1, np.float32), [Box(0, 0, 0, 0, 1024, 1024)])
    assert found.hit[0] == found.energy[0] == 0
    assert np.all(found.iou == 0)


def test_a_box_at_the_edge_is_cut_off_there() -> None:
    box = Box(0, 0, 1000.2, -3, 500, 10.4)
    rows, columns = box.pixels
    np.testing.assert_array_equal(np.argwhere(inside(box)), np.argwhere(_mask(rows, columns)))


def _mask(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((CANVAS, CANVAS), bool)
    mask[rows, columns] = True
    return mask


def test_each_box_takes_the_map_of_its_picture_and_finding() -> None:
    activation = np.random.default_rng(0).normal(size=(4, 3, 5, 5)).astype(np.float32)
    maps = maps_of(activation, [Box(2, 1, 0, 0, 9, 9), Box(0, 0, 0, 0, 9, 9)])
    np.testing.assert_array_equal(maps["grad_cam"][0], np.where(activation[2, 1] > 0, activation[2, 1], 0))
    np.testing.assert_allclose(
        maps["mean_map"][1], np.where(activation > 0, activation, 0)[:, 0].mean(axis=0), rtol=1e-6
    )


def test_figures_are_means_over_boxes_with_the_patients_resampled() -> None:
    rng, sample = np.random.default_rng(4), make_sample(30)
    boxes = [random_box(rng, image=k, finding=k % 2) for k in range(30)]
    maps = rng.normal(size=(30, 7, 7)).astype(np.float32)
    figures: Any = localisation(sample, boxes, {"any": maps}, resamples=200, seed=1)
    scores = score(maps, boxes)
    assert figures["boxes"] == 30
    assert figures["chance"] == pytest.approx(np.mean([inside(box).mean() for box in boxes]))
    assert figures["methods"]["any"]["pointing_game"]["value"] == pytest.approx(scores.hit.mean())
    effusion = figures["findings"]["Effusion"]
    assert effusion["boxes"] == 15
    assert effusion["methods"]["any"]["energy"]["value"] == pytest.approx(scores.energy[1::2].mean())
    assert effusion["methods"]["any"]["met_at_iou_0.1"]["value"] == pytest.approx((scores.iou[1::2, 1] >= 0.1).mean())
    low, high = (figures["methods"]["any"]["energy"][end] for end in ("low", "high"))
    assert low < scores.energy.mean() < high
    assert "Hernia" not in figures["findings"]


def test_boxes_of_other_pictures_and_findings_are_left_out(tmp_path: Path) -> None:
    sample = make_sample(5)
    assert read_boxes(tmp_path, sample) is None
    (tmp_path / BOXES).write_text(
        HEADER + "0002.png,Effusion,1,2,30,40\n0003.png,Mass,1,2,3,4\nx.png,Effusion,1,2,3,4\n"
    )
    assert read_boxes(tmp_path, sample) == [Box(2, 1, 1, 2, 30, 40)]
    (tmp_path / BOXES).write_text(HEADER + "x.png,Effusion,1,2,3,4\n")
    assert read_boxes(tmp_path, sample) is None


@pytest.mark.parametrize(
    ("cells", "message"), [("1,2,0,40", "no pixel"), ("1500,2,30,40", "no pixel"), ("1,2,a,4", "not four numbers")]
)
def test_a_box_that_is_not_on_the_picture_is_refused(tmp_path: Path, cells: str, message: str) -> None:
    (tmp_path / BOXES).write_text(f"{HEADER}0002.png,Effusion,{cells}\n")
    with pytest.raises(DataError, match=message):
        read_boxes(tmp_path, make_sample(5))
