"""Counters that several processes add to and ``/metrics`` shows."""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa

from gateway.store.database import insert
from gateway.store.schema import counters


def count(connection: sa.Connection, name: str, amount: float = 1.0, **labels: str) -> None:
    """Add to a counter, within the transaction of what is counted.

    Parameters
    ----------
    connection
        In a transaction.
    name
        As Prometheus has it, without prefix: ``"instances_received_total"``.
    amount
        What is added.
    labels
        Few values each; never a UID or a token.
    """
    text = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    connection.execute(_add(connection.dialect.name), {"name": name, "labels": text, "value": amount})


@cache
def _add(dialect: str) -> sa.Executable:
    """Make a counter of an amount, or add the amount to it."""
    row = insert(dialect, counters)
    return row.on_conflict_do_update(  # type: ignore[no-any-return]
        index_elements=list(counters.primary_key.columns), set_={"value": counters.c.value + row.excluded.value}
    )
