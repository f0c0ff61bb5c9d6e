"""Bring the tables of an earlier version up to date, in the transaction of the start: wholly, or not at all."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from gateway.store.schema import VERSION, schema_version

_STEPS: Final[dict[int, tuple[str, ...]]] = {
    1: (
        "ALTER TABLE objects ADD COLUMN editions JSON",
        # Until then rejection notes were the only Key Object Selection documents, and had their kind.
        "UPDATE objects SET kind = 'note' WHERE kind = 'ko'",
    ),
    2: (
        "ALTER TABLE studies ADD COLUMN over_limit DOUBLE PRECISION",
        "ALTER TABLE studies ADD COLUMN deleted DOUBLE PRECISION",
        "UPDATE studies SET deleted = purged",
        "ALTER TABLE studies ADD COLUMN worklist_priority DOUBLE PRECISION",
        "ALTER TABLE studies ADD COLUMN any_abnormality VARCHAR(16)",
        "ALTER TABLE studies ADD COLUMN look_first JSON",
        "ALTER TABLE deliveries ADD COLUMN despite_shadow INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE destinations ADD COLUMN unanswered INTEGER NOT NULL DEFAULT 0",
    ),
}
"""What leads from each version to the next, in the words that SQLite and PostgreSQL have in common."""


def migrate(connection: sa.Connection, found: int) -> bool:
    """Lead tables of version ``found`` to today's.

    Parameters
    ----------
    connection
        In the transaction of the start.
    found
        The version of the tables.

    Returns
    -------
    False where no way leads there: the tables are of a later version, or of one that nobody knows.
    """
    while found in _STEPS:
        for statement in _STEPS[found]:
            connection.execute(sa.text(statement))
        found += 1
        connection.execute(schema_version.update().values(version=found))
    return found == VERSION
