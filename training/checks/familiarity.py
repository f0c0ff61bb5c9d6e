"""Fit a bundle's familiarity check, and measure it on other pictures.

The distance is fitted to the pictures that trained the network, as they are and as other equipment might show them
(:mod:`training.checks.familiarity_examples`), so that it does not take another hospital's processing for another part
of the body. A score tells these from pictures that are made of them and show no upright frontal chest. If the data set
states enough ages, the look of children is fitted too (:mod:`training.checks.paediatric`).

All limits are set on the adults whom the network never saw. A stated share of them may exceed the limit of a score, and
the same share of them, changed as by other equipment, the first limit of the distance. The second lies beyond the
farthest of them by a margin. These adults are measured out of fold, by limits from the other patients. Any other set is
only measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from candor.dicom.read.file import read_pixels
from candor.files.durable import whole_file
from candor.files.hashes import file_sha256
from candor.model.bundle import FAMILIARITY, FAMILIARITY_TENSORS, Model, load_familiarity
from candor.model.onnx_engine import OnnxEngine
from candor.model.preprocess import to_network_input
from candor.ood.familiarity import Familiarity, fit_tensors
from candor.ood.linear_score import LinearScore
from candor.picture.quality import ADULT
from candor.study.errors import CandorError, DataError
from candor.study.radiograph import Radiograph
from training.checks.familiarity_examples import from_other_equipment, no_frontal_chests, squeezed
from training.checks.familiarity_settings import Choice
from training.checks.linear_score import fit_score, quantile_limit
from training.checks.paediatric import Learnt, learn_child, told_apart
from training.data.dataset import Dataset
from training.data.pictures import as_radiograph, network_input, read_picture
from training.data.splits import Subset
from training.predictions.cross_fitting import out_of_fold
from training.predictions.predict import predict
from training.records import Occasion, write_json

_PICTURES: Final = frozenset({".jpg", ".jpeg", ".png"})

ADULTS: Final = "unseen adults, out of fold"
CHILDREN: Final = f"under {ADULT} years, not seen"
"""Names of the data set's own groups in the figures."""

MOST_MADE: Final = 2000
"""Most pictures of a kind that are made of the training images."""

SEED: Final = 0
_BATCH: Final = 8

Features = NDArray[np.float32]
Figures = Mapping[str, object]


def fit_familiarity(
    model: Model, dataset: Dataset, others: Mapping[str, Sequence[Path]], choice: Choice, occasion: Occasion
) -> tuple[Familiarity, dict[str, Figures]]:
    """Fit the check, measure it out of fold and on other sets, and write it into the bundle.

    Parameters
    ----------
    model
        The bundle; its folder gets the files.
    dataset
        Pictures that trained the network, and pictures of UNSEEN patients. Only its main part is used: the node meets
        no pictures that were reduced before.
    others
        Files of each set that is only measured, by its name.
    choice
        How the check is fitted.
    occasion
        Date and command, for the record.

    Returns
    -------
    The check, and its figures for each set, see :func:`shares`.

    Raises
    ------
    DataError
        The data set lacks pictures for training or unseen adults.
    """
    parts = _parts(dataset.main_part())
    features = {name: predict(model, part).features for name, part in parts.items()}
    made = _make(model, parts["seen"], parts["unseen"])
    trained = np.asarray([image.subset is Subset.TRAIN for image in parts["seen"].images], np.bool_)
    features["training"] = features["seen"][trained]
    chests = np.concatenate([features["training"], made.changed[trained[made.drawn]]])
    try:
        tensors = fit_tensors(chests, choice.kept)
    except ValueError as error:
        raise DataError(f"familiarity cannot be fitted: {error}") from error
    strange = np.arange(len(chests) + len(made.strange)) >= len(chests)
    not_frontal = fit_score(np.concatenate([chests, made.strange]), strange, features["unseen"], choice.alarms)
    learnt = _learn_child(parts["seen"], features, made, choice.alarms)
    unlimited = Familiarity(tensors, 1.0, 1.0, "not fitted yet")
    training, chest = limits(unlimited.distances(made.unseen_changed), choice)
    description = (
        f"fitted to {len(features['training'])} training images and to {len(made.strange)} pictures made to be no "
        f"frontal chest; at most {choice.alarms:.1%} of {len(features['unseen'])} images of unseen adults lie over a "
        f"limit ({occasion.day})"
    )
    fitted = Familiarity(tensors, training, chest, description, learnt.look, not_frontal)
    unseen = np.stack([features["unseen"], made.unseen_changed], axis=1)
    figures: dict[str, Figures] = {
        ADULTS: _shares_out_of_fold(fitted, unseen, parts["unseen"].patients(), choice) | {"unread": 0}
    }
    if len(features["children"]):
        figures[CHILDREN] = shares(fitted, features["children"]) | {"unread": 0}
    figures |= measure(model, fitted, others)
    child = learnt.facts | ({} if learnt.look is None else {"told_apart": _told_apart(learnt.look, parts, features)})
    features |= {"changed": made.changed, "no_frontal_chest": made.strange}
    write_familiarity(model, fitted, _facts(dataset, choice, features, occasion) | {"child": child}, figures)
    return fitted, figures


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """Features of pictures that were made.

    Parameters
    ----------
    drawn
        ``(n,)``: which seen images they were made of.
    changed, strange
        ``(n, channels)``: these images as by other equipment, and made to be no upright frontal chest.
    unseen_changed
        ``(m, channels)``: every image of an unseen adult as by other equipment.
    """

    drawn: NDArray[np.int64]
    changed: Features
    strange: Features
    unseen_changed: Features


