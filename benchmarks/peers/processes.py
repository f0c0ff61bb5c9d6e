"""Processes that are measured: workers that answer line by line, and what memory they have needed."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from benchmarks.node.crash import ROOT, wait_for

_STACK_BYTES: Final = 32 * 2**20
_WAIT_S: Final = 60.0


class Worker:
    """A module of this package that takes "IN OUT" for each study and answers with a line of JSON."""

    def __init__(self, module: str, models: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", f"benchmarks.peers.{module}", str(models)],
            cwd=ROOT,
            env=sdk_environment(),
            preexec_fn=_raise_stack_limit,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def assess(self, source: Path, output: Path) -> dict[str, Any]:
        """Let it work on one study."""
        if self._process.stdin is None or self._process.stdout is None:
            raise SystemExit("a worker has no pipes")
        output.mkdir(exist_ok=True)
        print(source, output, file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith("{"):  # holoscan also prints
                return dict(json.loads(line))
        raise SystemExit(f"{self._process.args!r} broke off")

    def peak_mib(self) -> float:
        """Return the largest memory that it has had."""
        return peak_mib([self._process.pid])

    def stop(self) -> None:
        """End it."""
        self._process.communicate(timeout=_WAIT_S)


def sdk_environment() -> dict[str, str]:
    """Make an environment in which the SDK can be imported as its users do: holoscan looks for CUDA's runtime."""
    wheels = find_spec("nvidia")
    folders = [str(Path(place, "cu13", "lib")) for place in (wheels and wheels.submodule_search_locations) or ()]
    known = os.environ.get("LD_LIBRARY_PATH")
    paths = [*folders, *([known] if known else [])]
    return os.environ | {"LD_LIBRARY_PATH": ":".join(paths), "HOLOSCAN_LOG_LEVEL": "ERROR"}


def peak_mib(pids: Iterable[int]) -> float:
    """Sum the largest resident sets that some processes have had."""
    total = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        total += int(next(line for line in status if line.startswith("VmHWM")).split()[1])
    return total / 1024


def until(what: str, done: Callable[[], object], seconds: float = _WAIT_S) -> None:
    """Wait until something is so, looking often; see :func:`benchmarks.node.crash.wait_for`."""
    wait_for(done, seconds, what, every_s=0.02)


def _raise_stack_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_STACK)
    wanted = _STACK_BYTES if hard == resource.RLIM_INFINITY else min(_STACK_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))
