"""Familiarity: the out-of-distribution check, by the features of an image and those of training images.

The network answers for any picture. Its features, the mean of each channel of the last feature map, show whether the
picture is unusual: those of a hip are far from those of all training images. The distance is that of Mahalanobis under
probabilistic PCA. The largest variances of the training images are kept one by
one, and all other directions get the mean of the rest, because there are too few images to estimate a full covariance.
The distance is taken between the features' square roots: a channel that is rarely active has a long tail to the right,
and a few such channels would otherwise dominate.

A distance does not tell a chest that another hospital's equipment shows in another way from a chest from the side. So
a linear score of the same square roots (:mod:`candor.ood.linear_score`) tells upright frontal chests, as they are and
as other equipment might show them, from pictures made to be something else. A second one tells whether a picture looks
like a child's, where the training pictures had enough children.

References
----------
Lee et al. 2018 (Mahalanobis distance of a network's features). Tipping and Bishop 1999 (probabilistic PCA).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from candor.files.reader import Record, Text
from candor.ood.linear_score import PARTS, LinearScore
from candor.study.reasons import Reason

Floats = NDArray[np.float64]
Features = NDArray[np.floating]
Tensors = Mapping[str, NDArray[np.float32]]

TENSORS: Final = frozenset({"mean", "components", "variances", "rest"})


@dataclass(frozen=True, slots=True, eq=False)
class Familiarity:
    """The distribution of the training images' features, and the limits of the distance from it.

    Parameters
    ----------
    tensors
        For the features' square roots, all float32: ``mean`` ``(channels,)``; ``components`` ``(kept, channels)``,
        orthonormal; ``variances`` ``(kept,)`` along them; ``rest`` ``(1,)``, the variance in every other direction.
    unlike_training, unlike_chest
        Distances above which an image is unlike the training images, and not a chest radiograph.
    description
        One line: what it was fitted to.
    child
        The score of how much a picture looks like a child's; None where there is none.
    not_frontal
        The score of how much a picture looks like something else than an upright frontal chest radiograph; None where
        there is none. A picture over its limit is unlike the training images too.

    Raises
    ------
    ValueError
        A tensor or a limit is not valid.
    """

    tensors: Tensors
    unlike_training: float
    unlike_chest: float
    description: str
    child: LinearScore | None = None
    not_frontal: LinearScore | None = None

    def __post_init__(self) -> None:
        _check(self.tensors)
        if not 0 < self.unlike_training <= self.unlike_chest < np.inf:
            raise ValueError(
                f"the limits {self.unlike_training:g} (training) and {self.unlike_chest:g} (chest) are not positive "
                "and in this order"
            )
        for name, score in (("child", self.child), ("not_frontal", self.not_frontal)):
            if score is not None and score.channels != self.channels:
                raise ValueError(f"the score {name} has {score.channels} channels, not {self.channels}")

    @property
    def channels(self) -> int:
        """The number of features."""
        return len(self.tensors["mean"])

    def distances(self, features: Features) -> Floats:
        """Return the distance of images from the training images.

        Parameters
        ----------
        features
            ``(n, channels)``, see :class:`candor.model.engine.Outputs`.

        Returns
        -------
        ``(n,)``: the Mahalanobis distance divided by the square root of the number of channels, about 1 for the
        training images themselves.

        Raises
        ------
        ValueError
            The number of features is wrong, or they are not finite.
        """
        apart = self._roots(features) - self.tensors["mean"]
        along = apart @ self.tensors["components"].astype(np.float64).T
        beside = np.maximum((apart**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        squared = (along**2 / self.tensors["variances"]).sum(axis=1) + beside / float(self.tensors["rest"][0])
        return np.asarray(np.sqrt(squared / self.channels), np.float64)

    def scores(self, score: LinearScore, features: Features) -> Floats:
        """Return one of the scores of images, ``(n,)``.

        Parameters
        ----------
        score
            ``child`` or ``not_frontal``.
        features
            As for :meth:`distances`, with the same errors.
        """
        return score.scores(self._roots(features))

    def judge(self, features: Features) -> tuple[Reason, str] | None:
        """Return the reason why one image is unfamiliar, with a sentence for a person; None where it is not.

        Parameters
        ----------
        features
            ``(channels,)``.
        """
        distance = float(self.distances(features[np.newaxis])[0])
        if distance > self.unlike_chest:
            return Reason.UNLIKE_CHEST, _detail(distance, self.unlike_chest)
        over = _over(self.not_frontal, features)
        if over is not None:
            return Reason.UNLIKE_TRAINING, f"it looks like something else than an upright frontal chest ({over})"
        if distance > self.unlike_training:
            return Reason.UNLIKE_TRAINING, _detail(distance, self.unlike_training)
        return None

    def judge_age(self, features: Features) -> str | None:
        """Return a sentence where one image without a stated age looks like a child's; None where it does not.

        Parameters
        ----------
        features
            ``(channels,)``.
        """
        over = _over(self.child, features)
        return over and f"the age is not stated, and the picture looks like a child's ({over})"

    def _roots(self, features: Features) -> Floats:
        if features.ndim != 2 or features.shape[1] != self.channels:
            raise ValueError(f"features have the shape {features.shape}, not (images, {self.channels})")
        if not np.isfinite(features).all():
            raise ValueError("features are not finite")
        return stabilised(features)


def _over(score: LinearScore | None, features: Features) -> str | None:
    return None if score is None else score.over(stabilised(features))


def _detail(distance: float, limit: float) -> str:
    return f"its features lie {distance:.2f} away from those of the training images, and {limit:.2f} is the limit"


def stabilised(features: Features) -> Floats:
    """Return the square root of each feature, with its sign: float64 of the same shape."""
    values = np.asarray(features, np.float64)
    return np.sign(values) * np.sqrt(np.abs(values))


def fit_tensors(features: Features, kept: int) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of :class:`Familiarity`, fitted to the training images.

    Parameters
    ----------
    features
        ``(n, channels)`` of the training images, more than ``kept``.
    kept
        The number of variances that are kept one by one; less than the number of channels.

    Raises
    ------
    ValueError
        There are too few images or channels, or the features do not vary beyond what is kept.
    """
    values = stabilised(features)
    images, channels = values.shape
    if not 0 < kept < min(images - 1, channels):
        raise ValueError(f"{images} images with {channels} features cannot support {kept} variances; keep fewer")
    mean = values.mean(axis=0)
    _, scales, directions = np.linalg.svd(values - mean, full_matrices=False)
    variances = scales**2 / (images - 1)
    rest = variances[kept:].sum() / (channels - kept)
    if rest <= np.finfo(np.float32).tiny:
        raise ValueError(f"the features vary in no more than {kept} directions; keep fewer")
    found = {"mean": mean, "components": directions[:kept], "variances": variances[:kept], "rest": rest[np.newaxis]}
    return {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in found.items()}


