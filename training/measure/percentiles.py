"""Fit ``percentiles.json``: where a finding's logits lie among those of patients whom the network never saw."""

from __future__ import annotations

import numpy as np

from candor.decide.percentiles import quantiles_of
from candor.model.bundle import PERCENTILES, Model
from training.bundles.leakage import unseen_part
from training.data.dataset import Dataset
from training.predictions.fold_heads import logits_out_of_fold
from training.predictions.predict import predict
from training.records import write_json


def fit_percentiles(model: Model, dataset: Dataset) -> str:
    """Write the quantiles of each finding's logits over the unseen patients' pictures into the bundle.

    The file is part of the bundle's hash, so it names neither date nor command.

    Parameters
    ----------
    model
        The bundle.
    dataset
        Data of the bundle's findings, in the bundle's order.

    Returns
    -------
    The pictures in words.

    Raises
    ------
    DataError
        The data set has no unseen patient, or some of them trained the network.
    """
    part = unseen_part(model, dataset)
    logits = logits_out_of_fold(model, part, predict(model, part)).astype(np.float64)
    pictures = f"{len(part.images)} pictures of {len(set(part.patients().tolist()))} unseen patients"
    columns = zip(part.findings, logits.T, strict=True)
    spread = {finding.label: [round(q, 6) for q in quantiles_of(column).tolist()] for finding, column in columns}
    record = {"description": pictures, "weights_sha256": model.weights_sha256, "findings": spread}
    write_json(model.root / PERCENTILES, record)
    return pictures
