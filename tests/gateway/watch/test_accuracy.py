"""The site's own figures: the table of what the node said, and who measures it."""

from __future__ import annotations

import csv
import stat
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydicom import Dataset

from gateway.store import schema
from gateway.store.spool import Spool
from gateway.store.states import InstanceState, StudyState
from gateway.store.tokens import Tokens
from gateway.watch.accuracy import TABLE, NothingToAudit, measure, write_table
from tests.factory import radiograph_dataset
from tests.results import write_results_json


def keep(database: sa.Engine, spool: Spool, tokens: Tokens, dataset: Dataset, version: int, logit: float) -> None:
    """Make a study's row and results, and the instance's file and row with its first version."""
    study, instance = str(dataset.StudyInstanceUID), str(dataset.SOPInstanceUID)
    token = tokens.token(study)
    out = spool.results(token, version)
    write_results_json(out, {instance: {"Effusion": logit}})
    with database.begin() as connection:
        if version == 1:
            file = f"instances/aa/{token}.dcm"
            path = spool.path(file)
            path.parent.mkdir(parents=True, exist_ok=True)
            dataset.save_as(path, enforce_file_format=True)
            connection.execute(
                schema.instances.insert().values(
                    study_instance_uid=study, series_instance_uid="1.2", sop_class_uid="1.2", sop_instance_uid=instance,
                    sha256=token, file=file, bytes=1, received=0.0, calling_ae_title="A", called_ae_title="B",
                    peer="C", priority=1, state=InstanceState.KEPT.value,
                )
            )  # fmt: skip
        connection.execute(
            schema.studies.insert().values(
                study_instance_uid=study, version=version, token=token, state=StudyState.STORED.value, priority=1,
                first_image=0.0, last_image=0.0, deadline=0.0, results=str(out.relative_to(spool.root)),
            )
        )  # fmt: skip


def test_the_table_holds_the_newest_answers_and_no_identity(
    database: sa.Engine, spool: Spool, tokens: Tokens, tmp_path: Path
) -> None:
    one = radiograph_dataset(seed="1", PatientID="CANARY1", PatientAge="054Y", PatientSex="F")
    two = radiograph_dataset(seed="2", study="other", PatientID="CANARY1", PatientAge=None, PatientBirthDate=None)
    keep(database, spool, tokens, one, 1, 0.5)
    keep(database, spool, tokens, one, 2, -0.5)
    keep(database, spool, tokens, two, 1, 1.5)
    assert write_table(database, spool, tokens, tmp_path / "audit") == 2
    path = tmp_path / "audit" / TABLE
    rows = {row["image"]: row for row in csv.DictReader(path.open())}
    first, second = rows[str(one.SOPInstanceUID)], rows[str(two.SOPInstanceUID)]
    assert (first["Effusion_logit"], second["Effusion_logit"]) == ("-0.5", "1.5")
    assert (first["sex"], first["age"], second["age"]) == ("F", "54", "")
    assert first["patient"] == second["patient"]
    assert "CANARY" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_answers_outlive_the_images(database: sa.Engine, spool: Spool, tokens: Tokens, tmp_path: Path) -> None:
    dataset = radiograph_dataset(seed="1")
    keep(database, spool, tokens, dataset, 1, 0.5)
    next(spool.root.glob("instances/aa/*.dcm")).unlink()
    assert write_table(database, spool, tokens, tmp_path) == 1
    (row,) = csv.DictReader((tmp_path / TABLE).open())
    assert (row["Effusion_logit"], row["sex"]) == ("0.5", "")


def test_without_results_there_is_nothing_to_measure(
    database: sa.Engine, spool: Spool, tokens: Tokens, tmp_path: Path
) -> None:
    with pytest.raises(NothingToAudit, match="no study has results that are still kept"):
        write_table(database, spool, tokens, tmp_path)


def test_why_it_could_not_be_measured_is_said(tmp_path: Path) -> None:
    with pytest.raises(NothingToAudit, match=r"the audit was not made: training: .*predictions\.csv"):
        measure(tmp_path, tmp_path / "labels.csv", date(2026, 1, 1))
