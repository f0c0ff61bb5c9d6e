"""Which pictures the orientation check learns from, and which it is measured on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.nih import make_nih
from tests.training.checks.orientation.made import source, write_table
from training.checks.orientation.sources import (
    FREE,
    STORED_SIDE,
    Source,
    covid_sources,
    each_once,
    hannover_sources,
    kermany_sources,
    nih_sources,
    stored,
)
from training.data.splits import Subset


def test_only_free_pictures_of_known_frontal_view_teach(tmp_path: Path) -> None:
    rows = [f"{k}.jpg;{k};{view};{licence}" for k, (view, licence) in enumerate(COVID_ROWS * 20)]
    write_table(tmp_path / "metadata.csv", "image patientid view license", *rows)
    sources = covid_sources(tmp_path)
    taught = {(source.licence, source.view) for source in sources if source.teaches}
    assert taught == {("CC BY", "PA"), ("CC BY 4.0", "AP")}
    assert {source.subset for source in sources if source.licence not in FREE} == {Subset.UNSEEN}
    held_out = [source for source in sources if source.licence in FREE and source.subset is Subset.UNSEEN]
    assert held_out


COVID_ROWS = [
    ("PA", "CC BY"),
    ("AP Supine", "CC BY 4.0"),
    ("L", "CC BY"),
    ("", "CC BY"),
    ("PA", "CC BY-NC-SA"),
    ("PA", "CC BY-NC-ND 4.0"),
    ("PA", "listed as authorized for everyone"),
    ("PA", ""),
]


def test_no_patient_both_teaches_and_is_measured_on(tmp_path: Path) -> None:
    rows = [f"{k}.jpg;{k // 3};PA;{'CC BY' if k % 3 else 'CC BY-NC'}" for k in range(60)]
    write_table(tmp_path / "metadata.csv", "image patientid view license", *rows)
    sources = covid_sources(tmp_path)
    taught = {int(source.path.stem) // 3 for source in sources if source.teaches}
    measured = {int(source.path.stem) // 3 for source in sources if source.subset is Subset.UNSEEN}
    assert taught
    assert measured
    assert not taught & measured


def test_chest_xray14_teaches_by_its_official_list(tmp_path: Path) -> None:
    sources = nih_sources(make_nih(tmp_path / "nih", train_val=12, test=12))
    for one in sources:
        official = int(one.path.name[:5]) < 12
        assert one.teaches == (official and one.subset is Subset.TRAIN)
        assert official == (one.subset in (Subset.TRAIN, Subset.VALIDATION))
        assert one.licence in FREE


def test_a_hospital_s_rows_without_a_picture_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "b.jpg").touch()
    write_table(tmp_path / "metadata.csv", "patient_id image_id projection", "p;a;ap", "p;b;pa")
    (source,) = hannover_sources(tmp_path)
    assert (source.path.name, source.view, source.licence) == ("b.jpg", "PA", "CC BY 3.0")


def test_a_child_s_pictures_stay_together(tmp_path: Path) -> None:
    names = [f"bacterial_person{k}_bacteria_{k + n}.jpg" for k in range(40) for n in (1, 2)]
    names += ["normal_IM-0115-0001.jpg", "other.jpg"]
    write_table(tmp_path / "labels.csv", "image label", *(f"{name};x" for name in names))
    sources = kermany_sources(tmp_path)
    assert {source.subset for source in sources} == {Subset.TRAIN, Subset.UNSEEN}
    for one, other in zip(sources[:80:2], sources[1:80:2], strict=True):
        assert one.subset is other.subset


def test_a_picture_in_two_sets_is_taken_from_the_first() -> None:
    first, second = source("a", data="one"), source("a", data="two")
    assert each_once([first, second, source("b")]) == [first, source("b")]


def test_pictures_are_kept_square(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((200, 300), 255, np.uint8))
    pixels = stored(Source(tmp_path / "a.png", "x", "CC BY", "p", Subset.TRAIN, "PA"))
    assert pixels.shape == (STORED_SIDE, STORED_SIDE)
    assert pixels.dtype == np.float32
    assert pixels == pytest.approx(np.ones_like(pixels))
