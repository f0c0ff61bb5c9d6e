"""Shadow or live: whether results leave the node. Shadow until an operator says otherwise, and the trail says who."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from gateway.store.database import upsert, writing
from gateway.store.schema import audit_trail, node_state
from gateway.store.states import Mode

_KEY: Final = "mode"


def mode_of(connection: sa.Connection) -> Mode:
    """Return the node's mode; results that are made from now on follow it."""
    found = connection.execute(sa.select(node_state.c.value).where(node_state.c.key == _KEY)).scalar()
    return Mode(found) if found else Mode.SHADOW


def set_mode(database: sa.Engine, mode: Mode, who: str, now: float, detail: str = "") -> bool:
    """Go live, or back into the shadow; an act of the audit trail.

    Parameters
    ----------
    database
        The node's database.
    mode
        What the node does from now on.
    who
        The operator.
    now
        Seconds since 1970.
    detail
        Why, in the operator's words.

    Returns
    -------
    Whether that changed anything.
    """
    with writing(database) as connection:
        before = mode_of(connection)
        if before is mode:
            return False
        connection.execute(upsert(database, node_state, {"key": _KEY, "value": mode.value}, "value"))
        note_act(connection, who, f"mode {mode.value}", "", now, detail)
    return True


def note_act(connection: sa.Connection, who: str, what: str, subject: str, now: float, detail: str = "") -> None:
    """Write into the audit trail, within the transaction of the act itself.

    Parameters
    ----------
    connection
        In a transaction.
    who
        The user or operator.
    what
        The act, in words that are always the same, up to 32 characters: ``"mode live"``, ``"replay"``.
    subject
        A study's token, a destination's name, or "" for the node.
    now
        Seconds since 1970.
    detail
        Why, in the operator's words.
    """
    values = {"at": now, "who": who[:64], "what": what, "subject": subject, "detail": detail}
    connection.execute(audit_trail.insert().values(values))
