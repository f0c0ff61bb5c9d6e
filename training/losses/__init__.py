"""Training losses: of labels, of where the network looked, and any weighted sum of them."""

from training.losses.auc_margin import AucMargin
from training.losses.cross_entropy import BinaryCrossEntropy, CrossEntropy
from training.losses.focal import FocalLoss
from training.losses.weights import balanced_class_weights, balanced_finding_weights, positive_weights

__all__ = [
    "AucMargin",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "FocalLoss",
    "balanced_class_weights",
    "balanced_finding_weights",
    "positive_weights",
]
