"""Whether the size of a picture tells its labels, and what the network makes of it.

    python -m benchmarks.picture_size --data work/nih [--models models]

ChestX-ray14 comes in several sizes here, and each size has its own share of positives: a network could learn the size
in place of the disease. Printed are the AUC of the size alone on the training pictures, in the direction that tells
more, and what the bundle answers on the unseen patients of the main part: at the pictures' own size, and reduced to
each of the small sizes. A network that reads the size would move all of its answers.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from candor import RESEARCH_USE
from candor.model.bundle import Model, find_bundle, load_model
from candor.model.onnx_engine import OnnxEngine
from training.bundles.leakage import unseen_part
from training.data.dataset import Dataset
from training.data.pictures import as_radiograph, network_input, read_picture
from training.data.readers import read_dataset
from training.data.splits import Subset


def by_size(dataset: Dataset) -> list[tuple[str, float]]:
    """Return for each finding the AUC of the picture's longer side alone, in the direction that tells more.

    Parameters
    ----------
    dataset
        Pictures with their labels; findings that all or none of them have are left out.
    """
    sides = [max(read_picture(image.path).shape) for image in dataset.images]
    labels = dataset.labels()
    found = []
    for k, finding in enumerate(dataset.findings):
        known = ~np.isnan(labels[:, k])
        if len(set(labels[known, k].tolist())) == 2:
            auc = float(roc_auc_score(labels[known, k] > 0, np.asarray(sides)[known]))
            found.append((finding.label, max(auc, 1 - auc)))
    return found


def logits(model: Model, dataset: Dataset, side: int | None) -> NDArray[np.float32]:
    """Return the bundle's logits, ``(images, findings)``.

    Parameters
    ----------
    model
        The bundle.
    dataset
        The pictures.
    side
        They are squeezed to this side first; None for their own size.
    """
    engine, found = OnnxEngine(model.graph), []
    for image in dataset.images:
        picture = read_picture(image.path)
        if side is not None:
            picture = np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        found.append(engine.run(network_input(as_radiograph(picture), model.input)[np.newaxis]).logits)
    return np.concatenate(found)


def mean_auc(dataset: Dataset, answers: NDArray[np.float32]) -> float:
    """Return the mean AUC over the findings that some and not all pictures have.

    Parameters
    ----------
    dataset
        The pictures.
    answers
        ``(images, findings)``.
    """
    labels = dataset.labels()
    both = [k for k in range(labels.shape[1]) if len(set(labels[:, k].tolist())) == 2]
    return float(np.mean([roc_auc_score(labels[:, k], answers[:, k]) for k in both]))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=f"Whether a picture's size tells its labels. {RESEARCH_USE}.")
    parser.add_argument("--data", type=Path, default=Path("work/nih"), help="ChestX-ray14 with its small part")
    parser.add_argument("--models", type=Path, default=Path("models"), help="the bundle, or the folder that holds it")
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 64], help="small sizes to try, in pixels")
    options = parser.parse_args()
    model = load_model(find_bundle(options.models))
    dataset = read_dataset(options.data, findings=model.findings)
    learnt = dataset.only(Subset.TRAIN)
    alone = by_size(learnt)
    print(f"{RESEARCH_USE}.\n\nAUC of the size alone on {len(learnt.images):,} training pictures:\n")
    print("\n".join(f"- {label}: {auc:.3f}" for label, auc in alone))
    print(f"- mean: {np.mean([auc for _, auc in alone]):.3f}\n")
    judged = unseen_part(model, dataset).main_part()
    own = logits(model, judged, None)
    count = Counter(max(read_picture(image.path).shape) for image in judged.images)
    print(f"The bundle on {len(judged.images)} unseen pictures, mostly of {count.most_common(1)[0][0]} px:\n")
    print("| size | mean AUC | mean change of a logit | correlation with the own size's logits |\n|---|---|---|---|")
    print(f"| own | {mean_auc(judged, own):.3f} | 0 | 1 |")
    for side in options.sides:
        reduced = logits(model, judged, side)
        same = np.mean([np.corrcoef(own[:, k], reduced[:, k])[0, 1] for k in range(own.shape[1])])
        print(f"| {side} px | {mean_auc(judged, reduced):.3f} | {np.mean(reduced - own):+.3f} | {same:.3f} |")


if __name__ == "__main__":
    main()
