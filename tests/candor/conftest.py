"""One small bundle for the tests of this folder; each test that changes it takes a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.bundles import make_bundle


@pytest.fixture(scope="session")
def shared_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle that no test changes."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "cxr")


@pytest.fixture
def bundle(shared_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the small bundle."""
    return Path(shutil.copytree(shared_bundle, tmp_path / "cxr"))
