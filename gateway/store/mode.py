"""Shadow or live: whether results leave the node. Shadow until an operator says otherwise, and the trail says who.

Shadow is the emergency stop too. Deliveries that are due stay due, and go out when the node is live again, unless they
are recalled before. Results that are made in shadow mode are never sent.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from gateway.store.database import upsert, writing
from gateway.store.schema import audit_trail, deliveries, node_state
from gateway.store.states import DeliveryState, Mode

_KEY: Final = "mode"


def mode_of(connection: sa.Connection) -> Mode:
    """Return the node's mode; results that are made from now on follow it."""
    found = connection.execute(sa.select(node_state.c.value).where(node_state.c.key == _KEY)).scalar()
    return Mode(found) if found else Mode.SHADOW


def is_shadow(database: sa.Engine) -> bool:
    """Return whether the node is in shadow mode."""
    with database.connect() as connection:
        return mode_of(connection) is Mode.SHADOW


def count_held(database: sa.Engine) -> int:
    """Return how many deliveries are due: shadow mode holds them, and live lets them go."""
    due = deliveries.c.state == DeliveryState.DUE.value
    with database.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(deliveries).where(due)).scalar_one()


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
