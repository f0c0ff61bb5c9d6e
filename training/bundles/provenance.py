"""What a bundle says about its weights: network, data, licence and references, from the record of the training.

The record is the content of ``train.json``. Weights of several members hold the record of each under ``members``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final

from candor import __version__
from candor.model.networks.initial import imagenet_source
from candor.model.networks.registry import trunk_of
from training.data.readers import nih
from training.learn.recipe import IMAGENET

Json = Mapping[str, Any]

NIH_CREDIT: Final = (
    "NIH Clinical Center, ChestX-ray14, https://nihcc.app.box.com/v/ChestXray-NIHCC, free to use with attribution: "
    "Wang X, Peng Y, Lu L, Lu Z, Bagheri M, Summers RM. ChestX-ray8: hospital-scale chest X-ray database and "
    "benchmarks on weakly-supervised classification and localization of common thorax diseases. CVPR 2017."
)

CODE_LICENCE: Final = "Apache-2.0 (LICENSE) for the code, the configuration and the documents."

_NAMES: Final = {
    "benchmark-cnn": "benchmark CNN",
    "densenet": "DenseNet-",
    "efficientnet-lite": "EfficientNet-Lite",
    "resnet": "ResNet-",
    "vgg": "VGG-",
}
"""Beginnings of a trunk's name, and how people write them."""

_PAPERS: Final = {
    "densenet": "Huang et al. 2017. Densely connected convolutional networks. CVPR.",
    "efficientnet-lite": "Tan and Le 2019. EfficientNet: rethinking model scaling for convolutional neural networks. "
    "ICML.",
    "resnet": "He et al. 2016. Deep residual learning for image recognition. CVPR.",
    "vgg": "Simonyan and Zisserman 2015. Very deep convolutional networks for large-scale image recognition. ICLR.",
    "mimo": "Havasi et al. 2021. Training independent subnetworks for robust prediction. ICLR.",
}
"""Papers of the networks, by the beginning of a part of the architecture's name."""

_WANG: Final = (
    "Wang et al. 2017. ChestX-ray8: hospital-scale chest X-ray database and benchmarks on weakly-supervised "
    "classification and localization of common thorax diseases. CVPR."
)
_ENSEMBLES: Final = (
    "Lakshminarayanan, Pritzel and Blundell 2017. Simple and scalable predictive uncertainty estimation using deep "
    "ensembles. NeurIPS."
)
_ZHOU: Final = "Zhou et al. 2016. Learning deep features for discriminative localization. CVPR."


@dataclass(frozen=True, slots=True)
class Edition:
    """What people call a bundle.

    Parameters
    ----------
    name
        For reports; None for one made of the network's.
    version
        Version of the bundle.
    earlier
        Changelog of the bundle that this one replaces, by version.
    licence
        What else the weights' licence asks for, in words.
    """

    name: str | None = None
    version: str = __version__
    earlier: Mapping[str, str] = field(default_factory=dict)
    licence: str | None = None


AS_TRAINED: Final = Edition()
"""An edition whose name and changelog come from the training."""


def runs(record: Json) -> list[Json]:
    """Return the records of all trainings that made the weights: one, or one for each member."""
    return list(record.get("members", [record]))


def trained_on(record: Json) -> str | None:
    """Return the name of the data set that trained the weights; None if it is unknown.

    Records without a name were made before data sets had names; all of them are of ChestX-ray14.
    """
    return None if "imported" in record else str(record.get("data", nih.NAME))


def network_name(architecture: str) -> str:
    """Return how people write an architecture's trunk: ``"EfficientNet-Lite0"`` for ``"efficientnet-lite0"``."""
    trunk = trunk_of(architecture)
    begin = next((begin for begin in _NAMES if trunk.startswith(begin)), "")
    return _NAMES[begin] + trunk.removeprefix(begin) if begin else trunk


def networks_in_words(record: Json) -> str:
    """Return the networks of the weights: ``"2 EfficientNet-Lite0"``."""
    names = [network_name(run["recipe"]["network"]) for run in runs(record)]
    return " and ".join(f"{names.count(n)} {n}" if len(names) > 1 else n for n in dict.fromkeys(names))


