"""The TensorBoard log: the loss and its parts, the rates, and the validation AUC."""

from __future__ import annotations

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from training.learn.stage import StageRun


class Board:
    """A log of scalars by step, counted over all stages.

    Parameters
    ----------
    folder
        The folder for ``tensorboard --logdir``.
    steps
        Steps that a resumed run took before; entries after them are hidden.
    """

    def __init__(self, folder: Path, steps: int = 0) -> None:
        self._writer = SummaryWriter(str(folder), purge_step=steps)
        self._steps = steps

    def step(self, run: StageRun) -> None:
        """Log one step of a stage."""
        self._steps += 1
        self._scalar("loss/total", run.engine.state.output["loss"].item())
        for name, part in run.criterion.parts.items():
            self._scalar(f"loss/{name}", part.item())
        for depth, group in enumerate(run.optimiser.param_groups):
            self._scalar(f"rate/{depth}", group["lr"])

    def epoch(self, loss: float, auc: float) -> None:
        """Log the figures of an epoch.

        Parameters
        ----------
        loss
            Mean training loss.
        auc
            Mean validation AUC, in [0, 1]; NaN if undefined.
        """
        self._scalar("epoch/loss", loss)
        self._scalar("epoch/auc", auc)

    def _scalar(self, name: str, value: float) -> None:
        self._writer.add_scalar(name, value, self._steps)

    @property
    def steps(self) -> int:
        """Steps logged so far."""
        return self._steps

    def close(self) -> None:
        """Write what is buffered."""
        self._writer.close()
