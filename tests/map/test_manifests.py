"""The manifests, against the specification's own text."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from candor import __version__
from candor.study.errors import SettingsError
from deploy.map.manifests import ENVIRONMENT, application_manifest, main, package_manifest
from tests.conftest import ROOT
from tests.map.specification import application_faults, package_faults

CONFIG = yaml.safe_load((ROOT / "app.yaml").read_text())
Json = dict[str, Any]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Json]:
    folder = tmp_path_factory.mktemp("holoscan")
    assert main([str(ROOT / "app.yaml"), str(ROOT / "models"), str(folder)]) == 0
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in folder.iterdir()}


def test_both_manifests_meet_the_specification(written: dict[str, Json]) -> None:
    assert sorted(written) == ["app.json", "pkg.json"]
    assert application_faults(written["app.json"]) == []
    assert package_faults(written["pkg.json"]) == []


def test_the_manifests_say_what_app_yaml_says(written: dict[str, Json]) -> None:
    application, package = written["app.json"], written["pkg.json"]
    assert application["version"] == package["version"] == __version__
    assert application["input"]["formats"][0]["mediaType"] == "application/dicom"
    assert package["resources"] == CONFIG["resources"]
    assert package["models"] == [{"name": "cxr", "path": "cxr"}]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("type", None, "type SHALL be"),
        ("command", "", "command is required"),
        ("version", "1.0", "version is no semantic version"),
        ("sdkVersion", "4", "sdkVersion is no semantic version"),
        ("input", {"formats": ["file"]}, "input.formats is required"),
        ("input", {"path": "input/"}, "input.formats is required"),
        ("output", {"format": "file"}, "output.format is required"),
        ("workingDirectory", "var", "workingDirectory must be an absolute path"),
        ("timeout", "0", "timeout is no number"),
        ("readiness", {"type": "exec"}, "readiness.type SHALL be"),
        ("readiness", {"type": "command", "command": "true"}, "readiness.command is required"),
        ("liveness", {"type": "tcp"}, "liveness.port is required"),
        ("environment", {}, "environment lacks HOLOSCAN_INPUT_PATH"),
        ("inputs", {}, "unknown field inputs"),
    ],
)
def test_the_check_of_the_application_manifest_finds_what_is_wrong(
    written: dict[str, Json], field: str, value: object, says: str
) -> None:
    assert any(says in fault for fault in application_faults(written["app.json"] | {field: value}))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("applicationRoot", "opt", "applicationRoot is required"),
        ("models", {"cxr": "/opt/holoscan/models/cxr"}, "models is no array"),
        ("models", [{"path": "cxr"}], "models SHALL be defined by name"),
        ("models", [{"name": "a b"}], "whitespace"),
        ("models", [{"name": "x" * 129}], "128 bytes"),
        ("resources", {"memory": "2GiB"}, "resources.memory is no memory size"),
        ("resources", {"cpu": 3.14}, "resources.cpu is no decimal count"),
        ("resources", {"cores": 1}, "unknown resource cores"),
    ],
)
def test_the_check_of_the_package_manifest_finds_what_is_wrong(
    written: dict[str, Json], field: str, value: object, says: str
) -> None:
    assert any(says in fault for fault in package_faults(written["pkg.json"] | {field: value}))


@pytest.mark.parametrize(
    ("block", "field", "value", "says"),
    [
        ("application", "version", "1.0", "must be a semantic version"),
        ("application", "version", None, "application.version is missing"),
        ("application", "inputFormats", ["file"], "list of 'name: value' mappings"),
        ("application", "inputFormats", [], "list of 'name: value' mappings"),
        ("application", "outputFormat", ["file"], "application.outputFormat is missing"),
        ("resources", "memory", "2GB", "must be a size as 1.5Gi or 512Mi"),
        ("resources", "cpu", True, "must be a count"),
        ("resources", "cpus", 1, "unknown resource 'cpus'"),
    ],
)
def test_an_app_yaml_that_makes_no_valid_manifest_is_refused(
    block: str, field: str, value: object, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = copy.deepcopy(CONFIG)
    config[block][field] = value
    path = tmp_path / "app.yaml"
    path.write_text(yaml.safe_dump(config))
    assert main([str(path), str(ROOT / "models"), str(tmp_path / "out")]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_missing_block_and_a_missing_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no block 'application'"):
        application_manifest({}, "4.0.0")
    with pytest.raises(SettingsError, match="holds no model bundle"):
        package_manifest(CONFIG, tmp_path)


def test_the_dockerfile_says_the_same() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    _, _, stage = dockerfile.partition("FROM runtime AS map")
    variables = dict(re.findall(r"(HOLOSCAN_\w+)=(\S+)", stage))
    assert variables == ENVIRONMENT
    assert re.findall(r"ARG VERSION=(\S+)", dockerfile) == [__version__, __version__]
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert f"ARG TORCH=torch=={pins['torch']}+cpu" in dockerfile
    assert f'org.monai.deploy.app-sdk="{pins["monai-deploy-app-sdk"]}"' in dockerfile
    assert f'org.nvidia.holoscan="{pins["holoscan-cu13"]}"' in dockerfile
    assert f'org.opencontainers.image.title="{CONFIG["application"]["title"]}"' in dockerfile


def test_each_package_of_the_image_comes_from_one_index() -> None:
    """With a second index, whoever gets a higher version of a name onto either of them is installed."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "--extra-index-url" not in dockerfile
    installs = [line for line in dockerfile.replace("\\\n", "").splitlines() for line in line.split("&&")]
    (indexed,) = [line for line in installs if "--index-url" in line]
    assert "--no-deps" in indexed
    assert "--requirement" not in indexed
    assert indexed.split()[-1] == '"${TORCH}"'
