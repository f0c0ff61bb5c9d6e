"""The model card's sections about the weights: what they started from, what trained them, and the training command."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import PurePath
from typing import Any, Final

from candor.model.networks.initial import imagenet_source
from training.bundles.layouts import LAYOUTS
from training.bundles.provenance import NIH_CREDIT, run_in_words, runs, trained_on
from training.bundles.train_config import preset_of
from training.data.readers import nih
from training.learn.recipe import IMAGENET, Recipe
from training.markdown import table

Json = Mapping[str, Any]

_NIH_LIMITS: Final = """\
- Labels were mined from radiology reports by software, not read from the pictures; readers disagree with them often.
- The pictures are a selection of ChestX-ray14 in which findings are more frequent than in the whole: the figures
  on it are no estimate of performance in any clinic, and precision would be lower at the assumed prevalence.
- All patients come from one US research hospital, almost all of them adults, many of them very ill.
- Only frontal views, reduced to 384 pixels or fewer before anything else."""

_ALWAYS: Final = """\
- Findings are not independent of each other, of the patient's position (AP or PA), or of tubes and lines: the network
  may have learned the company that a finding keeps."""


def origin(metadata: Json, splits: Json) -> Iterable[str]:
    """Return what the weights started from, what trained them, and which patients were in which set.

    Parameters
    ----------
    metadata
        The content of ``configs/metadata.json``.
    splits
        The content of ``models/splits.json``.
    """
    record = metadata["candor"]["training"]
    source, made = trained_on(record), runs(record)
    if source is None:
        yield f"{metadata['candor']['architecture']}, {_imported(record['imported'])} {_squeezed(metadata)}"
        yield splits["rule"]
        return
    trained = [f"{run_in_words(run)}; {start(run['recipe'])}." for run in made]
    if len(made) > 1:
        yield f"{len(made)} networks that are served together: their mean logit is the answer. {_squeezed(metadata)}"
        yield "\n".join(f"- {text}" for text in trained)
    else:
        yield f"{trained[0]} {_squeezed(metadata)}"
    yield from dict.fromkeys(text for run in made for text in _taught(run))
    yield f"Data: {NIH_CREDIT}" if source == nih.NAME else f"Data: {source}, under its publisher's own terms."
    yield (
        "Patients, all sets disjoint (`models/splits.json` lists them and states the rule). Those for validation chose "
        "among networks. Everything that is fitted after training is fitted to the unseen patients, and measured out "
        "of fold:"
    )
    yield table(("set", "patients"), [(name, len(ids)) for name, ids in splits["patients"].items()])


def _squeezed(metadata: Json) -> str:
    spec = metadata["candor"]["input"]
    sides = " and ".join(f"{side} x {side}" for side in (spec["side"], *spec.get("smaller_sides", ())))
    if spec.get("detail"):
        first = f"{spec['detail']} x {spec['detail']}"
        sides = f"{first} pixels, so that pictures of every size show the same detail, and enlarged to {sides}"
    return (
        f"Pictures are squeezed to {sides} pixels by area averaging and standardised (mean {spec['mean']:.4f}, "
        f"standard deviation {spec['std']:.4f})."
    )


def licence(metadata: Json) -> Iterable[str]:
    """Return the licence of the bundle, and what the weights ask for besides."""
    if "weights_license" in metadata:
        yield f"Licence: {metadata['license']}"
        yield f"Licence of the weights: {metadata['weights_license']}"


def _taught(record: Json) -> Iterable[str]:
    """Return whose probabilities were mixed into the labels, and what that may have let in."""
    soft, recipe = record.get("soft_labels"), record["recipe"]
    if soft:
        yield (
            f"Soft labels: for {soft['images']} of these pictures {recipe['soft_weight']:.0%} of the target is another "
            f"classifier's probability (`{PurePath(recipe['soft_labels']).name}`, SHA-256 {soft['sha256']}). "
            + (f"It was made by {recipe['soft_source']}. " if recipe.get("soft_source") else "")
            + _TEACHER
        )


_TEACHER: Final = (
    "What that classifier was trained on is not known here: it may have seen patients that judge this one, though "
    "none of their pictures or labels came here by it."
)


def start(recipe: Json) -> str:
    """Return what training started from: random weights, ImageNet's or a file; old recipes had random weights only."""
    initial = recipe.get("initial")
    if initial is None:
        return "no other data and no pretrained weights"
    if initial == IMAGENET:
        return f"it started from {imagenet_source(recipe['network'])}"
    return (
        f"it started from the weights in the file `{PurePath(initial).name}`, and what trained those is not known here"
    )


