"""Train the classifier: by default cross entropy, one-cycle AdamW in bfloat16, first small pictures, then full size.

References
----------
Smith 2017 (one-cycle). Tan and Le 2021 (progressive sizes). Polyak and Juditsky 1992 (weight averaging).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from training.data.policy import POLICIES
from training.data.readers import Dataset
from training.data.shares import shares
from training.data.splits import SPLITS, Subset
from training.distributed import process_group, rank
from training.learn.checkpoint import halved, write_weights
from training.learn.learner import make_learner
from training.learn.memory import keep_freed_memory
from training.learn.recipe import Recipe
from training.learn.trainer import Trainer
from training.records import write_json


def train(dataset: Dataset, work: Path, recipe: Recipe, *, resume: bool = False, board: bool = False) -> Path:
    """Train a classifier and write ``model.safetensors``, ``train.json`` and ``splits.json`` under ``work``.

    Under ``torchrun`` all processes call it, and process 0 writes.

    Parameters
    ----------
    dataset
        The pictures; TRAIN is for training, VALIDATION for validation.
    work
        Folder for the cache, the checkpoints and the result.
    recipe
        How the classifier is trained.
    resume
        Whether to go on from the checkpoint in ``work``, if there is one.
    board
        Whether to write TensorBoard's log under ``work/tensorboard``.

    Returns
    -------
    Path of the weights that the recipe keeps: the running average, float32.

    Raises
    ------
    DataError
        TRAIN or VALIDATION is empty or does not suit the network, or the checkpoint is damaged.
    SettingsError
        The recipe does not suit the data or this machine, or the checkpoint is of another one.
    BundleError
        The initial weights cannot be loaded, or do not fit.
    """
    work.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    with process_group() as device:
        learner = make_learner(dataset, work, recipe, device)
        if not rank() and learner.learning.in_words:
            print(learner.learning.in_words, file=sys.stderr, flush=True)
        trainer = Trainer(learner, work, recipe, resume=resume, board=board)
        trainer.run()
        if not rank():
            kept = trainer.kept_state()
            write_weights(work / "model.safetensors", halved(kept) if recipe.half_weights else kept)
            write_json(work / "splits.json", dataset.splits())
            write_json(work / "train.json", trainer.record() | summary(learner.learning.frontal))
    return work / "model.safetensors"


def _rules(dataset: Dataset) -> Iterator[tuple[str, str | None]]:
    """Return the names of the rules by which labels and patients were read; None where they have none."""
    yield "policy", next((name for name, policy in POLICIES.items() if policy == dataset.policy), None)
    yield "split", next((name for name, split in SPLITS.items() if split == dataset.split), None)


def summary(dataset: Dataset) -> dict[str, object]:
    """Describe the training pictures: images, patients, and the share of positives of each finding, in (0, 1)."""
    learning = dataset.only(Subset.TRAIN)
    each = zip(dataset.findings, shares(learning.labels()), strict=True)
    return {
        "data": dataset.source,
        **{key: name for key, name in _rules(dataset) if name is not None},
        "images": len(learning.images),
        "patients": len(set(learning.patients())),
        "shares": {finding.label: float(share) for finding, share in each},
    }
