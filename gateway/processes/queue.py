"""Open the queue of jobs, for a process that does them and for a verb that adds to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from gateway.jobs.jobs import Jobs
from gateway.jobs.lease import TTL_S, new_executor_id
from gateway.settings import Settings


@contextmanager
def opened_queue(database: sa.Engine, settings: Settings, drain_s: float = 0.0, ttl_s: float = TTL_S) -> Iterator[Jobs]:
    """Open the queue of jobs, and close it at the end.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    drain_s
        How long the jobs of this process get to finish at the end, in seconds.
    ttl_s
        How long the lease of this process lasts without being extended, in seconds.
    """
    jobs = Jobs(database, settings, new_executor_id(), ttl_s)
    try:
        yield jobs
    finally:
        jobs.stop(drain_s)
