"""What each status of a C-STORE response means for the next try."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless
from pynetdicom.presentation import build_context

from gateway.deliver.sender import NO_ANSWER, Outgoing, Verdict, contexts, judge, refused, send_all
from tests.gateway.network import file_of, image


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (0x0000, Verdict.TAKEN),
        (0x0001, Verdict.TAKEN),
        (0x0107, Verdict.TAKEN),
        (0x0116, Verdict.TAKEN),
        (0xB000, Verdict.TAKEN),
        (0xB006, Verdict.TAKEN),
        (0xB007, Verdict.TAKEN),
        (0x0111, Verdict.TAKEN),  # it has been there before
        (0xA700, Verdict.LATER),
        (0xA7FF, Verdict.LATER),
        (0x0110, Verdict.LATER),
        (0x0213, Verdict.LATER),
        (0xFE00, Verdict.LATER),
        (0x1234, Verdict.LATER),
        (0xA900, Verdict.NEVER),
        (0xA9FF, Verdict.NEVER),
        (0xC000, Verdict.NEVER),
        (0xCFFF, Verdict.NEVER),
        (0x0117, Verdict.NEVER),
        (0x0119, Verdict.NEVER),
        (0x0122, Verdict.NEVER),
        (0x0124, Verdict.NEVER),
    ],
)
def test_each_status_has_a_verdict(status: int, verdict: Verdict) -> None:
    answer = judge(status)
    assert (answer.verdict, answer.status) == (verdict, status)
    assert bool(answer.reason) == (status != 0)
    if status:
        assert f"0x{status:04X}" in answer.reason


def test_no_answer_is_tried_again() -> None:
    assert judge(None) == NO_ANSWER
    assert NO_ANSWER.verdict is Verdict.LATER


@pytest.mark.parametrize(
    ("results", "verdict"),
    [
        ({3}, Verdict.NEVER),
        ({4}, Verdict.NEVER),
        ({3, 4}, Verdict.NEVER),
        ({1}, Verdict.LATER),
        ({2, 4}, Verdict.LATER),
    ],
)
def test_a_refused_context_is_for_ever_unless_it_says_otherwise(results: set[int], verdict: Verdict) -> None:
    assert refused(results).verdict is verdict


class Ending:
    """An association that ends between a look at it and the request."""

    is_established = True
    rejected_contexts: tuple[Any, ...] = ()

    def __init__(self, item: Outgoing) -> None:
        self.accepted_contexts = [build_context(item.sop_class_uid, item.transfer_syntax_uid)]
        self.requests = 0

    def send_c_store(self, _: object) -> None:
        self.requests += 1
        raise RuntimeError


def test_after_an_association_that_ended_unseen_nothing_more_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(file_of(image()))
    item = Outgoing("1.2.3", str(image().SOPClassUID), path, "")
    association = Ending(item)
    assert [answer for _, answer in send_all(association, [item, item])] == [NO_ANSWER]
    assert association.requests == 1


def test_a_compressed_object_is_offered_as_it_is_alone(tmp_path: Path) -> None:
    dataset = image()
    dataset.file_meta.TransferSyntaxUID = RLELossless
    path = tmp_path / "a.dcm"
    dataset.PixelData = encapsulate([dataset.PixelData])
    path.write_bytes(file_of(dataset))
    (context,) = contexts([Outgoing("1.2.3", str(dataset.SOPClassUID), path, "")])
    assert context.transfer_syntax == [RLELossless]
