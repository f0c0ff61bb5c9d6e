"""``make demo``: the whole loop on one machine, as a person sees it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT


@pytest.mark.full
def test_the_demonstration_shows_the_loop() -> None:
    command = [sys.executable, "-W", "ignore", str(ROOT / "tools" / "demo.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    for words in ("Study: ", "Nodule", "at the PACS:", "report", "from the last byte in to the last result out: "):
        assert words in done.stdout
    assert done.stdout.rstrip().endswith("Research use only, not for diagnosis.")
    assert "none is called present: the calibration cases support that for " in done.stdout
    assert list(Path(ROOT, "demo").glob("sc-1-*.png"))
    log = Path(ROOT, "demo", "node.log").read_text()
    assert "CompressedSamples" not in log
    shutil.rmtree(ROOT / "demo")


@pytest.mark.full
def test_the_demonstration_leaves_the_node_running_where_it_is_asked_to() -> None:
    command = [sys.executable, "-u", "-W", "ignore", str(ROOT / "tools" / "demo.py"), "--serve"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = next(line for line in process.stdout if line.startswith("the page: "))
        assert httpx.get(f"{said.split()[2]}/readyz", timeout=30).json() == {"ready": True}
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 0
    shutil.rmtree(ROOT / "demo")