def _check(tensors: Tensors) -> None:
    if tensors.keys() != TENSORS:
        raise ValueError(f"the tensors are {', '.join(sorted(tensors))}, not {', '.join(sorted(TENSORS))}")
    kept, channels = tensors["variances"].shape[:1], tensors["mean"].shape[:1]
    wanted = {"mean": channels, "components": kept + channels, "variances": kept, "rest": (1,)}
    for name, shape in wanted.items():
        if tensors[name].shape != shape or 0 in shape:
            raise ValueError(f"the tensor {name} has the shape {tensors[name].shape}, which does not fit the others")
        if not np.isfinite(tensors[name]).all():
            raise ValueError(f"the tensor {name} is not finite")
    if min(tensors["variances"].min(), tensors["rest"][0]) <= 0:
        raise ValueError("a variance is not positive")


class Limits(Record):
    """The limits of the distances and of the scores, see :class:`Familiarity`."""

    unlike_training: float
    unlike_chest: float
    child: float | None = None
    not_frontal: float | None = None


class FamiliarityFile(Record):
    """The bundle's ``familiarity.json``."""

    description: Text
    weights_sha256: Text
    tensors_sha256: Text
    limits: Limits

    def familiarity(self, tensors: Path) -> Familiarity:
        """Return the check, with the tensors in a safetensors file.

        Raises
        ------
        SafetensorError, ValueError
            A value or a tensor is missing or not valid.
        """
        found = load_file(tensors)
        child = _score(found, "child", self.limits.child)
        not_frontal = _score(found, "not_frontal", self.limits.not_frontal)
        return Familiarity(
            tensors=found,
            unlike_training=self.limits.unlike_training,
            unlike_chest=self.limits.unlike_chest,
            description=self.description,
            child=child,
            not_frontal=not_frontal,
        )


def _score(found: dict[str, NDArray[np.float32]], name: str, limit: float | None) -> LinearScore | None:
    """Take a score's tensors out of those of the file; None where it has none."""
    tensors = {part: found.pop(f"{name}.{part}") for part in PARTS if f"{name}.{part}" in found}
    if not tensors:
        return None
    if limit is None:
        raise ValueError(f"limits.{name} is missing")
    return LinearScore(tensors, limit)
