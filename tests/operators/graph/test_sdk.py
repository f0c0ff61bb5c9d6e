"""The SDK is imported fast, quietly and with a stack, and leaves MONAI whole for whoever wants it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from candor.study.errors import SettingsError
from operators.graph.sdk import bare_package, uses_sdk
from tests.conftest import ROOT

PROBE = """
import sys
import operators.graph.sdk
assert "monai.transforms" not in sys.modules, "MONAI was imported whole"
assert "monai" not in sys.modules, "the bare parent was left behind"
import ctypes, resource, threading
assert resource.getrlimit(resource.RLIMIT_STACK)[0] >= operators.graph.sdk.STACK_BYTES
import monai
from monai.networks.nets.densenet import DenseNet121
from monai.deploy.core import Operator
assert Operator is operators.graph.sdk.Operator
assert monai.__version__
print("whole")
"""


def test_the_sdk_comes_without_the_rest_of_monai_and_leaves_it_whole() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.stdout == "whole\n", done.stderr
    assert done.stderr == ""


def test_cuda_runtime_comes_from_its_wheel_and_nowhere_else() -> None:
    probe = "import operators.graph.sdk; print(*{l.split()[-1] for l in open('/proc/self/maps') if 'libcudart' in l})"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    (loaded,) = done.stdout.split()
    assert "site-packages/nvidia/cu13" in loaded


def test_a_package_that_is_there_is_left_as_it_is() -> None:
    before = sys.modules["json"]
    with bare_package("json"):
        assert sys.modules["json"] is before
    assert sys.modules["json"] is before


def test_a_package_that_does_not_exist_is_told_by_its_import() -> None:
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"), bare_package("nowhere_at_all"):
        import nowhere_at_all  # noqa: F401


@pytest.mark.parametrize(("choice", "expected"), [("", True), ("auto", True), ("sdk", True), ("plain", False)])
def test_the_variable_chooses_the_runner(choice: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDOR_RUNNER", choice)
    assert uses_sdk() is expected


def test_without_the_sdk_auto_is_the_plain_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holoscan", None)
    monkeypatch.delenv("CANDOR_RUNNER", raising=False)
    assert not uses_sdk()
    monkeypatch.setenv("CANDOR_RUNNER", "sdk")
    with pytest.raises(SettingsError, match="not installed"):
        uses_sdk()


def test_another_runner_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDOR_RUNNER", "holoscan")
    with pytest.raises(SettingsError, match="CANDOR_RUNNER is 'holoscan'; it must be one of auto, sdk, plain"):
        uses_sdk()
