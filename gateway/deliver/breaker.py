"""The circuit breaker of each destination, in the tables, so that all processes share it.

Closed, everything goes out. After ``breaker_failures`` connections in a row that failed it is open, and nothing goes
out for ``breaker_s``; then one delivery may try, and its outcome closes the breaker or keeps it open.

An association that was opened, and then ended without an answer to any object, is a failure of another kind: it may be
the object's fault, so it never holds back the others. It raises the same alarm after as many in a row.
"""

from __future__ import annotations

import sqlalchemy as sa

from gateway.logs import log_event
from gateway.settings import Deliver
from gateway.store.alarms import AlarmKind, clear_alarm, raise_alarm
from gateway.store.database import upsert, writing
from gateway.store.schema import destinations


def wait_s(database: sa.Engine, name: str, deliver: Deliver, now: float) -> float:
    """Say how long to leave a destination alone; 0 lets the caller try.

    Of several callers that find the time of an open breaker over, one gets 0: the others wait for what it finds.

    Parameters
    ----------
    database
        The node's database.
    name
        The destination's.
    deliver
        The settings of delivery.
    now
        Seconds since 1970.
    """
    here = destinations.c.name == name
    with database.connect() as connection:
        row = connection.execute(sa.select(destinations).where(here)).one_or_none()
    if row is None or row.failures < deliver.breaker_failures:
        return 0.0
    if row.open_until > now:
        return float(row.open_until - now)
    with writing(database) as connection:
        over = sa.and_(here, destinations.c.open_until <= now)
        change = destinations.update().where(over).values(open_until=now + deliver.breaker_s)
        return 0.0 if connection.execute(change).rowcount else deliver.breaker_s


def succeeded(database: sa.Engine, name: str, now: float) -> None:
    """Note that a destination answered: its breaker closes.

    Parameters
    ----------
    database
        The node's database.
    name
        The destination's.
    now
        Seconds since 1970.
    """
    here = destinations.c.name == name
    with writing(database) as connection:
        connection.execute(upsert(database, destinations, {"name": name}))
        before = connection.execute(sa.select(destinations.c.failures).where(here)).scalar_one()
        before += connection.execute(sa.select(destinations.c.unanswered).where(here)).scalar_one()
        values = {"failures": 0, "unanswered": 0, "open_until": 0.0, "last_success": now, "reason": ""}
        connection.execute(destinations.update().where(here).values(values))
    if before:
        clear_alarm(database, AlarmKind.DESTINATION, name, now)


def failed(
    database: sa.Engine, name: str, reason: str, deliver: Deliver, now: float, is_connected: bool = False
) -> None:
    """Note a failure of a destination; the last of several in a row raises an alarm.

    Parameters
    ----------
    database
        The node's database.
    name
        The destination's.
    reason
        For a person; without a patient's data.
    deliver
        The settings of delivery.
    now
        Seconds since 1970.
    is_connected
        The destination could be connected to, and answered for no object: the breaker closes. Else no connection could
        be made, and the last of several failures opens the breaker.
    """
    here = destinations.c.name == name
    failures = destinations.c.unanswered if is_connected else destinations.c.failures
    values = {failures.name: failures + 1, "last_failure": now, "reason": reason}
    if is_connected:
        values |= {"failures": 0, "open_until": 0.0}
    with writing(database) as connection:
        connection.execute(upsert(database, destinations, {"name": name}))
        connection.execute(destinations.update().where(here).values(values))
        number = connection.execute(sa.select(failures).where(here)).scalar_one()
        are_many = number >= deliver.breaker_failures
        if are_many and not is_connected:
            connection.execute(destinations.update().where(here).values(open_until=now + deliver.breaker_s))
    what = "destination gave no answer" if is_connected else "destination failed"
    log_event(what, "warning", destination=name, count=number, reason=reason)
    if are_many:
        text = f"{name} {'takes no object' if is_connected else 'is down'}: {reason}"
        raise_alarm(database, AlarmKind.DESTINATION, name, text, now)


def remark(database: sa.Engine, name: str, reason: str) -> None:
    """Say on the page what is wrong with a destination that does answer.

    Parameters
    ----------
    database
        The node's database.
    name
        The destination's.
    reason
        For a person; no patient's data.
    """
    with writing(database) as connection:
        connection.execute(upsert(database, destinations, {"name": name}))
        connection.execute(destinations.update().where(destinations.c.name == name).values(reason=reason))
