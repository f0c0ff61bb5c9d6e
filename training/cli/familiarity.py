"""The verb fit-familiarity, thin over :mod:`training.checks.familiarity`."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from candor.command_line import AddVerb
from candor.model.bundle import load_model
from candor.study.errors import DataError
from training.checks.familiarity import Choice, fit_familiarity
from training.data.readers.read import READERS, read_dataset
from training.markdown import table
from training.records import Occasion


def add_fit_familiarity(add: AddVerb) -> None:
    """Add the verb to a command line."""
    usual = Choice()
    text = "Fit the check that an image is like the training images, and measure it on other pictures."
    verb = add(_fit, "fit-familiarity", text)
    verb.add_argument("--bundle", type=Path, default=Path("models/cxr"), help="the bundle's folder")
    verb.add_argument("--data", type=Path, required=True, help="folder of the data set that trained the network")
    verb.add_argument("--kind", default="auto", choices=["auto", *READERS], help="layout of the data set")
    verb.add_argument("--kept", type=int, default=usual.kept, help="variances kept one by one")
    verb.add_argument(
        "--alarms", type=float, default=usual.alarms, help="share of held-out adults over the limit, in (0, 1)"
    )
    verb.add_argument(
        "--margin", type=float, default=usual.margin, help="how far beyond the farthest of them lies what is no chest"
    )
    verb.add_argument(
        "--measure", type=Path, nargs="*", default=[], metavar="FOLDER", help="pictures or DICOM files to measure it on"
    )
    verb.add_argument("--date", type=date.fromisoformat, default=date.today(), help="stands in the file, YYYY-MM-DD")


def _fit(options: argparse.Namespace) -> None:
    model = load_model(options.bundle)
    choice = Choice(options.kept, options.alarms, options.margin)
    others = {str(folder): files_of(folder) for folder in options.measure}
    dataset = read_dataset(options.data, options.kind, findings=model.findings, views=("PA", "AP", ""))
    fitted, figures = fit_familiarity(model, dataset, others, choice, Occasion(options.date, options.command))
    print(fitted.description)
    print(f"unlike training over {fitted.unlike_training:.3f}, unlike a chest over {fitted.unlike_chest:.3f}")
    print(
        f"like a child's over {fitted.child.limit:.3f}\n" if fitted.child else "too few children to know their look\n"
    )
    header = ("pictures", "seen", "unlike training", "unlike a chest", "like a child's", "refused before")
    rows = (
        (
            name,
            of["images"],
            *(_share(of[k]) for k in ("unlike_training", "unlike_chest", "like_a_child")),
            of["unread"],
        )
        for name, of in figures.items()
    )
    print(table(header, rows))


def files_of(folder: Path) -> list[Path]:
    """List the files in a folder by name, but for tables.

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
