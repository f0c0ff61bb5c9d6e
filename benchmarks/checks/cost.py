"""What the checks of the picture cost: quality and shortcuts, over the time of a study before reporting.

    python -m benchmarks.checks.cost [--data work/nih] [--models models] [--rounds 10]

The radiographs are the pictures of ChestX-ray14 in ``full/`` of the data's folder (1024 x 1024), wrapped as DX of 12
bits, uncompressed; the same enlarged to the size of a detector; and pydicom-data's Philips CR (1955 x 1841, 15 bit)
with the letter L put into a corner. Each is a study of its own, and goes through the application's operators one by
one, picture after picture, on one thread; times are processor time, medians over the rounds. Before reporting means
all that comes before overlays and report, from the reading of headers to the gate.

Each is measured by the gate and settings as shipped, where the network runs again only for a picture that has an answer
and marks or borders; and with costs set, where every finding counts, and so every picture with marks or borders: the
most that the checks can cost.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Final

import cv2
import numpy as np
from pydicom import dcmread
from pydicom.data import get_testdata_file

from benchmarks.checks.run import EVERY_FINDING_COUNTS, ComposedApp
from candor.dicom.read.folder import scan
from candor.model.bundle import Bundle, find_bundle, load_bundle
from candor.settings import Settings, load_settings
from operators.graph.base import CaseOperator
from tests.factory import radiograph_dataset
from training.data.pictures import read_picture

ROOT: Final = Path(__file__).resolve().parent.parent.parent
GOAL: Final = 0.35
QUALITY, SHORTCUTS = "check quality", "check shortcuts"
DETECTOR: Final = 2048
"""Pixels of a side."""
REPORTING: Final = ("write overlays", "write report")
_WARM: Final = 2
"""Rounds that are not counted."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one picture costs, in seconds, and whether the network ran twice for it."""

    study: float
    quality: float
    shortcuts: float
    twice: bool

    @property
    def share(self) -> float:
        """Of both checks over the study."""
        return (self.quality + self.shortcuts) / self.study


def write_pictures(source: Path, folder: Path, side: int | None = None) -> list[Path]:
    """Write every picture as a study, as large as it is or enlarged; folders of one instance each."""
    return [_write(path, folder / f"{path.stem}_{side}", side) for path in sorted(source.glob("*.png"))]


def _write(picture: Path, folder: Path, side: int | None) -> Path:
    folder.mkdir()
    grey = read_picture(picture)
    if side is not None:
        grey = np.asarray(cv2.resize(grey, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)
    pixels = np.round(grey * (4095 / 255)).astype(np.uint16)
    radiograph_dataset(pixels, seed=folder.name).save_as(folder / "image.dcm", enforce_file_format=True)
    return folder


def write_sample(folder: Path) -> Path:
    """Write the CR with an L in its upper right corner; its brightest stored value is 0."""
    dataset = dcmread(str(get_testdata_file("RG1_UNCI.dcm", download=False)))
    pixels = dataset.pixel_array.copy()
    pixels[130:270, 1600:1625] = 0
    pixels[245:270, 1600:1685] = 0
    dataset.PixelData = pixels.tobytes()
    folder.mkdir()
    dataset.save_as(folder / "image.dcm")
    return folder


def costs(bundle: Bundle, settings: Settings, studies: Sequence[Path], rounds: int) -> list[Cost]:
    """Measure every study, all in turn."""
    application = ComposedApp(bundle, settings)
    application.compose()
    stages = [stage for stage in application.stages if isinstance(stage, CaseOperator) and stage.name not in REPORTING]
    runs = [[run(study, stages) for study in studies] for _ in range(_WARM + rounds)]
    return [_middle(of_one) for of_one in zip(*runs[_WARM:], strict=True)]


def run(study: Path, stages: Sequence[CaseOperator]) -> Cost:
    """Send a study of one image through the stages.

    Raises
    ------
    SystemExit
        The image was refused, so that its figures would mean nothing.
    """
    began = time.process_time()
    (case,) = scan(study, study)
    seconds = {"load": time.process_time() - began}
    for stage in stages:
        began = time.process_time()
        stage.work(case)
        seconds[stage.name] = time.process_time() - began
    (image,) = case.images
    if not image.results:
        raise SystemExit(f"{study.name} is not assessed: {image.refusal}")
    rest = sum(spent for name, spent in seconds.items() if name not in (QUALITY, SHORTCUTS))
    return Cost(rest, seconds[QUALITY], seconds[SHORTCUTS], image.shortcut is not None)


def _middle(of_one: Sequence[Cost]) -> Cost:
    study, quality, shortcuts = (median(getattr(c, name) for c in of_one) for name in ("study", "quality", "shortcuts"))
    return Cost(study, quality, shortcuts, of_one[0].twice)


def tell(title: str, found: Sequence[Cost], goal: str = "") -> None:
    """Print the means over some pictures, and the dearest of those for which the network ran twice."""
    study, quality, shortcuts = (mean(getattr(c, name) for c in found) for name in ("study", "quality", "shortcuts"))
    worst = max((cost.share for cost in found if cost.twice), default=None)
    print(f"{title}:")
    print(f"  a study before reporting, without checks  {1e3 * study:.1f} ms")
    print(f"  quality checks                            {1e3 * quality:.1f} ms")
    print(f"  shortcut audit                            {1e3 * shortcuts:.1f} ms")
    print(f"  the network ran twice for                 {sum(cost.twice for cost in found)} of {len(found)}")
    print(f"  both checks over the study                {(quality + shortcuts) / study:.1%}{goal}")
    if worst is not None and len(found) > 1:
        print(f"  the same, of the dearest picture          {worst:.1%}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure what the checks of the picture cost.")
    parser.add_argument("--data", type=Path, default=ROOT / "work" / "nih", help="has the pictures in full/")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="the bundle, or the folder that holds it")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # the engine takes as many threads as it sees cores
    cv2.setNumThreads(1)
    bundle = load_bundle(find_bundle(options.models))
    shipped = load_settings(ROOT / "app.yaml").model_copy(update={"engine": "onnx"})
    every = shipped.model_copy(update=EVERY_FINDING_COUNTS)
    print(f"{bundle.name} {bundle.version}, {bundle.architecture}; one thread, processor time")
    with tempfile.TemporaryDirectory() as name:
        full, folder = options.data / "full", Path(name)
        sets = {
            "pictures of ChestX-ray14, 1024 x 1024, mean": write_pictures(full, folder),
            f"the same, enlarged to {DETECTOR} x {DETECTOR}, mean": write_pictures(full, folder, DETECTOR),
            "the CR with a letter": [write_sample(folder / "CR")],
        }
        if not any(full.glob("*.png")):
            print(f"{full} holds no pictures, so there is no figure for the goal", file=sys.stderr)
        goal = f"  (goal: at most {GOAL:.0%})"
        for title, studies in sets.items():
            if studies:
                tell(f"{title}; settings as shipped", costs(bundle, shipped, studies, options.rounds), goal)
                tell(f"{title}; every finding counts", costs(bundle, every, studies, options.rounds))
            goal = ""


if __name__ == "__main__":
    main()
