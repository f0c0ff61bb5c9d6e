"""``python -m training``: the verbs that make a bundle, from find-lr and train to evaluate."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Final

from cxr.bundle import load_bundle, load_model
from cxr.errors import CandorError
from training.calibrate import calibrate
from training.card import write_card
from training.evaluate import evaluate
from training.export import export
from training.gate import Promise, fit_gate
from training.nih import prevalence, read_nih
from training.records import Occasion
from training.trained import read_trained
from training.training_verbs import add_training_verbs

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
    add_training_verbs(partial(_verb, verbs))
    for add in (_add_export, _add_calibrate, _add_fit_gate, _add_evaluate):
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
    text = "Measure a bundle on the official test patients; writes the figures, a report and the card, and prints this."
    _add_bundle_and_data(_verb(verbs, _evaluate, "evaluate", text))


def _add_bundle_and_data(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--bundle", type=Path, default=Path("models/cxr"), help="the bundle's folder")
    verb.add_argument("--data", type=Path, required=True, help=_DATA)
    verb.add_argument("--date", type=date.fromisoformat, default=date.today(), help="stands in the file, YYYY-MM-DD")


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
    evaluate(bundle, read_nih(options.data, bundle.findings), _occasion(options), options.data)
    print(write_card(options.bundle).read_text(), end="")


def _occasion(options: argparse.Namespace) -> Occasion:
    return Occasion(options.date, options.command)


if __name__ == "__main__":
    sys.exit(main())
