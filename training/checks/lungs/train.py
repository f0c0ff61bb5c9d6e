"""Train the small U-Net that finds the lung field.

There are few pictures, so each is moved, turned, mirrored, changed in its tones, blurred and partly blanked at every
step. Mirroring is allowed: a lung field looks alike on both sides, and a picture may be stored mirrored.

References
----------
Ronneberger et al. 2015 (U-Net). Kerfoot et al. 2019 (MONAI's, with strides and residual units). Milletari et al. 2016
(Dice loss). Smith 2017 (one cycle).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from candor.model.preprocess import InputSpec, to_network_input
from candor.study.errors import DataError
from training.checks.lungs.data import LungPicture
from training.checks.lungs.recipe import LungRecipe
from training.data.pictures import as_radiograph, read_picture
from training.monai import (
    Compose,
    DiceCELoss,
    RandAdjustContrastd,
    RandAffined,
    RandBiasFieldd,
    RandCoarseDropoutd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    UNet,
)

Floats = NDArray[np.float32]

INPUT: Final = InputSpec(side=128, mean=0.5, std=0.25)


AVERAGED: Final = 12
"""The moving average of the weights spans a twelfth of the steps."""


def make_network() -> nn.Module:
    """Return the U-Net: ``(n, 1, side, side)`` to logits of the same shape; ``side`` is a multiple of 16."""
    return UNet(2, 1, 1, channels=(16, 32, 48, 64, 48), strides=(2, 2, 2, 2), num_res_units=1)


def network_inputs(pictures: Sequence[LungPicture]) -> Floats:
    """Decode pictures and squeeze them to squares: ``(n, 1, side, side)`` float32 in [0, 1], 0 is black."""
    plain = replace(INPUT, mean=0.0, std=1.0)
    return np.stack([to_network_input(as_radiograph(read_picture(picture.path)), plain) for picture in pictures])


def augmentation(seed: int) -> Compose:
    """Return the random changes of a picture in [0, 1]; where it is moved, its lung field is moved with it."""
    both, picture = ("image", "mask"), ("image",)
    how = Compose(
        [
            RandFlipd(both, prob=0.5, spatial_axis=1),
            RandAffined(
                both,
                prob=0.9,
                rotate_range=0.26,  # 15 degrees
                shear_range=(0.1, 0.1),
                translate_range=(14, 14),
                scale_range=(0.25, 0.25),
                mode="bilinear",
                padding_mode="zeros",  # black, as outside a collimator
            ),
            RandAdjustContrastd(picture, prob=0.6, gamma=(0.5, 2.0)),
            RandBiasFieldd(picture, prob=0.3, degree=2, coeff_range=(-0.2, 0.2)),
            RandScaleIntensityd(picture, factors=0.4, prob=0.6),
            RandShiftIntensityd(picture, offsets=0.15, prob=0.6),
            RandGaussianSmoothd(picture, (0.3, 1.2), (0.3, 1.2), prob=0.25),
            RandGaussianNoised(picture, prob=0.3, std=0.06),
            RandCoarseDropoutd(picture, holes=1, max_holes=5, spatial_size=8, max_spatial_size=36, prob=0.5),
        ],
        map_items=False,
    )
    how.set_random_state(seed)
    return how


def train_network(images: Floats, masks: Floats, recipe: LungRecipe) -> nn.Module:
    """Train on pictures and their lung fields.

    Parameters
    ----------
    images
        ``(n, 1, side, side)`` float32 in [0, 1], 0 is black.
    masks
        ``(n, side, side)`` float32: the share of each cell that is lung.
    recipe
        How the network is trained.

    Returns
    -------
    The network in evaluation mode; its weights are an average over the steps, mostly the late ones.

    Raises
    ------
    DataError
        There are fewer pictures than in one batch.
    """
    if len(images) < recipe.batch:
        raise DataError(f"{len(images)} pictures to learn from are fewer than a batch of {recipe.batch}; lower it")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = make_network()
    decay = max(0.0, 1 - AVERAGED / recipe.steps)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
    optimiser = torch.optim.AdamW(network.parameters(), recipe.peak_learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.peak_learning_rate, recipe.steps)
    loss_of = DiceCELoss(sigmoid=True, batch=True)
    for picture, lung in batches(images, masks, recipe):
        optimiser.zero_grad()
        loss: Tensor = loss_of(network(picture), lung)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        average.update_parameters(network)
    return average.module.eval()


def batches(images: Floats, masks: Floats, recipe: LungRecipe) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each step's augmented pictures, standardised, and their lung fields: ``(batch, 1, side, side)`` both.

    Parameters
    ----------
    images, masks
        As for :func:`train_network`.
    recipe
        Gives the steps, the batch and the seed.
    """
    rng, change = np.random.default_rng(recipe.seed), augmentation(recipe.seed)
    places: list[int] = []
    for _ in range(recipe.steps):
        if len(places) < recipe.batch:
            places += rng.permutation(len(images)).tolist()
        chosen, places = places[: recipe.batch], places[recipe.batch :]
        changed: list[Any] = [change({"image": images[i], "mask": masks[i][np.newaxis]}) for i in chosen]
        picture, lung = (torch.stack([item[key].as_tensor() for item in changed]) for key in ("image", "mask"))
        yield (picture - INPUT.mean) / INPUT.std, lung
