"""The verbs about learning: train, find-lr, augment-sheet and pcanet.

The first three take their settings from a bundle's ``configs/train.yaml``, with the options in place of its values.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from candor.command_line import AddVerb
from candor.study.errors import DataError, SettingsError
from training.cli.options import add_data, add_date, occasion_of
from training.data.policy import POLICIES
from training.names import DATASET_KINDS
from training.records import write_json

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
"""Options, and the keys of train.yaml whose values they replace."""


def add_training_verbs(add: AddVerb) -> None:
    """Add the verbs to a command line."""
    _add_train(add)
    _add_find_lr(add)
    _add_augment_sheet(add)
    _add_pcanet(add)


def _add_train(add: AddVerb) -> None:
    verb = add(_train, "train", "Train a classifier. Write its weights, train.json and splits.json.")
    _add_recipe(verb)
    verb.add_argument(
        "--resume", action="store_true", default=None, help="continue from the checkpoint, if there is one"
    )


def _add_recipe(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--data", type=Path, required=True, help="folder of the data set")
    verb.add_argument("--work", type=Path, default=Path("work"), help="folder for the cache and the result")
    verb.add_argument("--config", type=Path, help="configuration of the training; by default the one that Candor ships")
    verb.add_argument("--kind", choices=["auto", *DATASET_KINDS], help="layout of the data set")
    verb.add_argument("--policy", choices=list(POLICIES), help="what uncertain labels count as")
    verb.add_argument("--network", help="name of the architecture, as densenet121")
    verb.add_argument(
        "--stage",
        nargs=3,
        action="append",
        metavar=("SIDE", "EPOCHS", "RATE"),
        help="side in pixels, epochs and peak learning rate of a stage; repeat it for several; replaces all stages of "
        "the configuration",
    )
    verb.add_argument("--epochs", type=int, help="epochs of every stage")
    verb.add_argument("--batch", type=int, help="pictures in a step")
    verb.add_argument("--seed", type=int, help="seed of the weights, the order and the augmentation")
    verb.add_argument("--augmentation", help="name of a preset, or none")
    verb.add_argument(
        "--soft-labels", metavar="CSV", help="Image Index and prob_<Finding>, to mix into the training labels"
    )
    verb.add_argument("--soft-weight", type=float, help="weight of the soft labels against the labels, up to 1")
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set any key of the configuration, as recipe#precision=fp32",
    )


def _add_find_lr(add: AddVerb) -> None:
    verb = add(
        _find_lr, "find-lr", "Raise the learning rate until the loss diverges. Suggest a rate, and plot the loss."
    )
    _add_recipe(verb)
    verb.add_argument(
        "--weight-decay",
        type=float,
        action="append",
        help="weight decay to try; repeat it for several; by default the recipe's",
    )
    verb.add_argument("--steps", type=int, default=100, help="steps of each sweep")
    verb.add_argument("--low", type=float, default=1e-6, help="lowest learning rate")
    verb.add_argument("--high", type=float, default=1.0, help="highest learning rate")
    verb.add_argument("--of-stage", type=int, default=0, help="stage of the recipe whose loss is used, from 0")


def _add_augment_sheet(add: AddVerb) -> None:
    verb = add(_augment_sheet, "augment-sheet", "Draw some pictures as augmentation changes them: augment-sheet.png.")
    _add_recipe(verb)
    verb.add_argument("--pictures", type=int, default=6, help="rows of the sheet")


def _add_pcanet(add: AddVerb) -> None:
    verb = add(_pcanet, "pcanet", "Fit and measure PCANet, a baseline without gradients. Write pcanet.json.")
    add_data(verb)
    verb.add_argument("--work", type=Path, default=Path("work"), help="folder to write")
    verb.add_argument("--side", type=int, default=64, help="side of the pictures in pixels")
    verb.add_argument(
        "--pictures", type=int, default=2000, help="most pictures to learn from; each takes about 1 MB at 64 pixels"
    )
    verb.add_argument("--seed", type=int, default=0, help="seed of the choice of pictures and of the classifiers")
    add_date(verb)


def _made(options: argparse.Namespace, *keys: str) -> list[Any]:
    """Return the objects that keys of the configuration describe; MONAI's parser has no narrower type."""
    from training.cli.configuration import TRAIN, assignments, configured, content

    given = {key: getattr(options, name, None) for name, key in _DIRECT.items()}
    overrides = {key: value for key, value in given.items() if value is not None}
    overrides |= {"dataset_dir": str(options.data), "output_dir": str(options.work)}
    if options.stage:
        overrides["stages"] = [_stage(*values) for values in options.stage]
    parser = configured(options.config or TRAIN, overrides | assignments(options.set))
    return [content(parser, key) for key in keys]


def _stage(side: str, epochs: str, rate: str) -> dict[str, object]:
    try:
        shape = {"side": int(side), "epochs": int(epochs), "peak_learning_rate": float(rate)}
    except ValueError as error:
        raise SettingsError(f"--stage {side} {epochs} {rate}: two whole numbers and a rate, as 224 8 4e-4") from error
    others = {"losses": "$tuple(@losses)", "optimiser": "adamw", "open_blocks": None}
    return {"_target_": "training.learn.recipe.Stage", **shape, **others}


def _train(options: argparse.Namespace) -> None:
    from training.learn.train import train

    recipe, dataset, resume, board = _made(options, "recipe", "dataset", "resume", "board")
    print(train(dataset, options.work, recipe, resume=resume, board=board))


def _find_lr(options: argparse.Namespace) -> None:
    from training.distributed import process_group
    from training.learn.learner import make_learner
    from training.learn.range_test import plot, range_test, write_sweeps

    recipe, dataset = _made(options, "recipe", "dataset")
    with process_group() as device:
        learner = make_learner(dataset, options.work, recipe, device)
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
    from training.data.contact_sheet import contact_sheet, write_sheet
    from training.data.pictures import as_radiograph, read_picture

    recipe, dataset = _made(options, "recipe", "dataset")
    if recipe.augmentation is None:
        raise SettingsError("the recipe has no augmentation to show; give another --augmentation")
    if not dataset.images[: options.pictures]:
        raise DataError("there is no picture to show; give another --data, or at least 1 as --pictures")
    images = [as_radiograph(read_picture(image.path)) for image in dataset.images[: options.pictures]]
    sheet = contact_sheet(images, recipe.augmentation, side=recipe.stages[-1].side, seed=recipe.seed)
    print(write_sheet(options.work / "augment-sheet.png", sheet))


def _pcanet(options: argparse.Namespace) -> None:
    from training.baselines.measure import auc_table, measure_pcanet
    from training.data.readers import read_dataset

    dataset = read_dataset(options.data, options.kind, policy=options.policy, split=options.split)
    record = measure_pcanet(dataset, side=options.side, pictures=options.pictures, seed=options.seed)
    options.work.mkdir(parents=True, exist_ok=True)
    write_json(options.work / "pcanet.json", record | occasion_of(options).facts)
    print(auc_table(record))
