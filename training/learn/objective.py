"""What a step of training computes: the forward pass in its precision, and the stage's loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from candor.model.networks.classifier import ClassActivationNetwork
from candor.model.networks.mimo import MimoNetwork, mixed
from candor.model.networks.two_view import TwoViewNetwork
from training.data.shares import shares
from training.learn.losses import MemberSum, balanced_finding_weights, build_loss, positive_weights
from training.learn.losses.combined import WeightedSum
from training.learn.recipe import Terms

BALANCED = "balanced"

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def start_at_prevalence(network: ClassActivationNetwork, labels: NDArray[np.float32]) -> None:
    """Set the head's bias to the log-odds of each finding's share, so that training need not find it."""
    share = np.clip(shares(labels), 1e-3, 1 - 1e-3)
    with torch.no_grad():
        network.head.bias.copy_(torch.from_numpy(np.log(share / (1 - share))))


class Forward(nn.Module):
    """A network as training calls it: in a precision, each member of a MIMO network with its own image, two views.

    Of two views the second channel is the lateral, NaN where there is none; the activation is the frontal view's.
    """

    def __init__(self, network: ClassActivationNetwork, precision: str) -> None:
        super().__init__()
        self.network = network
        self._dtype = DTYPES[precision]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and class activation, float32; of all members where ``images`` holds one channel for each."""
        with torch.autocast(images.device.type, self._dtype, enabled=self._dtype is not torch.float32):
            logits, activation = self._answer(images)
        return logits.float(), activation.float()

    def _answer(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.network, MimoNetwork) and self.training:
            return self.network.members(images)
        if isinstance(self.network, TwoViewNetwork):
            frontal, lateral = images[:, :1], images[:, 1:]
            return self.network.both(frontal, lateral, ~lateral[:, 0, 0, 0].isnan())[:2]
        logits, activation = self.network(images)
        return logits, activation


def batch_preparer(network: ClassActivationNetwork) -> Callable[..., tuple[Tensor, Tensor]]:
    """Make MONAI's ``prepare_batch`` for training: to the device, and mixed for the members of a MIMO network."""

    def prepare(
        batch: Mapping[str, Tensor], device: torch.device, non_blocking: bool, **_: object
    ) -> tuple[Tensor, Tensor]:
        images, labels = batch["image"], batch["label"]
        if isinstance(network, MimoNetwork):
            images, labels = mixed(images, labels, network.count)
        return moved(images, device, non_blocking), labels.to(device, non_blocking=non_blocking)

    return prepare


def watched_batch(
    batch: Mapping[str, Tensor], device: torch.device, non_blocking: bool, **_: object
) -> tuple[Tensor, Tensor]:
    """MONAI's ``prepare_batch`` for validation."""
    return moved(batch["image"], device, non_blocking), batch["label"].to(device, non_blocking=non_blocking)


def moved(images: Tensor, device: torch.device, non_blocking: bool) -> Tensor:
    """Bring images to the device, channels last: the layout in which convolutions are fastest."""
    return images.to(device, non_blocking=non_blocking).contiguous(memory_format=torch.channels_last)


class Criterion(nn.Module):
    """The stage's loss as MONAI's engine calls it; ``parts`` holds the last batch's, without gradient."""

    def __init__(self, loss: WeightedSum | MemberSum) -> None:
        super().__init__()
        self.loss = loss
        self.parts: dict[str, Tensor] = {}

    def forward(self, predicted: tuple[Tensor, Tensor], labels: Tensor) -> Tensor:
        """Measure one batch: a scalar."""
        total: Tensor
        total, self.parts = self.loss(*predicted, labels)
        return total


def criterion(terms: Terms, labels: NDArray[np.float32], network: ClassActivationNetwork) -> Criterion:
    """Build a stage's loss.

    Parameters
    ----------
    terms
        As :func:`training.learn.losses.build_loss` takes them. ``class_weights``, ``positive_weights`` and
        ``prevalences`` may be "balanced": then they are computed from ``labels``. AUC-margin's ``findings`` may be left
        out.
    labels
        ``(n, findings)`` of the training set.

    Raises
    ------
    SettingsError
        A term is impossible.
    DataError
        A finding is always or never present, so that no weight balances it.
    """
    loss = build_loss([_resolved(term, labels) for term in terms])
    return Criterion(MemberSum(loss) if isinstance(network, MimoNetwork) else loss)


def _resolved(term: Mapping[str, object], labels: NDArray[np.float32]) -> dict[str, Any]:
    computed: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float64]]] = {
        "class_weights": balanced_finding_weights,
        "positive_weights": positive_weights,
        "prevalences": shares,
    }
    known = {"findings": labels.shape[1]} if term.get("name") == "auc_margin" else {}
    filled = {key: computed[key](labels) for key, value in term.items() if key in computed and value == BALANCED}
    return {**known, **term, **filled}
