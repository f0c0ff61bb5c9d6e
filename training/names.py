"""What a command line offers before it imports the work: names, and how often a measurement is repeated.

This module imports nothing. A test compares the names with the tables that they are the keys of.
"""

from __future__ import annotations

from typing import Final

DATASET_KINDS: Final = ("nih-shared", "nih", "chexpert", "mimic", "hannover", "covid", "csv")
"""The layouts of data sets, keys of :data:`training.data.readers.read.READERS`."""

WEIGHT_LAYOUTS: Final = ("chexnet", "torchxrayvision")
"""The layouts of published weights, keys of :data:`training.bundles.layouts.LAYOUTS`."""

HALF_TOLERANCE: Final = 1e-3
"""The change of 99% of the logits, at most, where tensors are stored in half precision."""

PROBE_ATTRIBUTES: Final = ("view", "sex", "site", "disease")
"""What a probe may look for, besides a finding."""

CALIBRATION_HALVINGS: Final = 20
"""How many random halvings of the patients measure what a new calibration gains."""

GATE_HALVINGS: Final = 100
"""How many random halvings of the patients measure how often a guarantee is kept."""

SIMULATED_SITES: Final = 1000
"""How many sites of each kind are simulated to measure how often a guarantee is broken."""
