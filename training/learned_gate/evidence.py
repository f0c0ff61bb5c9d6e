"""The evidence that the learned gate learns from: the classifier's heatmaps and answers, and which were wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from candor.decide.calibration import sigmoid
from candor.decide.heatmap_spread import Mask
from candor.model.bundle import Model, load_calibration
from candor.picture.lungs import LungField, implausible
from training.calibration.scaling import Bools
from training.data.dataset import Dataset
from training.data.pictures import as_radiograph, read_picture
from training.gate.out_of_fold import log_odds_out_of_fold
from training.predictions.fold_heads import logits_out_of_fold
from training.predictions.predict import predict
from training.predictions.table import with_logits
from training.statistics.metrics import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Images with the classifier's answers to every finding.

    Parameters
    ----------
    maps
        Class activation ``(images, findings, height, width)`` float32.
    log_odds
        ``(images, findings)``, calibrated on other patients, at the prevalence of the fit.
    labels
        ``(images, findings)``: 1 present, 0 absent, NaN unknown.
    patients
        ``(images,)``: the patient of each image.
    lung_fields
        For each image the mask of its lungs, or None if no plausible one was found; None without lung fields.
    """

    maps: NDArray[np.float32]
    log_odds: Floats
    labels: Floats
    patients: NDArray[np.str_]
    lung_fields: Sequence[Mask | None] | None = None

    @property
    def probabilities(self) -> Floats:
        """``(images, findings)``: calibrated P(present)."""
        return sigmoid(self.log_odds)

    @property
    def known(self) -> Bools:
        """``(images, findings)``: where the label is known."""
        return ~np.isnan(self.labels)

    @property
    def wrong(self) -> Bools:
        """``(images, findings)``: where the answer, present from 0.5 up, differs from the label."""
        return np.asarray(self.known & ((self.log_odds >= 0) != (self.labels > 0)), np.bool_)

    def take(self, mask: Bools) -> Evidence:
        """Keep the images where ``(images,)`` is true."""
        fields = self.lung_fields
        return replace(
            self,
            maps=self.maps[mask],
            log_odds=self.log_odds[mask],
            labels=self.labels[mask],
            patients=self.patients[mask],
            lung_fields=None if fields is None else list(compress(fields, mask)),
        )


def evidence_of(model: Model, dataset: Dataset, lung_fields: Sequence[Mask | None] | None = None) -> Evidence:
    """Run a calibrated bundle's network over a data set of its findings.

    Parameters
    ----------
    model
        The bundle; its calibration is read from its folder.
    dataset
        Data of the bundle's findings, in the bundle's order.
    lung_fields
        From :func:`lung_fields_of` for the same data set; None for a learned gate that does not see them.

    Raises
    ------
    BundleError, DataError, Refused
        As for :func:`training.predictions.predict.predict`, or the calibration belongs to other weights.
    """
    calibration, outputs = load_calibration(model), predict(model, dataset)
    predictions = with_logits(dataset, logits_out_of_fold(model, dataset, outputs), dataset.source)
    log_odds = log_odds_out_of_fold(calibration, predictions)
    return Evidence(outputs.activation, log_odds, predictions.labels, predictions.patients, lung_fields)


def lung_fields_of(dataset: Dataset) -> list[Mask | None]:
    """Find the lungs in every picture; None where the mask that was found is not a plausible lung field.

    Raises
    ------
    BundleError
        The network that finds them is missing.
    DataError
        A picture cannot be decoded.
    """
    lungs = LungField()
    masks = (lungs.mask(as_radiograph(read_picture(image.path))) for image in dataset.images)
    return [None if implausible(mask) else mask for mask in masks]
