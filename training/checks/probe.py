"""Measure what a network's features reveal besides the findings: the projection, the sex, the hospital.

A logistic regression on the features says how well each can be predicted, on patients whom it did not see. What can be
predicted may be used: a network that knows the hospital can answer by the hospital's prevalence. The image-wise audit
(:mod:`candor.picture.shortcut`) cannot see that if the hospital shows everywhere in the picture.

References
----------
Alain and Bengio 2017 (linear probes). Zech et al. 2018 (hospitals told from radiographs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from candor.model.bundle import Model
from candor.model.onnx_engine import OnnxEngine
from candor.study.errors import DataError, SettingsError
from candor.study.findings import Finding
from training.data.pictures import as_radiograph, network_input, read_picture
from training.data.readers.cells import Mark
from training.data.readers.read import read_rows
from training.data.readers.records import Row
from training.names import PROBE_ATTRIBUTES
from training.predictions.predict import BATCH
from training.statistics.metrics import Interval, aucs, interval, patient_weights

Features = NDArray[np.float32]
Names = NDArray[np.str_]

FOLDS: Final = 5
FEWEST: Final = 10
"""Smallest number of patients with a value, and without it, for it to be probed."""

RESAMPLES: Final = 1000
SEED: Final = 1
_PENALTY: Final = 0.01  # scikit-learn's C: there are more features than patients of a small hospital


@dataclass(frozen=True, slots=True)
class Probed:
    """Result for one value of the target: how well it is told from all others.

    Parameters
    ----------
    images, patients
        Numbers of those that have the value.
    auc
        On patients whom the regression did not see, with a bootstrap interval of patients.
    """

    value: str
    images: int
    patients: int
    auc: Interval


@dataclass(frozen=True, slots=True)
class Subjects:
    """One or more pictures, with the patient and the target's value of each."""

    paths: tuple[Path, ...]
    patients: Names
    values: Names


def read_subjects(folders: Sequence[Path], target: str, views: Sequence[str] = ()) -> Subjects:
    """Read the pictures of one or more data sets that have a value of the target.

    Parameters
    ----------
    folders
        Data sets. The site of a picture is its folder's name if there are several, else what its table says.
    target
        One of :data:`training.names.PROBE_ATTRIBUTES`, or a finding's label.
    views
        Projections to keep; empty keeps all.

    Raises
    ------
    DataError
        A folder cannot be read, or no picture has a value.
    SettingsError
        The target is unknown.
    """
    labels = {finding.label: finding for finding in Finding}
    if target not in (*PROBE_ATTRIBUTES, *labels):
        raise SettingsError(
            f"there is no target {target!r}; it is one of {', '.join(PROBE_ATTRIBUTES)}, or a finding's label"
        )
    by_folder = target == "site" and len(folders) > 1
    found = [
        (row.path, f"{number} {row.patient}", folder.name if by_folder else _value(row, target, labels))
        for number, folder in enumerate(folders)
        for row in read_rows(folder)
        if not views or row.view in views
    ]
    known = [subject for subject in found if subject[2]]
    if not known:
        raise DataError(f"no picture in {', '.join(map(str, folders))} states its {target}; give other folders")
    paths, patients, values = zip(*known, strict=True)
    return Subjects(tuple(paths), np.asarray(patients, np.str_), np.asarray(values, np.str_))


def _value(row: Row, target: str, labels: Mapping[str, Finding]) -> str:
    if target not in labels:
        return str(getattr(row, target))
    return {Mark.PRESENT: "present", Mark.ABSENT: "absent"}.get(row.of(labels[target]), "")


def features_of(model: Model, paths: Sequence[Path]) -> Features:
    """Run a bundle's network over pictures, and return the features, ``(pictures, channels)`` float32.

    Parameters
    ----------
    model
        The bundle whose graph runs.
    paths
        PNG or JPEG files, at least one.
    """
    engine = OnnxEngine(model.graph)
    found = []
    for start in range(0, len(paths), BATCH):
        pictures = [as_radiograph(read_picture(path)) for path in paths[start : start + BATCH]]
        found.append(engine.run(np.stack([network_input(picture, model.input) for picture in pictures])).features)
    return np.concatenate(found)


def probe(features: Features, values: Names, patients: Names) -> tuple[Probed, ...]:
    """Measure how well the features predict each value against all others; of two values, only the first.

    Parameters
    ----------
    features
        ``(images, channels)``.
    values, patients
        ``(images,)``: the target's value and the patient of each image.

    Raises
    ------
    DataError
        No value has :data:`FEWEST` patients with it and as many without.
    """
    kinds = [value for value in np.unique(values) if _enough(patients, values == value)]
    if not kinds:
        raise DataError(
            f"nothing to tell apart: no value has {FEWEST} patients with it and {FEWEST} without; give more pictures"
        )
    if len(np.unique(values)) == 2:
        kinds = kinds[:1]
    return tuple(_probed(features, values == value, patients, str(value)) for value in kinds)


def _enough(patients: Names, here: NDArray[np.bool_]) -> bool:
    return min(len(np.unique(patients[here])), len(np.unique(patients[~here]))) >= FEWEST


def _probed(features: Features, here: NDArray[np.bool_], patients: Names, value: str) -> Probed:
    scores = held_out_scores(features, here, patients)
    weights = np.concatenate([np.ones((1, len(here))), patient_weights(patients, RESAMPLES, SEED)])
    auc, *resampled = aucs(here[:, np.newaxis], scores[:, np.newaxis], weights)[:, 0]
    return Probed(
        value, int(here.sum()), len(np.unique(patients[here])), interval(float(auc), np.asarray(resampled, np.float64))
    )


def held_out_scores(features: Features, here: NDArray[np.bool_], patients: Names) -> NDArray[np.float64]:
    """Score every image by a regression that did not see its patient, ``(images,)`` log-odds.

    Parameters
    ----------
    features
        ``(images, channels)``.
    here
        ``(images,)``: whether the image has the value.
    patients
        ``(images,)``: the patient of each image.
    """
    scores = np.full(len(here), np.nan)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    for seen, held_out in folds.split(features, here, patients):
        regression = make_pipeline(
            StandardScaler(), LogisticRegression(C=_PENALTY, class_weight="balanced", max_iter=1000)
        )
        scores[held_out] = regression.fit(features[seen], here[seen]).decision_function(features[held_out])
    return scores
