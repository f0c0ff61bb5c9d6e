"""Make a bundle from the files in the work folder of a training.

The bundle gets a calibration and a gate too: the logits as they are, and a gate that defers every finding. So it can
be loaded before either is fitted.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from candor.files.reader import JsonFile, Record
from candor.model.bundle import GRAPH, METADATA, WEIGHTS, load_bundle, load_model
from candor.model.networks.registry import reads_two_views, trunk_of
from candor.model.torch_engine import build_network
from candor.study.errors import BundleError, OutputError
from training.bundles.fitted import identity_calibration, write_calibration
from training.bundles.half import Smaller, halve
from training.bundles.metadata import SPLITS, TEMPLATE, TRAIN, metadata
from training.bundles.onnx_export import write_graph
from training.bundles.provenance import AS_TRAINED, Edition, portable
from training.bundles.train_config import train_configs
from training.bundles.trained import TRAIN_AGAIN, Trained
from training.records import write_json


def export(trained: Trained, bundle: Path, smaller: Smaller | None = None, edition: Edition = AS_TRAINED) -> Path:
    """Write a bundle; an existing one is replaced once the new one is complete.

    Parameters
    ----------
    trained
        The result of training.
    bundle
        The bundle's folder; its parent is made if needed.
    smaller
        How small the weights must be; None keeps them as they are.
    edition
        What people call the bundle. The changelog of a bundle that is replaced goes before its own.

    Returns
    -------
    ``bundle``.

    Raises
    ------
    BundleError
        The result of training is incomplete or reads two views, its weights cannot be made so small, or the exported
        graph answers differently from torch.
    OutputError
        ``bundle`` exists and is not a bundle.
    """
    if reads_two_views(trained.architecture):
        raise BundleError(
            f"{trained.architecture} reads a frontal and a lateral radiograph, and the application gives a network one "
            f"picture; train {trunk_of(trained.architecture)} for a bundle"
        )
    if bundle.exists() and not (bundle / METADATA).is_file():
        raise OutputError(f"{bundle} is not a bundle, so it is not replaced; give another folder")
    bundle.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{bundle.name}-", dir=bundle.parent) as scratch:
        made = Path(scratch, "new")
        _assemble(trained, made, smaller, replace(edition, earlier={**_changelog(bundle), **edition.earlier}))
        load_bundle(made)
        if bundle.exists():
            bundle.rename(Path(scratch, "old"))
        made.rename(bundle)
    return bundle


def _changelog(bundle: Path) -> dict[str, str]:
    if not (bundle / METADATA).is_file():
        return {}
    return JsonFile(bundle / METADATA, "give another folder").read(_Changelog).changelog


class _Changelog(Record):
    changelog: dict[str, str] = Field(default_factory=dict)


def _assemble(trained: Trained, bundle: Path, smaller: Smaller | None, edition: Edition) -> None:
    shutil.copytree(TEMPLATE, bundle, ignore=shutil.ignore_patterns("metadata.json", TRAIN.name))
    for name, config in train_configs(portable(trained.record), (TEMPLATE / TRAIN).read_text()).items():
        (bundle / TRAIN).with_name(name).write_text(config)
    (bundle / WEIGHTS).parent.mkdir()
    for source, target in ((trained.weights, WEIGHTS), (trained.folder / "splits.json", SPLITS)):
        _copy(source, bundle / target)
    if smaller is not None:
        halve(trained, bundle / WEIGHTS, smaller)
    network = build_network(trained.architecture, len(trained.shares), bundle / WEIGHTS)
    outputs = write_graph(network, trained.input, bundle / WEIGHTS, bundle / GRAPH)
    write_json(bundle / METADATA, metadata(bundle, trained, outputs, edition))
    write_calibration(load_model(bundle), identity_calibration(trained.shares), {})


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError as error:
        raise BundleError(f"{source} is not there; {TRAIN_AGAIN}") from error
