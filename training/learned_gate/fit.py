"""Fit the learned gate to patients that the classifier never saw.

The network's output is not a probability. Platt scaling turns it into P(wrong); it is fitted to the outputs that each
patient gets from a network fitted without that patient. The network that is kept is fitted to all patients. It is
judged by P(wrong) out of fold, where neither network nor scaling was fitted to the patient.

References
----------
Levin, Ruh and Yin 2020. Platt 1999. Stone 1974 (cross-validation). Loshchilov and Hutter 2019 (AdamW).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from candor.decide.calibration import IDENTITY, CalibrationKind, Line, sigmoid
from candor.decide.learned_gate import LearnedGate, Tensors, map_inputs, side_inputs
from candor.study.errors import DataError
from candor.study.findings import Finding
from training.calibration.scaling import fit_curve
from training.learned_gate.evidence import Evidence
from training.learned_gate.network import ErrorNetwork
from training.learned_gate.options import Options
from training.predictions.cross_fitting import Bools, out_of_fold
from training.statistics.metrics import Floats

BATCH: Final = 256
RATE: Final = 3e-3
DECAY: Final = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A learned gate, fitted to all patients.

    Parameters
    ----------
    out_of_fold
        ``(images, findings)``: P(wrong) of each answer from a network and a scaling that never saw its patient.
    """

    model: LearnedGate
    out_of_fold: Floats


def fit(evidence: Evidence, findings: tuple[Finding, ...], options: Options) -> Fitted:
    """Fit the network and its calibration.

    Parameters
    ----------
    evidence
        Answers to ``findings``, in that order, for patients that the classifier never saw.
    findings
        The columns of the evidence.
    options
        How the learned gate is fitted.

    Raises
    ------
    DataError
        There are too few patients to leave some out, or no answer is wrong, or none is right.
    """

    def scores_of(rest: Bools, fold: Bools) -> Floats:
        part, left_out = evidence.take(rest), evidence.take(fold)
        _require_enough(part)
        return _model(part, findings, options).scores(left_out.maps, left_out.log_odds, left_out.lung_fields)

    scores = out_of_fold(evidence.patients, scores_of)
    everyone = np.ones(len(scores), np.bool_)
    line = _line(evidence, scores, everyone)
    p_wrong = out_of_fold(
        evidence.patients, lambda rest, fold: sigmoid(_line(evidence, scores, rest).log_odds(scores[fold]))
    )
    return Fitted(_model(evidence, findings, options, line), p_wrong)


def _line(evidence: Evidence, scores: Floats, images: Bools) -> Line:
    known = evidence.known & images[:, np.newaxis]
    return cast(Line, fit_curve(CalibrationKind.PLATT, scores[known], evidence.wrong[known]))


def _require_enough(rest: Evidence) -> None:
    wrong, known = int(rest.wrong.sum()), int(rest.known.sum())
    if not 0 < wrong < known:
        raise DataError(
            f"without one part of the patients {wrong} of {known} answers are wrong, and nothing tells wrong from "
            "right; give more unseen patients"
        )


def _model(evidence: Evidence, findings: tuple[Finding, ...], options: Options, line: Line = IDENTITY) -> LearnedGate:
    patients = len(np.unique(evidence.patients))
    return LearnedGate(
        findings=findings,
        prior=options.prior,
        lung_field=evidence.lung_fields is not None,
        limit=options.limit,
        line=line,
        tensors=fit_network(evidence, options),
        description=f"fitted to the answers on {len(evidence.labels)} images of {patients} patients",
    )


def fit_network(evidence: Evidence, options: Options) -> Tensors:
    """Fit one network to all known answers, and return its tensors.

    The same seed gives the same tensors, whatever the number of the machine's cores.

    Parameters
    ----------
    evidence
        The answers to learn from.
    options
        How the learned gate is fitted.
    """
    known = evidence.known
    beside = side_inputs(evidence.maps, evidence.log_odds, evidence.lung_fields, prior=options.prior)
    mean, scale = _standard(beside[known])
    which = np.broadcast_to(np.eye(known.shape[1]), (*known.shape, known.shape[1]))
    inputs = np.concatenate([(beside - mean) / scale, which], axis=-1)
    maps, others, wrong = (
        torch.from_numpy(part[known]).float() for part in (map_inputs(evidence.maps), inputs, evidence.wrong)
    )
    with _reproducible(options.seed):
        network = ErrorNetwork(inputs.shape[-1])
        _descend(network, maps, others, wrong, options)
    state = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    return state | {"side.mean": mean, "side.scale": scale}


def _standard(values: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and deviation of each column; the deviation of a constant column is set to 1."""
    deviation = values.std(axis=0)
    return values.mean(axis=0).astype(np.float32), np.where(deviation > 1e-6, deviation, 1).astype(np.float32)


def _descend(network: ErrorNetwork, maps: Tensor, beside: Tensor, wrong: Tensor, options: Options) -> None:
    weight = (len(wrong) - wrong.sum()) / wrong.sum() if options.balanced else None
    steps = options.epochs * -(-len(wrong) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(options.epochs):
        order = torch.randperm(len(wrong))
        for start in range(0, len(wrong), BATCH):
            batch = order[start : start + BATCH]
            score = network(maps[batch], beside[batch])
            loss = binary_cross_entropy_with_logits(score, wrong[batch], pos_weight=weight)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Seed torch and limit it to one thread inside the context: sums in another order would give other bytes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
