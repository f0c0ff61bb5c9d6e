"""Deliver results: each object to each destination that takes it, until it is sure or a person is needed.

The rows of ``deliveries`` are the truth, and a job is a reason to look at them. A try is counted before it is made; its
outcome and the job of the next try are written in one transaction. A crash in between sends the same file again, under
the same UID with the same bytes.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import sqlalchemy as sa

from candor.study.result_object import NOTE
from gateway.deliver import breaker
from gateway.deliver.delivery_outcome import settle_studies, watch_dead_letters
from gateway.deliver.sender import NO_ANSWER, Answer, Outcome, Outgoing, Verdict, send
from gateway.deliver.stop import Stop
from gateway.dimse.association import Remote
from gateway.dimse.status import hexadecimal
from gateway.logs import log_event
from gateway.settings import Deliver, Destination, Settings
from gateway.store.counters import count
from gateway.store.database import writing
from gateway.store.schema import deliveries, objects, studies
from gateway.store.spool import Spool
from gateway.store.states import DeliveryState, Mode
from gateway.store.study import Study, same_version

_DAY_S: Final = 86400.0
_SLACK_S: Final = 1.0
"""The job runner's clock and ours need not agree to the millisecond."""

_ORDER: Final = {"sr": 0, "ko": 1, "gsps": 2, "sc": 3, "pm": 4, NOTE: 5}
"""The report goes first, whatever becomes of the pictures that it refers to; last goes what rejects any of them."""


class Queue(Protocol):
    """What delivering needs of :class:`gateway.jobs.jobs.Jobs`."""

    def enqueue_delivery(
        self,
        connection: sa.Connection,
        study: Study,
        destination: str,
        attempt: int = 0,
        delay_s: float = 0.0,
        occasion: str = "",
    ) -> str:
        """See :meth:`gateway.jobs.jobs.Jobs.enqueue_delivery`."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a delivery is about."""

    study: Study
    destination: str
    token: str


