"""The site's own figures: what the node said of its studies, beside what is true of them.

The node knows its answers, the site knows the truth. This writes one table of both and lets the training package's
``audit-gate`` measure it, in a process of its own, since the gateway shares nothing with training but the core.
"""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from pydicom import Dataset

from candor.dicom.read.file import read_header
from candor.dicom.shared.age import completed_years
from candor.files.durable import whole_file
from candor.study.errors import CandorError, Refused
from candor.words.results_json import FILE_NAME, ImageEntry, read_results
from gateway.store.schema import instances, studies
from gateway.store.spool import Spool
from gateway.store.study import same_version
from gateway.store.tokens import Tokens

TABLE: Final = "predictions.csv"
_FACTS: Final = ("image", "patient", "sex", "age", "view")


class NothingToAudit(CandorError):
    """The node has no results to measure, or they could not be measured."""


def write_table(database: sa.Engine, spool: Spool, tokens: Tokens, folder: Path) -> int:
    """Write what the node said of every image whose results it still has; return how many images.

    The table names images by their SOP Instance UID, so that labels can be joined; patients are tokens. It is readable
    by its owner alone.

    Parameters
    ----------
    database
        The node's database.
    spool
        Holds the results.
    tokens
        Make the patients' tokens.
    folder
        Gets the table; made where it is missing.

    Raises
    ------
    NothingToAudit
        There is no image with results.
    DataError
        A ``results.json`` is not what the application writes.
    """
    rows = list(_rows(database, spool, tokens))
    if not rows:
        raise NothingToAudit("no study has results that are still kept; assess some, or raise keep.results_d")
    findings = sorted({name for row in rows for name in row if name not in _FACTS})
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_FACTS, *findings], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with whole_file(folder / TABLE) as file:
        file.write(text.getvalue().encode())
    (folder / TABLE).chmod(0o600)
    return len(rows)


def _rows(database: sa.Engine, spool: Spool, tokens: Tokens) -> Iterator[dict[str, object]]:
    newest = sa.select(studies.c.study_instance_uid, sa.func.max(studies.c.version).label("version"))
    newest = newest.where(studies.c.results.is_not(None), studies.c.purged.is_(None))
    latest = newest.group_by(studies.c.study_instance_uid).subquery()
    wanted = sa.select(studies.c.results).join(latest, same_version(latest))
    with database.connect() as connection:
        folders = connection.execute(wanted).scalars().all()
        rows = connection.execute(sa.select(instances.c.sop_instance_uid, instances.c.file)).all()
    files = {str(row.sop_instance_uid): str(row.file) for row in rows}
    for results in folders:
        index = spool.path(results) / FILE_NAME
        if index.exists():
            for study in read_results(index).studies:
                for image in study.images:
                    yield _row(image, _header(spool, files, image), tokens)


def _header(spool: Spool, files: dict[str, str], image: ImageEntry) -> Dataset:
    try:
        return read_header(spool.path(files[image.sop_instance_uid]))
    except (KeyError, OSError, Refused):  # its file is gone: the results stand without sex, age and view
        return Dataset()


def _row(image: ImageEntry, header: Dataset, tokens: Tokens) -> dict[str, object]:
    uid = image.sop_instance_uid
    age = completed_years(header)
    return {
        "image": uid,
        "patient": tokens.token(str(header.get("PatientID", "") or uid)),
        "sex": str(header.get("PatientSex", "") or ""),
        "age": "" if age is None else age,
        "view": str(header.get("ViewPosition", "") or ""),
        **{f"{answer.finding}_logit": answer.logit for answer in image.findings},
    }


def measure(folder: Path, labels: Path, day: date) -> str:
    """Have ``audit-gate`` measure the table against labels; return what it printed. The pages lie in the folder.

    Parameters
    ----------
    folder
        Holds the table.
    labels
        A table of labels, by SOP Instance UID.
    day
        Stands on the pages.

    Raises
    ------
    NothingToAudit
        It could not; its own words say why.
    """
    options = {"--predictions": folder / TABLE, "--labels": labels, "--out": folder, "--date": day.isoformat()}
    words = [str(word) for pair in options.items() for word in pair]
    command = [sys.executable, "-W", "ignore", "-m", "training", "audit-gate", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if done.returncode:
        raise NothingToAudit(f"the audit was not made: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return done.stdout
