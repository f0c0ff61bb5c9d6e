"""Import rules that import-linter cannot name: a subpackage of another package, and top-level modules."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("candor", "gateway", "operators", "training")


def imports(path: Path) -> set[str]:
    """All modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def sources() -> dict[Path, set[str]]:
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return {path: imports(path) for path in [*paths, *(ROOT / name for name in ("app.py", "__main__.py"))]}


def test_only_one_module_imports_the_sdk() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path, modules in sources().items()
        if any(module.split(".")[0] == "holoscan" or module.startswith("monai.deploy") for module in modules)
    }
    assert users == {"operators/graph/sdk.py"}


def test_two_modules_import_monai_so_that_its_sdk_stays_out() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path, modules in sources().items()
        if any(module.split(".")[0] == "monai" and not module.startswith("monai.deploy") for module in modules)
    }
    assert users == {"candor/model/networks/monai.py", "training/monai.py"}


def test_only_the_worker_the_command_and_assess_import_the_application() -> None:
    users = {path.relative_to(ROOT).as_posix() for path, modules in sources().items() if "app" in modules}
    assert users == {
        "__main__.py",
        "candor/__main__.py",
        "candor/assessment.py",
        "gateway/assess/application.py",
    }


def test_nothing_imports_the_command() -> None:
    assert [path for path, modules in sources().items() if "candor.__main__" in modules] == []


def test_only_the_gateway_speaks_to_the_network() -> None:
    users = {
        path.relative_to(ROOT).parts[0]
        for path, modules in sources().items()
        if any(module.split(".")[0] in ("pynetdicom", "fastapi", "uvicorn", "httpx", "socket") for module in modules)
    }
    assert users == {"gateway"}


FOREIGN_WEIGHTS = (
    ROOT / "training" / "bundles" / "import_weights.py",
    ROOT / "candor" / "model" / "networks" / "initial.py",
)
"""The files that open weights which others wrote."""


def test_nothing_unpickles() -> None:
    for path, modules in sources().items():
        importer = path in FOREIGN_WEIGHTS
        assert not modules & {"dill", "cloudpickle"}, path
        assert "pickle" not in modules or (importer and names_from(path, "pickle") == {"UnpicklingError"}), path
        assert importer or "torch.load" not in path.read_text(), path


@pytest.mark.parametrize("path", FOREIGN_WEIGHTS, ids=lambda path: path.name)
def test_foreign_weights_are_opened_as_tensors_alone(path: Path) -> None:
    text = path.read_text()
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    loads = [call for call in calls if ast.unparse(call.func) == "torch.load"]
    assert len(loads) == text.count("torch.load") == 1
    for call in loads:
        assert ("weights_only", "True") in {(keyword.arg, ast.unparse(keyword.value)) for keyword in call.keywords}


def names_from(path: Path, module: str) -> set[str]:
    """What a file imports from a module; the module itself counts as ``*``."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    whole = {"*" for node in nodes if isinstance(node, ast.Import) and module in {a.name for a in node.names}}
    parts = [node.names for node in nodes if isinstance(node, ast.ImportFrom) and node.module == module]
    return whole | {alias.name for names in parts for alias in names}


CATCH_EVERYTHING = {
    "operators/graph/base.py",
    "gateway/assess/assessor.py",
    "gateway/jobs/jobs.py",
    "gateway/processes/sweeps.py",
}
RAISE_IT_AGAIN = {
    "candor/dicom/read/limits.py",
    "candor/files/durable.py",
    "gateway/receive/receiver.py",
    "gateway/store/database.py",
}


def test_the_places_that_catch_every_exception_are_those_that_the_contributors_are_told() -> None:
    found: dict[str, list[ast.ExceptHandler]] = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                if any(kind is None or ast.unparse(kind) in ("Exception", "BaseException") for kind in caught):
                    found.setdefault(path.relative_to(ROOT).as_posix(), []).append(node)
    assert {path: len(handlers) for path, handlers in found.items()} == dict.fromkeys(
        CATCH_EVERYTHING | RAISE_IT_AGAIN, 1
    )
    for path in RAISE_IT_AGAIN:
        last = found[path][0].body[-1]
        assert isinstance(last, ast.Raise), path
        assert last.exc is None, path
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert all(f"`{path}`" in text for path in CATCH_EVERYTHING)


def test_the_table_of_folders_names_what_exists() -> None:
    named = set(re.findall(r"^\| `([\w/]+)/` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE))
    assert all((ROOT / folder).is_dir() for folder in named)
    code = {path.relative_to(ROOT).parent for path in sources()}
    assert {folder.parts[0] for folder in code if folder.parts} <= named
    assert {"/".join(folder.parts[:2]) for folder in code if folder.parts[:1] == ("candor",)} <= named
