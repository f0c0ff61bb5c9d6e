"""The peers' table says who is ahead, whoever it is; and what is counted is counted right."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from benchmarks import gpu
from benchmarks.engines import FORWARD_GFLOP_224
from benchmarks.node.crash import Pacs
from benchmarks.peers import crashes, engine, heatmaps
from benchmarks.peers.__main__ import MEASUREMENTS, parse
from benchmarks.peers.systems import model_server, router
from benchmarks.peers.table import Row, Section, markdown, number, rated, timed
from benchmarks.peers.written import Written, of_class
from candor.model.networks.class_activation import Answer, LogitsOnly
from candor.model.networks.registry import build


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (Row("time", "peer", 10.0, 25.0), "Candor ahead, 2.50 x"),
        (Row("time", "peer", 25.0, 10.0), "**peer ahead, 2.50 x**"),
        (Row("rate", "peer", 25.0, 10.0, more_is_better=True), "Candor ahead, 2.50 x"),
        (Row("rate", "peer", 10.0, 25.0, more_is_better=True), "**peer ahead, 2.50 x**"),
        (Row("time", "peer", 10.0, 10.2), "even, 1.02 x"),
        (Row("time", "peer", 10.0, 25.0, gain=0.5), "**peer ahead, 2 x**"),
        (Row("errors", "peer", 0, 4), "Candor ahead"),
        (Row("errors", "peer", 4, 0), "**peer ahead**"),
        (Row("errors", "peer", 0, 0), "even"),
        (Row("time", "floor", 10.0, 5.0, says="at 50%"), "at 50%"),
    ],
)
def test_verdict(row: Row, verdict: str) -> None:
    assert row.verdict == verdict


def test_gain_of_measured_pairs() -> None:
    # Pair by pair 4, 2 and 2 times: the median is 2, though the medians of the sides are 20 and 30 ms.
    row = timed("a study", "peer", [0.01, 0.02, 0.03], [0.04, 0.03, 0.06])
    assert (row.ours, row.theirs, row.gain) == (pytest.approx(20), pytest.approx(40), pytest.approx(2))
    row = rated("sending", "peer", [2.0, 2.0], [1.0, 1.0], 100, "MB/s")
    assert (row.ours, row.theirs, row.verdict) == (50, 100, "**peer ahead, 2 x**")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (7, "7"), (1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23"), (0.1234, "0.123"), (1.5e-6, "1.5e-06")],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_page() -> None:
    page = markdown([Section("Sending", [Row("sending", "peer", 10, 20, "ms")], ["a note"]), Section("Else", ())])
    assert page == (
        "### Sending\n\n| what | peer | Candor | peer's | |\n|---|---|---|---|---|\n"
        "| sending | peer | 10 ms | 20 ms | Candor ahead, 2 x |\n\n- a note\n\n### Else"
    )


def test_what_was_written_is_said_with_each_complaint_once() -> None:
    classes = {"a.dcm": "Basic Text SR"}
    error = of_class("a.dcm: dciodvfy: Error - x: y", classes)
    assert error == "Basic Text SR: dciodvfy: Error - x: y"
    assert of_class("PixelMed broke: y", classes) == "PixelMed broke: y"
    written = Written(Counter({"Basic Text SR": 2}), [error, error])
    assert written.sentence == "2 Basic Text SR; 2 validator errors: Basic Text SR: dciodvfy: Error - x: y"
    assert Written(Counter({"Basic Text SR": 1}), []).sentence == "1 Basic Text SR; 0 validator errors"
    assert "not validated" in Written(Counter(), None).sentence


def test_maps_that_differ_by_a_factor_are_equal() -> None:
    maps = torch.rand(1, 3, 4, 4)
    assert heatmaps.difference(maps, 7 * maps) == pytest.approx(0, abs=1e-6)
    other = maps.clone()
    other[0, 0, 0, 0] = maps.max() + 1
    assert heatmaps.difference(maps, other) > 0.1


def test_operations_are_those_of_the_densenet_counted_by_hand() -> None:
    network = LogitsOnly(build("densenet121", 14)).eval()
    operations = engine.gigaoperations(network, torch.zeros(1, 1, 224, 224))
    assert operations == pytest.approx(FORWARD_GFLOP_224["densenet121"], rel=0.02)


def test_circle_marks_the_hottest_cell_in_pixels() -> None:
    activation = np.zeros((7, 7), np.float32)
    activation[1, 5] = 1
    circle = model_server.circle(activation, "Mass", rows=700, columns=1400)
    assert circle == {"cx": 1100.0, "cy": 150.0, "r": 50.0, "label": "Mass"}


def test_studies_without_a_report_are_counted_lost(tmp_path: Path) -> None:
    pacs = Pacs(tmp_path)
    keep(tmp_path, BasicTextSRStorage, "1.2.1", "1.9.1")
    keep(tmp_path, SecondaryCaptureImageStorage, "1.2.2", "1.9.2")
    assert crashes.without_report(pacs, ["1.2.1", "1.2.2", "1.2.3"]) == 2
    assert crashes.two_contents(pacs) == 0
    keep(tmp_path, BasicTextSRStorage, "1.2.3", "1.9.1")
    assert crashes.without_report(pacs, ["1.2.1", "1.2.2", "1.2.3"]) == 1
    assert crashes.two_contents(pacs) == 1


def keep(folder: Path, sop_class: str, study: str, uid: str) -> None:
    """Keep an object as the small PACS does."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.StudyInstanceUID = sop_class, uid, study
    digest = hashlib.sha256(f"{study} {uid}".encode()).hexdigest()
    dataset.save_as(folder / f"{digest}.dcm", enforce_file_format=True)
    with (folder / "received.jsonl").open("a") as index:
        index.write(json.dumps({"sop_instance_uid": uid, "sha256": digest}) + "\n")


def test_a_router_that_cannot_be_installed_is_said(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(OSError, match=r"pip install dicom-ai-router==0\.3\.0"):
        router.environment(tmp_path)
    assert "not measured" in crashes.measure(Path("models"), tmp_path, 1, 1, 0)[0].notes[0]
    python.write_text("#!/bin/sh\nexit 0\n")
    assert router.environment(tmp_path) == python


def test_one_measurement_can_be_had_alone() -> None:
    assert parse([]).only == list(MEASUREMENTS)
    assert parse(["--only", "heatmaps"]).only == ["heatmaps"]
    with pytest.raises(SystemExit):
        parse(["--only", "nothing"])


def test_gpu_agreement() -> None:
    maps = torch.zeros(1, 2, 3, 3)
    maps[0, 0, 1, 1] = maps[0, 1, 2, 2] = 1
    reference = Answer(torch.zeros(1, 2), maps, torch.zeros(1, 4))
    moved = maps.clone()
    moved[0, 1, 0, 0] = 2
    assert gpu.agreement(reference, reference) == (0, 1)
    assert gpu.agreement(Answer(torch.tensor([[0.0, -0.5]]), moved, reference.features), reference) == (0.5, 0.5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu_nothing_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main([])
    assert capsys.readouterr().out == "not measured: no GPU here\n"
