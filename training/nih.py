"""The names under which the verbs and the bundles' configurations know ChestX-ray14; see :mod:`training.datasets`."""

from training.datasets.cells import parse_labels
from training.datasets.dataset import Dataset, LabelledImage
from training.datasets.nih import prevalence
from training.datasets.read import read_nih

__all__ = ["Dataset", "LabelledImage", "parse_labels", "prevalence", "read_nih"]
