"""What Candor ships is known: its packages, their licences, its bill of materials."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools import licences
from tools.sbom import write_bill
from tools.shipped import shipped


def test_what_trains_and_tests_is_not_shipped_and_what_runs_is() -> None:
    names = set(shipped())
    assert {"torch", "onnxruntime", "pydicom", "pynetdicom", "dbos", "monai-deploy-app-sdk", "psycopg"} <= names
    assert {"pydantic-core", "starlette"} <= names  # what those need
    assert names.isdisjoint({"pytest", "scikit-learn", "matplotlib", "ruff", "mapie", "kubernetes-validate"})
    assert "pylibjpeg-libjpeg" not in names  # GPLv3


def test_every_licence_is_accepted_and_the_page_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert licences.main(["--check"]) == 0, capsys.readouterr().err


def test_a_licence_that_nobody_accepted_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    free = licences.Licensed("free", "1", ("MIT",))
    strict = licences.Licensed("strict", "1", ("MIT", "GPL-3.0-only"))
    borrowed = licences.Licensed("borrowed", "1", ("LGPL-3.0-only",))
    assert [package.refused for package in (free, strict, borrowed)] == [[], ["GPL-3.0-only"], ["LGPL-3.0-only"]]
    monkeypatch.setattr(licences, "licensed", lambda: [free, strict])
    monkeypatch.setattr(licences, "PAGE", tmp_path / "licences.md")
    assert licences.main([]) == 1


def test_the_bill_of_materials_names_each_package_once_and_the_model(tmp_path: Path) -> None:
    path = tmp_path / "new" / "candor.cdx.json"
    count = write_bill(path, ROOT / "models")
    bill = json.loads(path.read_text())
    names = [component["name"] for component in bill["components"]]
    assert count == len(names) == len(set(names)) == len(shipped()) + 1
    (model,) = [c for c in bill["components"] if c["type"] == "machine-learning-model"]
    assert len(model["hashes"][0]["content"]) == 64
    references = {component["bom-ref"] for component in bill["components"]}
    references.add(bill["metadata"]["component"]["bom-ref"])
    assert {node["ref"] for node in bill["dependencies"]} <= references
