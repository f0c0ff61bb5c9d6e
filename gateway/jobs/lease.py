"""Leases: which job executors are alive, and what is to be done with the jobs of those that are not.

The job runner leaves a dead process's jobs where they are while another process lives. So each process extends a lease
by the database's clock, and each looks again and again for jobs under way that belong to no live lease and brings them
back into their queue. A process that was only paused finds out when it writes its result: that write names the
executor whose try it is (:mod:`gateway.assess.assessor`).
"""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from candor.files.privacy import name_of
from gateway.logs import Trouble, log_event
from gateway.store.database import database_now, upsert, writing
from gateway.store.schema import leases

TTL_S: Final = 10.0
"""A process that was not heard of for so long is dead; its jobs are taken over within 1.25 times as long."""

_FORGET_S: Final = 86400.0


def new_executor_id() -> str:
    """Name this life of this process; no other life of it or of another ever has the name."""
    return f"{socket.gethostname()[:64]}:{secrets.token_hex(8)}"


def live_executors(database: sa.Engine) -> sa.Select[tuple[str]]:
    """Select the executors whose leases hold, for use within another statement too."""
    return sa.select(leases.c.executor_id).where(leases.c.expires >= database_now(database))


class Lease:
    """The lease of a process, and its look after the others.

    Parameters
    ----------
    database
        The node's database.
    executor_id
        Of :func:`new_executor_id`.
    recover
        Called now and then with the function that tells the dead from a list of executors; brings the jobs of the
        dead back into their queues.
    ttl_s
        See :data:`TTL_S`; a test may be in more of a hurry.
    turned
        Called after each look: the heartbeat.
    """

    def __init__(
        self,
        database: sa.Engine,
        executor_id: str,
        recover: Callable[[Callable[[set[str]], list[str]]], int],
        ttl_s: float = TTL_S,
        turned: Callable[[], None] = lambda: None,
    ) -> None:
        self._database, self._executor_id, self._recover, self._ttl_s = database, executor_id, recover, ttl_s
        self._turned, self._trouble = turned, Trouble("lease could not be extended", "error")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        """Take the lease, then keep it in the background."""
        self.beat()
        self._thread.start()

    def stop(self) -> None:
        """Give the lease back: what this process still had under way is taken over at once."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(self._ttl_s)
        with writing(self._database) as connection:
            connection.execute(leases.delete().where(leases.c.executor_id == self._executor_id))

    def beat(self) -> None:
        """Extend the lease."""
        with writing(self._database) as connection:
            connection.execute(leases.delete().where(leases.c.expires < database_now(self._database) - _FORGET_S))
            row = upsert(self._database, leases, {"executor_id": self._executor_id, "expires": 0.0})
            connection.execute(row)
            mine = leases.update().where(leases.c.executor_id == self._executor_id)
            connection.execute(mine.values(expires=database_now(self._database) + self._ttl_s))

    def dead(self, executors: set[str]) -> list[str]:
        """Return those of the executors whose lease does not hold, in the order of their names."""
        with self._database.connect() as connection:
            return sorted(executors - set(connection.execute(live_executors(self._database)).scalars()))

    def sweep(self) -> int:
        """Bring back the jobs of the dead; returns how many."""
        recovered = self._recover(self.dead)
        if recovered:
            log_event("jobs taken over", "warning", count=recovered)
        return recovered

    def _run(self) -> None:
        while not self._stopping.wait(self._ttl_s / 4):
            try:
                self.beat()
                self.sweep()
                self._trouble.worked()
            except sa.exc.SQLAlchemyError as error:
                # Without its database nobody takes or finishes a job, so there is nothing to stop: look again.
                self._trouble.failed(kind=name_of(error))
            self._turned()
