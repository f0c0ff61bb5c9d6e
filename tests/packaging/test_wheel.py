"""The wheel holds all that it should, and its metadata says what it needs."""

from __future__ import annotations

import email
import re
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from candor import __version__
from tests.conftest import ROOT
from tests.packaging.installed import build_wheel, copy_sources

PACKAGES = ("candor/", "gateway/", "operators/", "training/")
SHIPPED = ("app.yaml", "gateway.yaml", "models/cxr/")
INFO = f"candor_cxr-{__version__}.dist-info/"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("sources")
    names = copy_sources(folder)
    stale = folder / "build" / "lib" / "candor" / "gone.py"  # of an earlier build
    stale.parent.mkdir(parents=True)
    stale.touch()
    return folder, names


@pytest.fixture(scope="module")
def wheel(sources: tuple[Path, list[str]], tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build_wheel(sources[0], tmp_path_factory.mktemp("dist")))


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    return email.message_from_bytes(wheel.read(f"{INFO}METADATA"))


def test_the_wheel_holds_the_packages_with_their_data_and_what_ships_and_nothing_else(
    wheel: zipfile.ZipFile, sources: tuple[Path, list[str]]
) -> None:
    _, names = sources
    packaged = {name for name in names if name.startswith(PACKAGES)}
    shipped = {f"candor/shipped/{name}" for name in names if name.startswith(SHIPPED)}
    held = {name for name in wheel.namelist() if not name.startswith(INFO)}
    assert held == packaged | shipped | {"app.py"}
    assert {f"{package}py.typed" for package in PACKAGES} <= held
    assert len(shipped) > 20
    assert wheel.read("candor/shipped/app.yaml") == (ROOT / "app.yaml").read_bytes()


def test_the_build_leaves_the_sources_as_they_were(sources: tuple[Path, list[str]], wheel: zipfile.ZipFile) -> None:
    folder, names = sources
    made = {path.relative_to(folder).parts[0] for path in folder.rglob("*") if path.is_file()}
    assert made - {Path(name).parts[0] for name in names} == {"build", "candor_cxr.egg-info"}
    assert not (folder / "candor" / "shipped").exists()


def test_the_wheel_has_the_command_and_the_licence(wheel: zipfile.ZipFile, metadata: Message) -> None:
    assert wheel.read(f"{INFO}licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert "candor = candor.__main__:main" in wheel.read(f"{INFO}entry_points.txt").decode()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Version"] == __version__


def test_the_small_installation_has_no_torch_and_no_sdk_and_the_extras_are_those_of_the_documentation(
    metadata: Message,
) -> None:
    needs = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    base = {canonicalize_name(need.name) for need in needs if need.marker is None}
    assert {"onnxruntime", "pydicom", "highdicom", "pydantic"} <= base
    assert base.isdisjoint({"torch", "monai", "holoscan-cu13", "pynetdicom", "scipy"})
    assert set(metadata.get_all("Provides-Extra", [])) == {"core", "sdk", "node", "train", "test", "dev"}
    page = (ROOT / "docs" / "how-to" / "run-over-a-folder.md").read_text()
    assert set(re.findall(r"^\| `\[(\w+)\]`", page, re.MULTILINE)) == {"core", "sdk", "node", "train"}


def test_what_is_pinned_lies_within_the_bounds(metadata: Message) -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    pins = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    tools = [{"extra": "test"}, {"extra": "dev"}]
    for need in (Requirement(line) for line in metadata.get_all("Requires-Dist", [])):
        assert need.specifier.contains(pins[canonicalize_name(need.name)]), need
        if need.marker is None or not any(need.marker.evaluate(extra) for extra in tools):
            assert {each.operator for each in need.specifier} == {">=", "<"}, need
