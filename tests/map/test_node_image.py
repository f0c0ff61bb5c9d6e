"""The node's image: a real radiograph by C-STORE into a read-only container, assessed there."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from gateway.settings import load_settings
from tests.conftest import ROOT
from tests.map.containers import Container, built, writable
from tests.map.radiograph import real_radiograph

CONFIG = ("--config", "/etc/candor/gateway.yaml")
PATIENCE_S = 600.0


def test_its_settings_can_be_used_and_keep_all_but_the_places() -> None:
    ours, default = load_settings(ROOT / "deploy" / "node" / "gateway.yaml"), load_settings(ROOT / "gateway.yaml")
    differ = {name for name in type(ours).model_fields if getattr(ours, name) != getattr(default, name)}
    assert differ == {"database", "spool", "work"}
    assert (ours.work.models, ours.work.application) == ("/opt/holoscan/models", "/var/holoscan/app.yaml")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Container, str, subprocess.Popen[str]]]:
    """The node's image, the name of its container, and the process that runs it."""
    folder = tmp_path_factory.mktemp("node")
    container = built("gateway", ["check-config", *CONFIG])
    study, data = real_radiograph(folder / "in"), writable(folder / "data")
    name = f"candor-node-test-{time.time_ns()}"
    command = container.mounted({"/in": study, "/var/lib/candor": data}).command(options=["--name", name])
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        yield container, name, process
        subprocess.run([container.tool, "rm", "--force", name], capture_output=True, check=False)


@pytest.mark.full
def test_a_radiograph_is_received_and_assessed_and_sigterm_ends_the_node(
    node: tuple[Container, str, subprocess.Popen[str]],
) -> None:
    container, name, process = node

    def ask(*words: str) -> str:
        command = [container.tool, "exec", name, "python3", "-m", "gateway", *words, *CONFIG]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    wait_until(lambda: "success" in ask("echo", "--to", "node"))
    assert "1 x 0x0000" in ask("send", "/in", "--to", "node")
    wait_until(lambda: "studies stored: 1" in ask("status"))
    subprocess.run([container.tool, "kill", "--signal", "TERM", name], check=True, capture_output=True)
    log, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert '"event": "study assessed"' in log


def wait_until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end
        time.sleep(0.5)
