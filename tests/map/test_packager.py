"""``monai-deploy package`` on our app.yaml, up to its call of docker; what it gave docker runs outside docker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.map.radiograph import real_radiograph, run_outside
from tests.map.specification import application_faults, package_faults

STAND_IN = """#!{python}
# A docker that only writes down what it is asked, and keeps the context of a build.
import json, shutil, sys
from pathlib import Path
here = Path({folder!r})
words = sys.argv[1:]
with (here / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps(words) + "\\n")
if words[:2] == ["buildx", "build"]:
    shutil.copytree(words[-1], here / "context")
elif words[:2] == ["buildx", "ls"]:
    print(json.dumps({{"Name": "holoscan_app_builder", "Driver": "docker-container"}}))
elif words[:2] == ["buildx", "inspect"]:
    print("Name: holoscan_app_builder\\nDriver: docker-container")
elif words[:2] == ["image", "inspect"]:
    print(json.dumps([{{"Id": "sha256:" + "0" * 64}}]))
"""
SOURCES = {
    "4.2.0": {
        "holoscan": {
            "debian-version": "4.2.0",
            "wheel-version": "4.2.0",
            "base-images": {"dgpu": "base", "igpu": "base", "cpu": "base"},
            "build-images": {name: {"x64-workstation": "base"} for name in ("dgpu", "igpu", "cpu")},
        },
        "health-probes": {"linux/amd64": "probe", "linux/arm64": "probe"},
    }
}


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the stand-in kept its calls and the context of the build."""
    folder = tmp_path_factory.mktemp("packager")
    tools = folder / "bin"
    tools.mkdir()
    (tools / "docker").write_text(STAND_IN.format(python=sys.executable, folder=str(folder)))
    (tools / "docker").chmod(0o755)
    (folder / "artifacts.json").write_text(json.dumps(SOURCES))
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    for command in commands_of_the_page(folder):
        done = subprocess.run(
            command, env=environment, cwd=ROOT, shell=True, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def commands_of_the_page(folder: Path) -> list[str]:
    """The commands of the how-to's second half, with our Python, a folder of ours, and no download."""
    page = (ROOT / "docs" / "how-to" / "build-the-map.md").read_text()
    _, _, half = page.partition("## With the SDK's packager")
    lines = "\n".join(re.findall(r"^ {4}(.+)$", half, re.MULTILINE)).replace("\\\n", "").splitlines()
    binaries = Path(sys.executable).parent
    lines = [line.replace("build/", f"{folder}/").replace(".venv/bin/", f"{binaries}/") for line in lines]
    assert "monai-deploy package" in lines[-1]
    return [*lines[:-1], f"{lines[-1]} --source {folder}/artifacts.json --build-cache {folder}"]


def test_the_packager_calls_docker_to_build_our_image(packaged: Path) -> None:
    calls = [json.loads(line) for line in (packaged / "calls.jsonl").read_text().splitlines()]
    (build,) = [words for words in calls if words[:2] == ["buildx", "build"]]
    assert any("candor-map" in word for word in build)
    dockerfile = (packaged / "context" / "Dockerfile").read_text()
    assert 'LABEL org.opencontainers.image.title="Candor CXR"' in dockerfile
    assert "monai-deploy-app-sdk==4.0.0" in dockerfile
    requirements = (packaged / "context" / "pip" / "requirements.txt").read_text().splitlines()
    assert requirements
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", line) for line in requirements)


def test_the_manifests_of_the_packager_take_our_blocks(packaged: Path) -> None:
    read = {name: manifest(packaged, name) for name in ("app.json", "pkg.json")}
    assert read["app.json"]["version"] == read["pkg.json"]["version"]
    assert read["pkg.json"]["resources"]["memory"] == "2Gi"
    assert list(read["pkg.json"]["models"]) == ["cxr"]


def test_the_packager_s_own_manifests_break_the_specification_as_the_page_says(packaged: Path) -> None:
    faults = application_faults(manifest(packaged, "app.json"))
    assert "type SHALL be service or application" in faults
    assert any(fault.startswith("input.formats is required") for fault in faults)
    assert "models is no array of objects" in package_faults(manifest(packaged, "pkg.json"))


def manifest(packaged: Path, name: str) -> Any:
    return json.loads((packaged / "context" / "map" / name).read_text())


def test_the_context_runs_outside_docker_as_the_application_does(packaged: Path, tmp_path: Path) -> None:
    study = real_radiograph(tmp_path / "in")
    expected = run_outside(study, tmp_path / "expected")
    command = json.loads(manifest(packaged, "app.json")["command"])
    assert command[:1] == ["python3"]
    variables = in_context(manifest(packaged, "app.json")["environment"], packaged / "context", tmp_path)
    words = [word.replace("/opt/holoscan/app", variables["HOLOSCAN_APPLICATION"]) for word in command[1:]]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *words],
        env={**os.environ, **variables, "HOLOSCAN_INPUT_PATH": str(study), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / "out") == files_of(expected)


def in_context(environment: dict[str, str], context: Path, folder: Path) -> dict[str, str]:
    """Lead the image's variables to the places of the build's context that the Dockerfile copies from."""
    places = {
        "HOLOSCAN_APPLICATION": context / "app",
        "HOLOSCAN_MODEL_PATH": context / "models",
        "HOLOSCAN_CONFIG_PATH": context / "app.config",
        "HOLOSCAN_OUTPUT_PATH": folder / "out",
    }
    assert places.keys() <= environment.keys()
    return {name: str(place) for name, place in places.items()}


def files_of(folder: Path) -> dict[str, bytes]:
    """All files below a folder, by their paths."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
