"""Tables of predictions as another program would write them."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np

from training.predictions.table import Predictions


def write_predictions(table: Path, predictions: Predictions) -> None:
    """Write the table that :func:`training.predictions.table.read_predictions` reads."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    labels = [finding.label for finding in predictions.findings]
    scored = [column for label in labels for column in (label, f"{label}_logit")]
    writer.writerow(["image", "patient", *predictions.groups, *scored])
    for k, image in enumerate(predictions.images):
        known = [values[k] for values in predictions.groups.values()]
        pairs = zip(predictions.labels[k].tolist(), predictions.logits[k].tolist(), strict=True)
        cells = [cell for label, logit in pairs for cell in ("" if np.isnan(label) else int(label), repr(logit))]
        writer.writerow([image, predictions.patients[k], *known, *cells])
    content = text.getvalue().encode()
    table.write_bytes(gzip.compress(content, mtime=0) if table.suffix == ".gz" else content)
