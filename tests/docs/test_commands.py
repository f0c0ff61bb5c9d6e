"""Every command of README and docs/ is understood by the program that it names, and run by a test."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from candor.command_line import verb_parser
from gateway.__main__ import ADDERS
from gateway.settings import load_settings
from tests.conftest import ROOT
from tests.docs.commands import HELPERS, PROGRAMS, Command, blocks, commands, is_shell, pages
from tests.docs.covered import (
    ELSEWHERE,
    INSTALLATION,
    MEASUREMENTS,
    OTHER_SEQUENCES,
    SEQUENCES,
    STAND_INS,
    VERBS,
    is_suite,
)
from tests.docs.sandbox import STAND_INS as STAND_IN_FOLDER
from tests.docs.stand_ins.stand_in import files_of, objects_of
from training.__main__ import GROUPS

ALL = [command for page in pages() for command in commands(page)]
PARSERS = {"training": verb_parser("training", "", GROUPS), "gateway": verb_parser("gateway", "", ADDERS)}


def covered(command: Command) -> bool:
    """Whether some test runs a command."""
    if command.text in ELSEWHERE or command.text in INSTALLATION or is_suite(command):
        return True
    if command.page in SEQUENCES or command.page in OTHER_SEQUENCES:
        return True
    if command.module in PARSERS:
        verb = command.arguments[0] if command.arguments else None
        return verb is None or verb in VERBS or (command.inline and verb in verbs_run(command.module))
    if command.module == "timeit":
        return True  # tests/docs/test_pages.py times for a moment
    return command.module.startswith(f"{MEASUREMENTS}.")


def verbs_run(module: str) -> set[str]:
    """The verbs that the sequences of pages run: a sentence elsewhere may name one with its options."""
    ours = [c for c in ALL if c.page in SEQUENCES and c.module == module and not c.mention]
    return {command.arguments[0] for command in ours}


def test_the_pages_show_commands() -> None:
    assert len(ALL) > 50
    assert {"training", "gateway"} <= {command.module for command in ALL}


@pytest.mark.parametrize("command", ALL, ids=str)
def test_a_command_is_run_by_a_test(command: Command) -> None:
    assert covered(command), f"{command}\nis run by no test: name one in tests/docs/covered.py"


@pytest.mark.parametrize("command", [c for c in ALL if c.module in PARSERS and not c.mention], ids=str)
def test_a_verb_understands_its_options(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    words = [re.sub(r"^(?:PORT|NUMBER)$", "1", word) for word in command.arguments]
    if "--help" in words:
        words = words[:1]  # a verb that would end the test with its help
        assert words[0] in verb_names(command.module)
        return
    try:
        PARSERS[command.module].parse_args(words)
    except SystemExit:
        pytest.fail(f"{command}\n{capsys.readouterr().err}")


def verb_names(module: str) -> set[str]:
    """The verbs of a command line, as its help lists them."""
    return set(re.findall(r"^    ([a-z-]+)\b", PARSERS[module].format_help(), re.MULTILINE))


@pytest.mark.parametrize("command", [c for c in ALL if "exec" in c.words and "--" in c.words], ids=str)
def test_a_pod_is_asked_for_a_verb_that_there_is(command: Command) -> None:
    inner = command.words[command.words.index("--") + 1 :]
    assert inner[:3] == ["python3", "-m", "gateway"]
    PARSERS["gateway"].parse_args(inner[3:])


@pytest.mark.parametrize("command", [c for c in ALL if c.module.startswith(f"{MEASUREMENTS}.")], ids=str)
def test_a_measurement_has_the_options_that_are_shown(command: Command) -> None:
    path = ROOT / command.module.replace(".", "/")
    source = (path / "__main__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
    for option in re.findall(r"--[a-z-]+", command.text):
        assert f'"{option}"' in source, command


@pytest.mark.full
@pytest.mark.parametrize("module", sorted({c.module for c in ALL if c.module.startswith(f"{MEASUREMENTS}.")}))
def test_a_measurement_starts(module: str) -> None:
    asked = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert asked.returncode == 0, asked.stderr


@pytest.mark.parametrize("command", [c for c in ALL if c.words[0] == "make"], ids=str)
def test_a_target_is_one_of_the_makefiles(command: Command) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = [word for word in command.words[1:] if "=" not in word]
    assert named, command
    assert set(named) <= targets, command


@pytest.mark.parametrize("page", pages())
def test_a_block_of_commands_holds_nothing_that_we_do_not_know(page: str) -> None:
    known = PROGRAMS | HELPERS
    in_blocks = {block.line + k for block in blocks((ROOT / page).read_text()) if is_shell(block) for k in range(99)}
    for command in commands(page):
        assert command.words[0] in known or command.line not in in_blocks, f"{command}: unknown program"


def test_the_tables_name_tests_that_there_are() -> None:
    for test in (*ELSEWHERE.values(), *OTHER_SEQUENCES.values()):
        file, _, function = test.partition("::")
        assert f"def {function.rpartition('::')[2]}(" in (ROOT / file).read_text(), test
    for verb, file in VERBS.items():
        assert f'"{verb}"' in (ROOT / file).read_text(), (verb, file)


def test_the_tables_name_nothing_that_the_pages_do_not_show() -> None:
    texts = {command.text for command in ALL}
    assert set(ELSEWHERE) <= texts
    shown = {command.page for command in ALL}
    assert {*SEQUENCES, *OTHER_SEQUENCES} <= shown
    verbs = {command.arguments[0] for command in ALL if command.module == "training" and command.arguments}
    assert set(VERBS) <= verbs
    assert {file.name for file in STAND_IN_FOLDER.iterdir() if file.is_symlink()} == set(STAND_INS)


MADE_UP = """# A page

    make demo    # a comment
    python -m training train --data NIH \\
        --work work

