"""Run a bundle's network over a data set, with the application's own preprocessing."""

from __future__ import annotations

import sys
from typing import Final

import numpy as np

from candor.model.bundle import Model
from candor.model.onnx_engine import OnnxEngine
from candor.model.outputs import Outputs
from training.data.pictures import as_radiograph, network_input, read_picture
from training.data.readers import Dataset

BATCH: Final = 8


def predict(model: Model, dataset: Dataset) -> Outputs:
    """Run the network over every picture with ONNX Runtime; without pictures all outputs are empty.

    Parameters
    ----------
    model
        The bundle whose graph runs.
    dataset
        Pictures to classify; the outputs keep their order.

    Raises
    ------
    BundleError
        The graph cannot be loaded.
    DataError
        A picture cannot be decoded.
    """
    engine = OnnxEngine(model.graph)
    none = np.empty((0, len(model.findings)), np.float32)
    parts = [Outputs(none, none[:, :, np.newaxis, np.newaxis], none[:, :0])]
    for start in range(0, len(dataset.images), BATCH):
        batch = dataset.images[start : start + BATCH]
        inputs = [network_input(as_radiograph(read_picture(image.path)), model.input) for image in batch]
        parts.append(engine.run(np.stack(inputs)))
    print(f"classified {len(dataset.images)} pictures", file=sys.stderr)
    return Outputs(*map(np.concatenate, zip(*(parts[1:] or parts), strict=True)))
