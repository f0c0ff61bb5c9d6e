"""The verb about the lung field: train-lungs."""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path

from candor.command_line import AddVerb
from candor.picture.lungs import ASSET
from training.checks.lungs.export import make_lungs
from training.checks.lungs.train import LungRecipe
from training.records import Occasion


def add_train_lungs(add: AddVerb) -> None:
    """Add the verb to a command line."""
    recipe = LungRecipe()
    verb = add(_train_lungs, "train-lungs", "Train the network that finds the lung field; prints its Dice.")
    verb.add_argument("--covid", type=Path, required=True, help="COVID-19 image data collection, with metadata.csv")
    verb.add_argument("--hannover", type=Path, required=True, help="Hannover's repository, with metadata.csv")
    verb.add_argument("--masks", type=Path, required=True, help="ZIP archive of the drawn lung fields")
    verb.add_argument("--out", type=Path, default=ASSET, help="ONNX file to write; its card stands beside it")
    verb.add_argument("--steps", type=int, default=recipe.steps, help="of the optimiser")
    verb.add_argument("--batch", type=int, default=recipe.batch, help="pictures a step")
    verb.add_argument("--seed", type=int, default=recipe.seed, help="of weights, order and augmentation")
    verb.add_argument("--date", type=date.fromisoformat, default=date.today(), help="stands in the card, YYYY-MM-DD")


def _train_lungs(options: argparse.Namespace) -> None:
    recipe = LungRecipe(steps=options.steps, batch=options.batch, seed=options.seed)
    occasion = Occasion(options.date, options.command)
    card = make_lungs(options.covid, options.hannover, options.masks, options.out, recipe, occasion)
    print(json.dumps(card["measured"], indent=1))
    print(options.out)
