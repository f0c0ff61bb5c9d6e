"""The learned gate: a second, small network that estimates P(wrong), the probability that an answer is wrong.

Its inputs are the classifier's heatmap of a finding, the spread of that heatmap, the finding, and, where it was fitted
so, the classifier's log-odds. The answer is the one that the calibrated probability favours: present from 0.5 up, at
the prevalence that the calibration was fitted at. The calibrated probability p alone gives min(p, 1 - p) for P(wrong),
so both estimate the same quantity, in the unit in which a cost of deferring is given.

References
----------
Levin, Ruh and Yin 2020 (deferral by Grad-CAM). Platt 1999. Saerens et al. 2002 (prior shift).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors.numpy import load_file

from candor.decide.calibration import Calibration, CalibrationKind, Line, sigmoid
from candor.decide.heatmap_spread import SPREAD, Mask, shares, signed_totals, spread
from candor.files.reader import Record, Text
from candor.study.findings import Finding

Floats = NDArray[np.float64]
Tensors = Mapping[str, NDArray[np.float32]]

CHANNELS: Final = 3
"""Input channels of the convolution: the cells' shares times their number, and each cell's row and column."""

PRIOR: Final = ("log_odds", "confidence", "positive_total", "negative_total")
"""Inputs that are added with ``prior``: the log-odds, their absolute value, and the signed totals."""

KERNEL: Final = 3
"""Rows and columns of the convolution's kernel."""


def side_inputs(
    maps: NDArray[np.floating], log_odds: Floats, lung_fields: Sequence[Mask | None] | None, *, prior: bool
) -> Floats:
    """Return the inputs of the network beside the map: ``SPREAD``, then :data:`PRIOR` where it is wanted.

    Parameters
    ----------
    maps, log_odds
        ``(images, findings, height, width)`` and ``(images, findings)``.
    lung_fields
        As for :func:`candor.decide.heatmap_spread.spread`.
    prior
        Whether :data:`PRIOR` is among the inputs.

    Returns
    -------
    ``(images, findings, inputs)``.
    """
    seen = spread(maps, lung_fields)
    if not prior:
        return seen
    odds = np.stack([log_odds, np.abs(log_odds)], axis=-1)
    return np.concatenate([seen, odds, signed_totals(maps)], axis=-1)


def map_inputs(maps: NDArray[np.floating]) -> Floats:
    """Return the input of the convolution, ``(..., CHANNELS, height, width)``, for maps ``(..., height, width)``."""
    share = shares(maps)
    height, width = share.shape[-2:]
    rows, columns = np.linspace(-1, 1, height)[:, np.newaxis], np.linspace(-1, 1, width)
    layers = (share * height * width, np.broadcast_to(rows, share.shape), np.broadcast_to(columns, share.shape))
    return np.stack(layers, axis=-3)


@dataclass(frozen=True, slots=True, eq=False)
class LearnedGate:
    """The network, and the map from its output to P(wrong).

    Parameters
    ----------
    findings
        The findings, in the order of the maps.
    prior
        Whether the classifier's log-odds and the signed totals are inputs.
    lung_field
        Whether it was fitted with lung fields; if not, they are ignored.
    limit
        The highest P(wrong) of an answer that is not deferred: the cost of deferring, in (0, 0.5) of the cost of an
        error.
    line
        Maps the network's output to the log-odds of P(wrong).
    tensors
        The weights, see :func:`tensor_shapes`.
    description
        One line: what it was fitted to.

    Raises
    ------
    ValueError
        The limit or a tensor is not valid.
    """

    findings: tuple[Finding, ...]
    prior: bool
    lung_field: bool
    limit: float
    line: Line
    tensors: Tensors
    description: str

    def __post_init__(self) -> None:
        if not 0 < self.limit < 0.5:
            raise ValueError(f"the limit lies between 0 and 0.5 of the cost of an error, not at {self.limit}")
        _check(self.tensors, len(self.findings), prior=self.prior)

    def p_wrong(
        self, maps: NDArray[np.floating], log_odds: Floats, lung_fields: Sequence[Mask | None] | None = None
    ) -> Floats:
        """Return P(wrong) of the answer ``log_odds >= 0``, at the prevalence of the fit.

        Parameters
        ----------
        maps
            Class activation ``(images, findings, height, width)``.
        log_odds
            Calibrated, ``(images, findings)``, at the prevalence that the calibration was fitted at.
        lung_fields
            As for :func:`candor.decide.heatmap_spread.spread`.

        Returns
        -------
        ``(images, findings)`` in [0, 1].
        """
        return sigmoid(self.line.log_odds(self.scores(maps, log_odds, lung_fields)))

    def scores(self, maps: NDArray[np.floating], log_odds: Floats, lung_fields: Sequence[Mask | None] | None) -> Floats:
        """Return the network's output ``(images, findings)``, higher where the answer is more likely wrong.

        Parameters
        ----------
        maps, log_odds, lung_fields
            As for :meth:`p_wrong`.
        """
        fields = lung_fields if self.lung_field else None
        beside = side_inputs(maps, log_odds, fields, prior=self.prior)
        beside = (beside - self.tensors["side.mean"]) / self.tensors["side.scale"]
        which = np.broadcast_to(np.eye(len(self.findings)), (len(maps), len(self.findings), len(self.findings)))
        inputs = np.concatenate([self._pooled(map_inputs(maps)), beside, which], axis=-1)
        hidden = np.maximum(self._linear("hidden", inputs), 0.0)
        return np.asarray((self._linear("out", hidden) + self._linear("direct", inputs))[..., 0], np.float64)

    def _linear(self, name: str, inputs: Floats) -> Floats:
        weight, bias = (self.tensors[f"{name}.{part}"].astype(np.float64) for part in ("weight", "bias"))
        return np.asarray(inputs @ weight.T + bias, np.float64)

    def _pooled(self, layers: Floats) -> Floats:
        """Return the mean and the maximum over the cells of the rectified convolution."""
        edge = KERNEL // 2
        padded = np.pad(layers, [(0, 0)] * (layers.ndim - 2) + [(edge, edge)] * 2)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (KERNEL, KERNEL), axis=(-2, -1))
        weight, bias = (self.tensors[f"convolution.{part}"].astype(np.float64) for part in ("weight", "bias"))
        answer = np.einsum("...chwij,kcij->...khw", windows, weight, optimize=True) + bias[:, np.newaxis, np.newaxis]
        answer = np.maximum(answer, 0.0)
        return np.concatenate([answer.mean(axis=(-2, -1)), answer.max(axis=(-2, -1))], axis=-1)


