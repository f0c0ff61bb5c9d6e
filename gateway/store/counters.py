"""Counters that several processes add to and ``/metrics`` shows."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

import sqlalchemy as sa

from gateway.store.database import insert
from gateway.store.schema import counters

MOST_VALUES: Final = 100
"""The most label sets of a counter whose labels come from files."""

OTHER_VALUE: Final = "other values"

_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


def labels_of(text: str) -> dict[str, str]:
    """Return the labels of a counter's row."""
    return dict(_LABEL.findall(text))


def bounded(connection: sa.Connection, name: str, value: str, **labels: str) -> str:
    """Return a value from a file as a label, or :data:`OTHER_VALUE` where the counter has too many already.

    Parameters
    ----------
    connection
        In the transaction that counts.
    name
        The counter's name.
    value
        The label ``value``, from :func:`candor.study.selection.shown`.
    labels
        The counter's other labels.
    """
    here = sa.select(counters.c.labels).where(counters.c.name == name)
    known = set(connection.execute(here).scalars())
    is_known = _text({**labels, "value": value}) in known
    return value if is_known or len(known) < MOST_VALUES else OTHER_VALUE


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
    connection.execute(_add(connection.dialect.name), {"name": name, "labels": _text(labels), "value": amount})


def _text(labels: dict[str, str]) -> str:
    return ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))


@cache
def _add(dialect: str) -> sa.Executable:
    """Make a counter of an amount, or add the amount to it."""
    row = insert(dialect, counters)
    return row.on_conflict_do_update(  # type: ignore[no-any-return]
        index_elements=list(counters.primary_key.columns), set_={"value": counters.c.value + row.excluded.value}
    )
