"""Optimisers and learning-rate schedules by the names in a recipe.

References
----------
Kingma and Ba 2015 (Adam). Loshchilov and Hutter 2019 (AdamW). Yuan et al. 2021 (PESG). Smith 2018 (one cycle, in
which the momentum falls while the rate rises).
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from candor.model.networks.transfer import parameter_groups
from training.learn.losses import PESG
from training.learn.recipe import Recipe, Stage

LOWEST_MOMENTUM = 0.85
"""Momentum at the peak of the cycle, as in Smith 2018; never above the recipe's own."""

SHORTEST_CYCLE = 4
"""Steps below which the rate stays constant."""


def make_optimiser(network: nn.Module, loss: nn.Module, recipe: Recipe, stage: Stage) -> Optimizer:
    """Return the stage's optimiser.

    Parameters
    ----------
    network
        Its parameters are optimised.
    loss
        The stage's loss; PESG optimises its parameters too.
    recipe
        Gives weight decay, momentum and groups of layers.
    stage
        Gives the optimiser's name and the rate.

    Raises
    ------
    SettingsError
        ``pesg`` without an AUC-margin loss, or a number is impossible.
    """
    rate, decay = stage.peak_learning_rate, recipe.weight_decay
    if stage.optimiser == "pesg":
        return PESG(network.parameters(), loss, lr=rate, weight_decay=decay)
    groups = _groups(network, recipe, rate)
    if stage.optimiser == "sgd":
        return SGD(groups, rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0, weight_decay=decay)
    adam = AdamW if stage.optimiser == "adamw" else Adam
    return adam(groups, rate, betas=(recipe.momentum, 0.999), weight_decay=decay)


def _groups(network: nn.Module, recipe: Recipe, rate: float) -> list[dict[str, Any]]:
    if recipe.rate_groups == 1:
        return [{"params": list(network.parameters()), "lr": rate}]
    return parameter_groups(network, rate, groups=recipe.rate_groups, factor=recipe.rate_factor)


def make_schedule(optimiser: Optimizer, recipe: Recipe, steps: int) -> LRScheduler:
    """Return the schedule of a stage; each group of layers peaks at its own rate.

    Parameters
    ----------
    optimiser
        From :func:`make_optimiser`; its rates are the peaks.
    recipe
        Gives the schedule's name and the momentum.
    steps
        Optimiser steps in the stage.
    """
    # Under four steps torch's cycle does not rise first: it would peak at its last step.
    if recipe.schedule == "constant" or steps < SHORTEST_CYCLE:
        return ConstantLR(optimiser, factor=1.0)
    return OneCycleLR(
        optimiser,
        [float(group["lr"]) for group in optimiser.param_groups],
        total_steps=steps,
        # PESG's momentum is the weight of the new gradient, and its proof needs it constant.
        cycle_momentum=not isinstance(optimiser, PESG),
        base_momentum=min(LOWEST_MOMENTUM, recipe.momentum),
        max_momentum=recipe.momentum,
    )
