"""What the page reads from the tables; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from candor.study.findings import finding_named
from candor.study.result import AnyAbnormality, Decision
from gateway.store.schema import alarms, audit_trail, deliveries, instances, objects, studies, study_instances
from gateway.store.states import DeliveryState, StudyState
from gateway.store.study import Study, same_version

PAGE: Final = 50

MOST: Final = 200
"""Rows of a table that has no pages: the page says so where there are more."""

WORKLIST_S: Final = 86400.0
"""The list is sorted by priority for studies whose last image is no older; earlier ones follow, the latest first."""

ANSWERS: Final = {
    AnyAbnormality.RULED_OUT.value: "unremarkable by rule-out",
    AnyAbnormality.NOT_RULED_OUT.value: "abnormal?",
    AnyAbnormality.NOT_JUDGED.value: "not judged",
}
"""What the page calls the answers to whether there is any abnormality."""

_BEFORE_ALL: Final = 101.0
_ALARMS: Final = 5
_FILES: Final = 20

OPEN_STATES: Final = tuple(state.value for state in StudyState if state.is_open)
FILTERS: Final[dict[str, tuple[str, sa.ColumnElement[bool]]]] = {
    "all": ("All", sa.true()),
    "open": ("Under way", studies.c.state.in_(OPEN_STATES)),
    "deferred": ("Deferred", studies.c.disposition == "deferred"),
    "not-assessed": ("Not assessed", studies.c.disposition == "not assessed"),
    "failed": ("Failed", studies.c.state == StudyState.FAILED.value),
}
"""What the list may be narrowed to: word in the URL, word for people, condition."""


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A version of a study as the list shows it."""

    row: Any
    sender: str

    @property
    def present(self) -> list[str]:
        """The findings that are present, by their names for people."""
        return self._named(Decision.PRESENT)

    @property
    def deferred(self) -> list[str]:
        """The findings that are deferred."""
        return self._named(Decision.DEFERRED)

    @property
    def absent(self) -> list[str]:
        """The findings that are absent."""
        return self._named(Decision.ABSENT)

    @property
    def look_first(self) -> list[str]:
        """The findings to look at first."""
        return [finding_named(label).display for label in self.row.look_first or ()]

    @property
    def answer(self) -> str:
        """Whether there is any abnormality, in words; "" where nothing is said."""
        return ANSWERS.get(self.row.any_abnormality, "")

    def _named(self, decision: Decision) -> list[str]:
        found: dict[str, str] = self.row.findings or {}
        return [finding_named(label).display for label, here in found.items() if here == decision.value]


def list_studies(connection: sa.Connection, narrowed: str, page: int, now: float) -> tuple[list[StudyRow], bool]:
    """List the newest version of each study in the order of the worklist; and return whether there are more.

    Those of the last day come first, by priority. One without a priority comes before all others, so that what has no
    answer yet, or none at all, does not sink. Older studies follow, the latest first.

    Parameters
    ----------
    connection
        To the node's database.
    narrowed
        One of :data:`FILTERS`.
    page
        From 1.
    now
        Seconds since 1970.
    """
    is_recent = studies.c.last_image >= now - WORKLIST_S
    priority = sa.case((is_recent, sa.func.coalesce(studies.c.worklist_priority, _BEFORE_ALL)), else_=-1.0)
    query = (
        sa.select(studies)
        .where(_is_newest(), FILTERS[narrowed][1])
        .order_by(priority.desc(), studies.c.last_image.desc(), studies.c.token)
        .limit(PAGE + 1)
        .offset(PAGE * (page - 1))
    )
    rows = connection.execute(query).all()
    senders = _senders(connection, [row.study_instance_uid for row in rows])
    shown = [StudyRow(row, senders.get(row.study_instance_uid, "")) for row in rows[:PAGE]]
    return shown, len(rows) > PAGE


def find_study(connection: sa.Connection, token: str, version: int | None = None) -> Any:
    """Return the row of a version; None where there is none.

    Parameters
    ----------
    connection
        To the node's database.
    token
        The study's.
    version
        None for the newest.
    """
    query = sa.select(studies).where(studies.c.token == token).order_by(studies.c.version.desc()).limit(1)
    if version is not None:
        query = query.where(studies.c.version == version)
    return connection.execute(query).one_or_none()


def versions_of(connection: sa.Connection, token: str) -> tuple[list[Any], bool]:
    """List the versions of a study, the newest first; and return whether there are more.

    Parameters
    ----------
    connection
        To the node's database.
    token
        The study's.
    """
    query = sa.select(studies).where(studies.c.token == token).order_by(studies.c.version.desc())
    return _cut(connection, query)


