"""The command audit-gate: from tables and bundles to its files, and its refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from candor.study.errors import DataError
from candor.study.findings import Finding
from tests.training.conftest import DAY, Made
from tests.training.predictions.written import write_predictions
from training.__main__ import main
from training.cli.audit import renew
from training.measure.evaluation.radiologists import IN_THE_MAJORITY
from training.measure.selective.figures import Audited, audit
from training.measure.selective.sources import read_answers, read_signal
from training.measure.selective.summary import best_workload
from training.predictions.table import Predictions
from training.statistics.metrics import aucs
from training.statistics.risk import COVERAGES

FINDINGS = (Finding.EFFUSION, Finding.MASS)
IMAGES = 360


def made_predictions(seed: int = 0, images: int = IMAGES) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = (rng.random((images, 2)) < 0.3).astype(np.float64)
    labels[:3, 1] = np.nan
    return Predictions(
        "made",
        FINDINGS,
        np.asarray([f"{seed}-{k:04d}.png" for k in range(images)]),
        np.asarray([f"p{k // 2}" for k in range(images)]),
        labels,
        rng.normal(size=labels.shape) + 2 * np.nan_to_num(labels) - 1,
        {"sex": np.asarray(["F", "M"])[np.arange(images) % 2], "view": np.where(np.arange(images) % 3, "PA", "AP")},
    )


def write_answers(path: Path, predictions: Predictions, answers: dict[str, np.ndarray]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "reader", *(f.label for f in predictions.findings)])
        for reader, given in answers.items():
            writer.writerows([name, reader, *row] for name, row in zip(predictions.images, given.tolist(), strict=True))
    return path


def write_experts(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    """The majority as the labels, one reader that agrees with it and one that says NO; of the first 100 pictures."""
    folder.mkdir(exist_ok=True)
    names = [finding.label for finding in FINDINGS]
    answers = np.where(labels[:100] > 0, "YES", "NO").tolist()
    rows = list(zip(images[:100].tolist(), answers, strict=True))
    with (folder / "experts_labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("Image ID", *names), *([name, *given] for name, given in rows)])
    with (folder / "experts_readers.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("Image ID", "Reader ID", *names))
        for reader in [*IN_THE_MAJORITY, "1", "2"]:
            writer.writerows([n, reader, *(["NO", "NO"] if reader == "2" else given)] for n, given in rows)
    return folder


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """All optional inputs of an audit of predictions."""
    folder = tmp_path_factory.mktemp("audit")
    predictions = made_predictions()
    write_predictions(folder / "predictions.csv.gz", predictions)
    write_predictions(folder / "other.csv", made_predictions(1, 120))
    truth = np.nan_to_num(predictions.labels)
    wrong = np.where(truth > 0, -predictions.logits, predictions.logits)  # a gate that knows the truth
    (folder / "page.md").write_text("# Page\n<!-- audit made -->\nstale\n<!-- end of audit made -->\nrest\n")
    given = [
        *("--predictions", str(folder / "predictions.csv.gz")),
        *("--experts", str(write_experts(folder / "experts", predictions.images, predictions.labels))),
        *("--readers", str(write_answers(folder / "reads.csv", predictions, {"A": truth, "B": 1 - truth}))),
        *("--simulated", "0.8", "0.9"),
        *("--signal", f"learned={write_answers(folder / 'learned.csv', predictions, {'': wrong})}"),
        *("--shifted", f"elsewhere={folder / 'other.csv'}"),
        *("--out", str(folder / "out"), "--name", "made", "--page", str(folder / "page.md"), "--date", DAY),
    ]
    assert main(["audit-gate", *given]) == 0
    return folder, json.loads((folder / "out" / "made.json").read_text())


def test_the_figures_cover_all_that_was_given(audited: tuple[Path, dict[str, Any]]) -> None:
    _, record = audited
    assert set(record["audit"]["gates"]) == {"confidence", "learned", "random", "always absent"}
    assert record["verdict"]["active"]
    assert set(record["shifted"]) == {"AP alone", "elsewhere"}
    assert set(record["teams"]) == {"radiologists", "readers", "simulated"}
    assert list(record["teams"]["radiologists"]["readers"]) == ["reader 1", "reader 2", "either reader"]
    assert record["teams"]["radiologists"]["images"] == 100
    assert record["date"] == DAY
    assert record["audit"]["images"] == IMAGES  # each is answered by a fit to other patients


def test_perfect_and_useless_readers_come_out_as_such(audited: tuple[Path, dict[str, Any]]) -> None:
    readers = audited[1]["teams"]["readers"]["readers"]
    assert readers["A"]["answers"]["reader"]["pooled"]["balanced_accuracy"]["value"] == 1
    assert readers["B"]["answers"]["reader"]["pooled"]["balanced_accuracy"]["value"] == 0
    either = audited[1]["teams"]["radiologists"]["readers"]["either reader"]["answers"]["reader"]["pooled"]
    assert either["sensitivity"]["value"] == pytest.approx(0.5)
    assert either["specificity"]["value"] == pytest.approx(1)
    assert "better of both at workloads of none" in best_workload(readers["B"])
    assert "above random deferral at 10%" in best_workload(readers["A"])


def test_the_report_and_its_plots_are_written(audited: tuple[Path, dict[str, Any]]) -> None:
    folder, record = audited
    report = (folder / "out" / "made.md").read_text()
    assert "Research use only, not for diagnosis" in report
    assert "Verdict: the learned gate is active" in report
    value = record["audit"]["gates"]["confidence"]["augrc"]["pooled"]["value"]
    assert f"{1000 * value:.2f} [" in report
    assert record["command"] in report
    plots = sorted((folder / "out").glob("*.png"))
    assert [plot.name for plot in plots] == [
        f"made-{name}.png" for name in ("costs", "risk", "team-radiologists", "team-readers", "team-simulated")
    ]
    for plot in plots:
        assert plot.name in report
        with Image.open(plot) as picture:
            assert len(set(np.asarray(picture.convert("L")).ravel().tolist())) > 10


def test_only_the_marked_part_of_the_page_is_renewed(audited: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = audited
    page = (folder / "page.md").read_text()
    assert page.startswith("# Page\n<!-- audit made -->\n\n    python -m training audit-gate ")
    assert page.endswith("<!-- end of audit made -->\nrest\n")
    assert "stale" not in page
    assert "(page/made-risk.png)" in page
    assert (folder / "page" / "made-risk.png").is_file()
    with pytest.raises(DataError, match="lacks the marks"):
        renew(folder / "page.md", "another", "text")


def test_a_finding_that_is_confidently_ranked_has_the_auc_of_all_its_images() -> None:
    predictions = made_predictions()
    probabilities = 1 / (1 + np.exp(-predictions.logits))
    found = audit(Audited("made", FINDINGS, predictions.patients, predictions.labels, probabilities))
    coverage: Any = found["coverage"]
    mass = coverage["Mass"]["100%"]["auc"]["value"]
    known = ~np.isnan(predictions.labels[:, 1])
    assert mass == pytest.approx(roc_auc_score(predictions.labels[known, 1], probabilities[known, 1]))
    sure = np.abs(probabilities[:, 0] - 0.5)
    border = np.sort(sure)[::-1][round(0.8 * IMAGES) - 1]
    kept = sure >= border
    expected = aucs(predictions.labels[kept][:, :1], probabilities[kept][:, :1])[0, 0]
    assert coverage["Effusion"]["80%"]["auc"]["value"] == pytest.approx(expected)
    right = (probabilities >= 0.5) == (predictions.labels > 0)
    assert coverage["Effusion"]["80%"]["accuracy"]["value"] == pytest.approx(right[kept, 0].mean())
    assert list(coverage["pooled"]) == [f"{c:.0%}" for c in COVERAGES]
    random: Any = found["gates"]
    wrong = 1 - right[~np.isnan(predictions.labels)].mean()
    assert random["random"]["augrc"]["pooled"]["value"] == pytest.approx(wrong / 2)


def test_a_bundle_is_audited_on_patients_it_never_saw(made: Made, tmp_path: Path) -> None:
    given = ["--bundle", str(made.bundle), "--data", str(made.data), "--out", str(tmp_path), "--date", DAY]
    assert main(["audit-gate", *given, "--simulated", "0.9", "0.9", "--shifted", f"same={made.data}"]) == 0
    record = json.loads((tmp_path / "audit.json").read_text())
    assert "heatmap spread" in record["audit"]["gates"]
    assert {"poor equipment", "same"} <= set(record["shifted"])
    assert record["shifted"]["same"]["images"] > record["audit"]["images"]
    assert record["shifted"]["poor equipment"]["images"] == record["audit"]["images"]
    assert list(record["teams"]) == ["simulated"]
    assert record["promises"]["pooled"]["positives"] == sum(record["audit"]["findings"].values())


def test_what_cannot_be_audited_is_refused(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit-gate", "--bundle", str(made.bundle)]) == 2
    assert "--bundle needs --data" in capsys.readouterr().err
    few = made_predictions(images=4)
    few.labels[:, 1] = np.nan
    write_predictions(tmp_path / "few.csv", few)
    assert main(["audit-gate", "--predictions", str(tmp_path / "few.csv"), "--out", str(tmp_path)]) == 2
    assert "no known label of some finding" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["audit-gate", "--predictions", "x.csv", "--signal", "no-path"])
    assert "is not NAME=PATH" in capsys.readouterr().err


def test_tables_of_answers_say_what_is_wrong_with_them(tmp_path: Path) -> None:
    images, table = np.array(["a", "b"]), tmp_path / "answers.csv"
    table.write_text("image,value\nb,0.5\na,\nelsewhere,3\n")
    (answers,) = read_answers(table, images, FINDINGS).values()
    np.testing.assert_array_equal(answers, [[np.nan, np.nan], [0.5, 0.5]])
    with pytest.raises(DataError, match="fill the gaps"):
        read_signal(table, images, FINDINGS)
    with pytest.raises(DataError, match="none of the 1 images"):
        read_answers(table, np.array(["c"]), FINDINGS)
    table.write_text("image,Effusion\na,often\n")
    with pytest.raises(DataError, match="'often' is not a number"):
        read_answers(table, images, FINDINGS)
    table.write_text("image,Edema\na,1\n")
    with pytest.raises(DataError, match="neither a column of a finding nor value"):
        read_answers(table, images, FINDINGS)
