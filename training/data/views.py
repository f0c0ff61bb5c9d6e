"""Frontal radiographs with the lateral of the same study, for networks of two views.

Studies without a lateral stay: most of CheXpert's have none, and :class:`candor.model.networks.two_view.TwoViewNetwork`
takes a missing lateral's features as zero. Rubin et al. trained on pairs alone. A lateral whose study has no frontal
radiograph is left out, since the network does not read a lateral alone.

References
----------
Rubin et al. 2018 (Large scale automated reading of frontal and lateral chest X-rays using dual convolutional neural
networks).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.model.networks.registry import reads_two_views
from candor.study.errors import DataError
from training.data.cache import PixelCache, open_cache
from training.data.dataset import Dataset, LabelledImage

LATERAL: Final = "LL"


@dataclass(frozen=True, slots=True, eq=False)
class Paired:
    """Pictures as a network reads them: single pictures, or frontal radiographs with their laterals.

    Parameters
    ----------
    frontal
        The examples; for two views the data set without its laterals.
    laterals
        One for each frontal radiograph, None if its study has no lateral; None for a network of one view.
    left_out
        Number of laterals whose study has no frontal radiograph.
    """

    frontal: Dataset
    laterals: tuple[LabelledImage | None, ...] | None = None
    left_out: int = 0

    @property
    def facts(self) -> dict[str, int] | None:
        """Counts of frontal radiographs with and without a lateral, and of laterals left out; None for one view."""
        if self.laterals is None:
            return None
        alone = self.laterals.count(None)
        counts = {"pairs": len(self.laterals) - alone, "frontal_alone": alone}
        return counts | {"laterals_left_out": self.left_out}

    @property
    def in_words(self) -> str:
        """These counts in one line; empty for one view."""
        if self.facts is None:
            return ""
        pairs, alone, left_out = self.facts.values()
        return (
            f"two views: {pairs} frontal radiographs with a lateral, {alone} without, which are learned from alone; "
            f"{left_out} laterals without a frontal radiograph are left out"
        )


def seen_by(network: str, part: Dataset) -> Paired:
    """Arrange pictures as a network reads them.

    Parameters
    ----------
    network
        A key of :data:`candor.model.networks.registry.NETWORKS`.
    part
        The pictures of one set of patients, at least one.

    Raises
    ------
    DataError
        The network reads two views and all pictures are lateral.
    """
    if not reads_two_views(network):
        return Paired(part)
    pairs = paired(part)
    if not pairs.frontal.images:
        subset = part.images[0].subset.value
        raise DataError(f"all radiographs of the {subset} patients are lateral, and {network} needs frontal ones too")
    return pairs


def paired(dataset: Dataset) -> Paired:
    """Pair each frontal radiograph with its study's lateral, the first by name; frontals of one study share it."""
    lateral = sorted((image for image in dataset.images if image.view == LATERAL), key=lambda image: image.name)
    frontal = [image for image in dataset.images if image.view != LATERAL]
    by_study: dict[tuple[str, str], LabelledImage] = {}
    for image in lateral:
        if image.study:
            by_study.setdefault(_study(image), image)
    studies = {_study(image) for image in frontal}
    return Paired(
        frontal=replace(dataset, images=tuple(frontal)),
        laterals=tuple(by_study.get(_study(image)) if image.study else None for image in frontal),
        left_out=sum(not image.study or _study(image) not in studies for image in lateral),
    )


def _study(image: LabelledImage) -> tuple[str, str]:
    return image.patient, image.study


def require_laterals(pairs: Paired, network: str) -> None:
    """Refuse pictures without a pair for a network of two views.

    Parameters
    ----------
    pairs
        The training pictures.
    network
        The network's name, for the error.

    Raises
    ------
    DataError
        The network reads two views and no frontal radiograph has a lateral.
    """
    if pairs.laterals is not None and not any(pairs.laterals):
        alone = network.rpartition(":")[2]
        raise DataError(
            f"{network} reads a frontal and a lateral radiograph of a study, and no training study has both; give data "
            f"with laterals, or train {alone}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class LateralPixels:
    """Decoded laterals, addressed by the position of their frontal radiograph.

    Parameters
    ----------
    pixels
        None if there is no lateral at all.
    places
        ``(frontal images,)``: the position of each one's lateral in ``pixels``, -1 for none.
    """

    pixels: PixelCache | None
    places: NDArray[np.int64]

    @classmethod
    def of(cls, laterals: Sequence[LabelledImage | None], cache: Path) -> LateralPixels:
        """Decode laterals into a cache, each once, or open them from it.

        Parameters
        ----------
        laterals
            One for each frontal radiograph, None if it has none.
        cache
            Folder of the cache.
        """
        unique = {image.name: image for image in laterals if image is not None}
        order = {name: place for place, name in enumerate(unique)}
        places = np.asarray([-1 if image is None else order[image.name] for image in laterals], np.int64)
        return cls(open_cache(tuple(unique.values()), cache) if unique else None, places)