def _make(model: Model, seen: Dataset, unseen: Dataset) -> _Made:
    rng = np.random.default_rng(SEED)
    drawn = np.sort(rng.permutation(len(seen.images))[:MOST_MADE])
    paths = [seen.images[index].path for index in drawn]
    return _Made(
        drawn,
        _features(model, (from_other_equipment(squeezed(path), rng) for path in paths)),
        _features(model, no_frontal_chests(paths, rng)),
        _features(model, (from_other_equipment(squeezed(image.path), rng) for image in unseen.images)),
    )


def _features(model: Model, pictures: Iterable[Radiograph]) -> Features:
    engine, inputs = OnnxEngine(model.graph), (network_input(picture, model.input) for picture in pictures)
    found = []
    while batch := list(islice(inputs, _BATCH)):
        found.append(engine.run(np.stack(batch)).features)
    return np.concatenate(found)


def _learn_child(seen: Dataset, features: Mapping[str, Features], made: _Made, alarms: float) -> Learnt:
    """Learn the look of children from the seen images, as they are and as by other equipment."""
    twice = replace(seen, images=(*seen.images, *(seen.images[index] for index in made.drawn)))
    return learn_child(np.concatenate([features["seen"], made.changed]), twice, features["unseen"], alarms)


def _told_apart(look: LinearScore, parts: Mapping[str, Dataset], features: Mapping[str, Features]) -> dict[str, object]:
    """Compare children with adults, all of them patients to whom neither network nor look was fitted."""
    patients = np.concatenate([parts[name].patients() for name in ("children", "unseen")])
    return told_apart(look, features["children"], features["unseen"], patients)


def _shares_out_of_fold(
    fitted: Familiarity, features: Features, patients: NDArray[np.str_], choice: Choice
) -> dict[str, object]:
    """Count the check's answers on the adults of its limits; each is judged by limits from the other patients.

    Parameters
    ----------
    fitted
        The check.
    features
        ``(n, 2, channels)`` of their images, as they are and as by other equipment.
    patients
        ``(n,)``.
    choice
        How the limits are set.
    """
    plain = features[:, 0]

    def limited(score: LinearScore | None, rest: NDArray[np.bool_]) -> LinearScore | None:
        return score and replace(score, limit=quantile_limit(fitted.scores(score, plain[rest]), choice.alarms))

    def over(rest: NDArray[np.bool_], fold: NDArray[np.bool_]) -> NDArray[np.float64]:
        training, chest = limits(fitted.distances(features[rest, 1]), choice)
        child, not_frontal = limited(fitted.child, rest), limited(fitted.not_frontal, rest)
        others = Familiarity(fitted.tensors, training, chest, fitted.description, child, not_frontal)
        return np.stack(list(over_limits(others, plain[fold]).values()), axis=1)

    names = over_limits(fitted, plain)
    return _counted(dict(zip(names, out_of_fold(patients, over).T > 0, strict=True)))


def limits(held_out: NDArray[np.float64], choice: Choice) -> tuple[float, float]:
    """Return the limits "unlike training" and "no chest".

    Parameters
    ----------
    held_out
        ``(n,)`` distances of adults whom the network never saw, as other equipment might show them.
    choice
        Gives the allowed share of alarms and the margin.
    """
    return quantile_limit(held_out, choice.alarms), float(held_out.max() * (1 + choice.margin))


def shares(familiarity: Familiarity, features: Features) -> dict[str, object]:
    """Count the check's answers: ``images``, and the share of them over each limit.

    The shares are None if there is no image. ``like_a_child`` counts only where no age is stated; it is None also if
    the check has no look of children.

    Parameters
    ----------
    familiarity
        The check.
    features
        ``(n, channels)``, from the bundle's network.
    """
    return _counted(over_limits(familiarity, features))


