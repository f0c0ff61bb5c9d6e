"""The verbs about learning: train, find-lr and augment-sheet, thin over ``configs/train.yaml``; two that need none.

These are import-weights and pcanet.
"""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from typing import Final

from monai.bundle import ConfigParser

from candor.command_line import AddVerb
from candor.model.networks.registry import NETWORKS
from candor.study.errors import DataError, SettingsError
from training.baselines.measure import auc_table, measure_pcanet
from training.bundles.import_weights import import_weights
from training.bundles.layouts import LAYOUTS
from training.cli.configuration import TRAIN, assignments, configured, content
from training.data.contact_sheet import contact_sheet, write_sheet
from training.data.pictures import as_radiograph, read_picture
from training.data.readers import POLICIES, READERS, read_dataset
from training.data.splits import SPLITS
from training.distributed import process_group
from training.learn.learner import make_learner
from training.learn.range_test import plot, range_test, write_sweeps
from training.learn.recipe import Recipe
from training.learn.train import train
from training.records import Occasion, write_json

_DIRECT: Final = {
    "kind": "kind",
    "policy": "policy",
    "network": "network",
    "epochs": "epochs",
    "batch": "recipe#batch",
    "seed": "recipe#seed",
    "augmentation": "augmentation",
    "soft_labels": "recipe#soft_labels",
    "soft_weight": "recipe#soft_weight",
    "resume": "resume",
}
"""Options, and the keys of train.yaml that they replace."""


def add_training_verbs(add: AddVerb) -> None:
    """Add the verbs to a command line."""
    _add_train(add)
    _add_find_lr(add)
    _add_augment_sheet(add)
    _add_import_weights(add)
    _add_pcanet(add)


def _add_train(add: AddVerb) -> None:
    verb = add(_train, "train", "Train a classifier; leaves weights, train.json and splits.json in WORK.")
    _add_recipe(verb)
    verb.add_argument("--resume", action="store_true", default=None, help="go on from the checkpoint in WORK, if any")


def _add_recipe(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--data", type=Path, required=True, help="folder of a data set")
    verb.add_argument("--work", type=Path, default=Path("work"), help="folder for the cache and the result")
    verb.add_argument("--config", type=Path, default=TRAIN, help="a MONAI bundle's configuration of the training")
    verb.add_argument("--kind", choices=["auto", *READERS], help="the data set's layout")
    verb.add_argument("--policy", choices=list(POLICIES), help="what uncertain labels count as")
    verb.add_argument("--network", choices=sorted(NETWORKS), metavar="NETWORK", help="architecture")
    verb.add_argument(
        "--stage",
        nargs=3,
        action="append",
        metavar=("SIDE", "EPOCHS", "RATE"),
        help="pixels a side, epochs, and peak learning rate of a stage; repeat it for several; they replace the file's",
    )
    verb.add_argument("--epochs", type=int, help="of every stage, in place of its own")
    verb.add_argument("--batch", type=int, help="pictures a step")
    verb.add_argument("--seed", type=int, help="of weights, order and augmentation")
    verb.add_argument("--augmentation", help="a preset, or none")
    verb.add_argument(
        "--soft-labels", metavar="CSV", help="Image Index and prob_<Finding>, to mix into the training labels"
    )
    verb.add_argument("--soft-weight", type=float, help="of the soft labels against the labels, up to 1")
    verb.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any key of the file, as recipe#precision=fp32"
    )


def _add_find_lr(add: AddVerb) -> None:
    verb = add(_find_lr, "find-lr", "Raise the learning rate until the loss runs away; suggest one, and plot it.")
    _add_recipe(verb)
    verb.add_argument("--weight-decay", type=float, action="append", help="to try; repeat it; by default the recipe's")
    verb.add_argument("--steps", type=int, default=100, help="of each sweep")
    verb.add_argument("--low", type=float, default=1e-6, help="first rate")
    verb.add_argument("--high", type=float, default=1.0, help="last rate")
    verb.add_argument("--of-stage", type=int, default=0, help="the recipe's stage whose loss is tried, from 0")


def _add_augment_sheet(add: AddVerb) -> None:
    verb = add(_augment_sheet, "augment-sheet", "Draw what augmentation makes of some pictures: augment-sheet.png.")
    _add_recipe(verb)
    verb.add_argument("--pictures", type=int, default=6, help="rows of the sheet")


def _add_import_weights(add: AddVerb) -> None:
    verb = add(_import_weights, "import-weights", "Take over published DenseNet-121 weights, for the verb export.")
    verb.add_argument("source", type=Path, help=".safetensors, or a torch file of tensors alone")
    verb.add_argument("--layout", choices=sorted(LAYOUTS), required=True, help="who published the weights")
    verb.add_argument("--labels", type=Path, required=True, help="labels_all.csv.gz of the data that trained them")
    verb.add_argument("--work", type=Path, default=Path("work"), help="folder to write")
    verb.add_argument("--outputs", type=lambda text: text.split(","), help="names in order, with commas between")


