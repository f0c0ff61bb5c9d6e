"""Sum the node up for a person at a terminal."""

from __future__ import annotations

import sqlalchemy as sa

from candor.study.result_object import KINDS, NOTE
from gateway.store.mode import foreign_fit_of, mode_of
from gateway.store.schema import alarms, deliveries, objects, studies
from gateway.store.states import StudyState


def summary(database: sa.Engine) -> list[str]:
    """Return the node's mode, its studies, objects and deliveries by state, and its alarms, one line each.

    Nothing in it is a patient's.
    """
    with database.connect() as connection:
        mode, foreign_fit = mode_of(connection), foreign_fit_of(connection)
        states = connection.execute(sa.select(studies.c.state, sa.func.count()).group_by(studies.c.state)).all()
        counted: dict[str, int] = {row[0]: row[1] for row in states}
        made = connection.execute(sa.select(objects.c.kind, sa.func.count()).group_by(objects.c.kind)).all()
        kinds: dict[str, int] = {row[0]: row[1] for row in made}
        sent = connection.execute(
            sa.select(deliveries.c.destination, deliveries.c.state, sa.func.count())
            .group_by(deliveries.c.destination, deliveries.c.state)
            .order_by(deliveries.c.destination, deliveries.c.state)
        ).all()
        opened = connection.execute(
            sa.select(alarms.c.kind, alarms.c.subject, alarms.c.text).where(alarms.c.cleared.is_(None))
        ).all()
    lines = [f"mode: {mode.value}"]
    if foreign_fit is not None:
        lines.append(f"fitted to {foreign_fit.fitted_to}, not to this site: {foreign_fit.reason}")
    lines += [f"studies {state.value}: {counted[state.value]}" for state in StudyState if state.value in counted]
    lines += [f"objects of kind {kind}: {kinds[kind]}" for kind in (*KINDS, NOTE) if kind in kinds]
    lines += [f"objects for {destination}, {state}: {number}" for destination, state, number in sent]
    return lines + [f"alarm {kind}{f' ({subject})' if subject else ''}: {text}" for kind, subject, text in opened]
