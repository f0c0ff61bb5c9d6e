"""The page of metrics has every metric that the node can show, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools import metrics_reference
from tools.metrics_reference import MEANINGS, PAGE, counted, main, metrics_page


def on_the_page() -> set[str]:
    return set(re.findall(r"^\| `candor_(\w+)`", PAGE.read_text(), re.MULTILINE))


def in_the_code() -> set[str]:
    """Names that gateway/watch/metrics.py hands to the makers of families, found without running it."""
    makers = {"_gauge": 0, "_histogram": 1}
    calls = [
        node
        for node in ast.walk(ast.parse((ROOT / "gateway" / "watch" / "metrics.py").read_text()))
        if isinstance(node, ast.Call)
    ]
    named = [
        (call, makers[call.func.id]) for call in calls if isinstance(call.func, ast.Name) and call.func.id in makers
    ]
    return {call.args[place].value for call, place in named}  # type: ignore[attr-defined]


def test_every_metric_is_on_the_page_and_every_one_on_the_page_there() -> None:
    assert len(in_the_code()) > 10
    text = "\n".join(path.read_text() for path in (ROOT / "gateway").rglob("*.py"))
    counters = set(re.findall(r"(?<![.\w])count\(\s*connection,\s*\"(\w+)\"", text))
    assert on_the_page() == in_the_code() | counters
    assert set(counted()) == set(MEANINGS) == counters


def test_the_alert_rules_ask_for_what_there_is() -> None:
    rules = (ROOT / "deploy" / "prometheus-alerts.yaml").read_text()
    asked = {name.removesuffix("_bucket") for name in re.findall(r"candor_(\w+)", rules)}
    assert asked <= on_the_page()


def test_the_page_is_what_the_code_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert PAGE.read_text() == metrics_page()
    monkeypatch.setattr("sys.argv", ["metrics_reference", "--check"])
    assert main() == 0
    monkeypatch.setattr(metrics_reference, "ROOT", tmp_path)
    monkeypatch.setattr(metrics_reference, "PAGE", tmp_path / "metrics.md")
    (tmp_path / "gateway").mkdir()
    assert main() == 1


def test_a_counter_whose_name_is_worked_out_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "made_up.py").write_text("count(connection, name, state='x')\n")
    monkeypatch.setattr(metrics_reference, "ROOT", tmp_path)
    with pytest.raises(TypeError, match="string constant"):
        counted()
