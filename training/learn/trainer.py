"""Train a network through the stages of a recipe, with validation, checkpoints and resuming."""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch
from ignite.engine import Events
from ignite.handlers.tqdm_logger import ProgressBar
from safetensors.torch import load_file
from torch import Tensor

from candor.model.preprocess import InputSpec
from candor.study.errors import SettingsError
from training.data.batches import Inputs, validation_loader
from training.distributed import rank, same_buffers
from training.learn.checkpoint import read_checkpoint, write_checkpoint, write_weights
from training.learn.learner import Learner
from training.learn.objective import Forward
from training.learn.recipe import Recipe, Stage
from training.learn.stage import StageRun
from training.learn.tracking import Board
from training.learn.validation import AUC, make_evaluator

CHECKPOINT: Final = "checkpoint.safetensors"
"""File in the work folder with the state of the run: all that the rest of it depends on."""

BEST: Final = "best.safetensors"
"""File in the work folder with the averaged weights at the stage's best validation AUC."""


class Trainer:
    """Trains a learner through the stages of a recipe.

    Parameters
    ----------
    learner
        Network, average and pictures; a resumed run restores its weights.
    work
        Folder for checkpoints and the log.
    recipe
        How the classifier is trained.
    resume
        Whether to go on from the checkpoint in ``work``, if there is one.
    board
        Whether to write TensorBoard's log.

    Raises
    ------
    SettingsError
        The checkpoint is of another recipe.
    DataError
        The checkpoint is damaged.
    """

    def __init__(self, learner: Learner, work: Path, recipe: Recipe, *, resume: bool, board: bool) -> None:
        self._learner, self._recipe, self._work = learner, recipe, work
        self._history: list[dict[str, float | None]] = []
        self._best, self._stale = -math.inf, 0
        self._saved = self._resumed() if resume else None
        logged = self._saved["logged"] if self._saved else 0
        self._board = Board(work / "tensorboard", logged) if board and not rank() else None

    def _resumed(self) -> dict[str, Any] | None:
        path = self._work / CHECKPOINT
        if not path.is_file():
            return None
        saved = read_checkpoint(path)
        if saved["recipe"] != self._identity():
            raise SettingsError(f"{path} is of another recipe or other pictures; train without resuming, or elsewhere")
        self._learner.network.load_state_dict(saved["network"])
        self._learner.average.load_state_dict(saved["average"])
        self._history, self._best, self._stale = saved["history"], saved["best"], saved["stale"]
        if not rank():
            _set_rng(saved["rng"])
        return saved

    def _identity(self) -> str:
        spec = asdict(self._learner.spec)
        facts = [asdict(self._recipe), spec, len(self._learner.examples.pixels), dict(self._learner.facts)]
        return json.dumps(facts, sort_keys=True)

    def run(self) -> None:
        """Train all stages, or those that are left."""
        first = self._saved["stage"] if self._saved else 0
        for index, stage in enumerate(self._recipe.stages):
            if index >= first:
                self._run_stage(index, stage)
                self._saved = None
        if self._board:
            self._board.close()

    def _run_stage(self, index: int, stage: Stage) -> None:
        spec = InputSpec(stage.side, self._learner.spec.mean, self._learner.spec.std)
        start = self._saved["run"]["iteration"] if self._saved else 0
        run = StageRun(self._learner, self._recipe, stage, spec, index=index, start=start)
        if self._saved:
            run.load(self._saved["run"])
        else:
            self._best, self._stale = -math.inf, 0
        if self._is_over(run, stage):
            return
        self._attach(run, index, stage, spec)
        run.run()

    def _is_over(self, run: StageRun, stage: Stage) -> bool:
        patience = self._recipe.patience
        return run.engine.state.epoch >= stage.epochs or (patience is not None and self._stale >= patience)

    def _attach(self, run: StageRun, index: int, stage: Stage, spec: InputSpec) -> None:
        began = time.monotonic()

        def before_epoch() -> None:
            nonlocal began
            began = time.monotonic()

        def after_batch() -> None:
            if self._board and run.between_steps:
                self._board.step(run)
            # Not at an epoch's end: its checkpoint must hold the epoch's figures, which come later.
            due = run.steps % self._recipe.checkpoint_steps == 0
            if due and run.between_steps and not run.at_epoch_end:
                self._save(run, index)

        def after_epoch() -> None:
            self._note(run, spec, time.monotonic() - began)
            self._save(run, index)
            if self._is_over(run, stage):
                run.engine.terminate()

        run.on(Events.EPOCH_STARTED, before_epoch)
        run.on(Events.ITERATION_COMPLETED, after_batch)
        run.on(Events.EPOCH_COMPLETED, after_epoch)
        if not rank():
            bar = ProgressBar(desc=f"stage {index + 1} of {len(self._recipe.stages)}, epoch", disable=None)
            bar.attach(run.engine, output_transform=lambda output: {"loss": output["loss"].item()})

    def _note(self, run: StageRun, spec: InputSpec, seconds: float) -> None:
        epoch, loss, auc = run.engine.state.epoch, run.take_loss(), self._validation_auc(spec)
        self._history.append({"side": spec.side, "epoch": epoch, "loss": loss, "auc": None if math.isnan(auc) else auc})
        better = auc > self._best
        self._best, self._stale = (auc, 0) if better else (self._best, self._stale + 1)
        if rank():
            return
        if better:
            write_weights(self._work / BEST, self._learner.averaged_state())
        if self._board:
            self._board.epoch(loss, auc)
        text = f"{spec.side} px, epoch {epoch}: loss {loss:.4f}, validation AUC {auc:.3f}, {seconds:.0f} s"
        print(text, file=sys.stderr, flush=True)

    def _validation_auc(self, spec: InputSpec) -> float:
        same_buffers(self._learner.averaged)
        inputs = Inputs(self._learner.validation, spec, None, ())
        loader = validation_loader(inputs, len(self._learner.validation.pixels), self._recipe.batch)
        evaluator = make_evaluator(
            Forward(self._learner.averaged, self._recipe.precision), loader, self._learner.device
        )
        evaluator.run()
        return float(evaluator.state.metrics[AUC])

    def _save(self, run: StageRun, index: int) -> None:
        if rank():
            return
        write_checkpoint(
            self._work / CHECKPOINT,
            {
                "recipe": self._identity(),
                "stage": index,
                "run": run.state(),
                "network": self._learner.network.state_dict(),
                "average": self._learner.average.state_dict(),
                "rng": _rng(),
                "history": self._history,
                "best": self._best,
                "stale": self._stale,
                "logged": self._board.steps if self._board else 0,
            },
        )

    def kept_state(self) -> dict[str, Tensor]:
        """Return the weights that the recipe keeps, in float32, without BatchNorm's step counters."""
        if self._recipe.keep == "best" and self._best > -math.inf:
            return load_file(self._work / BEST)
        return self._learner.averaged_state()

    def record(self) -> dict[str, object]:
        """Return what was done: the recipe, the network's input, the learner's facts, and the history."""
        done = {"recipe": asdict(self._recipe), "input": asdict(self._learner.spec), "history": self._history}
        return done | dict(self._learner.facts)


def _rng() -> dict[str, Tensor | None]:
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None}


def _set_rng(state: dict[str, Tensor | None]) -> None:
    if state["cpu"] is not None:
        torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
