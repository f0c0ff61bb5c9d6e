"""The MAP itself: built, and run non-root, read-only and without a network on a real radiograph."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from candor import __version__
from candor.study.provenance import derived_uid
from deploy.map import build
from deploy.map.manifests import ENVIRONMENT
from tests.conftest import ROOT
from tests.map.containers import Container, built, writable
from tests.map.radiograph import real_radiograph, run_outside
from tests.map.specification import application_faults, package_faults
from tests.map.test_packager import files_of

pytestmark = pytest.mark.full

INPUT, OUTPUT = "/var/holoscan/input", "/var/holoscan/output"
EXPORT = "/var/run/holoscan/export"


@pytest.fixture(scope="module")
def container() -> Container:
    return built("map", ["help"])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_radiograph(tmp_path_factory.mktemp("study") / "in")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return writable(tmp_path / "out")


def test_the_results_are_those_of_the_application_outside(
    container: Container, study: Path, output: Path, tmp_path: Path
) -> None:
    done = container.mounted({INPUT: study, OUTPUT: output})()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 files, 1 assessed, 1 reports; see /var/holoscan/output/results.json.")
    expected = run_outside(study, tmp_path / "expected")
    found, wanted = results(output), results(expected)
    assert found["studies"][0]["objects"] == wanted["studies"][0]["objects"]  # the same UIDs
    assert found == wanted
    assert files_of(output) == files_of(expected)


def results(folder: Path) -> Any:
    return json.loads((folder / "results.json").read_text())


def test_a_run_that_cannot_begin_ends_with_2(container: Container, study: Path, output: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = container.mounted({INPUT: empty, OUTPUT: output})()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("candor: ")
    unwritable = tmp_path / "unwritable"
    unwritable.mkdir(mode=0o755)
    assert container.mounted({INPUT: study, OUTPUT: unwritable})().returncode == 2
    assert container.mounted({INPUT: study, OUTPUT: output})("run", "--model", "/nowhere").returncode == 2


def test_a_run_that_fails_midway_ends_with_1(container: Container, study: Path, output: Path) -> None:
    (output / "results.json").mkdir(mode=0o755)
    (output / "results.json" / "in the way").touch()
    done = container.mounted({INPUT: study, OUTPUT: output})()
    assert done.returncode == 1, done.stderr
    assert "the run was not completed" in done.stderr


@pytest.fixture
def running(container: Container, study: Path, output: Path, tmp_path: Path) -> Iterator[tuple[Any, str, Path]]:
    """A run over so many studies that it lasts, its container's name, and its output."""
    many = in_many_studies(study / "a.dcm", tmp_path / "many", count=100)
    name = f"candor-map-test-{time.time_ns()}"
    command = container.mounted({INPUT: many, OUTPUT: output}).command(options=["--name", name])
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process, name, output
        subprocess.run([container.tool, "rm", "--force", name], capture_output=True, check=False)


def in_many_studies(radiograph: Path, folder: Path, count: int) -> Path:
    """Write a radiograph again and again, each time as a study of its own."""
    folder.mkdir()
    dataset = dcmread(radiograph)
    for number in range(count):
        dataset.StudyInstanceUID = derived_uid("study", str(number))
        dataset.SeriesInstanceUID = derived_uid("series", str(number))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = derived_uid("instance", str(number))
        dataset.save_as(folder / f"{number}.dcm")
    return folder


