"""Small bundles for the tests: whole and valid, with a random network that is quick to make and to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from candor.decide.calibration import Calibration, CalibrationKind, Line, LogitMap
from candor.decide.gate import Gate, Thresholds
from candor.model.bundle import load_model
from candor.model.networks.registry import NETWORKS
from candor.model.preprocess import InputSpec
from candor.study.findings import Finding
from training.bundles.export import export
from training.bundles.fitted import write_calibration, write_gate
from training.bundles.trained import Trained
from training.data.readers import nih
from training.records import write_json

THREE = (Finding.CARDIOMEGALY, Finding.EFFUSION, Finding.PNEUMOTHORAX)
USUAL = Thresholds(lo=0.2, hi=0.7)


def make_bundle(
    folder: Path,
    *,
    findings: Sequence[Finding] = THREE,
    side: int = 64,
    thresholds: Thresholds | Mapping[Finding, Thresholds] = USUAL,
    prevalence: float = 0.1,
    slope: float = 1.0,
    architecture: str = "benchmark-cnn",
    seed: int = 0,
) -> Path:
    """Make a bundle in ``folder`` and return ``folder``.

    Parameters
    ----------
    folder
        The bundle's folder; it must not exist, its parent must.
    thresholds
        One pair for every finding, or one for each; ``Thresholds(None, None)`` defers all.
    prevalence
        The assumed one; the maps are fitted at 0.5, so at 0.5 probabilities are ``sigmoid(slope * logit)``.
    slope
        Of the calibration; a large one drives probabilities to 0 and 1.
    seed
        Of the random weights.
    """
    trained = make_trained(folder.parent / f"{folder.name}-work", findings, side, architecture, seed)
    export(trained, folder)
    model = load_model(folder)
    logit_map = LogitMap(Line(CalibrationKind.TEMPERATURE, slope, 0.0), 0.5, prevalence)
    write_calibration(model, Calibration(dict.fromkeys(findings, logit_map), "made up for a test"), {})
    pairs = dict.fromkeys(findings, thresholds) if isinstance(thresholds, Thresholds) else thresholds
    write_gate(model, Gate(pairs, "made up for a test"), {})
    return folder


def make_trained(
    work: Path, findings: Sequence[Finding] = THREE, side: int = 64, architecture: str = "benchmark-cnn", seed: int = 0
) -> Trained:
    """Make what training would leave, with random weights, in the new folder ``work``."""
    work.mkdir()
    torch.manual_seed(seed)
    state = NETWORKS[architecture](len(findings)).state_dict()
    save_file({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, work / "model.safetensors")
    write_json(work / "splits.json", {"rule": "made up for a test", "patients": {}})
    record = {"recipe": {"network": architecture, "stages": []}, "images": 0, "patients": 0, "data": nih.NAME}
    return Trained(work, architecture, InputSpec(side, 0.5, 0.25), dict.fromkeys(findings, 0.5), record)
