"""The site's webhook: it gets every alarm as JSON, at least once."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httpx
import sqlalchemy as sa

from candor.files.privacy import name_of
from gateway.logs import Trouble
from gateway.store.database import writing
from gateway.store.schema import alarms

_TIMEOUT_S: Final = 10.0
"""For a whole call, from the look-up of its name to the head of its answer."""

_AT_ONCE: Final = 20
_trouble: Final = Trouble("webhook cannot be reached", "warning")


def tell(database: sa.Engine, url: str | None, now: float, transport: httpx.AsyncBaseTransport | None = None) -> int:
    """Call the webhook for each alarm that it has not taken yet; returns how many it took.

    An alarm counts as told when the answer is a success (2xx); otherwise the next sweep tries again.

    Parameters
    ----------
    database
        The node's database.
    url
        The setting ``alarms.webhook``; None for none.
    now
        Seconds since 1970.
    transport
        Makes the calls; None for httpx's own.
    """
    if url is None:
        return 0
    with database.connect() as connection:
        query = sa.select(alarms).where(alarms.c.told.is_(None)).order_by(alarms.c.id).limit(_AT_ONCE)
        untold = connection.execute(query).all()
    told = 0
    for row in untold:
        alarm = {name: getattr(row, name) for name in ("id", "kind", "subject", "text", "raised", "cleared")}
        if call(url, alarm, transport):
            told += 1
            with writing(database) as connection:
                connection.execute(alarms.update().where(alarms.c.id == row.id).values(told=now))
    return told


def call(
    url: str,
    alarm: dict[str, Any],
    transport: httpx.AsyncBaseTransport | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> bool:
    """Post one alarm; returns whether the answer is a success. Its body is not read.

    Parameters
    ----------
    url
        The setting ``alarms.webhook``.
    alarm
        Its ``subject`` is a study's token or a destination's name, never a patient's.
    transport
        Makes the call; None for httpx's own.
    timeout_s
        For the whole call, in seconds.
    """
    try:
        is_success = asyncio.run(_post(url, alarm, transport, timeout_s))
    except (httpx.HTTPError, TimeoutError) as error:
        _trouble.failed(kind=name_of(error))
        return False
    _trouble.worked()
    return is_success


async def _post(url: str, alarm: dict[str, Any], transport: httpx.AsyncBaseTransport | None, timeout_s: float) -> bool:
    """Post within a limit on the whole: httpx's own limits count from the last byte, and a peer can drip."""
    async with (
        asyncio.timeout(timeout_s),
        httpx.AsyncClient(timeout=timeout_s, transport=transport) as client,
        client.stream("POST", url, json={"source": "candor", "alarm": alarm}) as answer,
    ):
        return answer.is_success
