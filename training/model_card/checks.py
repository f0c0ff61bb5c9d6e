"""The model card's sections about familiarity and about the learned gate."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from candor.model.bundle import FAMILIARITY, LEARNED_GATE
from candor.study.provenance import NO_FAMILIARITY
from training.markdown import table, with_interval

Json = dict[str, Any]

HEADER: Final = ("pictures", "seen", "unlike training", "no chest", "like a child's", "refused before")


def checks(root: Path) -> Iterable[str]:
    """Return both sections, with figures for what the bundle has."""
    yield "## Whether an image is like those that it knows"
    yield from _familiarity(_read(root / FAMILIARITY))
    yield "## The learned gate"
    yield _learned_gate(_read(root / LEARNED_GATE))


def _read(path: Path) -> Json | None:
    return json.loads(path.read_text()) if path.exists() else None


def _familiarity(record: Json | None) -> Iterable[str]:
    if record is None:
        yield f"{NO_FAMILIARITY[0].upper()}{NO_FAMILIARITY[1:]}."
        return
    limits = record["limits"]
    yield (
        f"Each image's features are compared with those of the training images. The check was {record['description']}. "
        f"An image is unlike the training images over a distance of {limits['unlike_training']:.3f}, and no chest over "
        f"{limits['unlike_chest']:.3f}. {_score(limits)}{_child(record)}"
    )
    rows = [(name, of["images"], *map(_share, _shares(of)), of["unread"]) for name, of in record["figures"].items()]
    yield table(HEADER, rows)


def _shares(of: Json) -> Iterable[float | None]:
    return (of.get(name) for name in ("unlike_training", "unlike_chest", "like_a_child"))


def _score(limits: Json) -> str:
    limit = limits.get("not_frontal")
    if limit is None:
        return ""
    return f"It is unlike them too over a score of {limit:.3f} for what is no upright frontal chest. "


def _child(record: Json) -> str:
    child = record.get("child")
    if child is None or "left_out" in child:
        return "It does not know the look of children."
    told = child["told_apart"]
    return (
        "Where a header states no age, a picture that looks like a child's counts as one: that was learnt from "
        f"{child['images']} pictures of {child['patients']} patients under {child['under_years']} years. On "
        f"{told['children']} pictures of children and {told['adults']} of adults to whom it was not fitted, its AUC is "
        f"{with_interval(told['auc'])}."
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _learned_gate(record: Json | None) -> str:
    if record is None:
        return "The bundle has none: thresholds or costs decide by the calibrated probability alone."
    return f"{'Active' if record['active'] else 'Not active'}: {record['verdict']}."
