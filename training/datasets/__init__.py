"""Readers of public chest X-ray data sets, each in the layout that its publisher ships."""

from training.datasets.dataset import Dataset, LabelledImage
from training.datasets.policy import POLICIES, Policy, Uncertain
from training.datasets.read import READERS, read_dataset

__all__ = ["POLICIES", "READERS", "Dataset", "LabelledImage", "Policy", "Uncertain", "read_dataset"]
