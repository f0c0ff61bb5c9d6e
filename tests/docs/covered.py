"""How each command of the pages is run by a test: the tables, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.conftest import ROOT
from tests.docs.commands import Command

ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "make demo": "tests/e2e/test_demo.py::test_the_demonstration_shows_the_loop",
        "make serve": "tests/e2e/test_demo.py::test_the_demonstration_leaves_the_node_running_where_it_is_asked_to",
        "make docs": "tests/tools/test_site.py::test_every_page_is_there_and_the_readme_is_the_first",
        "make sbom": "tests/tools/test_supply_chain.py::"
        "test_the_bill_of_materials_names_each_package_once_and_the_model",
        "python -m tools.licences": "tests/tools/test_supply_chain.py::"
        "test_every_licence_is_accepted_and_the_page_says_so",
        "make map": "tests/map/test_image.py::test_the_results_are_those_of_the_application_outside",
        "make map-test": "tests/map/test_image.py::test_the_results_are_those_of_the_application_outside",
        "python -m tools.make_conformance": "tests/gateway/test_conformance.py::TestThePage::"
        "test_is_what_the_code_says",
        "python -m tools.metrics_reference": "tests/tools/test_metrics_reference.py::"
        "test_the_page_is_what_the_code_says",
        "python -m tools.pictures": "tests/tools/test_pictures.py::test_the_command_makes_them_all",
    }
)
"""A command, and the test that runs it or what its target runs."""

INSTALLATION: Final = (
    "pip wheel --no-deps --wheel-dir dist .",
    "python -m venv candor-venv",
    "candor-venv/bin/pip install --constraint constraints.txt dist/candor_cxr-0.1.0-py3-none-any.whl",
    "candor-venv/bin/candor run -i IN -o OUT",
    "candor-venv/bin/pip install --constraint constraints.txt 'dist/candor_cxr-0.1.0-py3-none-any.whl[node,train]'",
)
"""Commands that tests/packaging/test_installation.py runs in their order, in a copy of the sources."""

SUITE: Final = frozenset(("test", "lint", "peers", "setup", "bench", "chaos", "mutations"))
"""Targets that run the tests, or set up or measure for minutes: a test that ran them would run itself."""

VERBS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "audit-gate": "tests/training/measure/test_audit.py",
        "audit-shortcuts": "tests/training/checks/test_probe.py",
        "calibration-evidence": "tests/training/calibration/test_calibrate.py",
        "fit-error-model": "tests/training/learned_gate/test_run.py",
        "fit-study-answer": "tests/training/study_answer/test_fit.py",
        "fit-familiarity": "tests/training/checks/test_familiarity.py",
        "gate-evidence": "tests/training/gate/test_evidence.py",
        "simulate-promise": "tests/training/gate/test_evidence.py",
        "probe": "tests/training/checks/test_probe.py",
        "region-map": "tests/training/checks/test_probe.py",
        "train-lungs": "tests/training/checks/lungs/test_lungs.py",
        "train-screen": "tests/training/checks/orientation/test_fit.py",
        "pcanet": "tests/training/baselines/test_measure.py",
        "find-lr": "tests/training/learn/test_range_test.py",
        "augment-sheet": "tests/training/data/test_augmentation.py",
    }
)
"""Verbs of ``python -m training`` that pages show with real data; these tests run them on made-up data."""

MEASUREMENTS: Final = "benchmarks"
"""``python -m benchmarks.NAME`` takes minutes of a quiet machine: its options are checked; the full tier starts it."""

STAND_INS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "kubectl": "no cluster: files and objects that a command names are looked up in deploy/kubernetes",
        "docker": "no daemon: the files that a command names must be there; tests/map builds and runs the image",
        "podman": "the same",
        "git": "no remote repository: the command is only written down",
    }
)
"""Programs that a recording stand-in replaces, and why."""

SEQUENCES: Final = (
    "README.md",
    "docs/quickstart.md",
    "docs/how-to/connect-a-pacs.md",
    "docs/how-to/make-a-bundle.md",
    "docs/how-to/refit-calibration.md",
    "docs/how-to/run-over-a-folder.md",
    "docs/how-to/scale-out.md",
    "docs/how-to/set-costs-and-guarantees.md",
    "docs/how-to/train-on-nih-or-chexpert.md",
    "docs/how-to/upgrade.md",
    "docs/how-to/use-your-own-bundle.md",
)
"""Pages whose commands tests/docs/test_pages.py runs in their order, in one sandbox each."""

OTHER_SEQUENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "docs/how-to/back-up-and-restore.md": "tests/e2e/test_back_up.py::"
        "test_what_was_backed_up_goes_on_with_the_same_uids",
        # Its second half; what its first half builds and runs with docker, tests/map/test_image.py builds and runs.
        "docs/how-to/build-the-map.md": "tests/map/test_packager.py::"
        "test_the_context_runs_outside_docker_as_the_application_does",
    }
)
"""Pages whose commands another test runs in their order."""


def is_suite(command: Command) -> bool:
    """Whether a command runs tests that there are, is of :data:`SUITE`, or is a target of :data:`ELSEWHERE`."""
    if command.module == "pytest":
        return all((ROOT / file).exists() for file in command.arguments)
    if command.words[0] != "make":
        return False
    targets = [word for word in command.words[1:] if "=" not in word]
    return all(target in SUITE or f"make {target}" in ELSEWHERE for target in targets)
