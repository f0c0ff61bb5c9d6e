"""The report and its plots, from the command to the files, with and without radiologists."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from candor.model.bundle import load_bundle
from tests.nih import read_nih
from tests.training.conftest import DAY, Made
from tests.training.measure.evaluation.samples import make_sample
from tests.training.measure.evaluation.test_radiologists import READERS
from training.__main__ import main
from training.measure.evaluate import EVALUATION
from training.measure.evaluation.plots import plot_readers, reliability
from training.measure.evaluation.radiologists import LABELS, READS, Reads
from training.measure.evaluation.report import REPORT
from training.model_card.card import CARD

LARGEST_BYTES = 100_000
ALWAYS = {"auc", "cooccurrence", "curves", "reliability"}


@pytest.fixture(scope="module")
def read_by_experts(made: Made, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The trained bundle, evaluated on data with reads (true ones) and boxes (a disc's); and its figures."""
    folder = tmp_path_factory.mktemp("experts")
    data, bundle = folder / "nih", folder / "cxr"
    shutil.copytree(made.data, data)
    shutil.copytree(made.bundle, bundle)
    _write_experts(data)
    (bundle / "docs" / "evaluation-groups.png").write_bytes(b"of an earlier evaluation; no sex is known here")
    assert main(["evaluate", "--data", str(data), "--bundle", str(bundle), "--date", DAY]) == 0
    return bundle, json.loads((bundle / EVALUATION).read_text())


def _write_experts(data: Path) -> None:
    dataset = read_nih(data)
    names = [finding.label.replace("_", " ") for finding in dataset.findings]
    truth = [["YES" if f in image.findings else "NO" for f in dataset.findings] for image in dataset.images]
    images = [image.name for image in dataset.images]
    with (data / LABELS).open("w", newline="") as file:
        csv.writer(file).writerows([("Image ID", *names), *([n, *t] for n, t in zip(images, truth, strict=True))])
    with (data / READS).open("w", newline="") as file:
        rows = ([name, reader, *t] for name, t in zip(images, truth, strict=True) for reader in READERS)
        csv.writer(file).writerows([("Image ID", "Reader ID", *names), *rows])
    hearts = [image.name for image in dataset.images if any(f.label == "Cardiomegaly" for f in image.findings)]
    with (data / "boxes.csv").open("w", newline="") as file:
        rows = ([name, "Cardiomegaly", 370, 398, 284, 284] for name in hearts)
        csv.writer(file).writerows([("image", "finding", "x", "y", "w", "h"), *rows])


def plots(bundle: Path) -> set[str]:
    return {path.stem.removeprefix("evaluation-") for path in (bundle / "docs").glob("evaluation-*.png")}


def test_every_plot_is_there_and_small_and_the_report_shows_it(read_by_experts: tuple[Path, dict[str, Any]]) -> None:
    bundle, _ = read_by_experts
    assert plots(bundle) == ALWAYS | {"readers", "localisation"}
    report = (bundle / REPORT).read_text()
    for path in (bundle / "docs").glob("*.png"):
        assert f"({path.name})" in report
        assert path.stat().st_size < LARGEST_BYTES
        with Image.open(path) as picture:
            assert picture.width > 500
            assert len(picture.convert("L").getcolors() or []) > 5


def test_true_reads_are_perfect_and_the_planted_disc_is_found(read_by_experts: tuple[Path, dict[str, Any]]) -> None:
    _, figures = read_by_experts
    assert figures["readers"]["compared"] == ["Cardiomegaly", "Effusion"]
    assert figures["readers"]["majority"] == figures["readers"]["mined"]
    for reader in figures["readers"]["readers"].values():
        assert reader["Effusion"]["sensitivity"]["value"] == reader["Effusion"]["specificity"]["value"] == 1
    found = figures["localisation"]["findings"]["Cardiomegaly"]
    assert found["methods"]["grad_cam"]["pointing_game"]["value"] > 5 * found["chance"]


def test_the_report_and_the_card_show_the_figures(read_by_experts: tuple[Path, dict[str, Any]]) -> None:
    bundle, figures = read_by_experts
    report, card = (bundle / REPORT).read_text(), (bundle / CARD).read_text()
    sensitivity = figures["unseen"]["answers"]["findings"]["Effusion"]["sensitivity"]
    assert f"{sensitivity['value']:.3f} [{sensitivity['low']:.3f}, {sensitivity['high']:.3f}]" in report
    assert figures["command"] in report
    assert load_bundle(bundle).sha256 in report
    pointing = figures["localisation"]["methods"]["grad_cam"]["pointing_game"]["value"]
    assert f"box in {pointing:.3f} [" in card
    assert "[evaluation.md](evaluation.md)" in card
    assert "NaN" not in report + card
    assert "None" not in report + card


def test_without_radiologists_the_report_says_what_is_missing(made: Made) -> None:
    assert plots(made.bundle) == ALWAYS
    report = (made.bundle / REPORT).read_text()
    assert "Not measured: no `experts_labels.csv`" in report
    assert "Not measured: no `boxes.csv`" in report


def test_findings_that_readers_hardly_saw_are_not_drawn(tmp_path: Path) -> None:
    sample = make_sample(30)
    rare = replace(sample, labels=np.zeros_like(sample.labels))
    assert plot_readers(rare, Reads(rare.labels, {}), tmp_path / "readers.png") is None


def test_the_reliability_diagram_is_a_loop_over_bins() -> None:
    sample = make_sample(80)
    labels, p = sample.labels[:, 0].copy(), sample.probabilities[:, 0]
    labels[:5] = np.nan
    mean, share, size = reliability(labels, p)
    expected = []
    for b in range(15):
        members = [k for k in range(5, 80) if b / 15 <= p[k] < (b + 1) / 15]
        if members:
            expected.append((p[members].mean(), labels[members].mean(), len(members) / 75))
    np.testing.assert_allclose(np.stack([mean, share, size], axis=1), expected, atol=1e-12)
