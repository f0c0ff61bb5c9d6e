"""One instance in several files."""

from __future__ import annotations

from pathlib import Path

from candor.dicom.read.duplicates import settle_duplicates
from candor.study.case import CaseImage
from candor.study.reasons import Reason
from tests.factory import radiograph_dataset


def image(name: str, fingerprint: str = "same", seed: str = "0") -> CaseImage:
    return CaseImage(name, Path(name), radiograph_dataset(seed=seed), fingerprint=fingerprint)


def refusals(*images: CaseImage) -> list[Reason | None]:
    settle_duplicates(images)
    return [one.refusal.reason if one.refusal else None for one in images]


def test_the_first_by_name_stays() -> None:
    assert refusals(image("b"), image("a"), image("c")) == [Reason.DUPLICATE, None, Reason.DUPLICATE]


def test_other_instances_are_left_alone() -> None:
    assert refusals(image("a"), image("b", seed="1")) == [None, None]


def test_none_stays_where_they_differ() -> None:
    assert refusals(image("a"), image("b", "other"), image("c")) == [Reason.CONTRADICTION] * 3


def test_a_file_that_was_refused_shuts_nobody_out() -> None:
    broken = image("a", "")
    broken.refuse(Reason.UNDECODABLE, "truncated")
    assert refusals(broken, image("b")) == [Reason.UNDECODABLE, None]


def test_the_detail_names_the_file_that_is_assessed() -> None:
    first, second = image("a"), image("b")
    settle_duplicates([first, second])
    assert second.refusal is not None
    assert second.refusal.detail == "the same pixels and identity as a, which is assessed"
