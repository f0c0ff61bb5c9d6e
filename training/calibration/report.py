"""Write the result of a calibration as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from candor.study.findings import Finding
from training.calibration.calibrate import AFTER, BEFORE, SHIFTED, Refit
from training.markdown import table


def refit_report(refit: Refit) -> Iterable[str]:
    """Yield the paragraphs of a report: what was fitted, how good it is, and what was not fitted."""
    yield refit.calibration.description
    measured = [f"{name} {when}" for name in ("NLL", "ECE", "Brier") for when in ("before", "shifted", "after")]
    rows = [_row(refit, finding) for finding in refit.calibration.maps]
    yield table(("finding", "images", "positives", "map", *measured), rows)
    yield (
        "Before: the calibration that the bundle had. Shifted: the same at the prevalence of these images. After: the "
        "new one, cross-validated, so that no image is judged by a fit to its own patient. NLL is the mean negative "
        "log-likelihood, ECE the expected calibration error of 15 bins."
    )
    fitted: list[Any] = [facts for facts in refit.facts.values() if facts[AFTER]]
    if fitted:
        means = [f"{np.mean([facts[name]['ece'] for facts in fitted]):.4f} {name}" for name in (BEFORE, SHIFTED, AFTER)]
        yield f"Mean ECE of the {len(fitted)} findings that were fitted: {', '.join(means)}.".replace("_", " ")
    unfitted = [
        f"- {finding.label}: {facts['unfitted']}" for finding, facts in refit.facts.items() if facts["unfitted"]
    ]
    if unfitted:
        yield (
            "Not fitted alone. A finding that was calibrated before keeps its map; in a first fit it shares the slope "
            "of the others:"
        )
        yield "\n".join(unfitted)


def _row(refit: Refit, finding: Finding) -> list[object]:
    facts: Any = refit.facts[finding]
    parts = [facts[name] for name in (BEFORE, SHIFTED, AFTER)]
    figures = [f"{part[name]:.4f}" if part else "-" for name in ("nll", "ece", "brier") for part in parts]
    kind = refit.calibration.maps[finding].kind.value
    how = " (shared slope)" if facts["shared_slope"] else " (kept)" if facts["kept"] else ""
    return [finding.label, facts["known"], facts["positives"], kind + how, *figures]