class Deliverer:
    """Makes deliveries.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    spool
        Where the files are.
    jobs
        Where jobs are queued.
    now
        Gives seconds since 1970.
    random
        Gives numbers in [0, 1), for the jitter.
    stop
        Ends all sending at once.
    """

    def __init__(
        self,
        database: sa.Engine,
        settings: Settings,
        spool: Spool,
        jobs: Queue,
        now: Callable[[], float] = time.time,
        random: Callable[[], float] = random.random,
        stop: Stop | None = None,
    ) -> None:
        self._database, self._settings, self._spool, self._jobs = database, settings, spool, jobs
        self._now, self._random = now, random
        self._stop = stop or Stop()

    def deliver(self, study: Study, destination: str, attempt: int) -> None:
        """Send what is due of a study to one destination, in the order of their kinds.

        Parameters
        ----------
        study
            The version. Objects that it shares with earlier ones have the rows of those.
        destination
            Its name.
        attempt
            Tells one job from another; the tries are counted in the rows.
        """
        query = sa.select(studies.c.token).where(study.row)
        with self._database.connect() as connection:
            token = connection.execute(query).scalar_one()
        job = Job(study, destination, token)
        rows = self._pending(job)
        if rows:
            self._look(job, rows, attempt)
        settle_studies(self._database, self._settings, self._now(), study.study_instance_uid)

    def requeue_uncommitted(self) -> int:
        """Queue what a commitment report has called failed; returns how many objects."""
        query = (
            sa.select(deliveries, objects.c.study_instance_uid, objects.c.version, studies.c.token)
            .join(objects, objects.c.sop_instance_uid == deliveries.c.sop_instance_uid)
            .join(studies, same_version(objects))
            .where(deliveries.c.state == DeliveryState.DUE.value, deliveries.c.transaction_uid.is_not(None))
        )
        with self._database.connect() as connection:
            found = connection.execute(query).all()
        for row in found:
            job = Job(Study.of(row), row.destination, row.token)
            with writing(self._database) as connection:
                here = sa.and_(_key(row), deliveries.c.transaction_uid == row.transaction_uid)
                if connection.execute(deliveries.update().where(here).values(transaction_uid=None)).rowcount:
                    self._retry(connection, job, [(row, Answer(Verdict.LATER, row.status, row.reason))])
        return len(found)

    def _pending(self, job: Job) -> Sequence[Any]:
        """Return the rows that are to be sent, now or at their time; in shadow mode only what is to go despite it.

        What ended its last association comes after all others, so that it holds back none of them.
        """
        query = (
            sa.select(deliveries, objects.c.sop_class_uid, objects.c.file, objects.c.sha256, objects.c.kind)
            .join(objects, objects.c.sop_instance_uid == deliveries.c.sop_instance_uid)
            .where(
                objects.c.study_instance_uid == job.study.study_instance_uid,
                objects.c.version <= job.study.version,
                deliveries.c.destination == job.destination,
                deliveries.c.state == DeliveryState.DUE.value,
            )
            .order_by(objects.c.version, objects.c.made, objects.c.sop_instance_uid)
        )
        if self._stop.look(self._database) is Mode.SHADOW:
            query = query.where(deliveries.c.despite_shadow == 1)
        with self._database.connect() as connection:
            found = connection.execute(query).all()
        return sorted(found, key=lambda row: (row.reason == NO_ANSWER.reason, _ORDER[row.kind]))

    def _look(self, job: Job, rows: Sequence[Any], attempt: int) -> None:
        """Try what is due now, or come back when it is."""
        now = self._now()
        due = [row for row in rows if row.due <= now + _SLACK_S]
        if not due:
            self._come_back(job, attempt, min(row.due for row in rows) - now)
            return
        destination = next((each for each in self._settings.destinations if each.name == job.destination), None)
        if destination is None:
            gone = Answer(Verdict.NEVER, reason="the settings have no such destination any more")
            self._note(job, [(row, gone) for row in due], ())
        elif wait_s := breaker.wait_s(self._database, destination.name, self._settings.deliver, now):
            self._come_back(job, attempt, wait_s)
        else:
            self._try(job, destination, due, [row for row in rows if row not in due])

    def _come_back(self, job: Job, attempt: int, delay_s: float) -> None:
        """Look again later without counting a try; several jobs that wait for the same moment become one.

        The moment is a whole second, later than any that this job may have waited for itself: a job that was queued
        under its own name would be none.
        """
        now = self._now()
        moment = math.ceil(now + max(delay_s, _SLACK_S))
        with writing(self._database) as connection:
            self._jobs.enqueue_delivery(
                connection,
                job.study,
                job.destination,
                attempt,
                moment - now,
                f"at-{moment}",
            )

    def _try(self, job: Job, destination: Destination, due: Sequence[Any], pending: Sequence[Any]) -> None:
        with writing(self._database) as connection:
            begun = [row for row in due if self._begin(connection, row)]
        outcome = self._send(job, destination, begun)
        self._note(job, [(row, outcome.answers.get(row.sop_instance_uid)) for row in begun], pending)

    def _begin(self, connection: sa.Connection, row: Any) -> bool:
        """Count a try; False where the object was recalled, or sent by another process, in the meantime."""
        values = {"tries": deliveries.c.tries + 1, "since": sa.func.coalesce(deliveries.c.since, self._now())}
        here = sa.and_(_key(row), deliveries.c.state == DeliveryState.DUE.value)
        return connection.execute(deliveries.update().where(here).values(values)).rowcount == 1

    def _outgoing(self, row: Any) -> Outgoing:
        return Outgoing(row.sop_instance_uid, row.sop_class_uid, self._spool.path(row.file), row.sha256)

    def _send(self, job: Job, destination: Destination, rows: Sequence[Any]) -> Outcome:
        """Send objects, and note how the destination is doing."""
        deliver = self._settings.deliver
        is_stopped = self._stop.for_notes if all(row.despite_shadow for row in rows) else self._stop.for_results
        outgoing = [self._outgoing(row) for row in rows]
        began = time.monotonic()
        remote = Remote.destination(destination)
        outcome = send(remote, self._settings.delivering_ae_title, outgoing, deliver.timeout_s, is_stopped)
        if not is_stopped():
            self._note_health(destination, outcome)
        taken = sum(answer.verdict is Verdict.TAKEN for answer in outcome.answers.values())
        seconds = round(time.monotonic() - began, 3)
        log_event("results sent", study=job.token, destination=destination.name, count=taken, seconds=seconds)
        return outcome

    def _note_health(self, destination: Destination, outcome: Outcome) -> None:
        """Tell the breaker: a connection that cannot be made is one failure, one without any answer another."""
        name, deliver, now = destination.name, self._settings.deliver, self._now()
        if outcome.unreachable:
            breaker.failed(self._database, name, outcome.unreachable, deliver, now)
        elif outcome.has_broken and not outcome.has_answered:
            breaker.failed(self._database, name, NO_ANSWER.reason, deliver, now, is_connected=True)
        elif outcome.is_reached:
            breaker.succeeded(self._database, name, now)

    def _note(self, job: Job, answers: Sequence[tuple[Any, Answer | None]], pending: Sequence[Any]) -> None:
        """Write the outcomes, and the job of the next try, in one transaction.

        Parameters
        ----------
        job
            What was delivered.
        answers
            Each row that was begun, with its answer; None where it was not tried.
        pending
            Rows whose time has not come.
        """
        with writing(self._database) as connection:
            for row, answer in answers:
                if answer is None:
                    continue
                if answer.verdict is Verdict.TAKEN:
                    self._taken(connection, row, answer)
                elif answer.verdict is Verdict.NEVER:
                    self._dead(connection, job, row, answer)
            failed = [(row, each) for row, each in answers if each is not None and each.verdict is Verdict.LATER]
            untried = [row for row, answer in answers if answer is None]
            self._retry(connection, job, failed, [*untried, *pending])
        watch_dead_letters(self._database, self._now())

    def _taken(self, connection: sa.Connection, row: Any, answer: Answer) -> None:
        values = {"status": answer.status, "reason": answer.reason, "sent": self._now(), "transaction_uid": None}
        connection.execute(deliveries.update().where(_key(row)).values(values))
        self._enter(connection, row, DeliveryState.SENT)
        count(connection, "deliveries_total", destination=row.destination, outcome="sent")

    def _dead(self, connection: sa.Connection, job: Job, row: Any, answer: Answer) -> None:
        values = {"status": answer.status, "reason": answer.reason}
        connection.execute(deliveries.update().where(_key(row)).values(values))
        self._enter(connection, row, DeliveryState.DEAD)
        count(connection, "deliveries_total", destination=row.destination, outcome="dead")
        status = {} if answer.status is None else {"status": hexadecimal(answer.status)}
        log_event(
            "object not deliverable",
            "error",
            study=job.token,
            destination=row.destination,
            reason=answer.reason,
            **status,
        )

    def _enter(self, connection: sa.Connection, row: Any, state: DeliveryState) -> None:
        """Change the state of what is still due; an object that was recalled meanwhile stays so."""
        here = sa.and_(_key(row), deliveries.c.state == DeliveryState.DUE.value)
        connection.execute(deliveries.update().where(here).values(state=state.value))

    def _retry(
        self, connection: sa.Connection, job: Job, failed: Sequence[tuple[Any, Answer]], others: Sequence[Any] = ()
    ) -> None:
        """Give each object that failed its own time, or give it up, and queue a job for the first to come.

        Parameters
        ----------
        connection
            In a transaction.
        job
            What was delivered.
        failed
            The rows that failed, each with its answer.
        others
            More rows that are still to be sent.
        """
        now, deliver = self._now(), self._settings.deliver
        times = [row.due for row in others]
        for row, answer in failed:
            elapsed_s = now - (row.since or now)
            if elapsed_s > deliver.give_up_d * _DAY_S:
                reason = f"given up after {deliver.give_up_d:g} days; the last try: {answer.reason}"
                self._dead(connection, job, row, Answer(Verdict.NEVER, answer.status, reason))
                continue
            times.append(now + backoff(elapsed_s, deliver, self._random()))
            values = {"due": times[-1], "status": answer.status, "reason": answer.reason}
            connection.execute(deliveries.update().where(_key(row)).values(values))
            count(connection, "deliveries_total", destination=row.destination, outcome="retried")
        if times:
            delay_s = max(0.0, min(times) - now)
            self._jobs.enqueue_delivery(connection, job.study, job.destination, _tries(connection, job), delay_s)


def backoff(elapsed_s: float, deliver: Deliver, random: float) -> float:
    """Say how long to wait before the next try: about as long as it has been tried, which doubles with each try.

    Parameters
    ----------
    elapsed_s
        Since the first try.
    deliver
        The settings of delivery.
    random
        In [0, 1): the wait is between half and one and a half of that, so that what failed together comes apart.
    """
    wait_s = max(deliver.first_retry_s, elapsed_s)
    return min(deliver.longest_retry_s, wait_s * (0.5 + random))


def _key(row: Any) -> sa.ColumnElement[bool]:
    """Name a delivery in a WHERE."""
    return sa.and_(deliveries.c.sop_instance_uid == row.sop_instance_uid, deliveries.c.destination == row.destination)


def _tries(connection: sa.Connection, job: Job) -> int:
    """Count all tries so far, of all objects: a number that no earlier job of the study and destination has."""
    query = (
        sa.select(sa.func.sum(deliveries.c.tries))
        .join(objects, objects.c.sop_instance_uid == deliveries.c.sop_instance_uid)
        .where(
            objects.c.study_instance_uid == job.study.study_instance_uid, deliveries.c.destination == job.destination
        )
    )
    return int(connection.execute(query).scalar_one())
