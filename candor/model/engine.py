"""Choose the engine: ONNX Runtime on a CPU, torch on a GPU."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from candor.model.bundle import Bundle
from candor.model.onnx_engine import OnnxEngine
from candor.model.outputs import Engine
from candor.settings import ENGINES
from candor.study.errors import SettingsError


def open_engine(bundle: Bundle, choice: str = "auto") -> Engine:
    """Load the engine that the setting ``engine`` names.

    Parameters
    ----------
    bundle
        The model bundle.
    choice
        ``"onnx"``, ``"torch"``, or ``"auto"``: torch where it sees a GPU, else ONNX Runtime. Without a GPU's
        device file torch is not imported, which saves a second at the start.

    Raises
    ------
    SettingsError
        ``choice`` is none of them.
    BundleError
        The bundle's files cannot be loaded.
    """
    if choice not in ENGINES:
        raise SettingsError(f"engine is {choice!r}; it can be {', '.join(ENGINES)}")
    if choice == "onnx" or (choice == "auto" and not gpu_visible()):
        return OnnxEngine(bundle.graph)
    from candor.model.torch_engine import TorchEngine

    return TorchEngine(bundle)


def gpu_visible() -> bool:
    """Return whether there is an NVIDIA device that torch can use."""
    if not Path("/dev/nvidiactl").exists() or find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()
