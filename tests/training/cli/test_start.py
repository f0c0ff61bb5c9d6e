"""The help of a verb imports no heavy library, and training never imports the MONAI Deploy SDK."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import training
from candor.command_line import verb_parser
from candor.model.networks.monai import without_sdk
from tests.conftest import ROOT
from training.__main__ import GROUPS
from training.bundles.layouts import LAYOUTS
from training.data.readers.read import READERS
from training.names import DATASET_KINDS, WEIGHT_LAYOUTS

HEAVY = frozenset(
    (
        "cv2",
        "holoscan",
        "ignite",
        "matplotlib",
        "monai",
        "numba",
        "numpy",
        "onnx",
        "onnxruntime",
        "pydicom",
        "safetensors",
        "scipy",
        "sklearn",
        "torch",
    )
)

HELP = """
import sys
from training.__main__ import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
    sys.exit(ended.code)
"""

SDK = "print(*sorted(name for name in sys.modules if name.startswith(('monai.deploy', 'holoscan'))))"


def verbs() -> list[str]:
    found: list[str] = []

    def add(_: object, name: str, __: str):  # type: ignore[no-untyped-def]
        found.append(name)
        return verb_parser("training", "", ())

    for group in GROUPS:
        group(add)
    return found


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)


def test_the_verbs_are_found() -> None:
    assert len(verbs()) == 23
    assert {"train", "calibrate", "fit-gate", "train-screen"} <= set(verbs())


@pytest.mark.parametrize(
    "arguments", [(), *((verb,) for verb in verbs())], ids=lambda given: given[0] if given else "-"
)
def test_help_imports_no_heavy_library(arguments: tuple[str, ...]) -> None:
    asked = python(HELP, *arguments, "--help")
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.startswith("usage: python -m training")
    imported = set(asked.stderr.split())
    assert "training" in imported
    assert not imported & HEAVY


def test_names_are_the_keys_of_their_tables() -> None:
    assert tuple(READERS) == DATASET_KINDS
    assert tuple(LAYOUTS) == WEIGHT_LAYOUTS


def test_no_module_of_training_imports_the_sdk() -> None:
    names = [module.name for module in pkgutil.walk_packages(training.__path__, "training.")]
    assert {"training.learn.train", "training.checks.lungs.train", "training.monai"} <= set(names)
    done = python(f"import importlib, sys\nfor name in {names!r}:\n    importlib.import_module(name)\n{SDK}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "\n"


def test_a_verb_that_runs_imports_no_sdk() -> None:
    code = f"import sys\nfrom training.__main__ import main\nprint(main(sys.argv[1:]))\nimport monai.bundle\n{SDK}"
    done = python(code, "train", "--data", "nowhere", "--network", "benchmark-cnn")
    assert done.stdout.splitlines() == ["2", ""], done.stderr
    assert "nowhere is not there" in done.stderr


def test_the_sdk_can_be_imported_after_monai() -> None:
    code = """
import training.monai
from operators.graph.sdk import Operator
from monai.deploy.core import Operator as Same
print(Operator is Same, Operator.__module__)
"""
    done = python(code)
    assert done.stdout.startswith("True holoscan.core"), done.stderr + done.stdout


def test_an_sdk_that_is_loaded_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = type(sys)("monai.deploy")
    monkeypatch.setitem(sys.modules, "monai.deploy", loaded)
    with without_sdk():
        assert sys.modules["monai.deploy"] is loaded
    assert sys.modules["monai.deploy"] is loaded
