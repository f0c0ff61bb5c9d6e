"""Make ``configs/metadata.json`` by MONAI's schema, with Candor's part under ``candor``.

References
----------
MONAI bundle specification; schema ``meta_schema_20240725.json``.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Final

from candor import __version__
from candor.files.hashes import file_sha256
from candor.model.bundle import GRAPH, WEIGHTS
from candor.model.outputs import Outputs
from candor.model.preprocess import InputSpec
from training.bundles.provenance import Edition, described, portable
from training.bundles.trained import Trained

TEMPLATE: Final = Path(__file__).parent / "template"
"""The files that are the same in every bundle."""

TRAIN: Final = Path("configs", "train.yaml")
"""Path of the recipe in a bundle, and in the template."""

SPLITS: Final = Path("models", "splits.json")
"""File in a bundle that lists the patients of each set."""

_PACKAGES: Final = ("onnxruntime", "opencv-python-headless", "safetensors")


def metadata(bundle: Path, trained: Trained, outputs: Outputs, edition: Edition) -> dict[str, object]:
    """Return the metadata of the weights, the graph and the splits in a bundle.

    Parameters
    ----------
    bundle
        Its folder.
    trained
        The result of training.
    outputs
        The network's outputs for any batch, for their shapes.
    edition
        What people call the bundle.
    """
    labels = [finding.label for finding in trained.shares]
    template: dict[str, object] = json.loads((TEMPLATE / "configs" / "metadata.json").read_bytes())
    return (
        template
        | described(trained.record, labels, edition)
        | {
            "monai_version": version("monai"),
            "pytorch_version": version("torch").partition("+")[0],
            "numpy_version": version("numpy"),
            "required_packages_version": {name: version(name) for name in _PACKAGES} | {"candor-cxr": __version__},
            "network_data_format": {
                "inputs": {"image": _image(trained.input)},
                "outputs": output_formats(labels, outputs),
            },
            "candor": {
                "architecture": trained.architecture,
                "findings": labels,
                "input": asdict(trained.input),
                "weights_sha256": file_sha256(bundle / WEIGHTS),
                "graph_sha256": file_sha256(bundle / GRAPH),
                "splits_sha256": file_sha256(bundle / SPLITS),
                "training": portable(trained.record),
            },
        }
    )


def _image(spec: InputSpec) -> dict[str, object]:
    return {
        "type": "image",
        "format": "magnitude",
        "modality": "X-ray",
        "num_channels": len(spec.sides),
        "spatial_shape": [spec.side, spec.side],
        "dtype": "float32",
        "value_range": [-spec.mean / spec.std, (1 - spec.mean) / spec.std],
        "is_patch_data": False,
        "channel_def": {str(k): _channel(side, spec) for k, side in enumerate(spec.sides)},
    }


def _channel(side: int, spec: InputSpec) -> str:
    return "radiograph" if side == spec.side else f"radiograph at {side} x {side}, upper left"


def output_formats(labels: list[str], outputs: Outputs) -> dict[str, object]:
    """Return the description of the network's outputs for ``network_data_format``.

    Parameters
    ----------
    labels
        Labels of the findings, in the order of the outputs.
    outputs
        The network's outputs for any batch, for their shapes.
    """
    by_finding = {
        "num_channels": len(labels),
        "channel_def": {str(position): label for position, label in enumerate(labels)},
    }
    unnamed = {"num_channels": outputs.features.shape[1], "channel_def": {}}
    shared = {
        "format": "raw",
        "dtype": "float32",
        "value_range": [],  # unknown, by the specification: logits have no bounds
        "is_patch_data": False,
    }
    return {
        "pred": {"type": "tuples", "spatial_shape": [], **shared, **by_finding},
        "activation": {"type": "image", "spatial_shape": list(outputs.activation.shape[2:]), **shared, **by_finding},
        "features": {"type": "tuples", "spatial_shape": [], **shared, **unnamed},
    }
