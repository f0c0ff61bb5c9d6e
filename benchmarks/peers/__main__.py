"""Candor beside its peers: the same work in one run, and a table for the page.

    python -m benchmarks.peers [--only NAME ...] [--router-venv work/peers] > table.md

Everything that two sides do is measured in turn, after a warm-up; figures are medians, ratios the medians of pairs. It
takes about ten minutes on two quiet cores. DCMTK, Orthanc and the validators are Debian packages (``make peers``);
dicom-ai-router is installed into an environment of its own. What is not there is left out, and said.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from benchmarks.node.crash import ROOT
from benchmarks.peers import crashes, engine, heatmaps, routing, study, transfer
from benchmarks.peers.table import Section, markdown
from operators.graph.sdk import quiet_libraries

Measurement = Callable[[argparse.Namespace], list[Section]]

MEASUREMENTS: dict[str, Measurement] = {
    "transfer": lambda options: transfer.measure(options.images, options.rounds),
    "heatmaps": lambda options: heatmaps.measure(options.models, options.rounds),
    "engine": lambda options: engine.measure(options.models, options.rounds),
    "study": lambda options: study.measure(options.models, options.rounds),
    "routing": lambda options: routing.measure(options.models, options.router_venv, options.rounds, options.burst),
    "crash": lambda options: crashes.measure(
        options.models, options.router_venv, options.studies, options.kills, options.seed
    ),
}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS), metavar="NAME",
                        help=f"of {', '.join(MEASUREMENTS)}; all by default")  # fmt: skip
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds of everything but the crash test")
    parser.add_argument("--images", type=int, default=12, help="8.4 MB images in a round of receiving and sending")
    parser.add_argument("--burst", type=int, default=6, help="studies at once, for the throughput")
    parser.add_argument("--studies", type=int, default=40, help="of the crash test")
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--router-venv", type=Path, default=ROOT / "work" / "peers", help="made where it is missing")
    return parser.parse_args(argv)


def machine() -> str:
    """Say what the figures were measured on."""
    packages = ("torch", "onnxruntime", "captum", "monai", "monai-deploy-app-sdk", "pynetdicom")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{os.cpu_count()} cores ({platform.machine()}), no GPU in use; {versions}."


def main() -> None:
    """Measure and print the table."""
    options = parse()
    quiet_libraries()
    print(machine())
    for name in options.only:
        began = time.perf_counter()
        print(f"\n{markdown(MEASUREMENTS[name](options))}", flush=True)
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
