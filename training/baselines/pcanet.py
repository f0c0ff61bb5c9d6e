"""PCANet: a baseline without gradients, whose filters are principal components of patches.

The filters of its two stages are the leading eigenvectors of mean-free patches. The signs of the second stage's
responses are the bits of a code at each pixel. Histograms of the codes over blocks are the features of linear
classifiers.

References
----------
Chan et al. 2015 (PCANet: a simple deep learning baseline for image classification?).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from sklearn.svm import LinearSVC

from candor.study.errors import DataError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class PcaNetSpec:
    """Settings of PCANet.

    Parameters
    ----------
    patch
        Side of the filters in pixels, odd.
    filters
        Number of filters of the first and of the second stage; a code has a bit for each filter of the second.
    block, step
        Side of a histogram's block, and distance from one block to the next, in pixels.
    cost
        Cost of errors of the linear classifiers.
    """

    patch: int = 7
    filters: tuple[int, int] = (8, 8)
    block: int = 8
    step: int = 4
    cost: float = 1.0


class PcaNet:
    """A classifier of small images with independent findings.

    Parameters
    ----------
    spec
        Settings; by default those of the paper.
    seed
        Seed of the order in which the linear classifiers use the images.
    """

    def __init__(self, spec: PcaNetSpec | None = None, seed: int = 0) -> None:
        self._spec = spec or PcaNetSpec()
        self._seed = seed
        self._filters: tuple[Floats, Floats] | None = None
        self._classifiers: list[LinearSVC] = []

    def fit(self, images: Floats, labels: Bools | Floats) -> Self:
        """Learn filters and classifiers.

        Parameters
        ----------
        images
            ``(n, side, side)``.
        labels
            ``(n, findings)``: true or over 0 if the image shows the finding, NaN if that is not known.

        Raises
        ------
        DataError
            The images are smaller than a patch or a block, or none of them shows a finding, or all do.
        """
        spec = self._spec
        if min(images.shape[1:]) < max(spec.patch, spec.block):
            raise DataError(f"images of {images.shape[1:]} pixels are smaller than a patch or a block; enlarge them")
        if not ((labels > 0).any(axis=0) & (labels <= 0).any(axis=0)).all():
            raise DataError("none of the images shows a finding, or all do; PCANet needs both")
        first = principal_filters(images, spec.patch, spec.filters[0])
        answers = (answer for image in images for answer in convolved(image[None], first)[0])
        second = principal_filters(answers, spec.patch, spec.filters[1])
        self._filters = (first, second)
        features = self.features(images)
        self._classifiers = [self._classifier(features, column) for column in labels.T]
        return self

    def _classifier(self, features: csr_matrix, labels: NDArray[Any]) -> LinearSVC:
        known = ~np.isnan(labels)
        return LinearSVC(C=self._spec.cost, random_state=self._seed).fit(features[known], labels[known] > 0)

    def features(self, images: Floats) -> csr_matrix:
        """Return the histograms of codes, ``(n, filters[0] * blocks * 2**filters[1])``.

        Raises
        ------
        DataError
            :meth:`fit` was not called.
        """
        if self._filters is None:
            raise DataError("PCANet is not fitted yet; call fit first")
        first, second = self._filters
        return vstack([self._histograms(hashed(convolved(image[None], first)[0], second)) for image in images], "csr")

    def decision(self, images: Floats) -> Floats:
        """Return signed distances from the classifiers' planes, ``(n, findings)``: positive for a finding."""
        features = self.features(images)
        return np.stack([classifier.decision_function(features) for classifier in self._classifiers], axis=1)

    def predict(self, images: Floats) -> Bools:
        """Return whether each image shows each finding: ``(n, findings)``."""
        return self.decision(images) > 0

    def _histograms(self, codes: NDArray[np.int64]) -> csr_matrix:
        """Return one row with all blocks' histograms, from codes ``(maps, side, side)``."""
        spec, bins = self._spec, 2 ** self._spec.filters[1]
        blocks = sliding_window_view(codes, (spec.block, spec.block), axis=(1, 2))[:, :: spec.step, :: spec.step]
        flat = blocks.reshape(-1, spec.block**2)
        places = flat + bins * np.arange(len(flat))[:, None]
        return csr_matrix(np.bincount(places.ravel(), minlength=bins * len(flat)).astype(np.float64))


def principal_filters(images: Iterable[Floats], patch: int, count: int) -> Floats:
    """Return the leading eigenvectors of the covariance of all mean-free patches: ``(count, patch, patch)``.

    Parameters
    ----------
    images
        Each ``(side, side)``; they are read one by one.
    patch
        Side of the patches in pixels.
    count
        Number of filters.

    Notes
    -----
    An eigenvector's sign is free: its largest entry is made positive, so that a fit can be repeated.
    """
    scatter = np.zeros((patch**2, patch**2))
    for image in images:
        patches = sliding_window_view(image, (patch, patch)).reshape(-1, patch**2)
        centred = patches - patches.mean(axis=1, keepdims=True)
        scatter += centred.T @ centred
    vectors = np.linalg.eigh(scatter)[1][:, ::-1][:, :count].T
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)
    return np.asarray((vectors * np.sign(largest)).reshape(count, patch, patch))


def convolved(images: Floats, filters: Floats) -> Floats:
    """Return the response of each filter at each pixel: ``(n, filters, side, side)``.

    Parameters
    ----------
    images
        ``(n, side, side)``, taken as 0 outside.
    filters
        ``(filters, patch, patch)``.
    """
    return np.stack([[_filtered(image, kernel) for kernel in filters] for image in images])


def hashed(maps: Floats, filters: Floats) -> NDArray[np.int64]:
    """Return the signs of the filters' responses as the bits of a code: ``(maps, side, side)``, in [0, 2**filters).

    Parameters
    ----------
    maps
        ``(maps, side, side)``.
    filters
        ``(filters, patch, patch)``.
    """
    bits: Sequence[NDArray[np.int64]] = [
        (convolved(maps, kernel[None])[:, 0] > 0).astype(np.int64) << position
        for position, kernel in enumerate(filters)
    ]
    return np.asarray(sum(bits), np.int64)


def _filtered(image: Floats, kernel: Floats) -> Floats:
    answer = cv2.filter2D(image.astype(np.float64), cv2.CV_64F, kernel, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(answer, np.float64)
