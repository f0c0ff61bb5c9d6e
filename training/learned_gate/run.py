"""Fit a bundle's learned gate, judge it, and write it: from a data set to the bundle's files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from candor.model.bundle import Model
from candor.study.errors import DataError
from candor.study.findings import Finding
from training.data.dataset import Dataset
from training.data.splits import Subset
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
    """Fit ``error_model.json`` to the GATE and CALIBRATION patients; the TEST patients give the verdict.

    The variant that was asked for is written, even if another one did better on the test.

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
        The data set lacks patients of a set, or those have no wrong answers to learn from.
    SettingsError
        The page has no place for the figures.
    """
    part = dataset.only(Subset.GATE, Subset.CALIBRATION, Subset.TEST)
    is_test = np.asarray([image.subset is Subset.TEST for image in part.images], np.bool_)
    if is_test.all() or not is_test.any():
        raise DataError("there must be gate or calibration patients and test patients; give a data set with all sets")
    evidence = evidence_of(model, part, lung_fields_of(part) if lung_field else None)
    learnt_from, test = evidence.take(~is_test), evidence.take(is_test)
    judged = _judged(learnt_from, test, model.findings, options)
    if page is not None:
        variants = [
            judged
            if (prior, balanced) == (options.prior, options.balanced)
            else _judged(learnt_from, test, model.findings, replace(options, prior=prior, balanced=balanced))
            for prior in (True, False)
            for balanced in (False, True)
        ]
        write_figures(page, figures(variants, learnt_from, test, occasion.command))
    write_learned_gate(model, judged, learnt_from, occasion)
    return judged


def _judged(learnt_from: Evidence, test: Evidence, findings: tuple[Finding, ...], options: Options) -> Judged:
    return judge(fit(learnt_from, findings, options), test, options)
