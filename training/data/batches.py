"""Batches of pictures with labels; their content depends only on the seed and the step.

So an interrupted run can go on at any step with the batches that it would have seen, whatever the number of processes
and of readers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from candor.model.preprocess import InputSpec
from candor.study.errors import DataError
from candor.study.radiograph import Radiograph
from training.data.augmentation import Augmentation, augment
from training.data.cache import PixelCache, open_cache
from training.data.pictures import network_input
from training.data.views import LateralPixels, Paired
from training.distributed import rank, world

Drawn = tuple[int, int]
"""A picture's position, and the epoch in which it is drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Pictures with labels, addressed by position.

    Parameters
    ----------
    labels
        ``(images, findings)``: 1 present, 0 absent, NaN ignored.
    targets
        ``(images, findings)``: what the loss compares with, the labels or softer ones.
    laterals
        The lateral views, for a network of two views; None for one view.
    """

    pixels: PixelCache
    labels: NDArray[np.float32]
    targets: NDArray[np.float32]
    laterals: LateralPixels | None = None

    @classmethod
    def of(
        cls,
        seen: Paired,
        cache: Path,
        targets: NDArray[np.float32] | None = None,
    ) -> Examples:
        """Decode pictures into a cache, or open them from it.

        Parameters
        ----------
        seen
            The pictures as the network reads them.
        cache
            Folder of the cache.
        targets
            ``(images, findings)`` in [0, 1], NaN ignored; None takes the labels.
        """
        labels = seen.frontal.labels()
        laterals = None if seen.laterals is None else LateralPixels.of(seen.laterals, cache)
        pixels = open_cache(seen.frontal.images, cache)
        return cls(pixels, labels, labels if targets is None else targets, laterals)

    def views(self, position: int) -> list[Radiograph | None]:
        """Read the views of one example: its picture and, for two views, its lateral, None if it has none."""
        frontal = self.pixels.radiograph(position)
        if self.laterals is None:
            return [frontal]
        place = int(self.laterals.places[position])
        pixels = self.laterals.pixels
        return [frontal, None if pixels is None or place < 0 else pixels.radiograph(place)]


def training_input(
    image: Radiograph, spec: InputSpec, how: Augmentation | None, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Make the network input for training.

    Parameters
    ----------
    image
        The picture.
    spec
        The network's input.
    how
        Random changes; None makes the application's own input.
    rng
        Source of the randomness.
    """
    return network_input(image if how is None else augment(image, how, rng), spec)


def pixel_statistics(cache: PixelCache) -> tuple[float, float]:
    """Return mean and standard deviation over all pixels of all pictures, in [0, 1]."""
    histogram = np.zeros(256, np.int64)
    for position in range(len(cache)):
        histogram += np.bincount(cache.stored(position).ravel(), minlength=256)
    levels = np.arange(256) / 255
    mean = float(np.average(levels, weights=histogram))
    return mean, float(np.sqrt(np.average((levels - mean) ** 2, weights=histogram)))


class Inputs(Dataset[dict[str, Tensor]]):
    """Examples as the network's input: ``image`` ``(views, side, side)`` and ``label`` ``(findings,)``.

    A missing lateral is all NaN, see :class:`training.learn.objective.Forward`.

    Parameters
    ----------
    examples
        Pictures and targets.
    spec
        The network's input.
    how
        Random changes; None for none.
    key
        Numbers that seed the random changes of a picture, besides its position and the epoch.
    """

    def __init__(self, examples: Examples, spec: InputSpec, how: Augmentation | None, key: tuple[int, ...]) -> None:
        self._examples, self._spec, self._how, self._key = examples, spec, how, key

    def __getitem__(self, drawn: Drawn) -> dict[str, Tensor]:
        """Read one picture, changed as it is in its epoch."""
        position, epoch = drawn
        rng = np.random.default_rng([*self._key, epoch, position])
        image = np.concatenate([self._input(view, rng) for view in self._examples.views(position)])
        return {"image": torch.from_numpy(image), "label": torch.from_numpy(self._examples.targets[position])}

    def _input(self, view: Radiograph | None, rng: np.random.Generator) -> NDArray[np.float32]:
        if view is None:
            return np.full((1, self._spec.side, self._spec.side), np.nan, np.float32)
        return training_input(view, self._spec, self._how, rng)


