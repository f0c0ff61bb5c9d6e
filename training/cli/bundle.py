"""The verbs about a bundle: import-weights, export, soft-labels, fit-percentiles and evaluate."""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from candor import __version__
from candor.command_line import AddVerb
from candor.study.errors import SettingsError
from training.cli.options import add_bundle, add_data, add_date, occasion_of
from training.names import HALF_TOLERANCE, WEIGHT_LAYOUTS


def add_bundle_verbs(add: AddVerb) -> None:
    """Add the verbs to a command line."""
    _add_import_weights(add)
    _add_export(add)
    _add_soft_labels(add)
    _add_fit_percentiles(add)
    _add_evaluate(add)


def _add_import_weights(add: AddVerb) -> None:
    verb = add(_import_weights, "import-weights", "Import published DenseNet-121 weights, for the verb export.")
    verb.add_argument("source", type=Path, help=".safetensors, or a torch file that holds tensors only")
    verb.add_argument("--layout", choices=WEIGHT_LAYOUTS, required=True, help="layout of the published weights")
    verb.add_argument("--labels", type=Path, required=True, help="labels_all.csv.gz of the data that trained them")
    verb.add_argument("--work", type=Path, default=Path("work"), help="folder to write")
    verb.add_argument(
        "--outputs", type=lambda text: text.split(","), help="names of the outputs in order, separated by commas"
    )


def _import_weights(options: argparse.Namespace) -> None:
    from training.bundles.import_weights import import_weights

    print(import_weights(options.source, options.work, options.layout, options.labels, options.outputs).weights)


def _add_export(add: AddVerb) -> None:
    text = "Make a bundle from the result of training. Its gate defers every finding until fit-gate has run."
    verb = add(_export, "export", text)
    source = verb.add_mutually_exclusive_group()
    source.add_argument("--work", type=Path, default=Path("work"), help="folder that training wrote")
    source.add_argument(
        "--members",
        type=Path,
        nargs="+",
        metavar="WORK",
        help="folders of several trainings, whose networks are served together: their mean logit counts",
    )
    verb.add_argument(
        "--most-mb",
        type=float,
        metavar="MB",
        help="store the largest tensors in half precision, as few as needed for weights of this size; refused where "
        f"over 1%% of the logits of the --pictures change by more than {HALF_TOLERANCE:g}",
    )
    verb.add_argument(
        "--detail",
        type=int,
        metavar="PX",
        help="reduce every picture to so many rows and columns before the network sees it: for networks that learnt "
        "from pictures of several sizes, which could tell a label",
    )
    verb.add_argument("--name", help="name of the bundle for reports; by default made of the network's")
    verb.add_argument("--version", default=__version__, help="version of the bundle; by default Candor's")
    verb.add_argument("--licence", metavar="TEXT", help="what else the weights' licence asks for, in words")
    verb.add_argument("--pictures", type=Path, metavar="FOLDER", help="pictures on which --most-mb is checked")
    verb.add_argument(
        "--bundle", type=Path, default=Path("models/cxr"), help="folder to write; an existing bundle is replaced"
    )


def _export(options: argparse.Namespace) -> None:
    from training.bundles.export import export
    from training.bundles.half import Smaller
    from training.bundles.members import join
    from training.bundles.provenance import Edition
    from training.bundles.trained import read_trained

    if (options.most_mb is None) != (options.pictures is None):
        raise SettingsError("--most-mb and --pictures belong together; give both or neither")
    smaller = None if options.most_mb is None else Smaller(options.most_mb, options.pictures)
    edition = Edition(options.name, options.version, licence=options.licence)
    with TemporaryDirectory() as scratch:
        if options.members:
            trained = join([read_trained(folder) for folder in options.members], Path(scratch))
        else:
            trained = read_trained(options.work)
        print(export(trained.reading(options.detail), options.bundle, smaller, edition))


def _add_soft_labels(add: AddVerb) -> None:
    text = (
        "Classify the pictures of a data set that are for training, and write the probabilities: a table for train "
        "--soft-labels, by which the bundle teaches another network."
    )
    verb = add(_soft_labels, "soft-labels", text)
    add_bundle(verb)
    add_data(verb)
    verb.add_argument("--with", type=Path, dest="other", metavar="CSV", help="another such table, to average with")
    verb.add_argument("--out", type=Path, default=Path("soft.csv.gz"), help="table to write")


def _soft_labels(options: argparse.Namespace) -> None:
    from candor.model.bundle import load_model
    from training.cli.inputs import data_of
    from training.data.soft_labels import read_soft_labels
    from training.predictions.teacher import write_soft_labels

    model = load_model(options.bundle)
    other = None if options.other is None else read_soft_labels(options.other)
    written = write_soft_labels(model, data_of(options, model), options.out, other)
    print(f"{options.out}: {written} pictures")


def _add_fit_percentiles(add: AddVerb) -> None:
    text = (
        "Fit the percentiles of each finding's score to the unseen patients of a data set. Write "
        "models/percentiles.json; other parts of the bundle stay as they are."
    )
    verb = add(_fit_percentiles, "fit-percentiles", text)
    add_bundle(verb)
    add_data(verb)


def _fit_percentiles(options: argparse.Namespace) -> None:
    from candor.model.bundle import load_model
    from training.cli.inputs import data_of
    from training.measure.percentiles import fit_percentiles

    model = load_model(options.bundle)
    print(f"fitted to {fit_percentiles(model, data_of(options, model))}")


def _add_evaluate(add: AddVerb) -> None:
    text = (
        "Measure a bundle on the unseen patients, or on all patients of another data set. Write figures, a report and "
        "the model card, and print the card. The bundle's hash stays the same."
    )
    verb = add(_evaluate, "evaluate", text)
    add_bundle(verb)
    add_data(verb)
    add_date(verb)
    verb.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="folder to write, instead of models/evaluation.json and docs/ in the bundle",
    )


def _evaluate(options: argparse.Namespace) -> None:
    from candor.model.bundle import load_bundle
    from training.cli.inputs import data_of
    from training.measure.evaluate import evaluate
    from training.model_card.card import require_facts, write_card

    bundle = load_bundle(options.bundle)
    require_facts(bundle.root)
    evaluate(bundle, data_of(options, bundle), occasion_of(options), options.data, options.out)
    print(write_card(bundle.root, options.out).read_text(), end="")
