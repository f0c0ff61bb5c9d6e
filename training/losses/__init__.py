"""Training losses: of labels, of where the network looked, and any weighted sum of them."""

from training.losses.auc_margin import AucMargin
from training.losses.coherence import SpatialCoherence
from training.losses.combined import LOSSES, WeightedSum, build_loss
from training.losses.cross_entropy import BinaryCrossEntropy, CrossEntropy
from training.losses.distinctiveness import ClassDistinctiveness
from training.losses.focal import FocalLoss
from training.losses.mimo import MemberSum
from training.losses.pesg import PESG
from training.losses.saliency import SaliencyLoss
from training.losses.weights import balanced_class_weights, balanced_finding_weights, positive_weights

__all__ = [
    "LOSSES",
    "PESG",
    "AucMargin",
    "BinaryCrossEntropy",
    "ClassDistinctiveness",
    "CrossEntropy",
    "FocalLoss",
    "MemberSum",
    "SaliencyLoss",
    "SpatialCoherence",
    "WeightedSum",
    "balanced_class_weights",
    "balanced_finding_weights",
    "build_loss",
    "positive_weights",
]
