"""The verbs from end to end on miniature data: each leaves what the next needs, and says what went wrong."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from candor.model.bundle import CALIBRATION, GATE, METADATA, PERCENTILES, WEIGHTS, load_bundle
from candor.study.errors import DataError, SettingsError
from candor.study.findings import Finding
from tests.nih import PLANTED, make_nih, read_nih
from tests.training.conftest import DAY, Made
from training.__main__ import EXIT_UNUSABLE, main
from training.bundles.metadata import SPLITS
from training.data.splits import Subset
from training.learn.recipe import Recipe, Stage
from training.learn.train import train
from training.measure.evaluate import EVALUATION
from training.measure.evaluation.report import REPORT
from training.model_card.card import CARD, write_card
from training.predictions.predict import predict


def read(path: Path) -> dict[str, Any]:
    """A JSON file."""
    return json.loads(path.read_text())


def test_the_planted_findings_are_learnt(made: Made) -> None:
    figures = read(made.bundle / EVALUATION)["unseen"]
    for finding in PLANTED:
        assert figures["findings"][finding.label]["auc"]["low"] > 0.9
    assert figures["findings"]["Hernia"]["auc"] is None
    assert figures["mean_auc"]["value"] > 0.9


def test_the_planted_findings_are_answered_and_the_others_deferred(made: Made) -> None:
    bundle = load_bundle(made.bundle)
    decisions = read(made.bundle / EVALUATION)["unseen"]["decisions"]
    for finding, pair in bundle.gate.thresholds.items():
        counts = decisions[finding.label]
        assert counts["absent"] + counts["deferred"] + counts["present"] == counts["images"]
        assert (pair.lo is not None) == (finding in PLANTED)
        assert counts["missed"] <= 0.2 * counts["positives"]
        if finding not in PLANTED:
            assert counts["deferred"] == counts["images"]


def test_the_evaluation_tells_what_the_gate_misses_in_each_group(made: Made) -> None:
    record = read(made.bundle / EVALUATION)
    gate, decisions = record["gate"], record["unseen"]["decisions"].values()
    pictures = record["unseen"]["images"]
    answered = sum(counts["images"] - counts["deferred"] for counts in decisions)
    assert gate["answered"] == pytest.approx(answered / (pictures * len(decisions)))
    assert 0 < gate["answered"] < gate["pictures_with_an_answer"] <= 1
    assert gate["missed"]["all"]["positives"] >= gate["missed"]["F"]["positives"]
    assert f"It answers {gate['answered']:.1%} of all questions" in (made.bundle / REPORT).read_text()


def test_calibration_helped(made: Made) -> None:
    figures = read(made.bundle / EVALUATION)["unseen"]["calibration"]
    for finding in PLANTED:
        assert figures[finding.label]["after"]["nll"] < figures[finding.label]["before"]["nll"]


def test_each_file_says_where_it_comes_from(made: Made) -> None:
    dataset = read_nih(made.data).only(Subset.UNSEEN)
    calibration, gate = read(made.bundle / CALIBRATION), read(made.bundle / GATE)
    assert calibration["images"] == len(dataset.images)
    assert gate["patients"] == calibration["patients"] == len(set(dataset.patients()))
    for record, verb in ((calibration, "calibrate"), (gate, "fit-gate"), (read(made.bundle / EVALUATION), "evaluate")):
        assert record["date"] == DAY
        assert record["command"].startswith(f"python -m training {verb} --data ")
    assert read(made.bundle / EVALUATION)["bundle_sha256"] == load_bundle(made.bundle).sha256


def test_the_assumed_prevalence_is_that_of_the_whole_table(made: Made) -> None:
    maps = load_bundle(made.bundle).calibration.maps
    assert {m.assumed_prevalence for m in maps.values()} == {1 / 20}
    labels = read_nih(made.data).only(Subset.UNSEEN).labels()
    for k, finding in enumerate(Finding):
        assert maps[finding].fitted_prevalence == pytest.approx(labels[:, k].mean(), abs=0.01)


def test_the_bundle_says_who_was_in_which_set_and_how_it_was_trained(made: Made) -> None:
    dataset = read_nih(made.data)
    assert read(made.bundle / SPLITS) == dataset.splits()
    training = read(made.bundle / METADATA)["candor"]["training"]
    assert training["recipe"]["network"] == "benchmark-cnn"
    assert training["images"] == len(dataset.only(Subset.TRAIN).images)
    assert [epoch["side"] for epoch in training["history"]] == [48, 64, 64, 64]
    assert training["shares"]["Hernia"] == pytest.approx(0.5 / (training["images"] + 1))


def test_the_card_shows_the_numbers_of_the_files(made: Made) -> None:
    card = (made.bundle / CARD).read_text()
    evaluation, gate = read(made.bundle / EVALUATION), read(made.bundle / GATE)
    auc = evaluation["unseen"]["findings"]["Effusion"]["auc"]
    assert f"{auc['value']:.3f} [{auc['low']:.3f}, {auc['high']:.3f}]" in card
    assert gate["description"] in card
    assert "Research use only, not for diagnosis" in card
    assert "NIH Clinical Center" in card
    assert "Hernia: no absent, 0 positives; at least 22 are needed, with none missed." in card
    assert "--stage 48 1 0.01 --stage 64 3 0.01" in card
    for record in (read(made.bundle / CALIBRATION), gate, evaluation):
        assert record["command"] in card


def test_measuring_leaves_the_bundle_alone(made: Made, tmp_path: Path) -> None:
    bundle, out = Path(shutil.copytree(made.bundle, tmp_path / "cxr")), tmp_path / "out"
    (bundle / PERCENTILES).unlink()
    before = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    assert main(["evaluate", "--data", str(made.data), "--bundle", str(bundle), "--out", str(out), "--date", DAY]) == 0
    assert {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()} == before
    sha256 = load_bundle(bundle).sha256
    assert read(out / EVALUATION)["bundle_sha256"] == sha256
    assert f"Bundle SHA-256 {sha256}." in (out / CARD).read_text()
    assert {"README.md", "evaluation.md", "evaluation-auc.png"} <= {path.name for path in (out / "docs").iterdir()}
    assert main(["evaluate", "--data", str(made.data), "--bundle", str(bundle), "--date", DAY]) == 0
    assert load_bundle(bundle).sha256 == sha256  # its own figures are no part of the hash


def test_percentiles_have_a_verb_of_their_own(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = Path(shutil.copytree(made.bundle, tmp_path / "cxr"))
    (bundle / PERCENTILES).unlink()
    assert main(["fit-percentiles", "--data", str(made.data), "--bundle", str(bundle)]) == 0
    part = read_nih(made.data).only(Subset.UNSEEN)
    words = f"{len(part.images)} pictures of {len(set(part.patients().tolist()))} unseen patients"
    assert capsys.readouterr().out == f"fitted to {words}\n"
    assert (bundle / PERCENTILES).read_bytes() == (made.bundle / PERCENTILES).read_bytes()
    percentiles = load_bundle(bundle).percentiles
    assert percentiles is not None
    assert percentiles.description == words
    logits = predict(load_bundle(bundle), part).logits
    for k, finding in enumerate(Finding):
        assert percentiles.quantiles[finding][[0, -1]] == pytest.approx(
            [logits[:, k].min(), logits[:, k].max()], abs=1e-5
        )


def test_a_bundle_without_calibration_is_measured_as_far_as_it_goes(made: Made, tmp_path: Path) -> None:
    bundle = tmp_path / "cxr"
    assert main(["export", "--work", str(made.work), "--bundle", str(bundle)]) == 0
    assert main(["evaluate", "--data", str(made.data), "--bundle", str(bundle), "--date", DAY]) == 0
    figures, calibrated = read(bundle / EVALUATION)["unseen"], read(made.bundle / EVALUATION)["unseen"]
    assert figures["findings"] == calibrated["findings"]  # ranking needs no calibration
    assert figures["calibration"] is figures["calibration_error"] is figures["decisions"] is None
    assert read(bundle / EVALUATION)["gate"] is None
    for page in (bundle / CARD, bundle / REPORT):
        assert "figures that need a calibration are left out" in page.read_text()
    assert "not fitted: every finding is deferred." in (bundle / CARD).read_text()
    assert not (bundle / "docs" / "evaluation-reliability.png").exists()


def test_what_is_missing_is_told_before_the_network_runs(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def runs(*arguments: object) -> None:
        raise AssertionError("the network ran")

    monkeypatch.setattr("training.measure.evaluate.predict", runs)
    bundle, data = (
        Path(shutil.copytree(made.bundle, tmp_path / "cxr")),
        Path(shutil.copytree(made.data, tmp_path / "nih")),
    )
    command = ["evaluate", "--data", str(data), "--bundle", str(bundle)]
    (data / "boxes.csv").write_text("image,finding\n")
    assert main(command) == EXIT_UNUSABLE
    assert "boxes.csv" in capsys.readouterr().err
    (data / "boxes.csv").unlink()
    metadata = read(bundle / METADATA)
    del metadata["candor"]["training"]["patients"]
    (bundle / METADATA).write_text(json.dumps(metadata))
    assert main(command) == EXIT_UNUSABLE
    assert "lacks patients, which its card needs; export the bundle again" in capsys.readouterr().err


def test_the_card_names_what_is_not_told_from_chance(made: Made, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(made.bundle, tmp_path / "cxr"))
    assert "Not told from chance" not in (bundle / CARD).read_text()
    evaluation = read(bundle / EVALUATION)
    evaluation["unseen"]["findings"]["Effusion"]["auc"]["low"] = 0.49
    (bundle / EVALUATION).write_text(json.dumps(evaluation))
    assert "since the interval reaches 0.5: Effusion." in write_card(bundle).read_text()


def test_a_new_calibration_closes_the_gate(made: Made, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(made.bundle, tmp_path / "cxr"))
    assert main(["calibrate", "--data", str(made.data), "--bundle", str(bundle)]) == 0
    assert all(pair.lo is pair.hi is None for pair in load_bundle(bundle).gate.thresholds.values())


def test_calibrating_again_gives_the_same_maps(made: Made, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(made.bundle, tmp_path / "cxr"))
    main(["calibrate", "--data", str(made.data), "--bundle", str(bundle), "--date", DAY])
    maps, again = (load_bundle(each).calibration.maps for each in (made.bundle, bundle))
    # The interval of a kept map is narrower: only its height is open.
    assert {f: replace(m, band=None) for f, m in again.items()} == {f: replace(m, band=None) for f, m in maps.items()}


def test_calibrate_stores_intervals_that_are_served(made: Made) -> None:
    for m in load_bundle(made.bundle).calibration.maps.values():
        assert m.band is not None
        for logit in (m.band.logits[0], m.band.logits[-1]):
            interval = m.interval(logit)
            assert interval is not None
            assert 0 < interval.low <= interval.high < 1


def test_a_stricter_promise_answers_less(made: Made, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(made.bundle, tmp_path / "cxr"))
    target = ["--data", str(made.data), "--bundle", str(bundle)]
    assert main(["fit-gate", *target, "--max-missed", "0.01", "--min-precision", "0.99"]) == 0
    assert all(pair.lo is None for pair in load_bundle(bundle).gate.thresholds.values())
    assert read(bundle / GATE)["max_missed"] == 0.01


def test_the_same_seed_trains_the_same_weights_and_another_others(tmp_path: Path) -> None:
    dataset = read_nih(make_nih(tmp_path / "nih", train_val=60, test=1), PLANTED)
    stages = (Stage(32, 1, 0.01),)
    states = []
    for work, seed in (("one", 0), ("two", 0), ("three", 1)):
        recipe = Recipe("benchmark-cnn", stages, batch=16, augmentation=None, seed=seed)
        states.append(load_file(train(dataset, tmp_path / work, recipe)))
    same = [np.allclose(states[0][name], states[1][name], atol=1e-6) for name in states[0]]
    assert all(same)
    assert not np.allclose(states[0]["head.weight"], states[2]["head.weight"])
    assert not any(name.endswith("num_batches_tracked") for name in states[0])


@pytest.mark.parametrize(("train_val", "message"), [(0, "a train patient"), (2, "a (train|validation) patient")])
def test_data_without_a_set_is_refused(tmp_path: Path, train_val: int, message: str) -> None:
    dataset = read_nih(make_nih(tmp_path / "nih", train_val=train_val, test=1))
    with pytest.raises(DataError, match=f"no picture belongs to {message}"):
        train(dataset, tmp_path / "work", Recipe("benchmark-cnn"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "perceptron"}, r"network is 'perceptron'; it can be .*benchmark-cnn"),
        ({"stages": ()}, r"a recipe needs at least one stage"),
        ({"stages": (Stage(64, 0, 0.1),)}, r"every stage a side and an epoch"),
    ],
)
def test_an_impossible_recipe_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Recipe(**changes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--data", "{none}"], "is not there; give the folder of a data set"),
        (["train", "--data", "{data}", "--stage", "x", "1", "1"], "--stage x 1 1: two whole numbers and a rate"),
        (["export", "--work", "{none}", "--bundle", "{none}/b"], "train.json cannot be read (No such file"),
        (["calibrate", "--data", "{data}", "--bundle", "{none}"], "metadata.json cannot be read (No such file"),
        (["calibrate", "--data", "{train}", "--bundle", "{bundle}"], "no picture is of an unseen patient"),
        (["fit-gate", "--data", "{train}", "--bundle", "{bundle}"], "no picture is of an unseen patient"),
        (["fit-gate", "--data", "{data}", "--bundle", "{bundle}", "--confidence", "2"], "confidence is 2.0; it must"),
        (["evaluate", "--data", "{train}", "--bundle", "{bundle}"], "no picture is of an unseen patient"),
    ],
)
def test_what_went_wrong_is_one_line_and_exit_code_2(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    places = {"none": tmp_path / "none", "data": made.data, "bundle": made.bundle, "train": tmp_path / "train"}
    make_nih(tmp_path / "train", train_val=1, test=0)
    capsys.readouterr()
    assert main([argument.format(**places) for argument in arguments]) == EXIT_UNUSABLE
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("training: ")
    assert message in last


def test_a_refusal_leaves_the_bundle_as_it_was(made: Made, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(made.bundle, tmp_path / "cxr"))
    before = load_bundle(bundle).sha256
    make_nih(tmp_path / "train", train_val=1, test=0)
    for verb in ("calibrate", "fit-gate", "evaluate"):
        main([verb, "--data", str(tmp_path / "train"), "--bundle", str(bundle)])
    assert load_bundle(bundle).sha256 == before


def test_no_verb_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == EXIT_UNUSABLE
    assert "usage: python -m training" in capsys.readouterr().err


def test_the_weights_of_the_work_folder_are_those_of_the_bundle(made: Made) -> None:
    assert (made.work / "model.safetensors").read_bytes() == (made.bundle / WEIGHTS).read_bytes()
