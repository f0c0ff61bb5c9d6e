"""A folder in which the commands of a page run: Candor's code by links, copies of what commands change, small data."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from tests.conftest import ROOT
from tests.docs.commands import Command

CODE: Final = ("candor", "gateway", "operators", "training", "tools", "benchmarks", "deploy", "app.py", "__main__.py")
COPIED: Final = ("app.yaml", "gateway.yaml")
STAND_INS: Final = Path(__file__).parent / "stand_ins"
MAY_END_WITH: Final[Mapping[str, tuple[int, ...]]] = {"tar": (0, 1)}
"""tar ends with 1 where a file grew under it, as the page on backups says."""

_PATIENCE_S: Final = 600.0
_PASSWORD: Final = "a long enough password"


class CommandFailed(AssertionError):
    """A command of a page does not do what the page says."""


class Sandbox:
    """Run commands one after the other, as a person in a terminal would.

    Parameters
    ----------
    folder
        Made where it is missing; what lies there stays.
    values
        What stands for each placeholder of the pages, such as ``NIH``.
    longer
        Words that are added to a command, by its beginning: smaller networks, fewer epochs.
    """

    def __init__(self, folder: Path, values: Mapping[str, str], longer: Mapping[str, Sequence[str]] | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.here, self.values = folder, folder, dict(values)
        self.printed: list[str] = []
        self._longer, self._umask = dict(longer or {}), 0o022
        self._background: list[subprocess.Popen[bytes]] = []
        for name in CODE:
            _link(ROOT / name, folder / name)
        _link(Path(sys.prefix), folder / ".venv")
        for name in COPIED:
            if not (folder / name).exists():
                shutil.copy(ROOT / name, folder / name)

    def run(self, command: Command) -> str:
        """Run one command to its end, a server until it serves; returns what it printed.

        Raises
        ------
        CommandFailed
            It ends otherwise than with success.
        """
        words = [self._filled(word) for word in command.words]
        words += next((more for start, more in self._longer.items() if command.text.startswith(start)), ())
        match words[0]:
            case "cd":
                self.here = self.here / words[1]
                if not self.here.is_dir():
                    raise CommandFailed(f"{command}: {words[1]} is not there")
                return ""
            case "umask":
                self._umask = int(words[1], 8)
                return ""
        if command.module == "gateway" and "serve" in words:
            self._serve(command, words)
            return ""
        done = subprocess.run(
            words, cwd=self.here, env=self._environment(command), umask=self._umask, capture_output=True, text=True,
            input=f"{_PASSWORD}\n" * 2, timeout=_PATIENCE_S, check=False,
        )  # fmt: skip
        self.printed.append(done.stdout)
        if done.returncode not in MAY_END_WITH.get(words[0], (0,)):
            raise CommandFailed(f"{command}\nran as: {shlex.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return done.stdout

    def log(self) -> str:
        """What the servers logged."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("server-*.log")))

    def kill(self) -> None:
        """End what a failed test left running; a server that was killed would leave its own processes."""
        for process in self._background:
            process.terminate()
        for process in self._background:
            process.wait(120)

    def stop(self) -> None:
        """End the servers, the last first, and see that each ends well."""
        for process in reversed(self._background):
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(120) for process in reversed(self._background)]
        self._background.clear()
        if any(codes):
            raise CommandFailed(f"a server ended with {codes}: {self.log()[-4000:]}")

    def _serve(self, command: Command, words: list[str]) -> None:
        if "--only" not in words:  # a person would end the one before, which has the ports
            self.stop()
        log = self.folder / f"server-{len(list(self.folder.glob('server-*.log')))}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(words, cwd=self.here, env=self._environment(command), stderr=sink)
        self._background.append(process)
        left_out, only = _after("--without", words), _after("--only", words)
        wanted = [said for kind, said in _READY.items() if kind not in left_out and (not only or kind in only)]
        give_up = time.monotonic() + _PATIENCE_S
        while not all(said in log.read_text() for said in wanted):
            if process.poll() is not None or time.monotonic() > give_up:
                raise CommandFailed(f"{command}\ndoes not serve: {log.read_text()[-4000:]}")
            time.sleep(0.1)

    def _filled(self, word: str) -> str:
        for name, value in self.values.items():
            word = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", lambda _, value=value: value, word)
        return word

    def _environment(self, command: Command) -> dict[str, str]:
        path = os.pathsep.join((str(STAND_INS), str(Path(sys.prefix) / "bin"), os.environ["PATH"]))
        own = dict(word.split("=", 1) for word in shlex.split(command.text) if re.fullmatch(r"[A-Z_]+=\S*", word))
        quiet = {"OMP_NUM_THREADS": "1", "STAND_IN_LOG": str(self.folder / "stand-ins.jsonl")}
        return os.environ | quiet | {"PATH": path, "PYTHONPATH": str(self.folder)} | own


_READY: Final = {"receive": "receiver listens", "work": "worker ready"}
"""What each process that takes time to start says once it is there."""


def _after(option: str, words: Sequence[str]) -> list[str]:
    return [value for word, value in pairwise(words) if word == option]


def _link(target: Path, place: Path) -> None:
    if not place.is_symlink():
        place.symlink_to(target)
