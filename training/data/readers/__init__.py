"""Readers of public chest X-ray data sets, each in the layout that its publisher ships."""

from training.data.dataset import Dataset, LabelledImage
from training.data.policy import POLICIES, Policy, Uncertain
from training.data.readers.read import READERS, read_dataset

__all__ = ["POLICIES", "READERS", "Dataset", "LabelledImage", "Policy", "Uncertain", "read_dataset"]
