"""dicom-ai-router in an environment of its own, around Candor's network over HTTP."""

from __future__ import annotations

import os
import secrets
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.node.crash import ROOT, accepts
from benchmarks.peers.processes import until
from tools.small_pacs import free_port

RELEASE: Final = "dicom-ai-router==0.3.0"
_LAUNCHER: Final = Path(__file__).with_name("router_launcher.py")
_FINAL: Final = ("DONE", "IGNORED", "FAILED")


def environment(folder: Path) -> Path:
    """Find the router's environment, or make it.

    Returns
    -------
    Its Python.

    Raises
    ------
    OSError
        It cannot be made: there is no registry of packages, or no disk.
    """
    python = folder.absolute() / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
        if subprocess.run([python, "-c", "import airouter"], capture_output=True, check=False).returncode:
            subprocess.run([python, "-m", "pip", "install", "-q", RELEASE], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        raise OSError(f"{RELEASE} cannot be installed; do it by hand: {python} -m pip install {RELEASE}") from error
    return python


class ModelServer:
    """Candor's network over HTTP, in a process of its own."""

    def __init__(self, models: Path) -> None:
        self.port = free_port()
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "benchmarks.peers.systems.model_server",
            str(models),
            str(self.port),
        ]
        self.process = subprocess.Popen(command, cwd=ROOT)
        until("the model server", lambda: accepts(self.port))

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


class Router:
    """The router over a folder: its defaults, but for ports and the time for which it waits for more images.

    Parameters
    ----------
    python
        Of its environment.
    quiet_s
        Without new images, until it takes a study as complete; it looks every 0.25 s.
    """

    def __init__(self, folder: Path, python: Path, pacs_port: int, model_port: int, quiet_s: float) -> None:
        self.port, self._folder, self._python = free_port(), folder, python
        folder.mkdir(parents=True)
        self._config = folder / "router.yaml"
        self._salt = secrets.token_hex(32)
        settings: dict[str, Any] = {
            "router": {
                "ae_title": "CANDOR",
                "port": self.port,
                "study_quiet_seconds": quiet_s,
                "workdir": str(folder / "data"),
                "bind_address": "127.0.0.1",
            },
            "pacs": {"ae_title": "PACS", "host": "127.0.0.1", "port": pacs_port},
            "ai_endpoints": {"chest": {"url": f"http://127.0.0.1:{model_port}/infer"}},
            "rules": [{"name": "radiographs", "match": {"Modality": "^(CR|DX)$"}, "model": "chest"}],
            "deid": {},
        }
        self._config.write_text(yaml.safe_dump(settings))
        self.process = self._start()

    def kill(self) -> None:
        """Kill it, as a crash would, and start it again, as a supervisor would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = self._start()

    def stop(self) -> None:
        """Ask it to end."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait()

    def states(self) -> list[str]:
        """List the state of each study that it knows."""
        database = self._folder / "data" / "router.sqlite"
        if not database.exists():
            return []
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
        try:
            return [str(row[0]) for row in connection.execute("SELECT state FROM studies")]
        finally:
            connection.close()

    def idle(self, studies: int) -> bool:
        """Tell whether it has ended with so many studies, whichever way."""
        states = self.states()
        return len(states) >= studies and all(state in _FINAL for state in states)

    def rerun_failed(self) -> None:
        """Do what its operator does by hand after a fault: run the failed studies again; it must be stopped."""
        self._run("rerun", "--failed").wait()

    def _start(self) -> subprocess.Popen[bytes]:
        process = self._run("serve")
        until("the router", lambda: accepts(self.port))
        return process

    def _run(self, *words: str) -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        command = [str(self._python), str(_LAUNCHER), *words, "--config", str(self._config)]
        variables = os.environ | {"AIROUTER_DEID_SALT": self._salt}
        return subprocess.Popen(command, env=variables, cwd=self._folder, stdout=quiet, stderr=quiet)
