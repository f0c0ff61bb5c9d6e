"""The node's crash test, and the same for dicom-ai-router: how many acknowledged studies never yield a report."""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.uid import BasicTextSRStorage

from benchmarks.node.crash import Pacs, Sender, crash_test, radiographs, send
from benchmarks.node.loop import sample
from benchmarks.peers.processes import until
from benchmarks.peers.routing import Side, candor, routed
from benchmarks.peers.systems.router import ModelServer, Router, environment
from benchmarks.peers.table import Row, Section
from tools.small_pacs import received

_PEER: Final = "dicom-ai-router"
_PAUSE_S: Final = 2.0
_PATIENCE_S: Final = 120.0
_AWAY_S: Final = 20.0
_AFTERWARDS_S: Final = 45.0
_MEANWHILE: Final = 3
"""Studies that come while the PACS is away for longer."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the router's crash test.

    Parameters
    ----------
    unattended
        Acknowledged studies without a report, before a hand was laid on.
    lost
        The same after its operator had it run the failed ones again.
    two_contents
        UIDs under which two contents came.
    """

    acknowledged: int
    kills: int
    unattended: int
    lost: int
    two_contents: int


def measure(models: Path, router_venv: Path, studies: int, kills: int, seed: int) -> list[Section]:
    """Run both, with as many studies and kills."""
    title = f"The crash test, {studies} studies, {kills} kills, the PACS away once"
    try:
        python = environment(router_venv)
    except OSError as error:
        return [Section(title, (), [f"not measured: {error}"])]
    with tempfile.TemporaryDirectory() as name:
        ours, _ = crash_test(Path(name), radiographs(studies), models, kills, seed)
    with tempfile.TemporaryDirectory() as name:
        theirs = crash_the_router(Path(name), models, python, studies, kills, seed)
    with tempfile.TemporaryDirectory() as name, candor(Path(name), models) as side:
        missing = outage(side)
    with tempfile.TemporaryDirectory() as name, routed(Path(name), models, python) as side:
        missing_there = outage(side)
    away = f"{_MEANWHILE} studies come while the PACS is away for {_AWAY_S:.0f} s: without results afterwards"
    rows = [
        Row("acknowledged, without a report when all is quiet", _PEER, ours.lost, theirs.unattended),
        Row("the same, after an operator's rerun of what failed", _PEER, ours.lost, theirs.lost),
        Row("UIDs that came with two contents", _PEER, ours.uids_with_two_contents, theirs.two_contents),
        Row(away, _PEER, missing, missing_there),
    ]
    notes = [
        f"Acknowledged: {ours.acknowledged} by the node, {theirs.acknowledged} by the router. The node's kills fall on "
        f"any of its processes, the router's ({theirs.kills}) on its one, which is started again at once; its model "
        "stays up. SIGKILL leaves the disk's cache alone: this does not show what a power loss takes.",
        f"Afterwards is {_AFTERWARDS_S:.0f} s after the PACS is back. The router gives up after three tries within "
        "some seconds and keeps the study until its operator runs it again; the node goes on trying, for 14 days by "
        "default.",
    ]
    return [Section(title, rows, notes)]


def crash_the_router(folder: Path, models: Path, python: Path, studies: int, kills: int, seed: int) -> Outcome:
    """Send studies while the router is killed and the PACS goes away; count when all is quiet again."""
    pacs = Pacs(folder / "pacs")
    pacs.start()
    model = ModelServer(models)
    router = Router(folder / "router", python, pacs.port, model.port, quiet_s=0.5)
    sender = Sender(router.port, radiographs(studies))
    thread = threading.Thread(target=sender.run, daemon=True)
    try:
        thread.start()
        done = wreck(router, pacs, thread, kills, seed)
        thread.join()
        with suppress(TimeoutError):  # the count says what is missing
            until("the router", lambda: router.idle(studies), _PATIENCE_S)
        unattended = without_report(pacs, sender.acknowledged)
        router.stop()
        router.rerun_failed()
        lost = without_report(pacs, sender.acknowledged)
    finally:
        router.process.kill()
        model.stop()
        pacs.stop()
    return Outcome(len(sender.acknowledged), done, unattended, lost, two_contents(pacs))


def wreck(router: Router, pacs: Pacs, sending: threading.Thread, kills: int, seed: int) -> int:
    """Kill it again and again as :func:`benchmarks.node.crash.wreck` does the node; return how often."""
    rng, done = random.Random(seed), 0
    while done < kills or sending.is_alive():
        time.sleep(rng.uniform(0.3, 1.0) * _PAUSE_S)
        router.kill()
        done += 1
        if done % 7 == 0:
            pacs.stop()
            time.sleep(rng.uniform(1, 3))
            pacs.start()
    return done


def outage(side: Side) -> int:
    """Take the PACS away, send studies, bring it back; count those that never get results though nothing is lost."""
    side.latency(0)  # all is warm
    before = side.finished()
    side.pacs.stop()
    for number in range(1, _MEANWHILE + 1):
        if send(side.port, sample(number)) != 0:
            raise SystemExit("a study was not taken")
    time.sleep(_AWAY_S)
    side.pacs.start()
    with suppress(TimeoutError):  # the count says what is missing
        until("the results", lambda: side.finished() >= before + _MEANWHILE, _AFTERWARDS_S)
    return before + _MEANWHILE - side.finished()


def without_report(pacs: Pacs, acknowledged: list[str]) -> int:
    """Count the acknowledged studies of which the PACS has no report."""
    reported = set()
    for digest in {line["sha256"] for line in received(pacs.folder)}:
        result = dcmread(pacs.folder / f"{digest}.dcm", stop_before_pixels=True)
        if result.SOPClassUID == BasicTextSRStorage:
            reported.add(str(result.StudyInstanceUID))
    return len(set(acknowledged) - reported)


def two_contents(pacs: Pacs) -> int:
    """Count the UIDs under which the PACS got different objects."""
    contents: dict[str, set[str]] = defaultdict(set)
    for line in received(pacs.folder):
        contents[line["sop_instance_uid"]].add(line["sha256"])
    return sum(len(digests) > 1 for digests in contents.values())
