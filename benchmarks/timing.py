"""Interleaved timing: both sides of a ratio meet the same noise."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(
    actions: Mapping[str, Callable[[], object]],
    rounds: int,
    warmup: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Run every action in turn, ``rounds`` times, and return the seconds of each counted run by ``clock``."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(warmup + rounds):
        for name, action in actions.items():
            began = clock()
            action()
            if number >= warmup:
                seconds[name].append(clock() - began)
    return seconds


def ratio(numerator: list[float], denominator: list[float]) -> float:
    """Return the median of the ratios pair by pair."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


def milliseconds(seconds: list[float]) -> str:
    """Format the median, with the fastest and the slowest run."""
    return f"{1e3 * statistics.median(seconds):.1f} ms ({1e3 * min(seconds):.1f} to {1e3 * max(seconds):.1f})"
