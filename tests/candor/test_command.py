"""The ``candor`` command: what it calls, what it imports, and what it says where something is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from candor import RESEARCH_USE, __main__, __version__
from candor.__main__ import main
from tests.conftest import ROOT


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["where", "--help"], ["--version"], ["where"]])
def test_help_imports_no_library_and_prints_no_warning(words: list[str]) -> None:
    probe = f"""
import sys
before = set(sys.modules)
try:
    from candor.__main__ import main
    main({words!r})
except SystemExit as ended:
    assert not ended.code
loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}}
foreign = loaded - sys.stdlib_module_names - {{"candor"}}
assert not foreign, foreign
"""
    done = subprocess.run([sys.executable, "-W", "always", "-c", probe], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_help_names_the_commands_and_what_the_results_are_for(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["run", "--help"]):
        with pytest.raises(SystemExit, match="0"):
            main(words)
        assert RESEARCH_USE in " ".join(capsys.readouterr().out.split())


def test_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize(("words", "says"), [(["walk"], "invalid choice: 'walk'"), ([], "required: COMMAND")])
def test_what_is_no_command_is_said(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(("command", "module"), [("node", "gateway.__main__"), ("model", "training.__main__")])
def test_a_command_gets_the_words_that_follow_and_gives_back_its_exit_code(
    command: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[tuple[list[str], str]] = []

    def stand_in(words: list[str], program: str) -> int:
        got.append((words, program))
        return 7

    monkeypatch.setattr(f"{module}.main", stand_in)
    assert main([command, "verb", "--help", "--version"]) == 7
    assert got == [(["verb", "--help", "--version"], f"candor {command}")]


@pytest.mark.parametrize("command", ["node", "model"])
def test_help_shows_the_command_as_it_was_called(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert capsys.readouterr().out.startswith(f"usage: candor {command} ")


def test_help_shows_a_default_only_where_there_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["model", "train", "--help"])
    text = capsys.readouterr().out
    assert "(default: work)" in text
    assert "(default: None)" not in text


def test_where_prints_the_folder_of_what_ships(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["where"]) == 0
    assert capsys.readouterr().out == f"{ROOT}\n"


def test_a_module_of_our_own_that_is_missing_is_no_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(words: object) -> int:
        raise ModuleNotFoundError("no module", name="gateway.nowhere")

    monkeypatch.setitem(__main__.COMMANDS, "node", __main__.Command("", "node", broken))
    with pytest.raises(ModuleNotFoundError):
        main(["node"])
