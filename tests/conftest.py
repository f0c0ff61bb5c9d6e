"""What every test may need: the real data where it lies beside the repository, and how all tests are run."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("CANDOR_DATA", ROOT.parent / "shared" / "data"))

gc.disable()
"""Until all tests are collected: what the imports make stays, and looking through it again and again takes as long as
the imports themselves."""

sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]  # jsonschema's, a second to import; no test checks IRIs

# No test depends on how fast the machine is.
hypothesis_settings.register_profile(
    "candor", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
hypothesis_settings.load_profile("candor")


def needs(path: Path) -> Path:
    """Return ``path``, or skip the test with a word on how to get it."""
    if not path.exists():
        pytest.skip(f"real data: {path.name} is not there; set CANDOR_DATA to the folder that holds it")
    return path


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the long tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        return
    for item in items:
        if "full" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="long: run it with 'make test TIER=full'"))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Put back the umask: the node's verbs narrow it, and a container could not read what later tests make."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def nih() -> Path:
    """The NIH ChestX-ray14 selection."""
    return needs(DATA / "nih")


@pytest.fixture(scope="session")
def covid() -> Path:
    """The COVID-19 image data collection."""
    return needs(DATA / "covid")


@pytest.fixture(scope="session")
def chest_dicom() -> Path:
    """Real chest DICOM files."""
    return needs(DATA / "dicom" / "chest")


@pytest.fixture(scope="session")
def ood_dicom() -> Path:
    """Real DICOM files that are no frontal chest radiographs."""
    return needs(DATA / "dicom" / "ood")


@pytest.fixture(scope="session")
def hostile_dicom() -> Path:
    """DICOM files that break readers."""
    return needs(DATA / "dicom" / "hostile")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have counted or measured (``record_property("measured", ...)``), whatever process ran them."""
    for report in terminalreporter.stats.get("passed", ()):
        for name, value in report.user_properties:
            if name == "measured":
                terminalreporter.write_line(str(value))
