"""Builders that leave out something which every object of their kind must have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from candor.dicom.check.requirements import concept_name
from candor.dicom.check.template_rows import LANGUAGE
from candor.study.result_object import Kind

Spoil = Callable[[Any], Any]


def without(keyword: str) -> Spoil:
    def spoil(dataset: Any) -> Any:
        del dataset[keyword]
        return dataset

    return spoil


def without_language(document: Any) -> Any:
    items = document.ContentSequence
    document.ContentSequence = [item for item in items if concept_name(item) != (LANGUAGE[0], "DCM")]
    assert len(document.ContentSequence) == len(items) - 1
    return document


def without_context(content: list[bytes]) -> list[bytes]:
    """The language, the observer and the procedure are the first part of a report's content."""
    return content[1:]


SPOILT: Final[dict[Kind, tuple[str, Spoil, str]]] = {
    "sc": ("operators.write.overlay_writer.build_overlay", without("SourceImageSequence"), "SourceImageSequence"),
    "gsps": (
        "operators.write.presentation_state_writer.build_presentation_state",
        without("PresentationLUTShape"),
        "PS3.3 C.11.6: PresentationLUTShape: IDENTITY, for its source",
    ),
    "pm": (
        "operators.write.parametric_map_writer.build_parametric_map",
        without("DerivationDescription"),
        "PS3.3 C.7.6.1: DerivationDescription",
    ),
    "sr": ("candor.dicom.report.document._content", without_context, "TID 1500 row 4"),
    "ko": ("operators.write.key_object_writer.build_key_objects", without_language, "TID 1204 row 1"),
}
"""Of each kind: what makes it, what is taken out of what that returns, and what the missing row is called."""


def spoil(monkeypatch: pytest.MonkeyPatch, kind: Kind) -> str:
    """Let all objects of a kind lack something; returns what the missing row is called."""
    target, change, row = SPOILT[kind]
    spoil_function(monkeypatch, target, change)
    return row


def spoil_function(monkeypatch: pytest.MonkeyPatch, target: str, change: Spoil) -> None:
    """Change what a function returns, wherever it is looked up by this name."""
    module, name = target.rsplit(".", 1)
    true = getattr(__import__(module, fromlist=[name]), name)
    monkeypatch.setattr(target, lambda *arguments, **options: change(true(*arguments, **options)))