def _add_pcanet(add: AddVerb) -> None:
    verb = add(_pcanet, "pcanet", "Fit and measure PCANet, a baseline without gradients; writes pcanet.json in WORK.")
    verb.add_argument("--data", type=Path, required=True, help="folder of a data set")
    verb.add_argument("--kind", choices=["auto", *READERS], default="auto", help="the data set's layout")
    verb.add_argument("--policy", choices=list(POLICIES), default="u-ignore", help="what uncertain labels count as")
    verb.add_argument("--split", choices=list(SPLITS), help="by default the official lists, if any")
    verb.add_argument("--work", type=Path, default=Path("work"), help="folder to write")
    verb.add_argument("--side", type=int, default=64, help="of the pictures, in pixels")
    verb.add_argument("--pictures", type=int, default=2000, help="most to learn from; each takes about 1 MB at 64 px")
    verb.add_argument("--seed", type=int, default=0, help="of the pictures drawn and of the linear classifiers")
    verb.add_argument("--date", type=date.fromisoformat, default=date.today(), help="stands in the file, YYYY-MM-DD")


def _configured(options: argparse.Namespace) -> ConfigParser:
    given = {key: getattr(options, name, None) for name, key in _DIRECT.items()}
    overrides = {key: value for key, value in given.items() if value is not None}
    overrides |= {"dataset_dir": str(options.data), "output_dir": str(options.work)}
    if options.stage:
        overrides["stages"] = [_stage(*values) for values in options.stage]
    return configured(options.config, overrides | assignments(options.set))


def _stage(side: str, epochs: str, rate: str) -> dict[str, object]:
    try:
        shape = {"side": int(side), "epochs": int(epochs), "peak_learning_rate": float(rate)}
    except ValueError as error:
        raise SettingsError(f"--stage {side} {epochs} {rate}: two whole numbers and a rate, as 224 8 4e-4") from error
    others = {"losses": "$tuple(@losses)", "optimiser": "adamw", "open_blocks": None}
    return {"_target_": "training.learn.recipe.Stage", **shape, **others}


def _train(options: argparse.Namespace) -> None:
    parser = _configured(options)
    dataset, recipe = content(parser, "dataset"), content(parser, "recipe")
    resume, board = content(parser, "resume"), content(parser, "board")
    print(train(dataset, options.work, recipe, resume=resume, board=board))


def _find_lr(options: argparse.Namespace) -> None:
    parser = _configured(options)
    recipe: Recipe = content(parser, "recipe")
    with process_group() as device:
        learner = make_learner(content(parser, "dataset"), options.work, recipe, device)
    decays = options.weight_decay or [recipe.weight_decay]
    sweeps = range_test(
        learner, recipe, decays, stage=options.of_stage, low=options.low, high=options.high, steps=options.steps
    )
    for sweep in sweeps:
        shown = "none, the loss never falls" if sweep.suggestion is None else f"{sweep.suggestion:.2e}"
        print(f"weight decay {sweep.weight_decay:g}: suggested peak learning rate {shown}")
    write_sweeps(options.work / "find-lr.json", sweeps)
    print(plot(sweeps, options.work / "find-lr.png"))


def _augment_sheet(options: argparse.Namespace) -> None:
    parser = _configured(options)
    dataset, recipe = content(parser, "dataset"), content(parser, "recipe")
    if recipe.augmentation is None:
        raise SettingsError("the recipe has no augmentation to show; give another --augmentation")
    if not dataset.images[: options.pictures]:
        raise DataError("there is no picture to show; give another --data, or at least 1 as --pictures")
    images = [as_radiograph(read_picture(image.path)) for image in dataset.images[: options.pictures]]
    sheet = contact_sheet(images, recipe.augmentation, side=recipe.stages[-1].side, seed=recipe.seed)
    print(write_sheet(options.work / "augment-sheet.png", sheet))


def _import_weights(options: argparse.Namespace) -> None:
    print(import_weights(options.source, options.work, options.layout, options.labels, options.outputs).weights)


def _pcanet(options: argparse.Namespace) -> None:
    dataset = read_dataset(options.data, options.kind, policy=options.policy, split=options.split)
    record = measure_pcanet(dataset, side=options.side, pictures=options.pictures, seed=options.seed)
    options.work.mkdir(parents=True, exist_ok=True)
    write_json(options.work / "pcanet.json", record | Occasion(options.date, options.command).facts)
    print(auc_table(record))
