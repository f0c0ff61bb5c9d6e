"""One stage of a recipe on MONAI's engine: its parts, its state, and what happens at each step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from ignite.engine import Events
from torch import nn

from candor.model.networks.transfer import unfreeze
from candor.model.preprocess import InputSpec
from training.data.batches import Inputs, Order, PatientShare, batch_size, training_loader
from training.distributed import mean_over_processes, replicated, share_gradients
from training.learn.learner import Learner
from training.learn.losses import PESG
from training.learn.objective import Forward, batch_preparer, criterion
from training.learn.recipe import Recipe, Stage
from training.learn.schedule import make_optimiser, make_schedule
from training.monai import IterationEvents, SupervisedTrainer


class StageRun:
    """A stage's engine with optimiser, schedule and loss.

    Parameters
    ----------
    learner
        Network, average and pictures.
    recipe
        The whole recipe.
    stage
        The stage to run.
    spec
        The stage's input.
    index
        The stage's index in the recipe; order and augmentation depend on it.
    start
        The first batch, counted over the stage's epochs.
    """

    def __init__(
        self, learner: Learner, recipe: Recipe, stage: Stage, spec: InputSpec, *, index: int, start: int = 0
    ) -> None:
        self._learner, self._recipe, key = learner, recipe, (recipe.seed, index)
        unfreeze(learner.network, stage.open_blocks)
        pictures, most = len(learner.examples.pixels), recipe.patient_pictures
        share = None if most is None else PatientShare(learner.learning.frontal.patients(), most)
        size = batch_size(recipe.batch, share.pictures if share else pictures)
        order = Order(pictures, size, key, start, share)
        self.criterion = criterion(stage.losses, learner.examples.labels, learner.network).to(learner.device)
        share_gradients(self.criterion)
        self.optimiser = make_optimiser(learner.network, self.criterion, recipe, stage)
        steps = stage.epochs * math.ceil(order.batches_an_epoch / recipe.accumulate)
        self.schedule = make_schedule(self.optimiser, recipe, steps)
        self.engine = SupervisedTrainer(
            device=learner.device,
            max_epochs=stage.epochs,
            train_data_loader=training_loader(
                Inputs(learner.examples, spec, recipe.augmentation, key), order, recipe.workers
            ),
            network=replicated(Forward(learner.network, recipe.precision)),
            optimizer=self.optimiser,
            loss_function=self.criterion,
            epoch_length=order.batches_an_epoch,
            non_blocking=True,
            prepare_batch=batch_preparer(learner.network),
            amp=recipe.precision == "fp16",
            amp_kwargs={"dtype": torch.float16},
            accumulation_steps=recipe.accumulate,
            decollate=False,
            optim_set_to_none=True,
        )
        self.steps = 0
        self._fresh_loss()
        self._hook(start)

    def _hook(self, start: int) -> None:
        self.engine.state.iteration, self.engine.state.epoch = start, start // self.epoch_length
        # Hooks of the optimiser, not events: they run once in each step, whatever the number of its batches, and not
        # if the scaler skips the step.
        self.optimiser.register_step_pre_hook(self._clip)
        self.optimiser.register_step_post_hook(self._stepped)
        self.on(IterationEvents.LOSS_COMPLETED, self._add_loss)
        self.on(Events.EPOCH_COMPLETED, self._epoch_over)

    def on(self, event: Any, handler: Callable[[], None]) -> None:
        """Call a function at an event of the engine, after those that were registered before it.

        Parameters
        ----------
        event
            One of Ignite's or MONAI's events.
        handler
            Called without arguments.
        """
        self.engine.add_event_handler(event, lambda _: handler())

    @property
    def epoch_length(self) -> int:
        """Batches in each epoch."""
        return int(self.engine.state.epoch_length)

    @property
    def between_steps(self) -> bool:
        """Whether all gradients so far were used in a step."""
        return bool(self.engine.state.iteration % self.epoch_length % self._recipe.accumulate == 0)

    @property
    def at_epoch_end(self) -> bool:
        """Whether the last batch was the last one of its epoch."""
        return bool(self.engine.state.iteration % self.epoch_length == 0)

    def _clip(self, *_: object) -> None:
        nn.utils.clip_grad_norm_(self._learner.network.parameters(), self._recipe.clip)

    def _stepped(self, *_: object) -> None:
        self.schedule.step()
        self._learner.average.update_parameters(self._learner.network)
        self.steps += 1

    def _fresh_loss(self) -> None:
        self._loss = torch.zeros(2, dtype=torch.float64, device=self._learner.device)

    def _add_loss(self) -> None:
        self._loss += torch.stack([self.engine.state.output["loss"].detach().double(), self._loss.new_ones(())])

    def take_loss(self) -> float:
        """Return the mean loss of the batches since the last call, over all processes."""
        total, batches = mean_over_processes(self._loss).tolist()
        self._fresh_loss()
        return float(total / batches)

    def _epoch_over(self) -> None:
        if isinstance(self.optimiser, PESG):
            self.optimiser.update_regularizer()

    def run(self) -> None:
        """Train to the end of the stage."""
        self.engine.run()

    def state(self) -> dict[str, Any]:
        """Return what the rest of the stage depends on, besides the :class:`Learner`."""
        scaler = self.engine.scaler
        return {
            "iteration": self.engine.state.iteration,
            "optimiser": self.optimiser.state_dict(),
            "schedule": _plain(self.schedule.state_dict()),
            "criterion": self.criterion.state_dict(),
            "scaler": scaler.state_dict() if scaler else None,
            "loss": self._loss,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore a state from :meth:`state`."""
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.criterion.load_state_dict(state["criterion"])
        self._loss = state["loss"].to(self._learner.device)
        if state["scaler"]:
            # MONAI makes the scaler when the run begins.
            self.on(Events.STARTED, lambda: self._load_scaler(state["scaler"]))

    def _load_scaler(self, state: dict[str, Any]) -> None:
        if self.engine.scaler:
            self.engine.scaler.load_state_dict(state)


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if not callable(value)}
