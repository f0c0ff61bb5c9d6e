"""The verbs that look for shortcuts: probe, audit-shortcuts and region-map."""

from __future__ import annotations

import argparse
from pathlib import Path

from candor.command_line import AddVerb
from candor.study.errors import DataError
from training.cli.options import add_bundle
from training.markdown import table
from training.names import PROBE_ATTRIBUTES
from training.records import write_json


def add_shortcut_verbs(add: AddVerb) -> None:
    """Add the verbs to a command line."""
    _add_probe(add)
    _add_audit(add)
    _add_map(add)


def _add_probe(add: AddVerb) -> None:
    text = "Measure by a linear probe what a bundle's features reveal about pictures."
    verb = add(_probe, "probe", text)
    add_bundle(verb)
    verb.add_argument("--data", type=Path, required=True, help="folder of the data set")
    verb.add_argument("--against", type=Path, nargs="*", default=[], help="folders of other data sets; each is a site")
    verb.add_argument("--target", required=True, help=f"{', '.join(PROBE_ATTRIBUTES)}, or a finding's label")
    verb.add_argument(
        "--views", nargs="*", default=[], choices=["PA", "AP", "LL"], help="projections to use; by default all"
    )


def _probe(options: argparse.Namespace) -> None:
    from candor.model.bundle import load_model
    from training.checks.probe import features_of, probe, read_subjects

    subjects = read_subjects([options.data, *options.against], options.target, options.views)
    probed = probe(features_of(load_model(options.bundle), subjects.paths), subjects.values, subjects.patients)
    header = (options.target, "pictures", "patients", "AUC [95% interval] against the rest")
    print(f"{len(subjects.paths):,} pictures of {len(set(subjects.patients)):,} patients\n")
    print(table(header, ((of.value, of.images, of.patients, of.auc) for of in probed)))


def _add_audit(add: AddVerb) -> None:
    text = "Measure how much a bundle's answers change when marks and borders are blanked, on the unseen patients."
    verb = add(_audit, "audit-shortcuts", text)
    add_bundle(verb)
    verb.add_argument("--data", type=Path, required=True, help="folder of the data set")


def _audit(options: argparse.Namespace) -> None:
    from candor.model.bundle import load_bundle
    from training.bundles.leakage import unseen_part
    from training.checks.shortcut import LIMITS, measure_shifts
    from training.data.readers import read_dataset

    bundle = load_bundle(options.bundle)
    dataset = read_dataset(options.data, findings=bundle.findings)
    shifts = measure_shifts(bundle, unseen_part(bundle, dataset))
    marks, borders = (sum(word in what for what in shifts.what) for word in ("marks", "borders"))
    print(f"{len(shifts.what)} pictures, {marks} with marks, {borders} with borders\n")
    rows = ((limit, *(f"{share:.1%}" for share in shifts.over(limit))) for limit in LIMITS)
    print(table(("change over, log-odds", "pictures, in any finding", "pictures, in a finding that is answered"), rows))


def _add_map(add: AddVerb) -> None:
    text = "Write a map of ln(p without a region / p) of one picture, for each region and finding, as JSON."
    verb = add(_map, "region-map", text)
    add_bundle(verb)
    verb.add_argument("--picture", type=Path, required=True, help="JPEG or PNG file")
    verb.add_argument("--grid", type=int, default=8, help="regions along a side")
    verb.add_argument("--out", type=Path, default=Path("work/region-map.json"), help="file to write")


def _map(options: argparse.Namespace) -> None:
    from candor.model.bundle import load_bundle
    from candor.model.onnx_engine import OnnxEngine
    from candor.model.preprocess import to_network_input
    from candor.picture.shortcut import region_map
    from training.data.pictures import as_radiograph, read_picture

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
