"""The one place that imports the MONAI Deploy App SDK, prepared so that it starts fast and runs safely and quietly.

Holoscan recommends a stack of 32 MB and starts its threads with the default of the process, which glibc reads
from the limit before Python runs; so both the limit and the default are raised before the import.

The first import of the package ``monai`` runs every module of MONAI, most of them twice: three seconds for what
the application does not use. The SDK is a subpackage of it that needs none of them, so it is imported under a bare
parent.

Holoscan is linked against CUDA's runtime library, GPU or not, and its wheel does not bring it.

Where the SDK is not installed, or ``CANDOR_RUNNER`` says ``plain``, :mod:`operators.graph.plain` takes its place.
"""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import resource
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final

from candor.run_options import RUNNER_VARIABLE, RUNNERS
from candor.study.errors import SettingsError

STACK_BYTES: Final = 32 * 2**20
_PTHREAD_ATTR_BYTES: Final = 64  # sizeof(pthread_attr_t) is 56 or 64 on the platforms that holoscan has wheels for


def raise_stack_limit() -> None:
    """Give new threads at least 32 MB of stack, as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if soft == resource.RLIM_INFINITY or soft >= STACK_BYTES:
        return
    wanted = STACK_BYTES if hard == resource.RLIM_INFINITY else min(STACK_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))
    libc = ctypes.CDLL(None)
    attributes = ctypes.create_string_buffer(_PTHREAD_ATTR_BYTES)
    libc.pthread_attr_init(attributes)
    libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(wanted))
    libc.pthread_setattr_default_np(attributes)
    libc.pthread_attr_destroy(attributes)


def quiet_libraries() -> None:
    """Let only Candor's own lines through: a library's warning may quote a patient's data.

    pydicom is silenced where it is imported to read, :mod:`candor.dicom.read.file`.
    """
    warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.CRITICAL, format="%(levelname)s %(name)s: %(message)s")
    for name in ("highdicom", "monai"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("candor").setLevel(logging.INFO)


def load_cuda_runtime() -> None:
    """Load the library from its wheel: the linker takes what is loaded, and would look only where CUDA is installed.

    Without the wheel nothing is loaded, and the import of holoscan says what is missing.
    """
    wheels = importlib.util.find_spec("nvidia")
    for folder in (wheels and wheels.submodule_search_locations) or ():
        library = Path(folder, "cu13", "lib", "libcudart.so.13")
        if library.exists():
            ctypes.CDLL(str(library))


@contextmanager
def bare_package(name: str) -> Iterator[None]:
    """Let subpackages of ``name`` be imported without running the package itself.

    Afterwards the bare parent is gone, so that whoever imports the package gets the whole of it.
    """
    spec = importlib.util.find_spec(name) if name not in sys.modules else None
    if spec is None:  # there in full already, or not at all: then the import says so
        yield
        return
    package = ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations or ())
    sys.modules[name] = package
    try:
        yield
    finally:
        del sys.modules[name]


def uses_sdk() -> bool:
    """Return whether the SDK runs the operators, as ``CANDOR_RUNNER`` asks for.

    Raises
    ------
    SettingsError
        The variable has another value than ``auto``, ``sdk`` or ``plain``, or it asks for an SDK that is not installed.
    """
    choice = os.environ.get(RUNNER_VARIABLE) or "auto"
    if choice not in RUNNERS:
        raise SettingsError(f"{RUNNER_VARIABLE} is {choice!r}; it must be one of {', '.join(RUNNERS)}")
    installed = importlib.util.find_spec("holoscan") is not None
    if choice == "sdk" and not installed:
        raise SettingsError(
            "the MONAI Deploy App SDK is not installed; pip install 'candor-cxr[sdk]', or choose --runner plain"
        )
    return installed and choice != "plain"


if not uses_sdk():
    from operators.graph.plain import Application, Fragment, GreedyScheduler, Operator, OperatorSpec
else:
    raise_stack_limit()
    load_cuda_runtime()
    os.environ.setdefault("HOLOSCAN_LOG_LEVEL", "ERROR")
    with bare_package("monai"):
        from holoscan.schedulers import GreedyScheduler  # type: ignore[no-redef]  # the SDK carries no types
        from monai.deploy.core import Application, Fragment, Operator, OperatorSpec

__all__ = ["Application", "Fragment", "GreedyScheduler", "Operator", "OperatorSpec", "quiet_libraries"]
