"""The bundle's training configuration: MONAI's command runs it, overrides reach it, and the verb is thin over it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import monai.bundle
import pytest

from tests.conftest import ROOT
from tests.nih import make_nih
from training.__main__ import EXIT_UNUSABLE, main
from training.cli.configuration import TRAIN, configured, content
from training.learn.recipe import Recipe

TINY = {"network": "benchmark-cnn", "epochs": 1, "stages#0#side": 32, "stages#1#side": 48}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_nih(tmp_path_factory.mktemp("configs") / "nih", train_val=30, test=1)


def recipe_of(work: Path) -> dict[str, object]:
    return json.loads((work / "train.json").read_text())["recipe"]


def test_monais_command_trains_with_overrides(data: Path, tmp_path: Path) -> None:
    given = {"dataset_dir": data, "output_dir": tmp_path, **TINY}
    command = [
        sys.executable,
        "-m",
        "monai.bundle",
        "run",
        "--config_file",
        "training/bundles/template/configs/train.yaml",
    ]
    options = [text for key, value in given.items() for text in (f"--{key}", str(value))]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    stages = recipe_of(tmp_path)["stages"]
    assert [(stage["side"], stage["epochs"]) for stage in stages] == [(32, 1), (48, 1)]
    assert (tmp_path / "model.safetensors").is_file()


def test_the_verb_does_what_the_configuration_does(data: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    monai.bundle.run(config_file=str(TRAIN), dataset_dir=str(data), output_dir=str(one), board=False, **TINY)
    sides = ["--set", "stages#0#side=32", "--set", "stages#1#side=48", "--set", "board=false"]
    options = ["--network", "benchmark-cnn", "--epochs", "1", *sides]
    assert main(["train", "--data", str(data), "--work", str(two), *options]) == 0
    assert (one / "train.json").read_text() == (two / "train.json").read_text()
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()
    assert not (one / "tensorboard").exists()


def test_every_part_of_the_recipe_stands_in_the_file() -> None:
    parser = configured(TRAIN, {})
    assert content(parser, "recipe") == Recipe()
    assert set(Recipe.__dataclass_fields__) <= set(dict(parser.config["recipe"]))


def test_the_losses_reach_every_stage() -> None:
    losses = [{"name": "bce", "class_weights": "balanced"}, {"name": "coherence", "weight": 0.5, "side": 28}]
    recipe = content(configured(TRAIN, {"losses": losses}), "recipe")
    assert all([dict(term) for term in stage.losses] == losses for stage in recipe.stages)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "recipe#colour=1"], "train.yaml has no recipe#colour; its keys are imports, bundle_root, "),
        (["--set", "seed"], "--set seed: give KEY=VALUE, as recipe#batch=16"),
        (["--set", "seed=[1"], "--set seed=[1: the value is not YAML"),
        (["--set", "recipe#precision=fp64"], "precision is 'fp64'; it can be bf16, fp16, fp32"),
        (["--set", "recipe#precision=fp16"], "precision fp16 needs a GPU, and there is none"),
        (["--set", "stages=3"], "recipe cannot be made ("),
        (["--config", "{none}"], "cannot be read as a configuration"),
        (["--set", "losses=[{name: hinge}]"], "a loss's name is 'hinge'; it can be auc_margin"),
        (["--set", "losses=[{name: auc_margin}]"], "the loss auc_margin and the optimiser pesg belong together"),
        (["--set", "stages#0#optimiser=lion"], "optimiser is 'lion'; it can be adamw, adam, sgd, pesg"),
        (["--set", "stages#0#open_blocks=-1"], "open_blocks is -1; give 0 for the head alone"),
        (["--set", "recipe#accumulate=0"], "accumulate is 0; give at least 1"),
    ],
)
def test_a_wrong_setting_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    given = [option.replace("{none}", str(tmp_path / "none.yaml")) for option in options]
    assert (
        main(["train", "--data", str(data), "--work", str(tmp_path), "--network", "benchmark-cnn", *given])
        == EXIT_UNUSABLE
    )
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("training: ")
    assert message in last
