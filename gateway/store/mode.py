"""Shadow or live: whether results leave the node. Shadow until an operator says otherwise, and the trail says who.

Shadow is the emergency stop too. Deliveries that are due stay due, and go out when the node is live again, unless they
are recalled before. Results that are made in shadow mode are never sent.

With the mode lives the permission to answer by a fit to other patients than the site's own. It is for one bundle, it
outlasts a restart, and it ends in shadow mode.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Final

import sqlalchemy as sa

from candor.study.provenance import ForeignFit
from gateway.store.alarms import AlarmKind, close_alarm
from gateway.store.database import upsert, writing
from gateway.store.schema import audit_trail, deliveries, node_state
from gateway.store.states import DeliveryState, Mode

_KEY: Final = "mode"
_FOREIGN_FIT: Final = "foreign_fit"


def mode_of(connection: sa.Connection) -> Mode:
    """Return the node's mode; results that are made from now on follow it."""
    found = _value(connection, _KEY)
    return Mode(found) if found else Mode.SHADOW


def foreign_fit_of(connection: sa.Connection, bundle_sha256: str | None = None) -> ForeignFit | None:
    """Return the permission to answer by a fit to other patients; None where there is none.

    Parameters
    ----------
    connection
        To the node's database.
    bundle_sha256
        The bundle that it must be for; None for any.
    """
    found = _value(connection, _FOREIGN_FIT)
    fit = ForeignFit(**json.loads(found)) if found else None
    return fit if fit is not None and bundle_sha256 in (None, fit.bundle_sha256) else None


def _value(connection: sa.Connection, key: str) -> str | None:
    return connection.execute(sa.select(node_state.c.value).where(node_state.c.key == key)).scalar()


def is_shadow(database: sa.Engine) -> bool:
    """Return whether the node is in shadow mode."""
    with database.connect() as connection:
        return mode_of(connection) is Mode.SHADOW


def count_held(database: sa.Engine) -> int:
    """Return how many deliveries are due: shadow mode holds them, and live lets them go."""
    due = deliveries.c.state == DeliveryState.DUE.value
    with database.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(deliveries).where(due)).scalar_one()


def set_mode(
    database: sa.Engine, mode: Mode, who: str, now: float, detail: str = "", foreign_fit: ForeignFit | None = None
) -> bool:
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
    foreign_fit
        For live: the permission to answer by a fit to other patients; None where the fit needs none.

    Returns
    -------
    Whether that changed anything.
    """
    with writing(database) as connection:
        if mode is Mode.LIVE:
            close_alarm(connection, AlarmKind.FOREIGN_FIT, "", now)
        if (mode_of(connection), foreign_fit_of(connection)) == (mode, foreign_fit):
            return False
        enter(connection, mode, who, now, detail, foreign_fit)
    return True


def enter(
    connection: sa.Connection,
    mode: Mode,
    who: str,
    now: float,
    detail: str = "",
    foreign_fit: ForeignFit | None = None,
) -> None:
    """Set the mode and the permission in a transaction, and write both into the audit trail.

    Parameters
    ----------
    connection
        In a transaction.
    mode, who, now, detail, foreign_fit
        As for :func:`set_mode`.
    """
    connection.execute(upsert(connection.engine, node_state, {"key": _KEY, "value": mode.value}, "value"))
    note_act(connection, who, f"mode {mode.value}", "", now, detail)
    connection.execute(node_state.delete().where(node_state.c.key == _FOREIGN_FIT))
    if foreign_fit is not None:
        value = json.dumps(asdict(foreign_fit))
        connection.execute(node_state.insert().values(key=_FOREIGN_FIT, value=value))
        of = f"bundle {foreign_fit.bundle_sha256[:12]}, fitted to {foreign_fit.fitted_to}: {foreign_fit.reason}"
        note_act(connection, who, "foreign fit", "", now, of)


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
