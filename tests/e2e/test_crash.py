"""The crash test in its short form; ``python -m benchmarks.node.crash`` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.node.crash import crash_test, radiographs
from tests.conftest import ROOT


@pytest.mark.full
def test_nothing_acknowledged_is_lost_whatever_dies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, table = crash_test(tmp_path, radiographs(30), ROOT / "models", kills=8, pause_s=1.5)
    with capsys.disabled():
        print(f"\n{table}")
    assert result.acknowledged == result.studies_with_results == 30
    assert result.good, table
