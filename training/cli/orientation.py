"""The verb train-screen, thin over :mod:`training.checks.orientation`."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from candor.command_line import AddVerb
from candor.picture.orientation import ASSETS
from training.checks.orientation.fit import fit_screen
from training.checks.orientation.sources import covid_sources, each_once, hannover_sources, kermany_sources, nih_sources
from training.records import Occasion

_READERS = {"hannover": hannover_sources, "kermany": kermany_sources, "covid": covid_sources}
"""Optional sets; Hannover stands before the COVID-19 collection, which has some of its pictures too."""


def add_train_screen(add: AddVerb) -> None:
    """Add the verb to a command line."""
    text = "Make the screen of polarity, orientation and projection, and measure it: screen.onnx and screen.json."
    verb = add(_train_screen, "train-screen", text)
    verb.add_argument("--data", type=Path, required=True, help="folder of ChestX-ray14")
    verb.add_argument("--hannover", type=Path, help="folder of Hannover's COVID-19 patients")
    verb.add_argument("--kermany", type=Path, help="folder of Kermany's children")
    verb.add_argument("--covid", type=Path, help="folder of the COVID-19 image data collection")
    verb.add_argument("--assets", type=Path, default=ASSETS, help="folder to write")
    verb.add_argument("--steps", type=int, default=700, help="batches to train on")
    verb.add_argument("--seed", type=int, default=0, help="of weights and examples")
    verb.add_argument("--date", type=date.fromisoformat, default=date.today(), help="stands in the card, YYYY-MM-DD")


def _train_screen(options: argparse.Namespace) -> None:
    sources = nih_sources(options.data)
    for name, reader in _READERS.items():
        folder: Path | None = getattr(options, name)
        sources += reader(folder) if folder else []
    occasion = Occasion(options.date, options.command)
    card = fit_screen(each_once(sources), options.assets, steps=options.steps, seed=options.seed, occasion=occasion)
    print(card.read_text(), end="")
