"""What training uses of MONAI, imported without the MONAI Deploy SDK; see :mod:`candor.model.networks.monai`."""

from __future__ import annotations

from candor.model.networks.monai import without_sdk

with without_sdk():
    from monai.bundle import ConfigParser
    from monai.config.type_definitions import KeysCollection
    from monai.engines import SupervisedEvaluator, SupervisedTrainer
    from monai.engines.utils import IterationEvents
    from monai.handlers import IgniteMetricHandler
    from monai.losses import DiceCELoss
    from monai.metrics.metric import CumulativeIterationMetric
    from monai.networks.nets import UNet
    from monai.optimizers import LearningRateFinder
    from monai.transforms import (
        Compose,
        MapTransform,
        RandAdjustContrastd,
        RandAffined,
        RandBiasFieldd,
        RandCoarseDropoutd,
        RandFlipd,
        RandGaussianNoised,
        RandGaussianSmoothd,
        RandScaleIntensityd,
        RandShiftIntensityd,
    )

__all__ = [
    "Compose",
    "ConfigParser",
    "CumulativeIterationMetric",
    "DiceCELoss",
    "IgniteMetricHandler",
    "IterationEvents",
    "KeysCollection",
    "LearningRateFinder",
    "MapTransform",
    "RandAdjustContrastd",
    "RandAffined",
    "RandBiasFieldd",
    "RandCoarseDropoutd",
    "RandFlipd",
    "RandGaussianNoised",
    "RandGaussianSmoothd",
    "RandScaleIntensityd",
    "RandShiftIntensityd",
    "SupervisedEvaluator",
    "SupervisedTrainer",
    "UNet",
]
