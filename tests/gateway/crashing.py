"""A worker in a process of its own, for tests that kill it: ``python -m tests.gateway.crashing SETTINGS FOLDER``.

Its application answers as the tests' does, but for two kinds of studies: one that kills the process, and one that hangs
in the first process to take it, until that is killed from outside.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path

from pydicom import dcmread

from candor.study.result_object import Predecessor
from gateway.assess.assessor import Assessed
from gateway.processes.work import work
from gateway.settings import Settings
from gateway.store.database import open_database
from gateway.store.spool import Spool
from tests.gateway.node import FakeApplication

TTL_S = 3.0
POISON, HANGS = "POISON", "HANGS"
"""Study Descriptions."""


class CrashingApplication(FakeApplication):
    """Notes whom it met in ``folder``, and crashes or hangs where a study says so."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __call__(
        self, study_instance_uid: str, source: Path, output: Path, time: datetime, predecessors: tuple[Predecessor, ...]
    ) -> Assessed:
        kind = dcmread(next(source.iterdir()), stop_before_pixels=True).StudyDescription
        if kind == POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        hung = self._folder / "hung"
        if kind == HANGS and not hung.exists():
            hung.write_text(str(os.getpid()))
            threading.Event().wait()
        return super().__call__(study_instance_uid, source, output, time, predecessors)


def main(settings_file: str, folder: str) -> None:
    """Work until SIGTERM."""
    settings = Settings.model_validate_json(Path(settings_file).read_text())
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    spool = Spool(Path(settings.spool))
    work(settings, open_database(settings.database), spool, CrashingApplication(Path(folder)), stopping, TTL_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
