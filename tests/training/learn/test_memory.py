"""A process that trains keeps its memory, where the C library can."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

_FAULTS = """
import resource
from training.learn.memory import keep_freed_memory
{}
import numpy as np
def batch():
    np.ones(1 << 23)
batch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    batch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(call: str) -> int:
    script = _FAULTS.format(call)
    return int(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, cwd=ROOT).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_freed_blocks_are_not_faulted_in_again() -> None:
    assert 20 * faults("assert keep_freed_memory()") < faults("")
