"""The site's webhook: it gets every alarm as JSON, at least once."""

from __future__ import annotations

from typing import Final

import httpx
import sqlalchemy as sa

from candor.files.privacy import name_of
from gateway.logs import log_event
from gateway.store.database import writing
from gateway.store.schema import alarms

_TIMEOUT_S: Final = 10.0
_AT_ONCE: Final = 20


def tell(database: sa.Engine, url: str | None, now: float, client: httpx.Client | None = None) -> int:
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
    client
        Makes the calls; a test's own.
    """
    if url is None:
        return 0
    with database.connect() as connection:
        query = sa.select(alarms).where(alarms.c.told.is_(None)).order_by(alarms.c.id).limit(_AT_ONCE)
        untold = connection.execute(query).all()
    if not untold:
        return 0
    with client or httpx.Client(timeout=_TIMEOUT_S) as caller:
        told = [row.id for row in untold if _call(caller, url, row)]
    with writing(database) as connection:
        connection.execute(alarms.update().where(alarms.c.id.in_(told)).values(told=now))
    return len(told)


def _call(client: httpx.Client, url: str, row: sa.Row[tuple[object, ...]]) -> bool:
    """Post one alarm; ``subject`` is a study's token or a destination's name, never a patient's."""
    alarm = {name: getattr(row, name) for name in ("id", "kind", "subject", "text", "raised", "cleared")}
    try:
        return client.post(url, json={"source": "candor", "alarm": alarm}).is_success
    except httpx.HTTPError as error:
        log_event("webhook cannot be reached", "warning", kind=name_of(error))
        return False
