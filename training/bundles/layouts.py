"""The layouts of published DenseNet-121 weights, and how each is changed into ours.

``chexnet``
    torchvision's DenseNet-121 followed by a sigmoid, as the public copies of CheXNet save it: three colours
    standardised as for ImageNet, 14 outputs in the order of ChestX-ray14. Layer names are old
    (``denselayer1.norm.1``) or new (``denselayer1.norm1``), with ``module.`` and ``densenet121.`` before them or not.
``torchxrayvision``
    TorchXRayVision's DenseNet: one channel in [-1024, 1024], 18 outputs in an order of its own, of which a training
    set fills only some; the buffer ``op_threshs`` is NaN for the others. These thresholds are dropped: they bend
    probabilities, and Candor calibrates.

References
----------
Rajpurkar et al. 2017 (CheXNet); github.com/arnoweng/CheXNet, github.com/jrzech/reproduce-chexnet.
Cohen et al. 2022 (TorchXRayVision); github.com/mlmed/torchxrayvision, ``models.py`` and ``utils.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from candor.model.preprocess import InputSpec
from candor.study.findings import Finding

State = dict[str, Tensor]

FIRST: Final = "trunk.features.conv0.weight"
AFTER_FIRST: Final = "trunk.features.norm0.running_mean"
THRESHOLDS: Final = "op_threshs"

_SIDE: Final = 224


@dataclass(frozen=True, slots=True)
class Layout:
    """How a published network differs from ours.

    Parameters
    ----------
    outputs
        Names of the classifier's rows, in order.
    channels
        Channels of the first layer.
    input
        Input of the network after ``to_one_channel``.
    to_one_channel
        Changes the first layer in place, under our names, so that our standardised input gives the same
        answers as theirs.
    """

    outputs: tuple[str, ...]
    channels: int
    input: InputSpec
    to_one_channel: Callable[[State, InputSpec], None]


_COLOURS: Final = ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
"""Mean and deviation of ImageNet's red, green and blue, in [0, 1]."""


def _from_colours(state: State, spec: InputSpec) -> None:
    """Fold three standardisations of one grey image into one.

    The first layer answers to grey g with sum_c w_c * (g - mean_c) / std_c. One channel of
    sum_c w_c std / std_c gives the same up to a constant for each filter, which is subtracted from the running mean of
    the batch normalisation after it. Only the three outermost pixels differ a little: the published networks pad them
    with three means, ours with one.
    """
    mean, std = torch.tensor(_COLOURS, dtype=torch.float64).T[:, None, :, None, None]
    weight = state[FIRST].double() / std
    constant = (weight * (spec.mean - mean)).sum(dim=(1, 2, 3))
    state[FIRST] = (weight.sum(dim=1, keepdim=True) * spec.std).float()
    state[AFTER_FIRST] = (state[AFTER_FIRST].double() - constant).float()


def _from_1024(state: State, spec: InputSpec) -> None:
    """Change the input from [-1024, 1024] to [-1, 1]: a factor of 2**10 is exact, and zero padding stays zero."""
    state[FIRST] = state[FIRST] * 1024


LAYOUTS: Final = {
    "chexnet": Layout(tuple(finding.label for finding in Finding), 3, InputSpec(_SIDE, 0.449, 0.226), _from_colours),
    "torchxrayvision": Layout(
        (
            *("Atelectasis", "Consolidation", "Infiltration", "Pneumothorax", "Edema", "Emphysema", "Fibrosis"),
            *("Effusion", "Pneumonia", "Pleural_Thickening", "Cardiomegaly", "Nodule", "Mass", "Hernia"),
            *("Lung Lesion", "Fracture", "Lung Opacity", "Enlarged Cardiomediastinum"),
        ),
        1,
        InputSpec(_SIDE, 0.5, 0.5),
        _from_1024,
    ),
}
"""Layouts by name, which :data:`training.names.WEIGHT_LAYOUTS` repeats."""

OTHER_OUTPUTS: Final = ("", "Lung Lesion", "Fracture", "Lung Opacity", "Enlarged Cardiomediastinum")
"""Outputs without a finding of Candor, and the blank name of an output that was never trained."""


_PREFIX: Final = re.compile(r"^(module\.)?(densenet121\.|model\.)?")
_LAYER: Final = re.compile(r"(denselayer\d+)\.(norm|conv)\.?([12])\.")
_CLASSIFIER: Final = re.compile(r"^classifier\.(0\.)?")


def our_name(name: str) -> str:
    """Return our name of a tensor, such as ``module.densenet121.features.denseblock1.denselayer1.norm.1.weight``."""
    name = _LAYER.sub(r"\1.layers.\2\3.", _PREFIX.sub("", name))
    return _CLASSIFIER.sub("head.", re.sub(r"^features\.", "trunk.features.", name))