def tensor_shapes(tensors: Tensors, findings: int, *, prior: bool) -> dict[str, tuple[int, ...]]:
    """Return the shape that each tensor must have, for the number of filters and hidden units that there are.

    Parameters
    ----------
    tensors
        The weights; ``convolution.bias`` and ``hidden.bias`` give those numbers.
    findings
        How many findings there are.
    prior
        Whether :data:`PRIOR` is among the inputs.

    Raises
    ------
    KeyError, IndexError
        One of those two tensors is missing, or has no dimension.
    """
    filters, hidden = tensors["convolution.bias"].shape[0], tensors["hidden.bias"].shape[0]
    beside = len(SPREAD) + (len(PRIOR) if prior else 0)
    inputs = 2 * filters + beside + findings
    return {
        "side.mean": (beside,),
        "side.scale": (beside,),
        "convolution.weight": (filters, CHANNELS, KERNEL, KERNEL),
        "convolution.bias": (filters,),
        "hidden.weight": (hidden, inputs),
        "hidden.bias": (hidden,),
        "out.weight": (1, hidden),
        "out.bias": (1,),
        "direct.weight": (1, inputs),
        "direct.bias": (1,),
    }


def _check(tensors: Tensors, findings: int, *, prior: bool) -> None:
    try:
        wanted = tensor_shapes(tensors, findings, prior=prior)
    except (KeyError, IndexError):
        raise ValueError("the network lacks convolution.bias or hidden.bias") from None
    found = {name: tensor.shape for name, tensor in tensors.items()}
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        raise ValueError(f"the tensor {name} has shape {found.get(name)}, not {wanted.get(name)}")
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()) or (tensors["side.scale"] <= 0).any():
        raise ValueError("a weight of the network is not finite, or a scale is not positive")


def p_wrong(
    model: LearnedGate,
    calibration: Calibration,
    logits: NDArray[np.float32],
    activation: NDArray[np.float32],
    lung_field: Mask | None = None,
    answers: NDArray[np.bool_] | None = None,
) -> Floats:
    """Return P(wrong) of an answer for each finding of one image, at the prevalence that the bundle assumes.

    P(wrong) at the fitted prevalence gives the probability that the finding is present, and that is shifted to the
    assumed prevalence as the calibration is.

    Parameters
    ----------
    model
        The learned gate.
    calibration
        The calibration of the classifier's logits.
    logits, activation
        The classifier's, ``(findings,)`` and ``(findings, height, width)``.
    lung_field
        ``(rows, columns)`` over the whole picture at any resolution; None where it is not known.
    answers
        ``(findings,)``: true for "present", false for "absent"; by default what the calibrated probability favours at
        the assumed prevalence, which is the only answer of a gate with ``lo`` under 0.5 and ``hi`` from 0.5 up.

    Returns
    -------
    ``(findings,)`` in [0, 1].
    """
    log_odds = calibration.log_odds(logits)
    wrong = model.line.log_odds(model.scores(activation[np.newaxis], log_odds[np.newaxis], [lung_field])[0])
    shift = np.asarray([m.shift for m in calibration.maps.values()])
    present = np.where(log_odds >= 0, -wrong, wrong) + shift
    said = log_odds + shift >= 0 if answers is None else answers
    return sigmoid(np.where(said, -present, present))


class LearnedGateHead(Record):
    """The part that every ``error_model.json`` has: the files that it belongs to, and whether it is used."""

    active: bool
    weights_sha256: Text
    calibration_sha256: Text
    network_sha256: Text


class LearnedGateFile(LearnedGateHead):
    """The ``error_model.json`` of a learned gate that is used."""

    description: Text
    findings: tuple[str, ...]
    prior: bool
    lung_field: bool
    limit: Annotated[float, Field(ge=0, le=0.5)]
    slope: float
    intercept: float

    def learned_gate(self, network: Path, findings: tuple[Finding, ...]) -> LearnedGate:
        """Return the learned gate.

        Parameters
        ----------
        network
            The weights, a safetensors file.
        findings
            The classifier's findings, in its order.

        Raises
        ------
        SafetensorError, ValueError
            A value or a tensor is not valid.
        """
        return LearnedGate(
            findings=findings,
            prior=self.prior,
            lung_field=self.lung_field,
            limit=self.limit,
            line=Line(CalibrationKind.PLATT, self.slope, self.intercept),
            tensors=load_file(network),
            description=self.description,
        )
