"""The starting point of a recipe: a network, the running average of its weights, and the pictures, on a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from candor.model.networks.class_activation import ClassActivationNetwork
from candor.model.networks.initial import start_from_file, start_from_imagenet
from candor.model.networks.registry import NETWORKS
from candor.model.preprocess import InputSpec
from candor.study.errors import DataError, SettingsError
from training.data.batches import Examples, pixel_statistics
from training.data.readers import Dataset
from training.data.soft_labels import Softened, read_soft_labels, softened
from training.data.splits import Subset
from training.data.views import Paired, require_laterals, seen_by
from training.distributed import first_alone, rank
from training.learn.objective import start_at_prevalence
from training.learn.recipe import IMAGENET, Recipe


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """The objects that all stages of a recipe share.

    Parameters
    ----------
    spec
        The bundle's input, which is the last stage's.
    examples, validation
        The pictures for training and those for validation.
    learning
        Labels and facts of the pictures for training, in the order of ``examples``.
    facts
        For ``train.json``: about soft labels and two views; null if there are none.
    """

    network: ClassActivationNetwork
    average: AveragedModel
    spec: InputSpec
    examples: Examples
    validation: Examples
    device: torch.device
    learning: Paired
    facts: Mapping[str, object]

    @property
    def averaged(self) -> ClassActivationNetwork:
        """The network with the averaged weights."""
        network = self.average.module
        assert isinstance(network, ClassActivationNetwork)  # noqa: S101 - it is a copy of the network
        return network

    def averaged_state(self) -> dict[str, Tensor]:
        """Return the averaged weights in float32, without BatchNorm's step counters."""
        return {
            name: tensor.detach().float().cpu().contiguous()
            for name, tensor in self.averaged.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }


def make_learner(dataset: Dataset, work: Path, recipe: Recipe, device: torch.device) -> Learner:
    """Decode the pictures and build the network; torch is seeded.

    Parameters
    ----------
    dataset
        TRAIN is for training, VALIDATION for validation.
    work
        Work folder; gets the cache of pictures.
    recipe
        How the classifier is trained.
    device
        Where the network is trained.

    Raises
    ------
    DataError
        TRAIN or VALIDATION is empty, a picture cannot be decoded, the soft labels are not of these pictures, or a
        network of two views has no study with both.
    SettingsError
        The precision needs a GPU and there is none.
    BundleError
        The initial weights cannot be loaded, or do not fit.
    """
    for subset in (Subset.TRAIN, Subset.VALIDATION):
        if not dataset.only(subset).images:
            raise DataError(f"no picture belongs to a {subset.value} patient; give more official train_val patients")
    if recipe.precision == "fp16" and device.type != "cuda":
        raise SettingsError("precision fp16 needs a GPU, and there is none; set bf16 or fp32")
    learning = seen_by(recipe.network, dataset.only(Subset.TRAIN))
    validation_part = seen_by(recipe.network, dataset.only(Subset.VALIDATION))
    require_laterals(learning, recipe.network)
    soft = _softened(learning.frontal, recipe)
    with first_alone():
        examples = Examples.of(learning, work / "cache", soft.targets if soft else None)
        validation = Examples.of(validation_part, work / "cache")
    spec = InputSpec(recipe.stages[-1].side, *pixel_statistics(examples.pixels))
    torch.manual_seed(recipe.seed)
    network = _network(recipe, examples).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaging = get_ema_multi_avg_fn(recipe.average_decay)  # type: ignore[no-untyped-call]
    average = AveragedModel(network, multi_avg_fn=averaging, use_buffers=True)
    torch.manual_seed(recipe.seed + rank())  # the same weights in all processes, and each its own dropout
    facts = {"soft_labels": soft and soft.facts, "views": learning.facts}
    return Learner(network, average, spec, examples, validation, device, learning, facts)


def _softened(learning: Dataset, recipe: Recipe) -> Softened | None:
    if recipe.soft_labels is None:
        return None
    return softened(read_soft_labels(Path(recipe.soft_labels)), learning, recipe.soft_weight)


def _network(recipe: Recipe, examples: Examples) -> ClassActivationNetwork:
    network = NETWORKS[recipe.network](examples.labels.shape[1])
    if not _load_initial(network, recipe):
        start_at_prevalence(network, examples.labels)
    return network


def _load_initial(network: ClassActivationNetwork, recipe: Recipe) -> bool:
    """Load the recipe's initial weights into a network; return whether they include the head."""
    if recipe.initial is None:
        return False
    if recipe.initial == IMAGENET:
        start_from_imagenet(network, recipe.network)
        return False
    return start_from_file(network, Path(recipe.initial))
