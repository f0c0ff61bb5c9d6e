"""What the result objects of a study cost after the network: each kind, and all of them, in process time.

    python -m benchmarks.objects [--rounds 20]

The study is one radiograph, pydicom-data's Philips CR brought to 1024 x 1024, with 14 findings: five present, five
deferred, four absent, each with a heatmap of 7 x 7 cells. The application's own operators build and write its objects
with three overlays, one after another, in one thread: once with the Parametric Map and once without.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from pydicom import Dataset
from pydicom.data import get_testdata_file

from benchmarks.timing import milliseconds
from candor.dicom.read.file import read_header, read_pixels
from candor.dicom.shared.identity import fingerprint
from candor.study.case import Case, CaseImage
from candor.study.findings import Finding
from candor.study.profile import Profile
from candor.study.provenance import Provenance
from candor.study.radiograph import Radiograph
from candor.study.reasons import Reason
from candor.study.result import Decision, FindingResult, Heatmap
from candor.study.result_object import KINDS
from candor.words.texts import ENGLISH
from operators.graph.publish import clear
from operators.graph.sdk import Application
from operators.write.key_object_writer import KeyObjectWriter
from operators.write.object_writer import ObjectWriter
from operators.write.overlay_writer import OverlayWriter
from operators.write.parametric_map_writer import ParametricMapWriter
from operators.write.presentation_state_writer import PresentationStateWriter
from operators.write.sr_writer import SRWriter

SIDE: Final = 1024
OVERLAYS: Final = 3
CELLS: Final = 7
GOALS_MS: Final = {True: 150.0, False: 80.0}
"""With the Parametric Map, and without."""

WORDS: Final = {"sc": "overlays", "gsps": "outlines", "pm": "parametric map", "sr": "report", "ko": "key objects"}
PROBABILITY: Final = {Decision.PRESENT: 0.812, Decision.DEFERRED: 0.123, Decision.ABSENT: 0.0021}
PROVENANCE: Final = Provenance(
    application_version="0",
    model_name="none",
    model_version="0",
    bundle_sha256="0" * 64,
    engine="none",
    settings_sha256="0" * 64,
    calibration="made up for a benchmark",
    gate="made up for a benchmark",
    familiarity="made up for a benchmark",
)


def sample() -> tuple[Dataset, Radiograph]:
    """Read the radiograph and bring it to 1024 x 1024."""
    path = Path(str(get_testdata_file("RG1_UNCI.dcm", download=False)))
    header, radiograph = read_header(path), read_pixels(path).radiograph
    header.Rows = header.Columns = SIDE
    pixels = cv2.resize(radiograph.pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return header, replace(radiograph, pixels=np.asarray(pixels, np.float32))


def answers() -> tuple[FindingResult, ...]:
    """Make an answer for each finding: present, deferred and absent by turns, each with a spot of its own."""
    row, column = np.mgrid[0:CELLS, 0:CELLS]
    made = []
    for number, finding in enumerate(Finding):
        decision = tuple(PROBABILITY)[number % len(PROBABILITY)]
        spot = np.exp(-((row - 1 - number % 5) ** 2 + (column - 1 - number % 4) ** 2) / 2.0)
        made.append(
            FindingResult(
                finding=finding,
                decision=decision,
                logit=0.5,
                probability=PROBABILITY[decision],
                prevalence=0.05,
                wrong=0.125,
                percentile=97.0,
                reason=Reason.BETWEEN_THRESHOLDS if decision is Decision.DEFERRED else None,
                heatmap=Heatmap(np.where(spot > 0.05, spot, 0).astype(np.float32), "left lower zone"),
            )
        )
    return tuple(made)


def study(header: Dataset, radiograph: Radiograph, output: Path) -> Case:
    """Make the study as the gate leaves it."""
    image = CaseImage("image.dcm", Path("image.dcm"), header, fingerprint=fingerprint(header, "00"))
    image.radiograph, image.results = radiograph, answers()
    return Case(header.StudyInstanceUID, [image], output, datetime(2026, 1, 2, tzinfo=UTC))


def writers(application: Application, profile: Profile) -> Sequence[ObjectWriter]:
    """Construct the operators that write, in the order of the path."""
    some: dict[str, Any] = {"provenance": PROVENANCE, "profiles": [profile], "texts": ENGLISH}
    return (
        OverlayWriter(application, name="sc", max_overlays=OVERLAYS, **some),
        PresentationStateWriter(application, name="gsps", **some),
        ParametricMapWriter(application, name="pm", **some),
        SRWriter(application, name="sr", **some),
        KeyObjectWriter(application, name="ko", **some),
    )


def measure(path: Sequence[ObjectWriter], case: Case) -> dict[str, float]:
    """Write a study's objects; returns the seconds of process time of each kind.

    Raises
    ------
    SystemExit
        An object could not be written: the figures would mean nothing.
    """
    seconds = {}
    for writer in path:
        began = time.process_time()
        writer.work(case)
        seconds[str(writer.makes)] = time.process_time() - began
    if case.failure or not case.images[0].assessed:
        raise SystemExit("an object could not be written; the figures mean nothing")
    clear(case)
    return seconds


def report(rounds: Sequence[dict[str, float]], with_map: bool) -> None:
    """Print the medians of each kind, and of the sum with its goal beside it."""
    print(f"\nParametric Map {'on' if with_map else 'off'}: process time of a study, median (fastest to slowest)")
    for kind, words in WORDS.items():
        if with_map or kind != "pm":
            print(f"  {words:<16}{milliseconds([each[kind] for each in rounds])}")
    sums = [sum(each.values()) for each in rounds]
    goal = GOALS_MS[with_map]
    met = "met" if 1e3 * statistics.median(sums) <= goal else "missed"
    print(f"  {'all of them':<16}{milliseconds(sums)}  (goal: at most {goal:.0f} ms, {met})")


def main() -> None:
    """Measure both in turn, and print them."""
    parser = argparse.ArgumentParser(description="Measure what the result objects of a study cost.")
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    application = Application()  # it must outlive its operators
    profiles = {True: Profile(frozenset(KINDS)), False: Profile(frozenset(KINDS) - {"pm"})}
    paths = {with_map: writers(application, profile) for with_map, profile in profiles.items()}
    found: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    header, radiograph = sample()
    folder = Path(tempfile.mkdtemp())
    try:
        for number in range(rounds + 2):
            for with_map, path in paths.items():
                seconds = measure(path, study(header, radiograph, folder / "study"))
                if number >= 2:
                    found[with_map].append(seconds)
    finally:
        shutil.rmtree(folder)
    for with_map, each in found.items():
        report(each, with_map)


if __name__ == "__main__":
    main()
