"""The verbs that make the checks of a picture: fit-familiarity, train-lungs and train-screen."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from candor.command_line import AddVerb
from candor.study.errors import DataError
from training.checks.familiarity_settings import Choice
from training.checks.lungs.recipe import LungRecipe
from training.cli.options import add_bundle, add_date, add_kind, occasion_of
from training.markdown import table


def add_check_verbs(add: AddVerb) -> None:
    """Add the verbs to a command line."""
    _add_fit_familiarity(add)
    _add_train_lungs(add)
    _add_train_orientation_check(add)


def _add_fit_familiarity(add: AddVerb) -> None:
    usual = Choice()
    text = (
        "Fit the check that an image is like the training images: read the pictures of --data's main part, make of "
        "them what other equipment shows and what is no frontal chest, and measure the check on other pictures. "
        "Write models/familiarity.json and .safetensors of the bundle."
    )
    verb = add(_fit_familiarity, "fit-familiarity", text)
    add_bundle(verb)
    verb.add_argument("--data", type=Path, required=True, help="folder of the data set that trained the network")
    add_kind(verb)
    verb.add_argument("--kept", type=int, default=usual.kept, help="how many variances are kept separately")
    verb.add_argument(
        "--alarms", type=float, default=usual.alarms, help="share of unseen adults over the limit, in (0, 1)"
    )
    verb.add_argument(
        "--margin",
        type=float,
        default=usual.margin,
        help="how far beyond the farthest unseen adult an image is no chest, as a share of that distance",
    )
    verb.add_argument(
        "--measure", type=Path, nargs="*", default=[], metavar="FOLDER", help="pictures or DICOM files to measure it on"
    )
    add_date(verb)


def _fit_familiarity(options: argparse.Namespace) -> None:
    from candor.model.bundle import load_model
    from training.checks.familiarity import fit_familiarity
    from training.data.readers import read_dataset

    model = load_model(options.bundle)
    choice = Choice(options.kept, options.alarms, options.margin)
    others = {str(folder): files_of(folder) for folder in options.measure}
    dataset = read_dataset(options.data, options.kind, findings=model.findings, views=("PA", "AP", ""))
    fitted, figures = fit_familiarity(model, dataset, others, choice, occasion_of(options))
    print(fitted.description)
    scored = "" if fitted.not_frontal is None else f" or over a score of {fitted.not_frontal.limit:.3f}"
    print(f"unlike training over {fitted.unlike_training:.3f}{scored}, unlike a chest over {fitted.unlike_chest:.3f}")
    child = fitted.child
    print(f"like a child's over {child.limit:.3f}\n" if child else "too few children to fit a limit for their images\n")
    header = ("pictures", "seen", "unlike training", "unlike a chest", "like a child's", "refused before")
    shares = ("unlike_training", "unlike_chest", "like_a_child")
    rows = [
        (name, of["images"], *(_share(of[share]) for share in shares), of["unread"]) for name, of in figures.items()
    ]
    print(table(header, rows))


def files_of(folder: Path) -> list[Path]:
    """List the files in a folder by name, without tables.

    Raises
    ------
    DataError
        There are none.
    """
    found = sorted(path for path in folder.glob("*") if path.is_file() and path.suffix != ".csv")
    if not found:
        raise DataError(f"{folder} holds no file to measure on; give a folder of pictures or DICOM files")
    return found


def _share(value: object) -> str:
    return f"{value:.1%}" if isinstance(value, float) else "-"


def _add_train_lungs(add: AddVerb) -> None:
    recipe = LungRecipe()
    verb = add(_train_lungs, "train-lungs", "Train the network that finds the lung field, and print its Dice score.")
    verb.add_argument("--covid", type=Path, required=True, help="COVID-19 image data collection, with metadata.csv")
    verb.add_argument("--hannover", type=Path, required=True, help="Hannover's repository, with metadata.csv")
    verb.add_argument("--masks", type=Path, required=True, help="ZIP archive of the drawn lung fields")
    verb.add_argument(
        "--out", type=Path, help="ONNX file to write, with a card beside it; by default the one that Candor uses"
    )
    verb.add_argument("--steps", type=int, default=recipe.steps, help="steps of the optimiser")
    verb.add_argument("--batch", type=int, default=recipe.batch, help="pictures in a step")
    verb.add_argument("--seed", type=int, default=recipe.seed, help="seed of the weights, the order and augmentation")
    add_date(verb)


def _train_lungs(options: argparse.Namespace) -> None:
    from candor.picture.lungs import ASSET
    from training.checks.lungs.export import make_lungs

    recipe = LungRecipe(steps=options.steps, batch=options.batch, seed=options.seed)
    out = options.out or ASSET
    card = make_lungs(options.covid, options.hannover, options.masks, out, recipe, occasion_of(options))
    print(json.dumps(card["measured"], indent=1))
    print(out)


def _add_train_orientation_check(add: AddVerb) -> None:
    text = "Train and measure the orientation check: screen.onnx and screen.json."
    verb = add(_train_orientation_check, "train-screen", text)
    verb.add_argument("--data", type=Path, required=True, help="folder of ChestX-ray14")
    verb.add_argument("--hannover", type=Path, help="folder of Hannover's COVID-19 patients")
    verb.add_argument("--kermany", type=Path, help="folder of Kermany's children")
    verb.add_argument("--covid", type=Path, help="folder of the COVID-19 image data collection")
    verb.add_argument("--assets", type=Path, help="folder to write; by default the one that Candor uses")
    verb.add_argument("--steps", type=int, default=700, help="batches to train on")
    verb.add_argument("--seed", type=int, default=0, help="seed of the weights and the examples")
    add_date(verb)


def _train_orientation_check(options: argparse.Namespace) -> None:
    from candor.picture.orientation import ASSETS
    from training.checks.orientation.fit import fit_orientation_check
    from training.checks.orientation.sources import (
        covid_sources,
        each_once,
        hannover_sources,
        kermany_sources,
        nih_sources,
    )

    # Hannover comes before the COVID-19 collection, which has some of its pictures too.
    readers = {"hannover": hannover_sources, "kermany": kermany_sources, "covid": covid_sources}
    sources = nih_sources(options.data)
    for name, reader in readers.items():
        folder: Path | None = getattr(options, name)
        sources += reader(folder) if folder else []
    card = fit_orientation_check(
        each_once(sources),
        options.assets or ASSETS,
        steps=options.steps,
        seed=options.seed,
        occasion=occasion_of(options),
    )
    print(card.read_text(), end="")
