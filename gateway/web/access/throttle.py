"""Slow down whoever guesses passwords."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

_WINDOW_S: Final = 300.0
_OF_A_NAME: Final = 8
_OF_AN_ADDRESS: Final = 40
"""Behind a proxy that does not forward addresses, all users share one."""

_REMEMBERED: Final = 10_000


class Throttle:
    """Count failures by name and by address, in memory: a restart of the page forgives.

    Parameters
    ----------
    now
        Seconds since 1970.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._failures: dict[tuple[str, str], deque[float]] = {}
        self._lock = threading.Lock()

    def allows(self, name: str, address: str) -> bool:
        """Tell whether another try may be made now."""
        with self._lock:
            of_name, of_address = self._recent(("name", name)), self._recent(("address", address))
            return len(of_name) < _OF_A_NAME and len(of_address) < _OF_AN_ADDRESS

    def fail(self, name: str, address: str) -> None:
        """Count a failure."""
        with self._lock:
            for key in (("name", name), ("address", address)):
                self._recent(key)
                self._failures.setdefault(key, deque(maxlen=_OF_AN_ADDRESS)).append(self._now())
            while len(self._failures) > _REMEMBERED:
                self._failures.pop(next(iter(self._failures)))

    def forget(self, name: str) -> None:
        """Forgive a name that has shown its password; its address has still failed as often."""
        with self._lock:
            self._failures.pop(("name", name), None)

    def _recent(self, key: tuple[str, str]) -> deque[float]:
        """Return the failures within the window, and drop those before it."""
        times = self._failures.get(key, deque())
        while times and times[0] <= self._now() - _WINDOW_S:
            times.popleft()
        if not times:
            self._failures.pop(key, None)
        return times