def over_limits(familiarity: Familiarity, features: Features) -> dict[str, NDArray[np.bool_]]:
    """Return which images are over each limit, ``(n,)`` by its name.

    Parameters
    ----------
    familiarity
        The check; without a look of children ``like_a_child`` is missing.
    features
        ``(n, channels)``, from the bundle's network.
    """
    distances, child, not_frontal = familiarity.distances(features), familiarity.child, familiarity.not_frontal
    chest, training = distances > familiarity.unlike_chest, distances > familiarity.unlike_training
    if not_frontal is not None:
        training |= familiarity.scores(not_frontal, features) > not_frontal.limit
    found = {"unlike_training": training & ~chest, "unlike_chest": chest}
    if child is not None:
        found["like_a_child"] = familiarity.scores(child, features) > child.limit
    return found


def _counted(over: Mapping[str, NDArray[np.bool_]]) -> dict[str, object]:
    counted: dict[str, object] = {"images": len(over["unlike_chest"]), "like_a_child": None}
    return counted | {name: float(which.mean()) if len(which) else None for name, which in over.items()}


def features_of_files(model: Model, paths: Sequence[Path]) -> tuple[Features, int]:
    """Run the network on pictures and DICOM files, and count the files that cannot be used.

    Parameters
    ----------
    model
        The bundle whose graph runs.
    paths
        PNG and JPEG files; any other suffix is read as DICOM.

    Returns
    -------
    ``(n, channels)`` of the files whose pixels can be read and are large enough, and the number of the others.
    """
    engine, found = OnnxEngine(model.graph), []
    for path in paths:
        try:
            found.append(engine.run(_network_input(model, path)[np.newaxis]).features[0])
        except CandorError:  # counted: a reader or the preprocessing refuses such a file before any network
            continue
    return np.stack(found) if found else np.empty((0, 0), np.float32), len(paths) - len(found)


def _network_input(model: Model, path: Path) -> NDArray[np.float32]:
    drawn = path.suffix.lower() in _PICTURES
    return to_network_input(as_radiograph(read_picture(path)) if drawn else read_pixels(path).radiograph, model.input)


def measure(model: Model, familiarity: Familiarity, sets: Mapping[str, Sequence[Path]]) -> Mapping[str, Figures]:
    """Count the check's answers on other sets; ``unread`` are files that cannot be read or are too small.

    Parameters
    ----------
    model
        The bundle whose graph runs.
    familiarity
        The check.
    sets
        Files of each set, by its name.
    """
    figures: dict[str, Figures] = {}
    for name, paths in sets.items():
        features, unread = features_of_files(model, paths)
        known = features if len(features) else np.empty((0, familiarity.channels), np.float32)
        figures[name] = shares(familiarity, known) | {"unread": unread}
    return figures


def write_familiarity(model: Model, fitted: Familiarity, facts: Figures, figures: Mapping[str, Figures]) -> None:
    """Write ``familiarity.json`` and its tensors, bound by hash to the model's weights and to each other.

    Parameters
    ----------
    model
        The bundle; its folder gets the files.
    fitted
        The check.
    facts
        What it was fitted to and how, for the record.
    figures
        Its figures for each set, by name.
    """
    scores = {name: score for name in ("child", "not_frontal") if (score := getattr(fitted, name)) is not None}
    tensors = dict(fitted.tensors)
    for name, score in scores.items():
        tensors |= {f"{name}.{part}": tensor for part, tensor in score.tensors.items()}
    with whole_file(model.root / FAMILIARITY_TENSORS) as file:
        file.write(save(tensors))
    hashes = {
        "weights_sha256": model.weights_sha256,
        "tensors_sha256": file_sha256(model.root / FAMILIARITY_TENSORS),
    }
    given = {"unlike_training": fitted.unlike_training, "unlike_chest": fitted.unlike_chest}
    given |= {name: score.limit for name, score in scores.items()}
    record = {"description": fitted.description, **hashes, "limits": given, **facts, "figures": dict(figures)}
    write_json(model.root / FAMILIARITY, record)
    load_familiarity(model)


def _parts(dataset: Dataset) -> dict[str, Dataset]:
    """Return the pictures to fit to, those to set the limits by, and the children among the latter."""
    unseen = dataset.only(Subset.UNSEEN)
    parts = {"seen": dataset.only(Subset.TRAIN, Subset.VALIDATION), "unseen": adults(unseen)}
    for name, part in (("training", dataset.only(Subset.TRAIN)), *parts.items()):
        if not part.images:
            raise DataError(f"the data set has no {name} picture of an adult; give one with official test patients")
    return parts | {"children": _under_age(unseen)}


def adults(dataset: Dataset) -> Dataset:
    """Keep the pictures of patients of 18 years and over, and those of unknown age."""
    return replace(dataset, images=tuple(i for i in dataset.images if i.age is None or i.age >= ADULT))


def _under_age(dataset: Dataset) -> Dataset:
    return replace(dataset, images=tuple(i for i in dataset.images if i.age is not None and i.age < ADULT))


def _facts(dataset: Dataset, choice: Choice, features: Mapping[str, Features], occasion: Occasion) -> dict[str, object]:
    images = {name: len(of) for name, of in features.items()}
    return occasion.facts | {"data": dataset.source, "images": images, **asdict(choice)}
