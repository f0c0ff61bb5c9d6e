"""The classifier networks, under the name that older code imports them by; see :mod:`cxr.networks.registry`."""

from cxr.networks.classifier import ClassActivationNetwork, LogitsOnly
from cxr.networks.registry import NETWORKS

densenet121 = NETWORKS["densenet121"]
benchmark_cnn = NETWORKS["benchmark-cnn"]

__all__ = ["NETWORKS", "ClassActivationNetwork", "LogitsOnly", "benchmark_cnn", "densenet121"]
