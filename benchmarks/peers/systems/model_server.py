"""Candor's network behind HTTP, answering as dicom-ai-router expects.

    python -m benchmarks.peers.systems.model_server MODELS PORT

It reads, prepares, classifies and calibrates as Candor does, with the same engine, and marks the hottest cell of the
four likeliest findings: circles are all that the router draws. No check of the picture, no deferral.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any

import numpy as np
import uvicorn
from fastapi import FastAPI, File
from pydicom import Dataset

from candor.dicom.read.file import read_header, read_pixels
from candor.model.bundle import Bundle, find_bundle, load_bundle
from candor.model.onnx_engine import OnnxEngine
from candor.model.outputs import Engine
from candor.model.preprocess import to_network_input

MARKED = 4


def answer(bundle: Bundle, engine: Engine, content: bytes) -> dict[str, Any]:
    """Assess one radiograph and say it as the router wants it."""
    began = time.perf_counter()
    with NamedTemporaryFile(suffix=".dcm") as file:
        file.write(content)
        file.flush()
        header, decoded = read_header(Path(file.name)), read_pixels(Path(file.name))
    radiograph = decoded.radiograph
    outputs = engine.run(to_network_input(radiograph, bundle.input)[np.newaxis])
    probabilities = bundle.calibration.probabilities(outputs.logits[0])
    likeliest = np.argsort(probabilities)[::-1][:MARKED]
    names = [finding.label for finding in bundle.findings]
    return {
        "model": "candor",  # short: the router makes a series description of it, of at most 64 characters
        "model_version": bundle.version,
        "result": f"{names[likeliest[0]]} likeliest",
        "summary_lines": [[name, f"{p:.3f}"] for name, p in zip(names, probabilities, strict=True)],
        "key_sop_instance_uid": str(header.SOPInstanceUID),
        "overlays": [
            circle(outputs.activation[0, k], names[k], radiograph.rows, radiograph.columns) for k in likeliest
        ],
        "display_window": window(header),
        "processing_ms": round(1e3 * (time.perf_counter() - began)),
    }


def circle(activation: Any, name: str, rows: int, columns: int) -> dict[str, Any]:
    """Mark the hottest cell of a map, in pixels of the radiograph."""
    row, column = np.unravel_index(int(activation.argmax()), activation.shape)
    height, width = rows / activation.shape[0], columns / activation.shape[1]
    return {"cx": (column + 0.5) * width, "cy": (row + 0.5) * height, "r": min(height, width) / 2, "label": name}


def window(header: Dataset) -> tuple[float, float] | None:
    """Give the radiograph's own centre and width."""
    if "WindowCenter" not in header or "WindowWidth" not in header:
        return None
    return float(header.WindowCenter), float(header.WindowWidth)


def main() -> None:
    """Serve."""
    bundle = load_bundle(find_bundle(Path(sys.argv[1])))
    engine = OnnxEngine(bundle.graph)
    server = FastAPI()

    @server.post("/infer")
    def infer(files: Annotated[list[bytes], File()]) -> dict[str, Any]:
        return answer(bundle, engine, files[0])

    uvicorn.run(server, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")


if __name__ == "__main__":
    main()
