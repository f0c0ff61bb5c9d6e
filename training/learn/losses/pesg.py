"""PESG, the primal-dual optimiser of the AUC-margin loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from candor.study.errors import SettingsError
from training.learn.losses.auc_margin import AucMargin
from training.learn.losses.checks import number


class PESG(torch.optim.Optimizer):
    """Proximal epoch stochastic gradient: descend in the network, a and b, ascend in alpha.

    For a primal variable v with gradient g, momentum mu and learning rate eta, each step is

    ``d = clip(g, -c, c) + lambda_0 (v - v_ref) + lambda v``,
    ``u <- (1 - mu) u + mu d``, ``v <- v - eta u``,

    where u begins as d; mu = 0 takes ``u = d``. Then ``alpha <- max(0, alpha + 2 eta (m + b - a - alpha))``. That is
    LibAUC's step for alpha: the paper's, at the means that a and b estimate, and without its factor p (1 - p).
    ``v_ref`` begins as the variable itself (the paper's v_0; LibAUC 2.0.1 draws it at random) and
    :meth:`update_regularizer` moves it.

    Parameters
    ----------
    params
        The network's parameters; the loss's own are added.
    loss
        The :class:`~training.learn.losses.auc_margin.AucMargin`, or a module that holds just one, as a ``WeightedSum``
        may.
    lr
        eta.
    momentum
        mu, in [0, 1]: the weight of what is new, as in LibAUC; elsewhere it is that of the past.
    clip_value
        c.
    weight_decay, epoch_decay
        lambda and lambda_0.

    Raises
    ------
    SettingsError
        A parameter is impossible, or the loss holds no AUC-margin loss, or several.

    References
    ----------
    Yuan et al. 2021, algorithm 1; Guo et al. 2020 (proximal primal-dual). LibAUC 2.0.1's ``PESG``, mode "sgd".
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        loss: nn.Module,
        lr: float = 0.1,
        momentum: float = 0.9,
        clip_value: float = 1.0,
        weight_decay: float = 1e-5,
        epoch_decay: float = 2e-3,
    ) -> None:
        self._loss = _only_auc_margin(loss)
        defaults: dict[str, Any] = {
            "lr": number("lr", lr, 0),
            "momentum": number("momentum", momentum, 0, 1),
            "clip_value": number("clip_value", clip_value, 0),
            "weight_decay": number("weight_decay", weight_decay, 0),
            "epoch_decay": number("epoch_decay", epoch_decay, 0),
            "steps": 0,
        }
        super().__init__([*params, self._loss.a, self._loss.b], defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; a closure, if given, first computes the loss and its gradients, and its value is returned."""
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        group = self.param_groups[0]
        for parameter in group["params"]:
            if parameter.grad is not None:
                self._descend(parameter, group)
        loss = self._loss
        loss.alpha.add_(loss.margin + loss.b - loss.a - loss.alpha, alpha=2 * group["lr"]).clamp_(min=0)
        group["steps"] += 1
        return value

    def _descend(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["reference"], state["sum"] = parameter.clone(), torch.zeros_like(parameter)
        direction = parameter.grad.clamp(-group["clip_value"], group["clip_value"])  # type: ignore[union-attr]
        direction.add_(parameter - state["reference"], alpha=group["epoch_decay"])
        direction.add_(parameter, alpha=group["weight_decay"])
        if group["momentum"]:
            if "momentum_buffer" in state:
                state["momentum_buffer"].lerp_(direction, group["momentum"])
            else:
                state["momentum_buffer"] = direction
            direction = state["momentum_buffer"]
        parameter.sub_(direction, alpha=group["lr"])
        state["sum"].add_(parameter)

    @torch.no_grad()
    def update_regularizer(self, lr_divisor: float = 1.0) -> None:
        """Begin the next proximal epoch: ``v_ref`` becomes the mean of v over the last one, and eta is divided.

        Raises
        ------
        SettingsError
            The divisor is not at least 1.
        """
        group = self.param_groups[0]
        group["lr"] /= number("lr_divisor", lr_divisor, 1)
        if not group["steps"]:
            return
        for state in self.state.values():
            state["reference"] = state["sum"] / group["steps"]
            state["sum"] = torch.zeros_like(state["sum"])
        group["steps"] = 0


def _only_auc_margin(loss: nn.Module) -> AucMargin:
    found = [module for module in loss.modules() if isinstance(module, AucMargin)]
    if len(found) != 1:
        raise SettingsError(
            f"PESG is for one AUC-margin loss and found {len(found)}; train with AdamW, or set just one"
        )
    return found[0]
