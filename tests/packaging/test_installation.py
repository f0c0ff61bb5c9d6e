"""The commands of the documentation that build, install and run the wheel, in an environment with nothing else."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from candor import RESEARCH_USE, __version__
from tests.docs.commands import Command, commands
from tests.docs.covered import INSTALLATION
from tests.map.radiograph import real_radiograph, run_outside
from tests.map.test_packager import files_of
from tests.packaging.installed import copy_sources, run

pytestmark = pytest.mark.full

PAGE = "docs/how-to/run-over-a-folder.md"


def shown() -> list[Command]:
    """The commands of the page that install, in their order."""
    return [command for command in commands(PAGE) if command.text in INSTALLATION]


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Path]:
    """A copy of the sources; the environment in it has some gigabytes, which pytest would keep."""
    folder = tmp_path / "sources"
    copy_sources(folder)
    yield folder
    shutil.rmtree(folder)


def test_the_wheel_installs_and_all_its_commands_work(sources: Path, tmp_path: Path) -> None:
    study, output = real_radiograph(tmp_path / "in"), tmp_path / "out"
    candor = sources / "candor-venv" / "bin" / "candor"

    *before, extras = shown()
    for command in before:
        run(filled(command, study, output), sources)
    assert files_of(output) == files_of(run_outside(study, tmp_path / "expected"))

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert run([candor, "--version"], elsewhere).stdout == f"{__version__}\n"
    for words in (["--help"], ["run", "--help"]):
        helped(candor, words, elsewhere)
    assessed = "import candor; print(*(study.disposition.value for study in candor.assess(__import__('sys').argv[1])))"
    assert run([candor.with_name("python"), "-c", assessed, study], elsewhere).stdout == "deferred\n"

    run(filled(extras, study, output), sources)
    for words in (["node", "--help"], ["model", "--help"], ["model", "train", "--help"]):
        helped(candor, words, elsewhere)
    place = Path(run([candor, "where"], elsewhere).stdout.strip())
    assert place.is_relative_to(sources / "candor-venv")
    for name in ("gateway.yaml", "app.yaml", "models"):
        run(["cp", "-R", place / name, "."], elsewhere)
    assert run([candor, "node", "check-config"], elsewhere).stdout.endswith("The settings can be used.\n")


def filled(command: Command, study: Path, output: Path) -> list[str]:
    meant = {"IN": str(study), "OUT": str(output), "python": sys.executable}
    return [meant.get(word, word) for word in command.words]


def helped(candor: Path, words: list[str], folder: Path) -> None:
    """Ask for help, which prints no library's warning."""
    done = run([candor, *words], folder)
    assert done.stdout.startswith("usage: ")
    assert done.stderr == ""
    assert RESEARCH_USE in " ".join(done.stdout.split()) or words[0] == "model"
