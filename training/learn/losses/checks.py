"""Checks that all losses share, of their parameters (SettingsError) and of their tensors (DataError)."""

from __future__ import annotations

import math

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from candor.study.errors import DataError, SettingsError


def number(name: str, value: object, low: float, high: float = math.inf) -> float:
    """Return a parameter that must be a finite number in [low, high].

    Parameters
    ----------
    name
        The parameter's name, for the error.
    value
        What was given.
    low, high
        Limits, both allowed.

    Raises
    ------
    SettingsError
        It is not such a number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingsError(f"{name} is {value!r}; give a number")
    if not (math.isfinite(value) and low <= value <= high):
        limits = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
        raise SettingsError(f"{name} is {value}; give a finite number, {limits}")
    return float(value)


def whole(name: str, value: object, low: int) -> int:
    """Return a parameter that must be a whole number of at least ``low``.

    Parameters
    ----------
    name, value, low
        As for :func:`number`.

    Raises
    ------
    SettingsError
        It is not such a number.
    """
    found = number(name, value, low)
    if not found.is_integer():
        raise SettingsError(f"{name} is {value}; give a whole number")
    return int(found)


def weights(name: str, values: ArrayLike | None, ndim: int) -> Tensor | None:
    """Return weights as a tensor: one for each finding along the first axis, finite and at least 0.

    Parameters
    ----------
    name
        The parameter's name, for the error.
    values
        What was given; None is returned as None.
    ndim
        Number of axes that they must have.

    Raises
    ------
    SettingsError
        They are not numbers, have another number of axes, or one is negative, infinite or NaN.
    """
    if values is None:
        return None
    try:
        tensor = torch.as_tensor(values, dtype=torch.get_default_dtype())
    except (TypeError, ValueError, RuntimeError) as error:
        raise SettingsError(f"{name} cannot be read as numbers ({error}); give a list of them") from error
    if tensor.ndim != ndim or not tensor.numel():
        raise SettingsError(f"{name} has the shape {tuple(tensor.shape)}; give {ndim} axes, the findings first")
    if not bool((torch.isfinite(tensor) & (tensor >= 0)).all()):
        raise SettingsError(f"{name} holds a value that is negative, infinite or NaN; give weights of at least 0")
    return tensor


def observed_labels(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Split labels into their values and whether they count.

    Parameters
    ----------
    logits, labels
        ``(n, findings)``. Labels are probabilities in [0, 1], so soft labels are allowed; NaN is ignored.

    Returns
    -------
    The values in the logits' type, 0 where they are ignored; and 1 where a label counts, else 0, in the same type.

    Raises
    ------
    DataError
        The shapes differ, or a label is outside [0, 1], as CheXpert's -1 for "uncertain" is.

    References
    ----------
    Irvin et al. 2019 (U-Ignore: an uncertain label gives no gradient).
    """
    if logits.ndim != 2 or logits.shape != labels.shape:
        raise DataError(
            f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} do not match; both are (images, findings)"
        )
    labels = labels.to(logits)
    observed = ~labels.isnan()
    values = labels.nan_to_num(nan=0.0)
    if bool(((values < 0) | (values > 1)).any()):
        raise DataError("a label is outside [0, 1]; set uncertain ones (-1) to 0, to 1, or to NaN, which ignores them")
    return values, observed.to(logits)


def activation_maps(activation: Tensor) -> Tensor:
    """Check class activation ``(n, findings, height, width)``, and return it in float32 at least.

    Raises
    ------
    DataError
        It has other axes, or one of length 0.
    """
    if activation.ndim != 4 or not activation.numel():
        raise DataError(
            f"the activation has the shape {tuple(activation.shape)}; give (images, findings, height, width)"
        )
    return at_least_float32(activation)


def at_least_float32(tensor: Tensor) -> Tensor:
    """Convert bfloat16 and float16 to float32; other types stay."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def one_each(name: str, values: Tensor | None, logits: Tensor) -> None:
    """Refuse parameters for another number of findings than the logits have.

    Parameters
    ----------
    name
        The parameter's name, for the error.
    values
        ``(findings, ...)``; None is accepted.
    logits
        ``(n, findings)``.

    Raises
    ------
    DataError
        The numbers differ.
    """
    if values is not None and len(values) != logits.shape[1]:
        raise DataError(
            f"{name} is for {len(values)} findings and the logits have {logits.shape[1]}; give one for each"
        )
