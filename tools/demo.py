"""The demonstration: a real chest radiograph goes from a PACS through the node, and its results come back.

    python tools/demo.py            the whole loop once
    python tools/demo.py --serve    and leave the node running, with its page

A small PACS and the node are started on this machine alone; the PACS sends the radiograph that the PyPI package
pydicom-data carries (Philips CR, 15 bit, MONOCHROME1) by C-STORE and takes the results. Research use only, not for
diagnosis.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from candor import RESEARCH_USE  # noqa: E402
from candor.dicom.read.file import read_pixels  # noqa: E402
from candor.model.bundle import load_bundle  # noqa: E402
from candor.study.findings import finding_named  # noqa: E402
from candor.words.results_json import ModelEntry, Results, StudyEntry, read_results  # noqa: E402
from tools.small_pacs import SmallPacs, free_port  # noqa: E402

SAMPLE: Final = "RG1_UNCI.dcm"
WORDS: Final = {"sr": "report", "gsps": "outlines over the image", "ko": "key objects", "pm": "heatmaps as numbers"}
PASSWORD: Final = "research-use-only"
_START_S: Final = 120.0
_LOOP_S: Final = 120.0


def main() -> int:
    """Run the demonstration and show the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--serve", action="store_true", help="leave the node running until Ctrl-C")
    serve = parser.parse_args().serve
    folder = ROOT / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    source = prepare(folder / "in")
    pacs = SmallPacs(folder / "pacs")
    pacs_port, port, page = free_port(), free_port(), free_port()
    pacs.start(pacs_port)
    config = configure(folder, port, page, pacs_port)
    print("candor: starting a small PACS and the node ...", flush=True)
    with node(config, folder) as log:
        wait_for(lambda: "worker ready" in log.read_text() and "receiver listens" in log.read_text(), _START_S)
        print("candor: sending a real chest radiograph by C-STORE ...", flush=True)
        gateway(config, "send", str(source.parent), "--to", "node")
        last_byte = time.time()
        results = wait_for(lambda: delivered(folder), _LOOP_S)
        last_result = max(line["time"] for line in pacs.received())
        for study in results.studies:
            show(study, results.model)
            previews(study, source, folder)
        print(f"\nfrom the last byte in to the last result out: {last_result - last_byte:.2f} s")
        print(f"the PACS has {len({line['sop_instance_uid'] for line in pacs.received()})} new objects in demo/pacs")
        if serve:
            print(f"the page: http://127.0.0.1:{page}  user: demo  password: {PASSWORD}  (Ctrl-C ends the node)")
            wait_for_ever()
        else:
            print("'make serve' does the same and leaves the node running, with its page")
    pacs.stop()
    print(f"\n{RESEARCH_USE}.")
    return 0


def prepare(folder: Path) -> Path:
    """Put the sample into a fresh folder."""
    sample = get_testdata_file(SAMPLE, download=False)
    if not isinstance(sample, str):
        raise SystemExit(f"candor: {SAMPLE} is not there; run 'make setup' to install pydicom-data")
    folder.mkdir(parents=True)
    return Path(shutil.copy2(sample, folder))


