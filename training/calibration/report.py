"""Write the result of a calibration as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from candor.study.findings import Finding
from training.calibration.calibrate import AFTER, BEFORE, FLOOR, SHIFTED, Refit
from training.calibration.choice import FEWEST_DONORS, GOAL
from training.markdown import table


def refit_report(refit: Refit) -> Iterable[str]:
    """Yield the paragraphs of a report: what was fitted, how good it is, and what was not fitted."""
    yield refit.calibration.description
    measured = [f"{name} {when}" for name in ("NLL", "ECE", "Brier") for when in ("before", "shifted", "after")]
    measured.insert(measured.index("ECE after") + 1, "ECE floor")
    rows = [_row(refit, finding) for finding in refit.calibration.maps]
    yield table(("finding", "images", "positives", "map", *measured), rows)
    yield (
        "Before: the calibration that the bundle had. Shifted: the same at the prevalence of these images. After: the "
        "new one, cross-validated, so that no image is judged by a fit to its own patient. NLL is the mean negative "
        "log-likelihood, ECE the expected calibration error of 15 bins, floor the ECE that a perfect model would have "
        "on as many images."
    )
    fitted: list[Any] = [facts for facts in refit.facts.values() if facts[AFTER]]
    if fitted:
        yield _means(fitted)
    unfitted = [
        f"- {finding.label}: {facts['unfitted']}" for finding, facts in refit.facts.items() if facts["unfitted"]
    ]
    if unfitted:
        yield (
            "Not fitted alone. A finding that was calibrated before keeps its map. In a first fit it is shifted to its "
            f"prevalence; it shares the slope of {FEWEST_DONORS} or more others only where that does better in "
            "cross-validation:"
        )
        yield "\n".join(unfitted)


def _means(fitted: Sequence[Any]) -> str:
    """Return the mean calibration errors beside their floor, with a warning where the fit did harm."""
    means = [float(np.mean([facts[name]["ece"] for facts in fitted])) for name in (BEFORE, SHIFTED, AFTER)]
    (before, shifted, after), floor = means, float(np.mean([facts[FLOOR] for facts in fitted]))
    met = "met" if after <= GOAL * floor else "NOT met"
    text = (
        f"Mean ECE of the {len(fitted)} findings that were fitted: {before:.4f} before, {shifted:.4f} before at this "
        f"prevalence, {after:.4f} after cross-validated. Floor, the mean ECE of a perfect model of this size: "
        f"{floor:.4f}; after / floor: {after / floor:.2f} (aim: at most {GOAL}, {met})."
    )
    return text if after <= shifted else f"{text} The new calibration is worse than the old one at this prevalence."


def _row(refit: Refit, finding: Finding) -> list[object]:
    facts: Any = refit.facts[finding]
    parts = [facts[name] for name in (BEFORE, SHIFTED, AFTER)]
    figures = [f"{part[name]:.4f}" if part else "-" for name in ("nll", "ece", "brier") for part in parts]
    figures.insert(6, "-" if facts[FLOOR] is None else f"{facts[FLOOR]:.4f}")
    kind = refit.calibration.maps[finding].kind.value
    how = " (shared slope)" if facts["shared_slope"] else " (kept)" if facts["kept"] else ""
    return [finding.label, facts["known"], facts["positives"], kind + how, *figures]
