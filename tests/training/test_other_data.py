"""A bundle fitted to and measured on another data set than ChestX-ray14, whose labels are partly not known."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from candor.decide.calibration import IDENTITY
from candor.model.bundle import CALIBRATION, GATE, METADATA, load_bundle, load_model
from candor.study.errors import BundleError
from candor.study.findings import Finding
from tests.conftest import ROOT
from tests.nih import PLANTED, read_nih
from tests.training.conftest import DAY, Made
from training.__main__ import EXIT_UNUSABLE, main
from training.bundles.export import export
from training.bundles.fitted import trained_shares
from training.bundles.trained import read_trained
from training.calibration.calibrate import NOBODY_KNOWS
from training.data.readers import read_dataset
from training.data.splits import Subset
from training.measure.evaluate import EVALUATION
from training.model_card.card import CARD


@dataclass(frozen=True)
class Fitted:
    """A table of one's own, and the bundle after calibrate, fit-gate and evaluate."""

    data: Path
    bundle: Path


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def write_clinic(folder: Path, nih: Path) -> Path:
    """Write a table of the miniature's pictures: cardiomegaly, and effusion, blank for a patient's first of two."""
    folder.mkdir()
    (folder / "images").symlink_to(nih / "images")
    images = read_nih(nih).images
    second = {image.patient for image in images if image.name.endswith("_001.png")}
    with (folder / "clinic.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "patient", "split", *(finding.label for finding in PLANTED)])
        for image in images:
            listed = "train_val" if image.subset in (Subset.TRAIN, Subset.VALIDATION) else "test"
            heart, effusion = (int(finding in image.findings) for finding in PLANTED)
            blank = image.patient in second and image.name.endswith("_000.png")
            row = [f"images/{image.path.name}", image.patient, listed, heart, "" if blank else effusion]
            table.writerow(row)
    return folder


@pytest.fixture(scope="module")
def fitted(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    folder = tmp_path_factory.mktemp("other")
    data = write_clinic(folder / "clinic", made.data)
    bundle = export(read_trained(made.work), folder / "cxr")  # calibrated to nobody yet
    for verb in ("calibrate", "fit-gate", "evaluate"):
        assert main([verb, "--data", str(data), "--bundle", str(bundle), "--kind", "csv", "--date", DAY]) == 0
    return Fitted(data, bundle)


def test_every_file_names_the_data_set(fitted: Fitted) -> None:
    calibration, gate = read(fitted.bundle / CALIBRATION), read(fitted.bundle / GATE)
    assert calibration["description"].startswith("calibrated on clinic.csv, ")
    assert calibration["description"].endswith("assumes the share of its positives in all of clinic.csv")
    assert "of clinic.csv of its fit" in gate["description"]
    for record in (calibration, gate, read(fitted.bundle / EVALUATION)):
        assert record["data"] == "clinic.csv"
        assert "ChestX-ray14" not in json.dumps(record)


def test_the_assumed_prevalence_is_the_share_among_known_labels(fitted: Fitted) -> None:
    maps = load_bundle(fitted.bundle).calibration.maps
    labels = read_dataset(fitted.data, findings=PLANTED).labels()
    assert np.isnan(labels[:, 1]).any()
    for k, finding in enumerate(PLANTED):
        assert maps[finding].assumed_prevalence == pytest.approx(np.nanmean(labels[:, k]), abs=2e-3)


def test_unknown_labels_are_no_negatives(fitted: Fitted) -> None:
    part = read_dataset(fitted.data, findings=PLANTED)  # whole, whatever its own lists: the network saw none of it
    known = (~np.isnan(part.labels())).sum(axis=0)
    calibration, gate = read(fitted.bundle / CALIBRATION)["findings"], read(fitted.bundle / GATE)["findings"]
    maps = load_bundle(fitted.bundle).calibration.maps
    for k, finding in enumerate(PLANTED):
        assert calibration[finding.label]["known"] == known[k]
        assert calibration[finding.label]["positives"] == np.nansum(part.labels()[:, k])
        assert maps[finding].fitted_prevalence == pytest.approx(np.nanmean(part.labels()[:, k]), abs=0.01)
        assert gate[finding.label]["patients"] == len(set(part.patients()))  # whichever is known


def test_a_finding_that_nobody_knows_stays_as_export_left_it_and_all_say_so(fitted: Fitted) -> None:
    m = load_bundle(fitted.bundle).calibration.maps[Finding.HERNIA]
    assert (m.curve, m.shift) == (IDENTITY, 0.0)
    assert m.fitted_prevalence == trained_shares(load_model(fitted.bundle))[Finding.HERNIA]
    record = read(fitted.bundle / CALIBRATION)["findings"]["Hernia"]
    assert (record["known"], record["unfitted"], record["before"], record["shared_slope"]) == (
        0,
        NOBODY_KNOWS,
        None,
        False,
    )
    pair = read(fitted.bundle / GATE)["findings"]["Hernia"]
    assert pair["lo"] is pair["hi"] is None
    assert pair["lo_unsupported"] == pair["hi_unsupported"] == NOBODY_KNOWS
    assert read(fitted.bundle / EVALUATION)["unseen"]["decisions"]["Hernia"]["images"] == 0


def test_the_card_tells_it(fitted: Fitted) -> None:
    card = (fitted.bundle / CARD).read_text()
    assert f"- Hernia: {NOBODY_KNOWS}." in card
    assert "| Hernia | identity, not fitted |" in card
    assert "Trained on NIH ChestX-ray14, measured on clinic.csv" in card
    assert "all of clinic.csv, which is another data set than that of the training" in card
    assert "Calibration, gate and thresholds were fitted to these patients" in card
    assert "nan" not in card.lower().replace("finding", "")
    assert "None" not in card


def test_a_table_of_prevalences_decides(fitted: Fitted, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(fitted.bundle, tmp_path / "cxr"))
    table = tmp_path / "site.csv"
    table.write_text("\n".join(["finding,prevalence", *(f"{finding.label},0.02" for finding in Finding)]))
    target = ["--data", str(fitted.data), "--bundle", str(bundle), "--prevalence", str(table)]
    assert main(["calibrate", *target]) == 0
    calibration = load_bundle(bundle).calibration
    assert {m.assumed_prevalence for m in calibration.maps.values()} == {0.02}
    assert calibration.description.endswith("assumes the prevalence of the table site.csv")


@pytest.mark.parametrize("verb", ["calibrate", "fit-gate", "evaluate"])
def test_patients_who_trained_the_network_are_refused(
    made: Made, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    options = ["--data", str(made.data), "--bundle", str(made.bundle), "--split", "70-15-15"]
    assert main([verb, *options]) == EXIT_UNUSABLE
    assert "patients to be fitted to or measured trained the network; divide the data as for" in capsys.readouterr().err


def test_a_data_set_with_none_of_the_findings_is_refused(
    random_bundle: Path, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_clinic(tmp_path / "clinic", made.data)
    text = (data / "clinic.csv").read_text().replace("Cardiomegaly,Effusion", "Mass,Nodule")
    (data / "clinic.csv").write_text(text)
    assert main(["calibrate", "--data", str(data), "--bundle", str(random_bundle)]) == EXIT_UNUSABLE
    assert "labels no picture for any of Cardiomegaly, Effusion, Pneumothorax" in capsys.readouterr().err


def test_a_bundle_that_does_not_say_its_shares_is_refused(made: Made, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(made.bundle, tmp_path / "cxr"))
    metadata = read(bundle / METADATA)
    del metadata["candor"]["training"]["shares"]
    (bundle / METADATA).write_text(json.dumps(metadata))
    with pytest.raises(BundleError, match="shares is missing; export the bundle again"):
        trained_shares(load_model(bundle))


@pytest.mark.parametrize("config", ["evaluate", "inference"])
def test_monais_command_runs_the_bundles_configuration(made: Made, tmp_path: Path, config: str) -> None:
    bundle = Path(shutil.copytree(made.bundle, tmp_path / "cxr"))
    (bundle / EVALUATION).unlink()
    data = made.data if config == "evaluate" else made.data / "images"
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", f"configs/{config}.yaml"]
    options = ["--bundle_root", ".", "--dataset_dir", str(data), *(["--day", DAY] if config == "evaluate" else [])]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, *options], cwd=bundle, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    if config == "inference":
        assert len((bundle / "eval" / "predictions.csv").read_text().splitlines()) == 1 + len(
            read_nih(made.data).images
        )
        return
    ours, theirs = read(bundle / EVALUATION), read(made.bundle / EVALUATION)
    assert ours.pop("command").endswith(f"--dataset_dir {made.data} --kind auto --policy u-ignore")
    theirs.pop("command")
    assert ours == theirs