def configure(folder: Path, port: int, page: int, pacs_port: int) -> Path:
    """Write ``gateway.yaml`` for this machine only, and go live with one operator."""
    config = folder / "gateway.yaml"
    settings: dict[str, Any] = {
        "receive": {"host": "127.0.0.1", "port": port},
        "studies": {"quiet_s": 0.0, "max_study_age_d": 36500.0},
        "work": {"models": str(ROOT / "models"), "application": str(ROOT / "app.yaml")},
        "destinations": [{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": pacs_port}],
        "keep": {"reserve_gib": 0.5, "purge_below_gib": 0.5},
        "web": {"port": page, "health_port": None, "upload": True},
    }
    config.write_text(yaml.safe_dump(settings))
    gateway(config, "live", "--reason", "demonstration", "--foreign-fit", "a demonstration on one machine")
    gateway(config, "user", "add", "demo", "--role", "operator", said=f"{PASSWORD}\n{PASSWORD}\n")
    return config


def gateway(config: Path, *words: str, said: str = "") -> None:
    """Run one verb of the node to its end."""
    command = [sys.executable, "-W", "ignore", "-m", "gateway", *words, "--config", str(config)]
    done = subprocess.run(command, cwd=ROOT, input=said, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"candor: 'gateway {words[0]}' failed: {done.stderr.strip()}")


@contextmanager
def node(config: Path, folder: Path) -> Iterator[Path]:
    """Run ``gateway serve`` and end it; yield its log."""
    log = folder / "node.log"
    command = [sys.executable, "-W", "ignore", "-m", "gateway", "serve", "--config", str(config)]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=ROOT, stderr=sink, env=os.environ)
        try:
            yield log
        finally:
            process.terminate()
            process.wait()


def delivered(folder: Path) -> Results | None:
    """Return the results once every object is at the PACS."""
    if '"study delivered"' not in (folder / "node.log").read_text():
        return None
    index = next((folder / "spool" / "studies").glob("*/*/out/**/results.json"), None)
    return None if index is None else read_results(index)


def wait_for(done: Callable[[], Any], seconds: float) -> Any:
    """Wait until a function returns a true value, and return it."""
    end = time.monotonic() + seconds
    while not (found := done()):
        if time.monotonic() > end:
            raise SystemExit(f"candor: nothing came for {seconds:g} s; the node's log is demo/node.log")
        time.sleep(0.05)
    return found


def wait_for_ever() -> None:
    """Wait for Ctrl-C."""
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print()


def show(study: StudyEntry, model: ModelEntry) -> None:
    """Print the table of findings, likeliest against prevalence first."""
    print(f"\nStudy: {study.disposition}    model {model.name} {model.version} on {model.engine}\n")
    columns = f"{'finding':<20}{'P(present)':>11}{'90% interval':>16}{'prevalence':>12}"
    print(f"{columns}  {'decision':<10}{'hottest region':<22}reason")
    rows = [row for image in study.images for row in image.findings]
    for row in sorted(rows, key=lambda row: -row.probability / row.prevalence):
        reason = row.reason.meaning if row.reason else ""
        interval = f"{row.interval.low:.1%} to {row.interval.high:.1%}" if row.interval else "none"
        print(
            f"{finding_named(row.finding).display:<20}{row.probability:>10.1%} {interval:>16}{row.prevalence:>11.1%}   "
            f"{row.decision:<10}{row.region:<22}{reason}"
        )
    print(missing_answers({row.decision for row in rows}), end="")


def missing_answers(given: Collection[str]) -> str:
    """Return why an answer of a kind was not given, for a person; "" where both were."""
    gate = load_bundle(ROOT / "models" / "cxr").gate
    said = ""
    for answer, threshold in (("present", "hi"), ("absent", "lo")):
        if answer not in given:
            may = [finding.display for finding, pair in gate.thresholds.items() if getattr(pair, threshold) is not None]
            said += (
                f"\nnone is called {answer}: the calibration cases support that for {', '.join(may) or 'no finding'}\n"
            )
    return said


def previews(study: StudyEntry, source: Path, folder: Path) -> None:
    """Write a PNG of each overlay beside the image, and return all the files."""
    grey = (read_pixels(source).radiograph.pixels * 255).astype(np.uint8)
    received = {line["sop_instance_uid"]: line["sha256"] for line in SmallPacs(folder / "pacs").received()}
    print("\nat the PACS:")
    for written in study.objects:
        path = folder / "pacs" / f"{received[written.sop_instance_uid]}.dcm"
        if written.kind == "sc":
            preview = folder / f"{Path(written.file).stem}.png"
            Image.fromarray(beside(grey, dcmread(path).pixel_array)).save(preview)
            print(f"  overlay  {written.finding or '':<20} preview {preview.relative_to(ROOT)}")
        else:
            print(f"  {WORDS[written.kind]}")


def beside(grey: NDArray[np.uint8], overlay: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the grey image, scaled to the overlay's height, to the left of the overlay: ``(rows, columns, 3)``."""
    height = overlay.shape[0]
    width = round(grey.shape[1] * height / grey.shape[0])
    scaled = np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.LANCZOS))
    return np.hstack([np.repeat(scaled[:, :, np.newaxis], 3, axis=2), overlay])


if __name__ == "__main__":
    sys.exit(main())
