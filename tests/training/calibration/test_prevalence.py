"""The prevalence to assume: from a table, from ChestX-ray14, or the data set's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from candor.study.errors import BundleError, DataError
from candor.study.findings import Finding
from tests.nih import read_nih
from tests.training.data.readers.trees import make_nih_published
from training.calibration.prevalence import assumed_prevalence, own_shares, read_prevalence
from training.data.readers import read_dataset

TWO = (Finding.EFFUSION, Finding.PLEURAL_THICKENING)


@pytest.mark.parametrize("name", ["table.csv", "table.json"])
def test_a_table_may_name_findings_in_any_way_and_order(tmp_path: Path, name: str) -> None:
    shares = {"Pleural thickening": 0.25, "Mass": 0.5, "Effusion": 1e-3}
    text = (
        json.dumps(shares)
        if name.endswith("json")
        else "finding,prevalence,note\n" + "\n".join(f"{finding},{share},x" for finding, share in shares.items())
    )
    (tmp_path / name).write_text(text)
    assert read_prevalence(tmp_path / name, TWO) == {Finding.EFFUSION: 1e-3, Finding.PLEURAL_THICKENING: 0.25}


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        (
            "t.csv",
            "finding,prevalence\nEffusion,0.1\n",
            DataError,
            "gives no prevalence of Pleural_Thickening; correct",
        ),
        ("t.csv", "finding,prevalence\nEffusion,0.1\nEffusion,0.2\n", DataError, "gives Effusion twice"),
        ("t.csv", "finding,prevalence\nEffusion,often\n", DataError, "of Effusion is 'often', not a number"),
        ("t.csv", "finding,prevalence\nHeadache,0.1\n", DataError, "unknown finding 'Headache'"),
        ("t.csv", "finding,share\nEffusion,0.1\n", DataError, "no column prevalence; it needs finding, prevalence"),
        ("t.json", '{"Effusion": 1, "Pleural_Thickening": 0.1}', DataError, "Effusion must lie between 0 and 1"),
        ("t.json", '{"Effusion": NaN, "Pleural_Thickening": 0.1}', BundleError, "Effusion is nan; it must be a finite"),
        ("t.json", '{"Effusion": "often"}', BundleError, "Effusion is 'often'; it must be a number; correct the table"),
        ("t.json", "[]", BundleError, "it must be a block of names and values; correct the table"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    tmp_path: Path, name: str, text: str, error: type[Exception], message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(error, match=message):
        read_prevalence(tmp_path / name, TWO)


def test_chestxray14_states_its_own(mini_nih: Path) -> None:
    prevalence = assumed_prevalence(mini_nih, read_nih(mini_nih, TWO))
    assert prevalence.shares == dict.fromkeys(TWO, 1 / 20)
    assert prevalence.source == "prevalence of all ChestX-ray14"


def test_the_publishers_table_states_it_too(tmp_path: Path) -> None:
    folder = make_nih_published(tmp_path)
    prevalence = assumed_prevalence(folder, read_dataset(folder, findings=[Finding.CARDIOMEGALY]))
    assert prevalence.shares == {Finding.CARDIOMEGALY: 2 / 4}


def test_another_data_sets_own_share_leaves_out_what_nobody_knows(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.png").touch()
    rows = ["path,patient,Effusion,Mass,Edema", "a.png,1,1,,0", "b.png,2,,,0", "c.png,3,0,,0"]
    (tmp_path / "own.csv").write_text("\n".join(rows))
    dataset = read_dataset(tmp_path, findings=[Finding.EFFUSION, Finding.MASS, Finding.EDEMA])
    assert own_shares(dataset) == {Finding.EFFUSION: (1 + 0.5) / (2 + 1), Finding.EDEMA: 0.5 / (3 + 1)}
    prevalence = assumed_prevalence(tmp_path, dataset)
    assert prevalence.source == "share of its positives in all of own.csv"
    assert (prevalence.of(Finding.MASS, 0.3), prevalence.of(Finding.EFFUSION, 0.3)) == (0.3, 0.5)
