"""Make the pictures of the README: real radiographs go through the node with the shipped bundle, and its page is shown.

    python -m tools.pictures [FILE ...]

It writes ``result.jpg`` (a radiograph beside its first overlay), ``page-study.png`` and ``page-studies.png`` into
``docs/images``. The radiograph is that of the demonstration; further DICOM files fill the list of studies.
Nothing in the pictures is made up: run it again when the bundle or the page changes. It needs chromium. The other
figures of the docs are made by the verbs that their pages name.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from pydicom import dcmread

from candor.dicom.read.file import read_pixels
from candor.words.results_json import read_results
from tools import demo
from tools.browser import CHROMIUM, Browser
from tools.small_pacs import SmallPacs, free_port

IMAGES: Final = demo.ROOT / "docs" / "images"
_SHOWN: Final = "[...document.querySelectorAll('.tabs img')].filter(i => i.offsetParent !== null)"
_WIDTH: Final = 1400
_QUALITY: Final = 88
_WAIT_S: Final = 300.0


def main() -> int:
    """Run the node over the radiographs and write the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path, help="further DICOM files, for the list")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder to write; by default docs/images")
    options = parser.parse_args()
    if CHROMIUM is None:
        raise SystemExit("candor: chromium is not installed, and the page is shown in it")
    folder = demo.ROOT / "build" / "pictures"
    shutil.rmtree(folder, ignore_errors=True)
    source = demo.prepare(folder / "in")
    pacs, ports = SmallPacs(folder / "pacs"), [free_port() for _ in range(3)]
    pacs.start(ports[0])
    config = demo.configure(folder, ports[1], ports[2], ports[0])
    options.out.mkdir(parents=True, exist_ok=True)
    with demo.node(config, folder) as log:
        demo.wait_for(lambda: "worker ready" in log.read_text() and "receiver listens" in log.read_text(), _WAIT_S)
        for file in options.files:
            shutil.copy2(file, source.parent)
        demo.gateway(config, "send", str(source.parent), "--to", "node")
        studies = {dcmread(file, stop_before_pixels=True).StudyInstanceUID for file in source.parent.iterdir()}
        demo.wait_for(lambda: log.read_text().count('"study delivered"') >= len(studies), _WAIT_S)
        index = demo.wait_for(lambda: index_of(source, folder), _WAIT_S)
        overlay_beside(source, index, options.out / "result.jpg")
        with Browser(folder / "profile", 1425, 900) as browser:
            pages(browser, f"http://127.0.0.1:{ports[2]}", token_of(index), options.out)
    pacs.stop()
    print(f"candor: wrote {', '.join(sorted(path.name for path in options.out.iterdir()))} in {options.out}")
    return 0


def index_of(source: Path, folder: Path) -> Path | None:
    """Return the index of the results of a radiograph's study.

    Parameters
    ----------
    source
        The DICOM file.
    folder
        The node's folder.
    """
    uid = dcmread(source, stop_before_pixels=True).StudyInstanceUID
    indices = (folder / "spool" / "studies").glob("*/*/out/**/results.json")
    return next((i for i in indices if any(s.study_instance_uid == uid for s in read_results(i).studies)), None)


def token_of(index: Path) -> str:
    """Return the node's name of a study, by which its page is found."""
    studies = next(parent for parent in index.parents if parent.name == "studies")
    return index.relative_to(studies).parts[0]


def overlay_beside(source: Path, index: Path, picture: Path) -> None:
    """Write a radiograph beside the overlay of the finding that was likeliest against its prevalence.

    Parameters
    ----------
    source
        The DICOM file.
    index
        The index of its results.
    picture
        The JPEG file to write.
    """
    study = read_results(index).studies[0]
    overlay = next((written for written in study.objects if written.kind == "sc"), None)
    if overlay is None:
        raise SystemExit("candor: the node made no overlay of the radiograph; look at its result")
    grey = (read_pixels(source).radiograph.pixels * 255).astype(np.uint8)
    drawn = Image.fromarray(demo.beside(grey, dcmread(index.parent / overlay.file).pixel_array))
    height = round(drawn.height * _WIDTH / drawn.width)
    drawn.resize((_WIDTH, height), Image.Resampling.LANCZOS).save(picture, quality=_QUALITY)


def pages(browser: Browser, address: str, token: str, out: Path) -> None:
    """Show the list of studies and one study, and keep both.

    Parameters
    ----------
    browser
        At any page.
    address
        The node's.
    token
        The study to show.
    out
        Folder of the pictures.
    """
    browser.dark()
    browser.open(f"{address}/studies")
    browser.fill("input[name=name]", "demo")
    browser.fill("input[name=password]", demo.PASSWORD)
    browser.click_through("main button")
    browser.screenshot(out / "page-studies.png")
    browser.open(f"{address}/studies/{token}")
    browser.click(".tabs label:nth-of-type(2)")
    browser.until(f"{_SHOWN}.some(i => i.complete && i.naturalWidth)")
    browser.screenshot(out / "page-study.png")


if __name__ == "__main__":
    sys.exit(main())
