"""MONAI's networks, imported without the MONAI Deploy SDK.

The SDK is a package inside MONAI's. The first import of MONAI imports every package inside it, so it would load the SDK
and holoscan too, which no network needs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SDK = "monai.deploy"


@contextmanager
def without_sdk() -> Iterator[None]:
    """Block the SDK while MONAI is imported; afterwards it can be imported as before."""
    if _SDK in sys.modules:
        yield
        return
    sys.modules[_SDK] = None  # type: ignore[assignment]  # makes its import fail, which MONAI ignores
    try:
        yield
    finally:
        del sys.modules[_SDK]


with without_sdk():
    from monai.networks.nets.densenet import DenseNet, DenseNet121, DenseNet169, DenseNet201, _load_state_dict
    from monai.networks.nets.resnet import resnet101

load_published = _load_state_dict
"""Load the published weights of a DenseNet; MONAI's own function, which it does not export."""

__all__ = ["DenseNet", "DenseNet121", "DenseNet169", "DenseNet201", "load_published", "resnet101", "without_sdk"]
