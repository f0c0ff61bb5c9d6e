"""Weighted sums of losses as one module, built from a small configuration.

One configuration is one stage: a first stage may be plain cross entropy, and a second adds the saliency losses::

    first = build_loss([{"name": "bce"}])
    second = build_loss([
        {"name": "bce", "positive_weights": [...]},
        {"name": "distinctiveness", "weight": 1.2},
        {"name": "coherence", "weight": 0.9, "side": 56},
    ])

In a MONAI bundle the same list stands as ``terms`` beside ``"_target_": "training.learn.losses.build_loss"``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from candor.study.errors import SettingsError
from training.learn.losses.auc_margin import AucMargin
from training.learn.losses.checks import at_least_float32, number
from training.learn.losses.coherence import SpatialCoherence
from training.learn.losses.cross_entropy import BinaryCrossEntropy, CrossEntropy
from training.learn.losses.distinctiveness import ClassDistinctiveness
from training.learn.losses.focal import FocalLoss
from training.learn.losses.saliency import SaliencyLoss

LOSSES: dict[str, Callable[..., nn.Module]] = {
    "auc_margin": AucMargin,
    "bce": BinaryCrossEntropy,
    "coherence": SpatialCoherence,
    "cross_entropy": CrossEntropy,
    "distinctiveness": ClassDistinctiveness,
    "focal": FocalLoss,
}
"""Losses by the name that a configuration gives; the other keys of a term are the class's parameters."""


class WeightedSum(nn.Module):
    """A weighted sum of losses, ``sum_t weight_t loss_t``, with its parts.

    It is computed in float32 at least, outside autocast: in bfloat16 the difference of two losses would be lost.

    Parameters
    ----------
    terms
        Losses by name. A :class:`~training.learn.losses.saliency.SaliencyLoss` gets the activation, any other module
        logits and labels.
    weights
        One for each, at least 0.

    Raises
    ------
    SettingsError
        There is no term, a weight is impossible, or names differ.
    """

    def __init__(self, terms: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
        super().__init__()
        if not terms or set(terms) != set(weights):
            raise SettingsError(f"terms are {sorted(terms)} and weights {sorted(weights)}; name at least one in both")
        self.terms = nn.ModuleDict(dict(terms))
        self.weights = {name: number(f"the weight of {name}", weights[name], 0) for name in terms}

    def forward(self, logits: Tensor, activation: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Measure one batch.

        Parameters
        ----------
        logits, labels
            ``(n, findings)``; labels in [0, 1], or NaN to be ignored.
        activation
            ``(n, findings, height, width)``; only the saliency losses read it.

        Returns
        -------
        The total, a scalar, and each part by name: before its weight, without gradient.

        Raises
        ------
        DataError
            A tensor does not suit a term.
        """
        logits, activation = at_least_float32(logits), at_least_float32(activation)
        with torch.autocast(logits.device.type, enabled=False):
            parts = {
                name: term(activation) if isinstance(term, SaliencyLoss) else term(logits, labels)
                for name, term in self.terms.items()
            }
        total = torch.stack([self.weights[name] * part for name, part in parts.items()]).sum()
        return total, {name: part.detach() for name, part in parts.items()}


def build_loss(terms: Sequence[Mapping[str, object]]) -> WeightedSum:
    """Build a weighted sum from its configuration.

    Parameters
    ----------
    terms
        For each loss ``name`` (a key of :data:`LOSSES`), ``weight`` (1 if not given), and its parameters.

    Raises
    ------
    SettingsError
        A name is unknown or comes twice, a parameter is unknown, missing or impossible, or there is no term.
    """
    names = [_name(term) for term in terms]
    if len(set(names)) != len(names):
        raise SettingsError(f"the losses are {', '.join(names)}; name each once, and add up the weights")
    built = {name: _build(name, term) for name, term in zip(names, terms, strict=True)}
    return WeightedSum(built, {name: _weight(name, term) for name, term in zip(names, terms, strict=True)})


def _name(term: Mapping[str, object]) -> str:
    name = term.get("name")
    if not isinstance(name, str) or name not in LOSSES:
        raise SettingsError(f"a loss's name is {name!r}; it can be {', '.join(sorted(LOSSES))}")
    return name


def _weight(name: str, term: Mapping[str, object]) -> float:
    return number(f"the weight of {name}", term.get("weight", 1.0), 0)


def _build(name: str, term: Mapping[str, object]) -> nn.Module:
    parameters = {key: value for key, value in term.items() if key not in ("name", "weight")}
    signature = inspect.signature(LOSSES[name])
    try:
        signature.bind(**parameters)
    except TypeError as error:
        known = ", ".join(signature.parameters) or "none"
        raise SettingsError(f"the loss {name}: {error}; its parameters are {known}") from error
    return LOSSES[name](**parameters)