Inline `python -m gateway
status`, `make`, `not a command`, and a quoted sign:

    python -c "print('# none')"

```yaml
make: no command
```

```console
$ FLAG=1 kubectl apply -k deploy/kubernetes
```

    some output
"""


def test_commands_are_found_with_their_lines() -> None:
    found = [(command.line, command.text) for command in commands("page.md", MADE_UP)]
    assert found == [
        (3, "make demo"),
        (4, "python -m training train --data NIH --work work"),
        (7, "python -m gateway status"),
        (10, "python -c \"print('# none')\""),
        (17, "FLAG=1 kubectl apply -k deploy/kubernetes"),
    ]
    assert commands("page.md", MADE_UP)[4].words[0] == "kubectl"


def test_a_stand_in_writes_down_and_refuses_what_is_not_there(tmp_path: Path) -> None:
    assert files_of(["create", "secret", "--from-file=gateway.yaml=mine.yaml", "-k", "a", "-f", "-"]) == [
        "mine.yaml",
        "a",
    ]
    assert objects_of(["logs", "deployment/candor-work", "candor"]) == ["candor-work"]
    log = tmp_path / "log"
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")

    def ask(*words: str) -> int:
        command = [STAND_IN_FOLDER / "kubectl", *words]
        return subprocess.run(
            command, cwd=tmp_path, env=os.environ | {"STAND_IN_LOG": str(log)}, check=False
        ).returncode

    assert ask("apply", "-k", "deploy/kubernetes") == 0
    assert ask("scale", "deployment/candor-work", "--replicas=3") == 0
    assert ask("apply", "-f", "deploy/nowhere.yaml") == 1
    assert ask("logs", "deployment/candor-wrok") == 1
    assert [json.loads(line)[0] for line in log.read_text().splitlines()] == ["kubectl"] * 4


def settings_of_pages() -> list[tuple[str, int, str]]:
    found = [
        (page, block) for page in pages() for block in blocks((ROOT / page).read_text()) if block.language == "yaml"
    ]
    return [(page, block.line, "\n".join(block.lines)) for page, block in found]


@pytest.mark.parametrize(("page", "line", "text"), settings_of_pages(), ids=lambda value: str(value)[:40])
def test_settings_that_a_page_shows_are_settings(page: str, line: int, text: str, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(text.replace("5f3c...", "5f3c" * 16))
    load_settings(tmp_path / "gateway.yaml")