def run_in_words(run: Json) -> str:
    """Return how one network was trained: network, epochs, pictures, patients and data."""
    name = network_name(run["recipe"]["network"])
    if "imported" in run:
        return f"{name}, published weights from the file {run['imported']['file']}"
    stages = ", then ".join(f"{stage['epochs']} epochs at {stage['side']} px" for stage in run["recipe"]["stages"])
    return f"{name}, {stages}, on {run['images']} radiographs of {run['patients']} train patients of {trained_on(run)}"


def described(record: Json, findings: Sequence[str], edition: Edition) -> dict[str, object]:
    """Return the part of ``metadata.json`` that is in words.

    Parameters
    ----------
    record
        How the weights were trained.
    findings
        Labels of the findings.
    edition
        What people call the bundle.
    """
    networks, source = networks_in_words(record), trained_on(record)
    several = len(runs(record)) > 1
    network = f"{networks}, whose mean logit is the answer: a classifier" if several else f"A classifier ({networks})"
    mined = source == nih.NAME
    return {
        "name": edition.name or f"Candor chest X-ray, {networks}",
        "version": edition.version,
        "changelog": {**edition.earlier, edition.version: "; ".join(map(run_in_words, runs(record)))},
        "task": f"Multi-label classification of {len(findings)} findings on frontal chest radiographs",
        "description": f"{network} of frontal chest radiographs with class activation maps, calibrated probabilities, "
        "and for each finding two thresholds between which it defers to a radiologist.",
        "data_source": _data(source),
        "label_classes": "one column for each finding, 1 where "
        + ("it was mined from the radiologist's report" if mined else "the data set says so")
        + (
            ", mixed with another classifier's probabilities"
            if any(run.get("soft_labels") for run in runs(record))
            else ""
        ),
        "references": list(references(record)),
        "license": CODE_LICENCE,
        "weights_license": weights_licence(record, edition.licence),
    }


def _data(source: str | None) -> str:
    if source is None:
        return "not known: published weights that were not trained here"
    return f"{NIH_CREDIT} A selection of it, see docs/README.md." if source == nih.NAME else source


def references(record: Json) -> Iterable[str]:
    """Return the papers of the data, the networks and the maps."""
    if trained_on(record) == nih.NAME:
        yield _WANG
    parts = dict.fromkeys(part for run in runs(record) for part in run["recipe"]["network"].split(":"))
    yield from dict.fromkeys(paper for part in parts for begin, paper in _PAPERS.items() if part.startswith(begin))
    if len(runs(record)) > 1:
        yield _ENSEMBLES
    yield _ZHOU


def weights_licence(record: Json, more: str | None = None) -> str:
    """Return what the weights' data and initial weights ask for.

    Parameters
    ----------
    record
        How the weights were trained.
    more
        Words to add.
    """
    clauses = dict.fromkeys(clause for run in runs(record) for clause in _clauses(run))
    return " ".join(["Apache-2.0 for the weights too, with these terms.", *clauses, *([more] if more else [])])


def _clauses(run: Json) -> Iterable[str]:
    source, initial = trained_on(run), run["recipe"].get("initial")
    if "imported" in run:
        yield f"They are published weights (file {run['imported']['file']}), and their publisher's licence holds."
        return
    yield f"Data: {NIH_CREDIT}" if source == nih.NAME else f"Data: {source}, under its publisher's own terms."
    if initial == IMAGENET:
        yield f"Initial weights: {imagenet_source(run['recipe']['network'])}."
    elif initial is not None:
        yield f"Initial weights: the file {PurePath(initial).name}, whose licence holds."
    if soft := run.get("soft_labels"):
        yield (
            f"Soft labels: another classifier's probabilities ({PurePath(run['recipe']['soft_labels']).name}, SHA-256 "
            f"{soft['sha256']}), under its publisher's own terms."
        )


def portable(record: Json) -> dict[str, object]:
    """Return a record whose files are named without the folders of the machine that trained."""
    copy: dict[str, object] = {**record}
    if "members" in record:
        copy["members"] = [portable(run) for run in record["members"]]
    copy["recipe"] = {
        key: PurePath(value).name
        if key in ("initial", "soft_labels") and value and PurePath(value).is_absolute()
        else value
        for key, value in record["recipe"].items()
    }
    return copy
