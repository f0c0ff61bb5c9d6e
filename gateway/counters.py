"""Counters that several processes add to and ``/metrics`` shows."""

from __future__ import annotations

import sqlalchemy as sa

from gateway.database import upsert
from gateway.schema import counters


def count(connection: sa.Connection, name: str, amount: float = 1.0, **labels: str) -> None:
    """Add to a counter, within the transaction of what is counted.

    Parameters
    ----------
    name
        As Prometheus has it, without prefix: ``"instances_received_total"``.
    labels
        Few values each; never a UID or a token.
    """
    text = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    connection.execute(upsert(connection.engine, counters, {"name": name, "labels": text, "value": 0.0}))
    row = sa.and_(counters.c.name == name, counters.c.labels == text)
    connection.execute(counters.update().where(row).values(value=counters.c.value + amount))