def _imported(origin_of: Json) -> str:
    return (
        f"with published weights that were taken over and not trained here: the file `{origin_of['file']}` in the "
        f"layout `{origin_of['layout']}`, SHA-256 {origin_of['sha256']}. Their publisher's licence holds."
    )


def unseen(metadata: Json) -> str:
    """Return in words whether the classifier saw the patients that judge it."""
    record = metadata["candor"]["training"]
    if "imported" in record:
        return "whether the imported weights were trained on any of them is not known here"
    if any(run.get("soft_labels") for run in runs(record)):
        return "the classifier saw none of them; whether the one behind its soft labels did is not known here"
    if any(run["recipe"].get("initial") not in (None, IMAGENET) for run in runs(record)):
        return "training here saw none of them, and what trained the weights that it started from is not known"
    return "the classifier saw none of them"


def limits(metadata: Json, evaluation: Json) -> str:
    """Return what the figures cannot show, given the data that trained and judged the weights.

    Parameters
    ----------
    metadata
        The content of ``configs/metadata.json``.
    evaluation
        The content of ``models/evaluation.json``.
    """
    source, judged = trained_on(metadata["candor"]["training"]), evaluation["data"]
    if source == judged == nih.NAME:
        return f"{_NIH_LIMITS}\n{_ALWAYS}"
    trained = "pictures that are not known here" if source is None else source
    return (
        f"- Trained on {trained}, measured on {judged}: the figures are no estimate of performance in any other "
        f"place.\n- The labels are those of {judged} as they are; readers disagree with any labels often.\n{_ALWAYS}"
    )


def training_command(metadata: Json) -> str:
    """Return the commands that made the weights; the whole recipe is in ``configs/train.yaml``."""
    return "\n".join(_command(run) for run in runs(metadata["candor"]["training"]))


def _command(record: Json) -> str:
    if "imported" in record:
        imported = record["imported"]
        own = imported["outputs"] != list(LAYOUTS[imported["layout"]].outputs)
        outputs = f" --outputs {shlex.quote(','.join(imported['outputs']))}" if own else ""
        file = shlex.quote(imported["file"])
        return f"python -m training import-weights {file} --layout {imported['layout']} --labels TABLE{outputs}"
    recipe = record["recipe"]
    stages = "".join(f" --stage {s['side']} {s['epochs']} {s['peak_learning_rate']:g}" for s in recipe["stages"])
    given = "".join(f" --set {shlex.quote(f'{name}={value}')}" for name, value in _changed(recipe))
    soft = recipe.get("soft_labels")
    taught = f" --soft-labels {shlex.quote(soft)} --soft-weight {recipe['soft_weight']:g}" if soft else ""
    return (
        f"python -m training train --data DATA --network {recipe['network']}{stages} --batch {recipe['batch']} "
        f"--seed {recipe['seed']}{taught}{given}"
    )


_OWN_OPTIONS: Final = ("network", "stages", "batch", "seed", "soft_labels", "soft_weight", "initial", "augmentation")


def _changed(recipe: Json) -> Iterable[tuple[str, object]]:
    """List the settings of a recipe that differ from the defaults and are not options of the command itself."""
    if recipe.get("initial") is not None:
        yield "initial", recipe["initial"]
    name = preset_of(recipe.get("augmentation"))
    if name not in (None, "plain"):
        yield "augmentation", name
    usual = asdict(Recipe())
    for key, value in recipe.items():
        if key not in _OWN_OPTIONS and key in usual and value != usual[key]:
            yield f"recipe#{key}", value
