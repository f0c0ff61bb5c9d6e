"""Training losses: of labels, of where the network looked, and any weighted sum of them."""

from training.learn.losses.auc_margin import AucMargin
from training.learn.losses.coherence import SpatialCoherence
from training.learn.losses.combined import LOSSES, WeightedSum, build_loss
from training.learn.losses.cross_entropy import BinaryCrossEntropy, CrossEntropy
from training.learn.losses.distinctiveness import ClassDistinctiveness
from training.learn.losses.focal import FocalLoss
from training.learn.losses.mimo import MemberSum
from training.learn.losses.pesg import PESG
from training.learn.losses.saliency import SaliencyLoss
from training.learn.losses.weights import balanced_class_weights, balanced_finding_weights, positive_weights

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
