"""The computation of a training step: the forward pass in its precision, and the stage's loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from candor.model.networks.class_activation import ClassActivationNetwork
from candor.model.networks.mimo import MimoNetwork, mixed
from candor.model.networks.two_view import TwoViewNetwork
from training.data.shares import shares
from training.learn.losses import MemberSum, balanced_finding_weights, build_loss, positive_weights
from training.learn.losses.combined import WeightedSum
from training.learn.recipe import Terms

BALANCED = "balanced"

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def start_at_prevalence(network: ClassActivationNetwork, labels: NDArray[np.float32]) -> None:
    """Set the head's bias to the log-odds of each finding's share, so that training need not find it.

    Parameters
    ----------
    network
        Its head's bias is changed in place.
    labels
        ``(n, findings)`` of the training set; NaN is ignored.
    """
    share = np.clip(shares(labels), 1e-3, 1 - 1e-3)
    with torch.no_grad():
        network.head.bias.copy_(torch.from_numpy(np.log(share / (1 - share))))


class Forward(nn.Module):
    """A network as training calls it: in a precision, and for MIMO and two-view networks with several images at once.

    Each member of a MIMO network gets its own image. For two views the second channel is the lateral, NaN if it is
    missing; the activation is the frontal view's.

    Parameters
    ----------
    network
        The network; it is called, not copied.
    precision
        One of :data:`training.learn.recipe.PRECISIONS`.
    """

    def __init__(self, network: ClassActivationNetwork, precision: str) -> None:
        super().__init__()
        self.network = network
        self._dtype = DTYPES[precision]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and class activation, float32; for all members if ``images`` has one channel for each."""
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
    """Return MONAI's ``prepare_batch`` for training, which also mixes the batch for a MIMO network."""

    def prepare(
        batch: Mapping[str, Tensor], device: torch.device, non_blocking: bool, **_: object
    ) -> tuple[Tensor, Tensor]:
        images, labels = batch["image"], batch["label"]
        if isinstance(network, MimoNetwork):
            images, labels = mixed(images, labels, network.count)
        return _to_device(images, device, non_blocking), labels.to(device, non_blocking=non_blocking)

    return prepare


def validation_batch(
    batch: Mapping[str, Tensor], device: torch.device, non_blocking: bool, **_: object
) -> tuple[Tensor, Tensor]:
    """Move a batch to the device: MONAI's ``prepare_batch`` for validation.

    Parameters
    ----------
    batch
        ``image`` and ``label``, as the loader gives them.
    device
        Where the network is.
    non_blocking
        Whether the copy may overlap with other work.
    """
    return _to_device(batch["image"], device, non_blocking), batch["label"].to(device, non_blocking=non_blocking)


def _to_device(images: Tensor, device: torch.device, non_blocking: bool) -> Tensor:
    """Move images to the device, channels last, the layout in which convolutions are fastest."""
    return images.to(device, non_blocking=non_blocking).contiguous(memory_format=torch.channels_last)


class Criterion(nn.Module):
    """The stage's loss as MONAI's engine calls it; ``parts`` holds the parts of the last batch, without gradient."""

    def __init__(self, loss: WeightedSum | MemberSum) -> None:
        super().__init__()
        self.loss = loss
        self.parts: dict[str, Tensor] = {}

    def forward(self, predicted: tuple[Tensor, Tensor], labels: Tensor) -> Tensor:
        """Return the loss of one batch, a scalar.

        Parameters
        ----------
        predicted
            Logits and class activation, from :class:`Forward`.
        labels
            ``(n, findings)``, or ``(n, members, findings)`` for a MIMO network.
        """
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
    network
        Decides whether the loss is summed over members.

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
