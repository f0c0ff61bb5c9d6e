"""The demonstration: a real chest radiograph in, a coded report and overlays out, shown to a person.

The radiograph is the one that the PyPI package pydicom-data carries (Philips CR, 15 bit, MONOCHROME1).
Research use only, not for diagnosis.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cxr import RESEARCH_USE  # noqa: E402
from cxr.dicom.read import read_pixels  # noqa: E402
from cxr.findings import finding_named  # noqa: E402

SAMPLE = "RG1_UNCI.dcm"


def main() -> int:
    """Run the application on the sample and show what it wrote."""
    folder = ROOT / "demo"
    source = prepare(folder / "in")
    shutil.rmtree(folder / "out", ignore_errors=True)
    print("candor: assessing a real chest radiograph ...", flush=True)
    folders = {"-i": folder / "in", "-o": folder / "out", "-m": ROOT / "models"}
    options = [str(word) for pair in folders.items() for word in pair]
    code = subprocess.run([sys.executable, str(ROOT / "app.py"), *options], check=False).returncode
    if code:
        return code
    results = json.loads((folder / "out" / "results.json").read_text())
    for study in results["studies"]:
        show(study, results["model"])
        previews(study, source, folder)
    print(f"\n{RESEARCH_USE}.")
    return 0


def prepare(folder: Path) -> Path:
    """Put the sample into a fresh input folder."""
    sample = get_testdata_file(SAMPLE, download=False)
    if not isinstance(sample, str):
        raise SystemExit(f"candor: {SAMPLE} is not there; run 'make setup' to install pydicom-data")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return Path(shutil.copy2(sample, folder))


def show(study: dict[str, Any], model: dict[str, Any]) -> None:
    """Print the table of findings, likeliest against prevalence first."""
    print(f"\nStudy: {study['disposition']}    model {model['name']} {model['version']} on {model['engine']}\n")
    print(f"{'finding':<20}{'P(present)':>11}{'prevalence':>12}  {'decision':<10}{'hottest region':<22}reason")
    rows = [row for image in study["images"] for row in image["findings"]]
    for row in sorted(rows, key=lambda row: -row["probability"] / row["prevalence"]):
        reason = row["reason"]["meaning"] if row["reason"] else ""
        print(
            f"{finding_named(row['finding']).display:<20}{row['probability']:>10.1%} {row['prevalence']:>11.1%}  "
            f"{row['decision']:<10}{row['region']:<22}{reason}"
        )


def previews(study: dict[str, Any], source: Path, folder: Path) -> None:
    """Write a PNG of each overlay beside the image, and name all the files."""
    grey = (read_pixels(source).radiograph.pixels * 255).astype(np.uint8)
    print("\nfiles:")
    for written in study["objects"]:
        path = folder / "out" / written["file"]
        label = "report " if written["kind"] == "sr" else "overlay"
        print(f"  {label}  {path.relative_to(ROOT)}")
        if written["kind"] == "sc":
            preview = folder / f"{path.stem}.png"
            Image.fromarray(beside(grey, dcmread(path).pixel_array)).save(preview)
            print(f"  preview  {preview.relative_to(ROOT)}")


def beside(grey: NDArray[np.uint8], overlay: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Set the grey image, scaled to the overlay's height, to the left of the overlay: ``(rows, columns, 3)``."""
    height = overlay.shape[0]
    width = round(grey.shape[1] * height / grey.shape[0])
    scaled = np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.LANCZOS))
    return np.hstack([np.repeat(scaled[:, :, np.newaxis], 3, axis=2), overlay])


if __name__ == "__main__":
    sys.exit(main())
