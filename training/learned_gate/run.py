"""Fit a bundle's learned gate, judge it, and write it: from a data set to the bundle's files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from candor.model.bundle import Model
from candor.study.findings import Finding
from training.bundles.leakage import unseen_part
from training.data.dataset import Dataset
from training.learned_gate.evidence import Evidence, evidence_of, lung_fields_of
from training.learned_gate.fit import fit
from training.learned_gate.judge import Judged, judge
from training.learned_gate.options import Options
from training.learned_gate.report import figures, write_figures
from training.learned_gate.write import write_learned_gate
from training.records import Occasion


def fit_learned_gate(
    model: Model,
    dataset: Dataset,
    options: Options,
    occasion: Occasion,
    *,
    lung_field: bool = False,
    page: Path | None = None,
) -> Judged:
    """Fit ``error_model.json`` to the UNSEEN patients; the verdict is out of fold.

    The variant that was asked for is written, even if another one did better.

    Parameters
    ----------
    model
        A calibrated bundle; its folder gets the files.
    dataset
        Data of the model's findings, in the model's order.
    options
        How the learned gate is fitted.
    occasion
        Date and command, for the record.
    lung_field
        Whether the learned gate sees how much of the heatmap lies outside the lungs.
    page
        Where to write the figures of all four variants, with and without prior and balance; None fits only one variant.

    Raises
    ------
    BundleError
        The calibration belongs to other weights.
    DataError
        The data set has no UNSEEN patient or too few, or they have no wrong answers to learn from.
    SettingsError
        The page has no place for the figures.
    """
    part = unseen_part(model, dataset)
    evidence = evidence_of(model, part, lung_fields_of(part) if lung_field else None)
    judged = _judged(evidence, model.findings, options)
    if page is not None:
        variants = [
            judged
            if (prior, balanced) == (options.prior, options.balanced)
            else _judged(evidence, model.findings, replace(options, prior=prior, balanced=balanced))
            for prior in (True, False)
            for balanced in (False, True)
        ]
        write_figures(page, figures(variants, evidence, occasion.command))
    write_learned_gate(model, judged, evidence, occasion)
    return judged


def _judged(evidence: Evidence, findings: tuple[Finding, ...], options: Options) -> Judged:
    return judge(fit(evidence, findings, options), evidence, options)
