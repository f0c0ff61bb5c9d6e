"""The linear path in plain Python: its own rules, and the application on it, without torch and without the SDK."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from operators.graph.plain import Application, Fragment, GreedyScheduler, Operator, OperatorSpec
from tests.conftest import ROOT
from tests.map.radiograph import real_radiograph, run_outside
from tests.map.test_packager import files_of


class Source(Operator):
    """Emits every second time it is asked, three messages in all, then stops."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.asked = 0
        super().__init__(*args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.output("case")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        self.asked += 1
        if self.asked > 6:
            self.stop_execution()
        elif self.asked % 2:
            op_output.emit([self.asked], "case")


class Step(Operator):
    def setup(self, spec: OperatorSpec) -> None:
        spec.input("case")
        spec.output("case")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        message = op_input.receive("case")
        if self.name == "fail":
            raise RuntimeError("no border")
        op_output.emit([*message, self.name], "case")


class Sink(Operator):
    seen: list[Any]

    def setup(self, spec: OperatorSpec) -> None:
        self.seen = []

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        self.seen.append(op_input.receive("case"))


class Path3(Application):
    def __init__(self, middle: str = "step") -> None:
        self.middle = middle
        super().__init__()
        self.scheduler(GreedyScheduler(self, name="scheduler"))

    def compose(self) -> None:
        source, step, self.sink = Source(self, name="source"), Step(self, name=self.middle), Sink(self, name="sink")
        self.add_flow(source, step, {("case", "case")})
        self.add_flow(step, self.sink, {("case", "case")})


def test_every_message_goes_all_the_way_in_order_until_the_source_stops() -> None:
    application = Path3()
    application.run_async().result(timeout=60)
    assert application.sink.seen == [[1, "step"], [3, "step"], [5, "step"]]


def test_what_an_operator_raises_ends_the_run() -> None:
    with pytest.raises(RuntimeError, match="no border"):
        Path3("fail").run_async().result(timeout=60)


def test_only_a_linear_path_can_be_made() -> None:
    application = Application()
    first, second, third = (Operator(Fragment(), name=name) for name in ("first", "second", "third"))
    application.add_flow(first, second, set())
    with pytest.raises(ValueError, match="first to third is no next step"):
        application.add_flow(first, third, set())
    with pytest.raises(ValueError, match="second to first is no next step"):
        application.add_flow(second, first, set())


@pytest.mark.parametrize("act", [lambda: Application().compose(), lambda: compute(Operator(Fragment(), name="base"))])
def test_the_bases_do_nothing_by_themselves(act: Any) -> None:
    with pytest.raises(NotImplementedError):
        act()


def compute(operator: Operator) -> None:
    operator.compute(None, None, None)


ABSENT = ("torch", "monai", "holoscan", "cupy", "tritonclient", "scipy", "sklearn", "sqlalchemy", "dbos")
START = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
sys.modules.update(dict.fromkeys({ABSENT!r}))  # importing one of them says that it is not there
from candor.__main__ import main
sys.exit(main())
"""


def without_sdk(*words: str) -> subprocess.CompletedProcess[str]:
    """Run ``candor`` in a process in which the packages of all extras are absent."""
    command = [sys.executable, "-W", "ignore", "-c", START, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("runner", [("--runner", "plain"), ()], ids=["plain", "auto"])
def test_a_run_gives_the_same_bytes_without_torch_and_without_the_sdk(runner: tuple[str, ...], tmp_path: Path) -> None:
    study = real_radiograph(tmp_path / "in")
    output = tmp_path / "out"
    done = without_sdk("run", *runner, "-i", str(study), "-o", str(output), "-m", str(ROOT / "models"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 files, 1 assessed, 1 reports; see ")
    assert files_of(output) == files_of(run_outside(study, tmp_path / "expected"))
    assert json.loads((output / "results.json").read_text())["studies"][0]["objects"]


def test_the_plain_runner_s_exit_codes_are_the_application_s(tmp_path: Path) -> None:
    done = without_sdk("run", "--runner", "plain", "-i", str(tmp_path), "-o", str(tmp_path / "out"))
    assert done.returncode == 2
    assert done.stderr == f"candor: {tmp_path} holds no file; put a study's DICOM files into it, in subfolders or not\n"


def test_an_sdk_that_is_asked_for_and_not_installed_is_one_clear_line(tmp_path: Path) -> None:
    done = without_sdk("run", "--runner", "sdk", "-i", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "candor: the MONAI Deploy App SDK is not installed; pip install 'candor-cxr[sdk]', or choose --runner plain\n"
    )


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("node", "status", "--config", str(ROOT / "gateway.yaml")), "node"),
        (("model", "train", "--data", "x"), "train"),
    ],
)
def test_a_missing_extra_is_one_clear_line(words: tuple[str, ...], extra: str) -> None:
    done = without_sdk(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not installed" in done.stderr
    assert done.stderr.endswith(f"pip install 'candor-cxr[{extra}]'\n")
    assert done.stderr.count("\n") == 1
