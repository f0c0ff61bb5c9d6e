"""Write the learned gate into a bundle: ``error_model.json`` with its verdict, and its weights."""

from __future__ import annotations

from safetensors.numpy import save

from candor.files.durable import whole_file
from candor.files.hashes import file_sha256
from candor.model.bundle import CALIBRATION, LEARNED_GATE, LEARNED_GATE_WEIGHTS, Model
from training.learned_gate.evidence import Evidence
from training.learned_gate.judge import Judged
from training.records import Occasion, write_json


def write_learned_gate(model: Model, judged: Judged, evidence: Evidence, occasion: Occasion) -> None:
    """Write both files, bound to the hashes of the model's weights and of its calibration.

    Parameters
    ----------
    model
        The bundle; its folder gets the files.
    judged
        The learned gate with its verdict.
    evidence
        The answers that it was fitted to, for the counts.
    occasion
        Date and command, for the record.
    """
    network, options = judged.fitted.model, judged.options
    with whole_file(model.root / LEARNED_GATE_WEIGHTS) as file:
        file.write(save(dict(network.tensors)))
    write_json(
        model.root / LEARNED_GATE,
        {
            "description": network.description,
            "active": judged.verdict.active,
            "verdict": judged.verdict.text,
            "weights_sha256": model.weights_sha256,
            "calibration_sha256": file_sha256(model.root / CALIBRATION),
            "network_sha256": file_sha256(model.root / LEARNED_GATE_WEIGHTS),
            **occasion.facts,
            "findings": [finding.label for finding in network.findings],
            "prior": network.prior,
            "balanced": options.balanced,
            "lung_field": network.lung_field,
            "limit": network.limit,
            "slope": network.line.slope,
            "intercept": network.line.intercept,
            "seed": options.seed,
            "epochs": options.epochs,
            "answers": int(evidence.known.sum()),
            "wrong": int(evidence.wrong.sum()),
            "figures": {"tells_wrong": judged.tells_wrong, **judged.verdict.figures},
        },
    )
