"""Write a bundle's probabilities for the pictures that trained it, as soft labels for another network.

References
----------
Hinton et al. 2015 (distillation). Furlanello et al. 2018 (networks taught by earlier ones of their own kind).
"""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Final

import numpy as np
from scipy.special import expit, logit

from candor.files.durable import whole_file
from candor.model.bundle import Model
from candor.study.errors import DataError
from training.data.dataset import Dataset
from training.data.shares import shares
from training.data.soft_labels import NAME, PREFIX, SoftLabels, prior_shifted
from training.data.splits import Subset
from training.predictions.predict import predict

_CLIP: Final = 1e-6


def write_soft_labels(model: Model, dataset: Dataset, out: Path, other: SoftLabels | None = None) -> int:
    """Write a table for ``train --soft-labels`` of the TRAIN pictures, gzipped; return the number of pictures.

    Parameters
    ----------
    model
        The teacher: its uncalibrated probabilities are written.
    dataset
        A data set; only its TRAIN pictures are classified.
    out
        The file, whose name ends in ``.csv.gz``; one that is there is replaced.
    other
        Another classifier's probabilities. Where it has a picture, the mean log-odds of both are written, after a shift
        to the prevalence of the TRAIN pictures.

    Raises
    ------
    DataError
        The data set has no TRAIN picture, the other table lacks a finding or has none of the pictures, or a picture
        cannot be decoded.
    """
    part = dataset.only(Subset.TRAIN)
    if not part.images:
        raise DataError("the data set has no picture to train on; give the one that the students learn from")
    logits = predict(model, part).logits.astype(np.float64)
    if other is not None:
        lacking = [finding.label for finding in model.findings if finding not in other.findings]
        if lacking:
            raise DataError(
                f"{other.source} lacks {', '.join(lacking)}; give a table with all of the bundle's findings"
            )
        here = [k for k, image in enumerate(part.images) if image.name in other.rows]
        if not here:
            raise DataError(f"{other.source} has none of the training pictures; give a table made from these data")
        columns = [other.findings.index(finding) for finding in model.findings]
        given = np.stack([other.rows[part.images[k].name] for k in here])[:, columns]
        ours = [part.findings.index(finding) for finding in model.findings]
        shifted = prior_shifted(given, other.prevalences[columns], shares(part.labels())[ours])
        logits[here] = (logits[here] + logit(shifted.clip(_CLIP, 1 - _CLIP))) / 2
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([NAME, *(PREFIX + finding.label for finding in model.findings)])
    for image, row in zip(part.images, expit(logits), strict=True):
        writer.writerow([image.name, *(f"{value:.6g}" for value in row)])
    with whole_file(out) as file:
        file.write(gzip.compress(text.getvalue().encode(), mtime=0))
    return len(part.images)
