"""What the checks of the picture cost: quality and shortcuts, over the time of a study before reporting.

    python -m benchmarks.doubt [--models models] [--rounds 30]

The radiograph is pydicom-data's Philips CR (1955 x 1841, 15 bit), with the letter L put into a corner, since most
radiographs have a mark and one without costs no second run of the network. Before reporting means all that comes before
overlays and report. First as served: the resident application on all cores, with the audit and without, in turn. Then
the parts alone on one thread, processor time, where the second run of the network saves nothing by running beside the
first.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from pydicom import dcmread
from pydicom.data import get_testdata_file

from app import ResidentApplication
from benchmarks.timing import interleaved, milliseconds, ratio
from cxr.bundle import Bundle, find_bundle, load_bundle
from cxr.dicom.read import read_pixels
from cxr.engine import OnnxEngine
from cxr.explain import heatmap
from cxr.lungs import LungField
from cxr.preprocess import to_network_input
from cxr.quality.checks import check
from cxr.quality.screen import load_screen
from cxr.settings import Settings
from cxr.shortcut import Auditor
from operators.jobs import Job

ROOT = Path(__file__).resolve().parent.parent
GOAL = 0.35
AGE = 50
REPORTING = ("write overlays", "write report", "publish")
_UNAUDITED = Settings(shortcut_limit=None)
_WARM = 3
"""Runs that are not counted."""


def write_sample(path: Path) -> None:
    """Write the sample with an L in its upper right corner; its brightest stored value is 0."""
    dataset = dcmread(str(get_testdata_file("RG1_UNCI.dcm", download=False)))
    pixels = dataset.pixel_array.copy()
    pixels[130:270, 1600:1625] = 0
    pixels[245:270, 1600:1685] = 0
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(path)


def costs(bundle: Bundle, sample: Path, rounds: int) -> dict[str, list[float]]:
    """Measure the study and its checks in turn, in seconds.

    Raises
    ------
    SystemExit
        The audit does not see the letter, so that its cost would not be measured.
    """
    engine, screen = OnnxEngine(bundle.graph, threads=1), load_screen()
    auditor = Auditor(bundle.input, LungField(), bundle.calibration)
    image = read_pixels(sample).radiograph
    network_input = to_network_input(image, bundle.input)
    logits = engine.run(network_input[np.newaxis]).logits[0]

    def study() -> None:
        radiograph = read_pixels(sample).radiograph
        outputs = engine.run(to_network_input(radiograph, bundle.input)[np.newaxis])
        for activation in outputs.activation[0]:
            heatmap(activation, radiograph.columns_to_left)
        bundle.calibration.probabilities(outputs.logits)

    def shortcuts() -> None:
        blanked = auditor.blank(network_input)
        if blanked is None:
            raise SystemExit("the audit saw no mark; its figure would mean nothing")
        auditor.compare(blanked, logits, engine.run(blanked.network_input[np.newaxis]).logits[0])

    actions = {"study": study, "quality": lambda: check(image, AGE, screen), "shortcuts": shortcuts}
    return interleaved(actions, rounds, clock=time.process_time)


def as_served(models: Path, sample: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Run the sample through the application with and without the audit; seconds of the checks, and of the rest."""
    checks, rest = [], []
    with ResidentApplication(models, Settings()) as audited, ResidentApplication(models, _UNAUDITED) as plain:
        for number in range(rounds):
            with_audit, without = (_stages(each, sample, number) for each in (audited, plain))
            quality = with_audit["check quality"]
            audit = with_audit["classify"] - without["classify"] + with_audit["check shortcuts"]
            checks.append(quality + audit)
            rest.append(sum(without.values()) - without["check quality"])
    return checks[_WARM:], rest[_WARM:]


def _stages(application: ResidentApplication, sample: Path, number: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, str(number))
        output.mkdir()
        (case,) = application.submit(Job(sample.parent, output)).result().cases
    return {name: seconds for name, seconds in case.seconds.items() if name not in REPORTING}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure what the checks of the picture cost.")
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    bundle = load_bundle(find_bundle(options.models))
    with tempfile.TemporaryDirectory() as folder:
        write_sample(Path(folder, "image.dcm"))
        checks, rest = as_served(options.models, Path(folder, "image.dcm"), options.rounds)
        cv2.setNumThreads(1)
        seconds = costs(bundle, Path(folder, "image.dcm"), options.rounds)
    print(f"{bundle.name} {bundle.version}, {bundle.architecture}; one CR of 1955 x 1841, uncompressed")
    print("as served, all cores:")
    print(f"  a study before reporting, without checks  {milliseconds(rest)}")
    print(f"  quality checks and shortcut audit         {milliseconds(checks)}")
    print(f"  both over the study                       {ratio(checks, rest):.1%}  (goal: at most {GOAL:.0%})")
    print("one thread, processor time:")
    print(f"  a study before reporting, without checks  {milliseconds(seconds['study'])}")
    print(f"  quality checks                            {milliseconds(seconds['quality'])}")
    print(f"  shortcut audit, with the network's run    {milliseconds(seconds['shortcuts'])}")
    both = [a + b for a, b in zip(seconds["quality"], seconds["shortcuts"], strict=True)]
    print(f"  both over the study                       {ratio(both, seconds['study']):.1%}")


if __name__ == "__main__":
    main()
