"""The verb ``audit-gate``: audit a bundle's gate, or the one that any model's predictions would get."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from candor.command_line import AddVerb
from candor.files.durable import whole_file
from candor.model.bundle import load_bundle
from candor.study.errors import DataError, SettingsError
from training.data.readers import read_dataset
from training.gate.thresholds import Promise
from training.measure.audit import Extras, audit_bundle, audit_predictions
from training.measure.evaluation.sample import Record
from training.measure.selective.plots import draw_audit
from training.measure.selective.report import sections
from training.measure.selective.summary import headline
from training.predictions.table import read_predictions
from training.records import Occasion, write_json

_TEXT = (
    "Measure what a gate leaves wrong, costs, promises and keeps, whom it defers and what a team with readers answers; "
    "writes JSON, Markdown and plots, and prints the tables."
)


def add_audit_verb(add: AddVerb) -> None:
    """Add the verb to a command line."""
    verb = add(_run, "audit-gate", _TEXT)
    model = verb.add_mutually_exclusive_group(required=True)
    model.add_argument("--bundle", type=Path, help="the bundle's folder; needs --data")
    model.add_argument("--predictions", type=Path, help="table of any model's predictions")
    verb.add_argument("--data", type=Path, help="folder of a data set with official test patients; for --bundle")
    verb.add_argument("--labels", type=Path, help="table of labels and patients, if not in --predictions")
    verb.add_argument("--experts", type=Path, help="folder with experts_*.csv; of a bundle, --data by default")
    verb.add_argument("--readers", type=Path, help="table of readers' answers: image, reader, a column each finding")
    verb.add_argument("--simulated", type=float, nargs=2, metavar=("SENSITIVITY", "SPECIFICITY"), help="of a reader")
    for name, text in (("signal", "an uncertainty's table; 'learned' is judged"), ("shifted", "folder or predictions")):
        verb.add_argument(f"--{name}", type=_named, action="append", default=[], metavar="NAME=PATH", help=text)
    verb.add_argument("--out", type=Path, default=Path("work/audit"), help="folder to write")
    verb.add_argument("--name", default="audit", help="of the files")
    verb.add_argument("--page", type=Path, help="renew the part of a Markdown page between this name's marks")
    verb.add_argument("--date", type=date.fromisoformat, default=date.today(), help="stands in the files, YYYY-MM-DD")


def _named(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, Path(path)


def _run(options: argparse.Namespace) -> None:
    record = _audited(options, Occasion(options.date, options.command))
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / f"{options.name}.json", record)
    draw_audit(options.out, options.name, record)
    text = "\n\n".join(sections(record, options.out, options.name)) + "\n"
    (options.out / f"{options.name}.md").write_text(text)
    if options.page is not None:
        plots = options.page.with_suffix("")
        plots.mkdir(exist_ok=True)
        draw_audit(plots, options.name, record)
        renew(options.page, options.name, "\n\n".join(headline(record, plots, options.name)))
    print(text, end="")


def _audited(options: argparse.Namespace, occasion: Occasion) -> Record:
    simulated = None if options.simulated is None else tuple(options.simulated)
    tables = options.experts, options.readers, simulated, dict(options.signal), dict(options.shifted)
    if options.predictions is not None:
        predictions = read_predictions(options.predictions, options.labels)
        return audit_predictions(predictions, Extras(*tables), Promise(), occasion)
    if options.data is None:
        raise SettingsError("--bundle needs --data, a folder of a data set with official test patients")
    bundle = load_bundle(options.bundle)
    dataset = read_dataset(options.data, findings=bundle.findings)
    extras = Extras(options.experts or options.data, *tables[1:])
    return audit_bundle(bundle, dataset, "official test patients", extras, occasion)


def renew(page: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- audit NAME -->`` and ``<!-- end of audit NAME -->`` in a Markdown page.

    Raises
    ------
    DataError
        The page has not both marks, in this order.
    """
    start, end = f"<!-- audit {name} -->", f"<!-- end of audit {name} -->"
    before, opened, rest = page.read_text().partition(start) if page.is_file() else ("", "", "")
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise DataError(f"{page} has not the marks {start} and {end}; put them where the tables shall stand")
    with whole_file(page) as file:
        file.write(f"{before}{start}\n\n{text}\n\n{end}{after}".encode())