class PatientShare:
    """At most so many pictures of a patient in an epoch: one with a hundred pictures tells less than a hundred.

    Parameters
    ----------
    patients
        ``(images,)``: the patient of each picture.
    most
        Pictures of a patient in an epoch, at least 1.
    """

    def __init__(self, patients: NDArray[np.str_], most: int) -> None:
        _, self._patient, counts = np.unique(patients, return_inverse=True, return_counts=True)
        self._most = most
        self.pictures = int(np.minimum(counts, most).sum())

    def of(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """Keep the first pictures of each patient in an order of all pictures."""
        patient = self._patient[order]
        together = np.argsort(patient, kind="stable")
        starts = np.searchsorted(patient[together], patient[together])
        return order[np.sort(together[np.arange(len(order)) - starts < self._most])]


class Order(Sampler[list[Drawn]]):
    """Endless batches, in a new random order in each epoch; the rest of an epoch that fills no batch is not used.

    Parameters
    ----------
    pictures
        How many there are.
    size
        Pictures in a batch over all processes; each process gets its share of them.
    key
        Numbers that seed the order, besides the epoch.
    start
        The first batch, counted over all epochs.
    share
        Which pictures an epoch takes; None for all.
    """

    def __init__(
        self, pictures: int, size: int, key: tuple[int, ...], start: int = 0, share: PatientShare | None = None
    ) -> None:
        self._pictures, self._size, self._key, self._start, self._share = pictures, size, key, start, share
        self.batches_an_epoch = (share.pictures if share else pictures) // size

    def __iter__(self) -> Iterator[list[Drawn]]:
        drawn_for, order = -1, np.empty(0, np.int64)
        for step in count(self._start):
            epoch, batch = divmod(step, self.batches_an_epoch)
            if epoch != drawn_for:
                drawn_for, order = epoch, np.random.default_rng([*self._key, epoch]).permutation(self._pictures)
                order = self._share.of(order) if self._share else order
            chosen = order[batch * self._size : (batch + 1) * self._size]
            yield [(int(position), epoch) for position in chosen[rank() :: world()]]


def batch_size(wanted: int, pictures: int) -> int:
    """Return the largest batch size up to ``wanted`` that divides evenly among the processes.

    Parameters
    ----------
    wanted
        Pictures in a batch over all processes, at most.
    pictures
        Number of pictures; a batch holds no more.

    Raises
    ------
    DataError
        There are fewer pictures than processes.
    """
    size = min(wanted, pictures) // world() * world()
    if not size:
        raise DataError(f"{min(wanted, pictures)} pictures a batch cannot be shared by {world()} processes; take fewer")
    return size


def training_loader(inputs: Inputs, order: Order, workers: int) -> DataLoader[dict[str, Tensor]]:
    """Return a loader that reads batches without end.

    Parameters
    ----------
    inputs
        The examples to read.
    order
        The batches, for this process.
    workers
        Number of reader processes; 0 reads in this process.
    """
    return DataLoader(
        inputs,
        batch_sampler=order,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        generator=_own_generator(),
    )


def validation_loader(inputs: Inputs, pictures: int, size: int) -> DataLoader[dict[str, Tensor]]:
    """Return a loader that reads this process's share of the pictures, each once.

    Parameters
    ----------
    inputs
        The examples to read.
    pictures
        Number of pictures over all processes.
    size
        Pictures in a batch of this process.
    """
    mine = [(position, 0) for position in range(rank(), pictures, world())]
    return DataLoader(inputs, batch_size=size, sampler=mine, generator=_own_generator())


def _own_generator() -> torch.Generator:
    # A loader draws a number when it is iterated. From torch's own generator, a resumed run would draw one more.
    return torch.Generator()
