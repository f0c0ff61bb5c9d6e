"""DenseNet-121 as torchvision lays it out: names, shapes and forward pass, written down without MONAI."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as f

State = dict[str, Tensor]

LAYERS = (6, 12, 24, 16)
GROWTH = 32


def shapes(channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every weight of the features by its new name: four numbers for a convolution, one for a normalisation."""
    yield "features.conv0", (64, channels, 7, 7)
    yield "features.norm0", (64,)
    width = 64
    for block, layers in enumerate(LAYERS, start=1):
        for layer in range(1, layers + 1):
            place = f"features.denseblock{block}.denselayer{layer}"
            yield f"{place}.norm1", (width,)
            yield f"{place}.conv1", (4 * GROWTH, width, 1, 1)
            yield f"{place}.norm2", (4 * GROWTH,)
            yield f"{place}.conv2", (GROWTH, 4 * GROWTH, 3, 3)
            width += GROWTH
        if block < len(LAYERS):
            yield f"features.transition{block}.norm", (width,)
            yield f"features.transition{block}.conv", (width // 2, width, 1, 1)
            width //= 2
    yield "features.norm5", (width,)


def densenet121(channels: int, outputs: int, seed: int = 0) -> State:
    """A state dict with random values, as a trained one would be: activations neither vanish nor explode."""
    chance = torch.Generator().manual_seed(seed)
    state: State = {}
    for name, shape in shapes(channels):
        if len(shape) == 4:
            fan_in = shape[1] * shape[2] * shape[3]
            state[f"{name}.weight"] = torch.randn(shape, generator=chance) * (2 / fan_in) ** 0.5
            continue
        state[f"{name}.weight"] = 0.5 + torch.rand(shape, generator=chance)
        state[f"{name}.bias"] = 0.1 * torch.randn(shape, generator=chance)
        state[f"{name}.running_mean"] = 0.1 * torch.randn(shape, generator=chance)
        state[f"{name}.running_var"] = 0.5 + torch.rand(shape, generator=chance)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)
    state["classifier.weight"] = torch.randn((outputs, 1024), generator=chance) / 32
    state["classifier.bias"] = torch.randn(outputs, generator=chance)
    return state


def logits(state: State, images: Tensor) -> Tensor:
    """The published network's answer before its sigmoid: ``(n, outputs)``."""

    def norm(name: str, x: Tensor) -> Tensor:
        values = [state[f"features.{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return f.relu(f.batch_norm(x, *values))

    def conv(name: str, x: Tensor, **how: int) -> Tensor:
        return f.conv2d(x, state[f"features.{name}.weight"], **how)

    x = f.max_pool2d(norm("norm0", conv("conv0", images, stride=2, padding=3)), 3, stride=2, padding=1)
    for block, layers in enumerate(LAYERS, start=1):
        for layer in range(1, layers + 1):
            place = f"denseblock{block}.denselayer{layer}"
            narrow = norm(f"{place}.norm2", conv(f"{place}.conv1", norm(f"{place}.norm1", x)))
            x = torch.cat([x, conv(f"{place}.conv2", narrow, padding=1)], dim=1)
        if block < len(LAYERS):
            x = f.avg_pool2d(conv(f"transition{block}.conv", norm(f"transition{block}.norm", x)), 2)
    return f.linear(norm("norm5", x).mean(dim=(2, 3)), state["classifier.weight"], state["classifier.bias"])


def chexnet_checkpoint(state: State) -> State:
    """arnoweng/CheXNet's ``model.pth.tar``: of a parallel module, in the layer names of 2017, without counters."""
    kept = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    dotted = {re.sub(r"\.(norm|conv)([12])\.", r".\1.\2.", name): tensor for name, tensor in kept.items()}
    return {f"module.densenet121.{name.replace('classifier', 'classifier.0')}": t for name, t in dotted.items()}


def reproduced_chexnet(state: State) -> State:
    """jrzech/reproduce-chexnet: torchvision's model with a sequence for a classifier."""
    return {name.replace("classifier", "classifier.0"): tensor for name, tensor in state.items()}