def test_sigterm_ends_the_run_promptly_with_the_code_of_the_application(
    container: Container, running: tuple[subprocess.Popen[str], str, Path]
) -> None:
    process, name, output = running
    while not list(output.glob("2.25.*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    subprocess.run([container.tool, "kill", "--signal", "TERM", name], check=True, capture_output=True)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said == "candor: the run was not completed: stopped by SIGTERM; run it again\n"
    assert not (output / "results.json").exists()
    assert not list(output.glob(".*"))


def test_sigterm_ends_a_run_that_is_still_starting(
    container: Container, running: tuple[subprocess.Popen[str], str, Path]
) -> None:
    process, name, _ = running
    while not ask(container, name, "cat", "/proc/1/cmdline").startswith("python3"):
        assert process.poll() is None, process.communicate()
    while process.poll() is None:  # the interpreter itself takes a moment until it hears
        subprocess.run([container.tool, "kill", "--signal", "TERM", name], check=False, capture_output=True)
        time.sleep(1.0)
    assert process.returncode == 1


def ask(container: Container, name: str, *words: str) -> str:
    command = [container.tool, "exec", name, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_show_prints_manifests_that_meet_the_specification(container: Container) -> None:
    application = json.loads(container("show", "app").stdout)
    package = json.loads(container("show", "pkg").stdout)
    assert application_faults(application) == []
    assert package_faults(package) == []
    assert application["version"] == package["version"] == __version__
    both = json.JSONDecoder()
    text = container("show").stdout
    first, end = both.raw_decode(text)
    assert (first, json.loads(text[end:])) == (application, package)


def test_the_command_of_the_manifest_is_the_application(container: Container) -> None:
    application = json.loads(container("show", "app").stdout)
    done = container("-c", f"exec {application['command']} --version", options=["--entrypoint", "/bin/sh"])
    assert (done.returncode, done.stdout.strip()) == (0, __version__)


def test_extract_copies_what_is_packed(container: Container, tmp_path: Path) -> None:
    export = writable(tmp_path / "export")
    assert container.mounted({EXPORT: export})("extract").returncode == 0
    assert {path.name for path in export.iterdir()} == {"app", "config", "models", "docs"}
    weights = Path("models", "cxr", "models", "model.safetensors")
    assert (export / weights).read_bytes() == (ROOT / weights).read_bytes()
    assert (export / "config" / "app.yaml").read_bytes() == (ROOT / "app.yaml").read_bytes()
    assert json.loads((export / "config" / "app.json").read_text())["type"] == "application"
    assert (export / "docs" / "LICENSE").is_file()
    only = writable(tmp_path / "config")
    assert container.mounted({f"{EXPORT}/config": only})("extract").returncode == 0
    assert {path.name for path in only.iterdir()} == {"app.yaml", "app.json", "pkg.json"}


def test_env_is_what_the_manifest_says(container: Container) -> None:
    lines = container("env").stdout.splitlines()
    assert dict(line.split("=", 1) for line in lines) == ENVIRONMENT
    assert json.loads(container("show", "app").stdout)["environment"] == ENVIRONMENT


def test_help_says_how_to_use_it(container: Container) -> None:
    assert "Research use only, not for diagnosis" in container("help").stdout
    assert container("bash").returncode == 2


def test_health_is_well_where_the_output_can_be_written(container: Container, output: Path, tmp_path: Path) -> None:
    assert container.mounted({OUTPUT: output})("health").returncode == 0
    unwritable = tmp_path / "unwritable"
    unwritable.mkdir(mode=0o755)
    assert container.mounted({OUTPUT: unwritable})("health").returncode == 1


def test_the_image_says_what_it_is_and_runs_as_a_number(container: Container) -> None:
    config = container.inspect()["Config"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.title"] == "Candor CXR"
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", labels["org.opencontainers.image.revision"])
    assert config["User"] == "10001:10001"
    user, group = config["User"].split(":")
    done = container("-c", "id -u; id -g; touch /etc/x", options=["--entrypoint", "/bin/sh"])
    assert done.stdout.split() == [user, group]
    assert "Read-only file system" in done.stderr


LEFT_OUT = ("tests", "training", "benchmarks", "gateway", "tools", "deploy")


def test_nothing_is_in_it_but_what_runs(container: Container) -> None:
    listed = container("-c", "ls -A /opt/holoscan/app", options=["--entrypoint", "/bin/sh"]).stdout.split()
    assert sorted(set(listed) - {"__pycache__"}) == ["__main__.py", "app.py", "candor", "operators"]
    assert not set(LEFT_OUT) & set(listed)


def test_nothing_of_the_build_s_secrets_is_in_it(container: Container) -> None:
    """Neither pip's index nor a proxy's authority: not in a file, not in a variable, not in a layer's history."""
    look = "ls /run/secrets /etc/pip.conf /opt/pip /src 2>/dev/null; env | grep -i -E 'pip|proxy|cert'; true"
    assert container("-c", look, options=["--entrypoint", "/bin/sh"]).stdout == ""
    told = [container.tool, "history", "--no-trunc", "--format", "{{.CreatedBy}}", container.image]
    history = subprocess.run(told, capture_output=True, text=True, check=True).stdout
    for name in ("index-url", "extra-index-url", "proxy", "trusted-host"):
        for word in build.pip_options().get(name, "").split():
            assert word not in history
            assert word not in json.dumps(container.inspect())