def files_of(connection: sa.Connection, row: Any) -> list[str]:
    """List the first files that a version was made of, below the spool, in the order in which they came.

    Parameters
    ----------
    connection
        To the node's database.
    row
        The version's.
    """
    query = (
        sa.select(instances.c.file)
        .join(study_instances, study_instances.c.instance == instances.c.id)
        .where(Study.of(row).within(study_instances))
        .order_by(instances.c.received, instances.c.id)
        .limit(_FILES)
    )
    return list(connection.execute(query).scalars())


def deliveries_of(connection: sa.Connection, row: Any) -> tuple[list[Any], bool]:
    """List a version's deliveries: object kind, finding, and what became of it where; and whether there are more.

    Parameters
    ----------
    connection
        To the node's database.
    row
        The version's.
    """
    query = (
        sa.select(deliveries, objects.c.kind, objects.c.finding)
        .join(objects, objects.c.sop_instance_uid == deliveries.c.sop_instance_uid)
        .where(Study.of(row).within(objects))
        .order_by(deliveries.c.destination, objects.c.kind.desc(), objects.c.finding)
    )
    return _cut(connection, query)


def dead_deliveries(connection: sa.Connection) -> tuple[list[Any], bool]:
    """List what lies in the dead letter, a row for a version, a destination and a reason; and whether there is more."""
    query = (
        sa.select(
            studies.c.token,
            studies.c.version,
            deliveries.c.destination,
            deliveries.c.reason,
            sa.func.count().label("objects"),
            sa.func.max(deliveries.c.tries).label("tries"),
        )
        .join(objects, objects.c.sop_instance_uid == deliveries.c.sop_instance_uid)
        .join(studies, same_version(objects))
        .where(deliveries.c.state == DeliveryState.DEAD.value)
        .group_by(studies.c.token, studies.c.version, deliveries.c.destination, deliveries.c.reason)
        .order_by(studies.c.token, studies.c.version, deliveries.c.destination)
    )
    return _cut(connection, query)


def failed_studies(connection: sa.Connection) -> tuple[list[Any], bool]:
    """List the studies that were parked before they had a result, the latest first; and whether there are more."""
    parked = sa.and_(studies.c.state == StudyState.FAILED.value, studies.c.assessed.is_(None))
    here = sa.and_(parked, studies.c.purged.is_(None))
    return _cut(connection, sa.select(studies).where(here).order_by(studies.c.finished.desc()))


def open_alarms(connection: sa.Connection) -> list[Any]:
    """List the latest alarms that nobody and nothing has cleared, the latest first."""
    query = sa.select(alarms).where(alarms.c.cleared.is_(None)).order_by(alarms.c.raised.desc())
    return list(connection.execute(query.limit(_ALARMS)).all())


def count_open_alarms(connection: sa.Connection) -> int:
    """Count the alarms that nobody and nothing has cleared."""
    query = sa.select(sa.func.count()).select_from(alarms).where(alarms.c.cleared.is_(None))
    return int(connection.execute(query).scalar_one())


def trail(connection: sa.Connection, page: int) -> tuple[list[Any], bool]:
    """List the audit trail, the latest first; and return whether there is more.

    Parameters
    ----------
    connection
        To the node's database.
    page
        From 1.
    """
    query = sa.select(audit_trail).order_by(audit_trail.c.id.desc()).limit(PAGE + 1).offset(PAGE * (page - 1))
    rows = list(connection.execute(query).all())
    return rows[:PAGE], len(rows) > PAGE


def has_seen(connection: sa.Connection, who: str, token: str, since: float) -> bool:
    """Return whether the trail has a user looking at a study since a time.

    Parameters
    ----------
    connection
        To the node's database.
    who
        The user's name.
    token
        The study's.
    since
        Seconds since 1970.
    """
    query = sa.select(audit_trail.c.id).where(
        audit_trail.c.at >= since,
        audit_trail.c.who == who,
        audit_trail.c.subject == token,
        audit_trail.c.what == "view",
    )
    return connection.execute(query.limit(1)).first() is not None


def _cut(connection: sa.Connection, query: sa.Select[Any]) -> tuple[list[Any], bool]:
    """Return the first rows of a query, and whether there are more."""
    rows = list(connection.execute(query.limit(MOST + 1)).all())
    return rows[:MOST], len(rows) > MOST


def _is_newest() -> sa.ColumnElement[bool]:
    other = studies.alias("other")
    later = sa.and_(other.c.study_instance_uid == studies.c.study_instance_uid, other.c.version > studies.c.version)
    return sa.not_(sa.exists().where(later))


def _senders(connection: sa.Connection, uids: Sequence[str]) -> dict[str, str]:
    """Name the AE titles that each study came from."""
    query = (
        sa.select(instances.c.study_instance_uid, instances.c.calling_ae_title)
        .where(instances.c.study_instance_uid.in_(uids))
        .distinct()
        .order_by(instances.c.calling_ae_title)
    )
    senders: dict[str, str] = {}
    for uid, title in connection.execute(query):
        senders[uid] = f"{senders[uid]}, {title}" if uid in senders else title
    return senders
