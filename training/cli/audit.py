"""The verb ``audit-gate``: audit the gate of a bundle, or a gate fitted to the predictions of any model."""

from __future__ import annotations

import argparse
from pathlib import Path

from candor.command_line import AddVerb
from candor.files.durable import whole_file
from candor.study.errors import DataError, SettingsError
from training.cli.options import add_date, occasion_of
from training.records import write_json

_TEXT = (
    "Measure the gate: the errors that it leaves, its cost, whether its promises are kept, which patients it defers, "
    "and what a team of gate and readers answers. Write JSON, Markdown and plots, and print the tables."
)


def add_audit_verb(add: AddVerb) -> None:
    """Add the verb to a command line."""
    verb = add(_run, "audit-gate", _TEXT)
    model = verb.add_mutually_exclusive_group(required=True)
    model.add_argument("--bundle", type=Path, help="folder of the bundle; needs --data")
    model.add_argument("--predictions", type=Path, help="table of the predictions of any model")
    verb.add_argument("--data", type=Path, help="folder of a data set with official test patients; for --bundle")
    verb.add_argument("--labels", type=Path, help="table of labels and patients, if they are not in --predictions")
    verb.add_argument("--experts", type=Path, help="folder with experts_*.csv; by default --data, for --bundle")
    verb.add_argument(
        "--readers", type=Path, help="table of readers' answers: image, reader, a column for each finding"
    )
    verb.add_argument(
        "--simulated",
        type=float,
        nargs=2,
        metavar=("SENSITIVITY", "SPECIFICITY"),
        help="add a simulated reader with this sensitivity and specificity",
    )
    helps = {
        "signal": "table of another measure of uncertainty to compare; one named 'learned' is judged",
        "shifted": "other data to measure on: a folder or a table of predictions",
    }
    for name, text in helps.items():
        verb.add_argument(f"--{name}", type=_named, action="append", default=[], metavar="NAME=PATH", help=text)
    verb.add_argument("--out", type=Path, default=Path("work/audit"), help="folder to write")
    verb.add_argument("--name", default="audit", help="name of the files, without suffix")
    verb.add_argument("--page", type=Path, help="Markdown page whose part between the marks of this name is replaced")
    add_date(verb)


def _named(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, Path(path)


def _run(options: argparse.Namespace) -> None:
    from candor.model.bundle import load_bundle
    from training.data.readers import read_dataset
    from training.gate.guarantee import Promise
    from training.measure.audit import Extras, audit_bundle, audit_predictions
    from training.measure.selective.plots import draw_audit
    from training.measure.selective.report import sections
    from training.measure.selective.summary import headline
    from training.predictions.table import read_predictions

    occasion = occasion_of(options)
    simulated = None if options.simulated is None else tuple(options.simulated)
    tables = options.readers, simulated, dict(options.signal), dict(options.shifted)
    if options.predictions is not None:
        predictions = read_predictions(options.predictions, options.labels)
        record = audit_predictions(predictions, Extras(options.experts, *tables), Promise(), occasion)
    elif options.data is None:
        raise SettingsError("--bundle needs --data, a folder of a data set with official test patients")
    else:
        bundle = load_bundle(options.bundle)
        dataset = read_dataset(options.data, findings=bundle.findings)
        beside = Extras(options.experts or options.data, *tables)
        record = audit_bundle(bundle, dataset, beside, occasion)
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


def renew(page: Path, name: str, text: str) -> None:
    """Replace the text between ``<!-- audit NAME -->`` and ``<!-- end of audit NAME -->`` in a Markdown page.

    Parameters
    ----------
    page
        The file.
    name
        Name of the audit, as in the marks.
    text
        Markdown to write between them.

    Raises
    ------
    DataError
        The page lacks one of the marks, or they are in the wrong order.
    """
    start, end = f"<!-- audit {name} -->", f"<!-- end of audit {name} -->"
    before, opened, rest = page.read_text().partition(start) if page.is_file() else ("", "", "")
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise DataError(f"{page} lacks the marks {start} and {end}; add them where the tables belong")
    with whole_file(page) as file:
        file.write(f"{before}{start}\n\n{text}\n\n{end}{after}".encode())
