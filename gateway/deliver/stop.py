"""What ends all sending at once: shadow mode, which is the emergency stop, and the end of the process."""

from __future__ import annotations

import threading

import sqlalchemy as sa

from gateway.store.mode import mode_of
from gateway.store.states import Mode


class Stop:
    """Ends what is under way; it learns of the node's mode when :meth:`look` is called, and not otherwise."""

    def __init__(self) -> None:
        self._shadow, self._ending = threading.Event(), threading.Event()

    def look(self, database: sa.Engine) -> Mode:
        """Follow the node's mode, and return it."""
        with database.connect() as connection:
            mode = mode_of(connection)
        if mode is Mode.SHADOW:
            self._shadow.set()
        else:
            self._shadow.clear()
        return mode

    def end(self) -> None:
        """Let nothing go out any more: the process ends."""
        self._ending.set()

    def for_results(self) -> bool:
        """Return whether results are to stay here."""
        return self._shadow.is_set() or self._ending.is_set()

    def for_notes(self) -> bool:
        """Return whether also that is to stay here which an operator wants sent in shadow mode."""
        return self._ending.is_set()
