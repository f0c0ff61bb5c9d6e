"""Slow down whoever guesses passwords, and keep out nobody else."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from gateway.web.access.addresses import block_of

_WINDOW_S: Final = 300.0
_OF_A_NAME: Final = 8
"""Failures for one name from one address."""

_OF_AN_ADDRESS: Final = 40
"""Behind a proxy that does not forward addresses, all users share one."""

_OF_ALL: Final = 200
"""Failures from everywhere; then strangers have one try a second between them."""

_SLOW_S: Final = 1.0
_QUEUE: Final = 16
"""Tries of strangers that may wait for their password to be hashed, one after the other."""

_QUEUE_OF_AN_ADDRESS: Final = 8
_REMEMBERED: Final = 10_000


@dataclass
class Try:
    """A try that was let through.

    Parameters
    ----------
    succeeded
        Set it to true when the password was right; a try that is left as it is counts as a failure.
    """

    succeeded: bool = False


class Throttle:
    """Count failed tries by name and address, by address, and in all, in memory: a restart of the page forgives.

    A try is counted as a failure before its password is looked at, in one step with the question whether there may be
    one, so that tries at the same time cannot pass the limit together; one that succeeds is taken back.

    A name is locked only for the address that failed. A name that has logged in from an address before, of late, is
    not held up there by what others do: neither by their failures nor by their number.

    Parameters
    ----------
    now
        Seconds since 1970.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._failures: dict[tuple[str, ...], deque[float]] = {}  # by (name, block) and by (block,)
        self._of_all: deque[float] = deque(maxlen=_OF_ALL)
        self._known: dict[tuple[str, str], None] = {}
        self._waiting: dict[str, int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def try_once(self, name: str, address: str) -> Iterator[Try | None]:
        """Let a try through, while it is looked at; None where it has to wait.

        Parameters
        ----------
        name
            The user's; "" for a name that nobody can have.
        address
            The other side's.
        """
        block = block_of(address)
        at = self._reserve(name, block)
        if at is None:
            yield None
            return
        made = Try()
        try:
            yield made
        finally:
            self._finish(name, block, at, made.succeeded)

    def _reserve(self, name: str, block: str) -> float | None:
        """Count a try as failed and as waiting, if it may be made; returns when, None where it may not."""
        with self._lock:
            now, pair = self._now(), (name, block)
            if len(self._recent(pair, now)) >= _OF_A_NAME:
                return None
            if pair not in self._known and not self._strangers_may(block, now):
                return None
            self._of_all.append(now)
            for key in (pair, (block,)):
                self._failures.setdefault(key, deque(maxlen=_OF_AN_ADDRESS)).append(now)
            while len(self._failures) > _REMEMBERED:
                self._failures.pop(next(iter(self._failures)))
            self._waiting[block] = self._waiting.get(block, 0) + 1
            return now

    def _strangers_may(self, block: str, now: float) -> bool:
        if len(self._recent((block,), now)) >= _OF_AN_ADDRESS:
            return False
        if self._waiting.get(block, 0) >= _QUEUE_OF_AN_ADDRESS or sum(self._waiting.values()) >= _QUEUE:
            return False
        many = len(self._of_all) == _OF_ALL and self._of_all[0] > now - _WINDOW_S
        return not many or now - self._of_all[-1] >= _SLOW_S

    def _finish(self, name: str, block: str, at: float, succeeded: bool) -> None:
        """Count a try as waiting no more; one that has succeeded clears the name at its address."""
        with self._lock:
            self._waiting[block] -= 1
            if not self._waiting[block]:
                del self._waiting[block]
            if not succeeded:
                return
            self._failures.pop((name, block), None)
            for times in (self._failures.get((block,), deque()), self._of_all):
                if at in times:
                    times.remove(at)
            self._known.pop((name, block), None)
            self._known[name, block] = None
            while len(self._known) > _REMEMBERED:
                self._known.pop(next(iter(self._known)))

    def _recent(self, key: tuple[str, ...], now: float) -> deque[float]:
        """Return the failures within the window, and drop those before it."""
        times = self._failures.get(key, deque())
        while times and times[0] <= now - _WINDOW_S:
            times.popleft()
        if not times:
            self._failures.pop(key, None)
        return times
