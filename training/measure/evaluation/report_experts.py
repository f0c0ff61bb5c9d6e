"""The sections of the report that need radiologists: their reads of the pictures, and their boxes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from training.markdown import alone, display, table, with_interval
from training.measure.evaluation.gallery import METHODS, PREFIX
from training.measure.evaluation.localisation import MET, PEAK_SHARES
from training.measure.evaluation.radiologists import FEWEST_POSITIVES

Json = dict[str, Any]


def picture(folder: Path, name: str, text: str) -> Iterable[str]:
    """Return the Markdown of a plot, if it was drawn.

    Parameters
    ----------
    folder
        The report's folder, which holds the plots.
    name
        The plot's file name without prefix and suffix.
    text
        Alternative text of the picture.
    """
    if (folder / f"{PREFIX}{name}.png").is_file():
        yield f"![{text}]({PREFIX}{name}.png)"


def beside_radiologists(folder: Path, readers: Json | None) -> Iterable[str]:
    """Return the section that compares the bundle with mined labels, radiologists' majority and single readers.

    Parameters
    ----------
    folder
        The report's folder, which holds the plots.
    readers
        ``readers`` of ``evaluation.json``; None says that they were not measured.
    """
    yield "## Compared with radiologists"
    if readers is None:
        yield "Not measured: no `experts_labels.csv` and `experts_readers.csv` of these pictures."
        return
    mined, majority = readers["mined"], readers["majority"]
    yield (
        f"{majority['ranking']['images']} pictures ({majority['ranking']['patients']} patients) were read by five "
        "radiologists. The same answers, measured against the mined labels and against the majority of three of "
        "them (Nabulsi et al. 2021). Sensitivity, specificity and F1 are at the thresholds of the other folds. The "
        f"means are over the {len(readers['compared'])} findings with at least {FEWEST_POSITIVES} positives by both."
    )
    yield _both_labels(mined, majority)
    yield "The two readers outside the majority, and the mined labels as if they were a reader, against the majority:"
    yield _other_readers(readers)
    yield from picture(folder, "readers", "ROC curves against the radiologists' majority, with readers as points")


def _both_labels(mined: Json, majority: Json) -> str:
    rows = [
        (display(label), *_both(label, mined), *_both(label, majority)) for label in majority["ranking"]["findings"]
    ]
    mean = [("**mean**", "", with_interval(p["ranking"]["mean_auc"]), "") for p in (mined, majority)]
    header = ("positives", "AUC", "sensitivity / specificity / F1")
    return table(
        ("finding", *(f"{name}, {source}" for source in ("mined", "read") for name in header)),
        [*rows, (*mean[0], *mean[1][1:])],
    )


def _other_readers(readers: Json) -> str:
    others = {f"reader {number}": found for number, found in readers["readers"].items()}
    others["mined labels"] = readers["mined_as_reader"]
    return table(
        ("finding", "positives", *(f"{name}: sensitivity / specificity / F1" for name in others)),
        [
            (
                display(label),
                readers["mined_as_reader"][label]["positives"],
                *(_trio(o[label]) for o in others.values()),
            )
            for label in readers["mined_as_reader"]
        ],
    )


def _both(label: str, part: Json) -> tuple[object, ...]:
    ranked = part["ranking"]["findings"][label]
    return ranked["positives"], with_interval(ranked["auc"]), _trio(part["answers"]["findings"][label])


def _trio(figures: Json) -> str:
    return " / ".join(alone(figures[name]) for name in ("sensitivity", "specificity", "f1"))


def localised(folder: Path, found: Json | None) -> Iterable[str]:
    """Return the section about how the heatmaps matched the boxes that radiologists drew.

    Parameters
    ----------
    folder
        The report's folder, which holds the plots.
    found
        ``localisation`` of ``evaluation.json``; None says that it was not measured.
    """
    yield "## Localisation"
    if found is None:
        yield "Not measured: no `boxes.csv` of these pictures."
        return
    yield (
        f"{found['boxes']} boxes of radiologists, whatever the bundle answered. Pointing game: the hottest pixel is in "
        "the box. Energy: share of the map's sum in the box. A uniform map would have the box's share "
        f"of the picture in both ({found['chance']:.3f} over all). The mean map knows where the finding usually is, "
        "but not this patient: a method that does not beat it has localised nothing."
    )
    parts = {"**all**": found} | {display(label): part for label, part in found["findings"].items()}
    header = ("pointing game", "energy")
    yield table(
        ("finding", "boxes", "chance", *(f"{h}, {name}" for name in METHODS.values() for h in header)),
        [(name, part["boxes"], f"{part['chance']:.3f}", *_pointed(part)) for name, part in parts.items()],
    )
    columns = [*(f"iou_at_{share}_of_peak" for share in PEAK_SHARES), *(f"met_at_iou_{met}" for met in MET)]
    yield (
        "Mean IoU of the box and the map's region, which is where the map is at least a share of its peak; and the "
        "share of boxes that the region over half of the peak meets at an IoU. Grad-CAM:"
    )
    yield table(
        ("finding", *(f"IoU, {share} of peak" for share in PEAK_SHARES), *(f"met at IoU {met}" for met in MET)),
        [(name, *(alone(part["methods"]["grad_cam"][c]) for c in columns)) for name, part in parts.items()],
    )
    yield from picture(folder, "localisation", "Pointing game of every finding")


def _pointed(part: Json) -> list[str]:
    names = ("pointing_game", "energy")
    return [with_interval(part["methods"][method][name]) for method in METHODS for name in names]
