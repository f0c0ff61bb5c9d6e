"""The command from end to end on miniature data: the bundle's files, the verdict, the page."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from candor.model.bundle import LEARNED_GATE, LEARNED_GATE_WEIGHTS, load_bundle, load_model
from candor.study.errors import DataError, SettingsError
from candor.study.radiograph import Radiograph
from tests.nih import read_nih
from tests.training.conftest import DAY
from tests.training.learned_gate.planted import TWO, planted
from training.__main__ import EXIT_UNUSABLE, main
from training.data.splits import Subset
from training.learned_gate import evidence as evidence_module
from training.learned_gate.evidence import lung_fields_of
from training.learned_gate.fit import fit
from training.learned_gate.judge import judge
from training.learned_gate.options import Options
from training.learned_gate.report import END, START, figures, write_figures
from training.learned_gate.run import fit_learned_gate
from training.learned_gate.write import write_learned_gate
from training.records import Occasion


def read(path: Path) -> dict[str, Any]:
    """A JSON file."""
    values: dict[str, Any] = json.loads(path.read_text())
    return values


@pytest.fixture
def bundle(random_bundle: Path, tmp_path: Path) -> Path:
    """A copy of a small bundle with random weights, which is often wrong."""
    return Path(shutil.copytree(random_bundle, tmp_path / "cxr"))


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page with a place for figures."""
    path = tmp_path / "page.md"
    path.write_text(f"before\n\n{START}\nold\n{END}\n\nafter\n")
    return path


def test_the_command_writes_gate_and_page(
    bundle: Path, mini_nih: Path, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--bundle", str(bundle), "--data", str(mini_nih), "--date", DAY, "--epochs", "2"]
    before = load_bundle(bundle).sha256
    assert main(["fit-error-model", *arguments, "--no-prior", "--balanced", "--report", str(page)]) == 0
    record = read(bundle / LEARNED_GATE)
    part = read_nih(mini_nih).only(Subset.UNSEEN)
    patients = len(set(part.patients()))
    assert record["description"] == f"fitted to the answers on {len(part.images)} images of {patients} patients"
    assert (record["prior"], record["balanced"], record["lung_field"], record["date"]) == (False, True, False, DAY)
    assert record["command"].startswith("python -m training fit-error-model --bundle ")
    assert record["answers"] == 3 * len(part.images)
    assert 0 < record["wrong"] < record["answers"]
    assert record["figures"]["patients"] == patients
    assert (bundle / LEARNED_GATE_WEIGHTS).stat().st_size < 100_000
    loaded = load_bundle(bundle)
    assert (loaded.learned_gate is not None) == record["active"] == (loaded.sha256 != before)
    printed = capsys.readouterr().out
    assert record["description"] in printed
    assert record["verdict"] in printed
    text = page.read_text()
    assert text.startswith(f"before\n\n{START}\n")
    assert text.endswith(f"{END}\n\nafter\n")
    assert record["command"] in text
    assert record["verdict"] in text
    assert "\nold\n" not in text


def test_the_same_command_writes_the_same_bytes(bundle: Path, mini_nih: Path) -> None:
    arguments = ["fit-error-model", "--bundle", str(bundle), "--data", str(mini_nih), "--date", DAY, "--epochs", "1"]
    written = []
    for _ in range(2):
        assert main(arguments) == 0
        written.append([(bundle / file).read_bytes() for file in (LEARNED_GATE, LEARNED_GATE_WEIGHTS)])
    assert written[0] == written[1]


def test_a_page_without_a_place_is_refused_and_nothing_written(
    bundle: Path, mini_nih: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.md"
    other.write_text(f"{END}\n{START}\n")
    arguments = ["--bundle", str(bundle), "--data", str(mini_nih), "--epochs", "1", "--report", str(other)]
    assert main(["fit-error-model", *arguments]) == EXIT_UNUSABLE
    assert "other.md has no place for figures; add the lines" in capsys.readouterr().err
    assert not (bundle / LEARNED_GATE).exists()


def test_a_page_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none.md cannot be read \(No such file"):
        write_figures(tmp_path / "none.md", "")


def test_a_data_set_without_unseen_patients_is_refused(bundle: Path, mini_nih: Path) -> None:
    model = load_model(bundle)
    seen = read_nih(mini_nih, model.findings).only(Subset.TRAIN)
    with pytest.raises(DataError, match="no picture is of an unseen patient"):
        fit_learned_gate(model, seen, Options(), Occasion(date(2026, 1, 2), ""))


class Lungs:
    """Replaces the network that finds the lungs: the left half, or nothing."""

    calls = 0

    def mask(self, image: Radiograph) -> np.ndarray:
        assert image.pixels.ndim == 2
        self.calls += 1
        return np.full((8, 8), self.calls % 2 == 0) & (np.arange(8) < 4)


def test_the_lungs_are_found_on_every_picture_and_believed_where_plausible(
    bundle: Path, mini_nih: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_module, "LungField", Lungs)
    dataset = read_nih(mini_nih, load_model(bundle).findings)
    fields = lung_fields_of(replace(dataset, images=dataset.images[:4]))
    assert [field is None for field in fields] == [True, False, True, False]
    assert fields[1] is not None
    assert fields[1][:, :4].all()
    arguments = ["--bundle", str(bundle), "--data", str(mini_nih), "--epochs", "1", "--lung-field"]
    assert main(["fit-error-model", *arguments]) == 0
    assert read(bundle / LEARNED_GATE)["lung_field"] is True


def test_an_active_verdict_is_written_and_loaded(bundle: Path) -> None:
    model = replace(load_model(bundle), findings=TWO)
    learnt_from, options = planted(), Options(epochs=60, limit=0.1)
    judged = judge(fit(learnt_from, TWO, options), learnt_from, options)
    write_learned_gate(model, judged, learnt_from, Occasion(date(2026, 1, 2), "made up"))
    record = read(bundle / LEARNED_GATE)
    assert record["active"]
    assert record["limit"] == 0.1
    assert record["figures"]["augrc"]["learned"]["value"] < record["figures"]["augrc"]["confidence"]["value"]
    assert record["wrong"] == learnt_from.wrong.sum()
    text = figures([judged], learnt_from, "made up")
    assert "| yes | no | " in text
    assert "with the log-odds, unbalanced: the learned gate is active" in text
    undefined = replace(
        judged, verdict=replace(judged.verdict, figures=judged.verdict.figures | {"augrc_difference": None})
    )
    assert " | - | " in figures([undefined], learnt_from, "made up")
