"""``python -m training``: train, export, calibrate, fit-gate, evaluate."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Final

from cxr.bundle import load_bundle, load_model
from cxr.errors import CandorError, SettingsError
from cxr.network import NETWORKS
from training.calibrate import calibrate
from training.card import write_card
from training.evaluate import evaluate
from training.export import export
from training.gate import Promise, fit_gate
from training.nih import prevalence, read_nih
from training.recipe import Recipe, Stage
from training.records import Occasion
from training.train import train
from training.trained import read_trained

EXIT_UNUSABLE: Final = 2

_DATA: Final = "folder with images.csv, images/ and labels_all.csv.gz"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; what Candor raises on purpose becomes one line on standard error and exit code 2."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(given)
    options.command = f"python -m training {shlex.join(given)}"
    try:
        options.verb(options)
    except CandorError as error:
        print(f"training: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m training", description="Make the bundle that Candor runs.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for add in (_add_train, _add_export, _add_calibrate, _add_fit_gate, _add_evaluate):
        add(verbs)
    return parser


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    run: Callable[[argparse.Namespace], None],
    name: str,
    text: str,
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text, description=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    verb.set_defaults(verb=run)
    return verb


def _add_train(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    recipe = Recipe()
    verb = _verb(verbs, _train, "train", "Train a classifier; leaves weights, train.json and splits.json in WORK.")
    verb.add_argument("--data", type=Path, required=True, help=_DATA)
    verb.add_argument("--work", type=Path, default=Path("work"), help="folder for the cache and the result")
    verb.add_argument("--network", choices=sorted(NETWORKS), default=recipe.network, help="architecture")
    verb.add_argument(
        "--stage",
        nargs=3,
        action="append",
        metavar=("SIDE", "EPOCHS", "RATE"),
        help="pixels a side, epochs, and peak learning rate of a stage; repeat it for several; they replace "
        + " and ".join(f"{stage.side} {stage.epochs} {stage.peak_learning_rate:g}" for stage in recipe.stages),
    )
    verb.add_argument("--batch", type=int, default=recipe.batch, help="pictures a step")
    verb.add_argument("--seed", type=int, default=recipe.seed, help="of weights, order and augmentation")


def _add_export(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(verbs, _export, "export", "Make a bundle of what training left; it defers everything at first.")
    verb.add_argument("--work", type=Path, default=Path("work"), help="folder that training wrote")
    verb.add_argument("--bundle", type=Path, default=Path("models/cxr"), help="folder to write; a bundle is replaced")


def _add_calibrate(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(verbs, _calibrate, "calibrate", "Fit the calibration to the calibration patients; closes the gate.")
    _add_bundle_and_data(verb)


def _add_fit_gate(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    promise = Promise()
    verb = _verb(verbs, _fit_gate, "fit-gate", "Fit the thresholds to one image of each calibration patient.")
    _add_bundle_and_data(verb)
    verb.add_argument(
        "--max-missed", type=float, default=promise.max_missed, help="most of the positives called absent, in (0, 1)"
    )
    verb.add_argument(
        "--min-precision", type=float, default=promise.min_precision, help="least share right of PRESENT, in (0, 1)"
    )
    verb.add_argument("--confidence", type=float, default=promise.confidence, help="of each promise, in (0, 1)")


def _add_evaluate(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "Measure a bundle on the official test patients; writes evaluation.json and the model card, and prints it."
    _add_bundle_and_data(_verb(verbs, _evaluate, "evaluate", text))


def _add_bundle_and_data(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--bundle", type=Path, default=Path("models/cxr"), help="the bundle's folder")
    verb.add_argument("--data", type=Path, required=True, help=_DATA)
    verb.add_argument("--date", type=date.fromisoformat, default=date.today(), help="stands in the file, YYYY-MM-DD")


def _train(options: argparse.Namespace) -> None:
    recipe = Recipe(network=options.network, batch=options.batch, seed=options.seed)
    if options.stage:
        recipe = replace(recipe, stages=tuple(_stage(*values) for values in options.stage))
    print(train(read_nih(options.data), options.work, recipe))


def _stage(side: str, epochs: str, rate: str) -> Stage:
    try:
        return Stage(int(side), int(epochs), float(rate))
    except ValueError as error:
        raise SettingsError(f"--stage {side} {epochs} {rate}: two whole numbers and a rate, as 224 8 4e-4") from error


def _export(options: argparse.Namespace) -> None:
    print(export(read_trained(options.work), options.bundle))


def _calibrate(options: argparse.Namespace) -> None:
    model = load_model(options.bundle)
    assumed = prevalence(options.data / "labels_all.csv.gz", model.findings)
    calibration = calibrate(model, read_nih(options.data, model.findings), assumed, _occasion(options))
    print(calibration.description)
    for finding, m in calibration.maps.items():
        print(f"{finding.label}: {m.kind.value}, {m.slope:.3f} * logit {m.intercept:+.3f}")


def _fit_gate(options: argparse.Namespace) -> None:
    model = load_model(options.bundle)
    promise = Promise(options.max_missed, options.min_precision, options.confidence)
    gate = fit_gate(model, read_nih(options.data, model.findings), promise, _occasion(options))
    print(gate.description)
    for finding, pair in gate.thresholds.items():
        print(f"{finding.label}: absent up to {_shown(pair.lo)}, present from {_shown(pair.hi)}")


def _shown(threshold: float | None) -> str:
    return "(unsupported)" if threshold is None else f"{threshold:.4f}"


def _evaluate(options: argparse.Namespace) -> None:
    bundle = load_bundle(options.bundle)
    evaluate(bundle, read_nih(options.data, bundle.findings), _occasion(options))
    print(write_card(options.bundle).read_text(), end="")


def _occasion(options: argparse.Namespace) -> Occasion:
    return Occasion(options.date, options.command)


if __name__ == "__main__":
    sys.exit(main())
