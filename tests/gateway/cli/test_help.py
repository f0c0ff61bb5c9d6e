"""The command line answers at once: ``--help`` imports none of what the verbs work with."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from candor.command_line import verb_parser
from gateway.__main__ import ADDERS
from tests.conftest import ROOT

HEAVY = {"sqlalchemy", "pynetdicom", "pydicom", "dbos", "fastapi", "uvicorn", "highdicom", "numpy", "torch", "pydantic"}
ASKS = """
import sys
from gateway.__main__ import main
try:
    main(sys.argv[1:])
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
VERBS = re.findall(r"^    ([a-z-]+)\b", verb_parser("gateway", "", ADDERS).format_help(), re.MULTILINE)


def test_the_node_has_verbs() -> None:
    assert {"serve", "receive", "work", "deliver", "upkeep", "web", "status", "recall"} <= set(VERBS)


@pytest.mark.parametrize("arguments", [["--help"], *([verb, "--help"] for verb in VERBS)], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    asked = subprocess.run([sys.executable, "-c", ASKS, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert asked.returncode == 0, asked.stderr
    assert "usage: python -m gateway" in asked.stdout
    imported = set(asked.stderr.split())
    assert "argparse" in imported
    assert not imported & HEAVY
