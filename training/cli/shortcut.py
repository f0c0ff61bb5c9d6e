"""The verbs that look for shortcuts: ``probe``, ``audit-shortcuts`` and ``region-map``."""

from __future__ import annotations

import argparse
from pathlib import Path

from candor.command_line import AddVerb
from candor.model.bundle import load_bundle, load_model
from candor.model.onnx_engine import OnnxEngine
from candor.model.preprocess import to_network_input
from candor.picture.shortcut import region_map
from candor.study.errors import DataError
from training.checks.probe import ATTRIBUTES, features_of, probe, read_subjects
from training.checks.shortcut import LIMITS, measure_shifts
from training.data.pictures import as_radiograph, read_picture
from training.data.readers.read import read_dataset
from training.data.splits import Subset
from training.markdown import table
from training.records import write_json


def add_shortcut_verbs(add: AddVerb) -> None:
    """Add the verbs to a command line."""
    verb = _with_bundle(add(_probe, "probe", "Measure what a bundle's features tell of pictures, by a linear probe."))
    verb.add_argument("--data", type=Path, required=True, help="folder of a data set")
    verb.add_argument("--against", type=Path, nargs="*", default=[], help="folders of others; each is a site")
    verb.add_argument("--target", required=True, help=f"{', '.join(ATTRIBUTES)}, or a finding's label")
    verb.add_argument("--views", nargs="*", default=[], choices=["PA", "AP", "LL"], help="keep these alone; else all")
    text = "Measure how far blanking marks and borders moves a bundle's answers, on gate and calibration patients."
    _with_bundle(add(_audit, "audit-shortcuts", text)).add_argument(
        "--data", type=Path, required=True, help="folder of a data set"
    )
    text = "Map ln(p without a region / p) of one picture, region by region and finding by finding, as JSON."
    verb = _with_bundle(add(_map, "region-map", text))
    verb.add_argument("--picture", type=Path, required=True, help="JPEG or PNG")
    verb.add_argument("--grid", type=int, default=8, help="regions along a side")
    verb.add_argument("--out", type=Path, default=Path("work/region-map.json"), help="file to write")


def _with_bundle(verb: argparse.ArgumentParser) -> argparse.ArgumentParser:
    verb.add_argument("--bundle", type=Path, default=Path("models/cxr"), help="the bundle's folder")
    return verb


def _probe(options: argparse.Namespace) -> None:
    subjects = read_subjects([options.data, *options.against], options.target, options.views)
    probed = probe(features_of(load_model(options.bundle), subjects.paths), subjects.values, subjects.patients)
    header = (options.target, "pictures", "patients", "AUC [95% interval] against the rest")
    print(f"{len(subjects.paths):,} pictures of {len(set(subjects.patients)):,} patients\n")
    print(table(header, ((of.value, of.images, of.patients, of.auc) for of in probed)))


def _audit(options: argparse.Namespace) -> None:
    bundle = load_bundle(options.bundle)
    dataset = read_dataset(options.data, findings=bundle.findings).only(Subset.GATE, Subset.CALIBRATION)
    if not dataset.images:
        raise DataError(f"{options.data} has no gate or calibration patient; give another data set")
    shifts = measure_shifts(bundle, dataset)
    marks, borders = (sum(word in what for what in shifts.what) for word in ("marks", "borders"))
    print(f"{len(shifts.what)} pictures, {marks} with marks, {borders} with borders\n")
    rows = ((limit, *(f"{share:.1%}" for share in shifts.over(limit))) for limit in LIMITS)
    print(table(("change over, log-odds", "pictures, in any finding", "pictures, in a finding that is answered"), rows))


def _map(options: argparse.Namespace) -> None:
    bundle = load_bundle(options.bundle)
    pixels = to_network_input(as_radiograph(read_picture(options.picture)), bundle.input)
    if not 1 <= options.grid <= bundle.input.side:
        raise DataError(f"--grid is {options.grid}; give 1 to {bundle.input.side}")
    maps = region_map(OnnxEngine(bundle.graph), bundle.calibration, pixels, bundle.input, options.grid)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        options.out, {finding.label: of.round(6).tolist() for finding, of in zip(bundle.findings, maps, strict=True)}
    )
    print(options.out)
