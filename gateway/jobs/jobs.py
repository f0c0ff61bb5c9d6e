"""Jobs that outlast a crash: a study to assess, a delivery to make. The one module that knows DBOS.

DBOS keeps the jobs in our own database, so a job is queued in the transaction of what it is about: both are there or
neither. A job names a study and no patient. It may run more than once - after a crash, or when somebody queued it
twice - so what it calls looks into the tables first and does what is still to be done.

DBOS is the job runner. What it leaves to its user is here and in :mod:`gateway.jobs.lease`: the application version is
pinned, since the default, a hash of the code, would strand all jobs at every upgrade; arguments are JSON, not pickles;
the journal mode of SQLite is set by :mod:`gateway.store.database`; retries after hours are new jobs with a delay, since
a retry within a job would hold a slot.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions

from candor.files.privacy import name_of, place_of
from gateway.jobs.lease import TTL_S, Lease
from gateway.logs import log_event
from gateway.settings import Settings
from gateway.store.schema import studies
from gateway.store.states import Priority
from gateway.store.study import Study

STUDIES: Final = "studies"
DELIVERIES: Final = "deliveries by destination"
"""Each destination has its own part of the queue: one that hangs holds back no other. Jobs of the earlier queue,
"deliveries", are not run any more; what they were for is queued again as lost."""

_NAME: Final = "candor"
_VERSION: Final = "1"
"""Of the jobs' arguments. Change it when they change, and drain the node before: jobs of another version wait."""

_POLL_S: Final = 0.02
"""A study waits for such a look twice, and for half of it on average; a look costs 2 ms of a processor."""

_DELIVERIES_AT_ONCE: Final = 4
"""To each destination."""

_OTHER_THREADS: Final = 4
_RECOVERIES: Final = 1000
"""Our own tables count the tries; the job runner's would hit innocent neighbours of a job that kills its process."""

_BROKEN: Final = ("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_UNDER_WAY: Final = ("ENQUEUED", "PENDING", "DELAYED")

AssessStudy = Callable[[Study], None]
MakeDelivery = Callable[[Study, str, int], None]

_handlers: Final[dict[str, Callable[..., None]]] = {}


class JobFailed(RuntimeError):
    """A job ended with an error: its type and place, never its message, which the job runner would keep."""


def _handle(queue: str, *arguments: Any) -> None:
    """Do a job; the border at which its errors are logged and stripped of what they say."""
    try:
        _handlers[queue](*arguments)
    except Exception as error:  # noqa: BLE001 - the border named above
        log_event("job failed", "error", kind=name_of(error), where=place_of(error))
        raise JobFailed(f"{name_of(error)} at {place_of(error)}") from None


@DBOS.workflow(name="assess_study", max_recovery_attempts=_RECOVERIES)
def _assess_study(study_instance_uid: str, version: int) -> None:
    _handle(STUDIES, Study(study_instance_uid, version))


@DBOS.workflow(name="make_delivery", max_recovery_attempts=_RECOVERIES)
def _make_delivery(study_instance_uid: str, version: int, destination: str, attempt: int) -> None:
    _handle(DELIVERIES, Study(study_instance_uid, version), destination, attempt)


def of_objects(uids: Iterable[str]) -> str:
    """Return the occasion of a chain of tries for some objects: a version may get other results later.

    A report that a study was not assessed by its deadline has gone out when its results come; a job under the name of
    that report's delivery would be none.
    """
    return hashlib.sha256(" ".join(sorted(uids)).encode()).hexdigest()[:16]


class Jobs:
    """Queue jobs, and in the processes that do them, run them.

    Parameters
    ----------
    database
        The node's database; the job runner has its own tables there.
    settings
        For the database's address.
    executor_id
        This life of this process (:func:`gateway.jobs.lease.new_executor_id`).
    ttl_s
        Of the lease (:mod:`gateway.jobs.lease`).
    turned
        Called at each turn of the lease's loop.
    """

    def __init__(
        self,
        database: sa.Engine,
        settings: Settings,
        executor_id: str,
        ttl_s: float = TTL_S,
        turned: Callable[[], None] = lambda: None,
    ) -> None:
        _silence()
        self._database, self._url, self.executor_id = database, settings.database, executor_id
        self._destinations = settings.destinations
        DBOS.migrate(self._url)
        self._client = DBOSClient(
            system_database_url=self._url,
            application_name=_NAME,
            serializer=DBOSPortableJSONSerializer(),
            retry_connection_errors=False,  # who queues a job hears of it when he could not
        )
        self._lease = Lease(database, executor_id, self._recover, ttl_s, turned)
        self._running = False

    def enqueue_study(self, connection: sa.Connection, study: Study, priority: Priority, delay_s: float = 0.0) -> str:
        """Queue a version of a study, with the caller's transaction; returns the job's name.

        A study that was queued before is queued again under the next number: of its jobs, the first to run does the
        work.

        Parameters
        ----------
        connection
            In the caller's transaction.
        study
            The version.
        priority
            Its place among those that wait.
        delay_s
            Before then nobody takes the job.
        """
        connection.execute(studies.update().where(study.row).values(jobs=studies.c.jobs + 1))
        token, number = connection.execute(sa.select(studies.c.token, studies.c.jobs).where(study.row)).one()
        name = f"study:{token}:{study.version}:{number}"
        arguments = (study.study_instance_uid, study.version)
        return self._enqueue(connection, STUDIES, "assess_study", name, arguments, priority, delay_s)

    def enqueue_delivery(
        self,
        connection: sa.Connection,
        study: Study,
        destination: str,
        attempt: int = 0,
        delay_s: float = 0.0,
        occasion: str = "",
    ) -> str:
        """Queue a delivery, with the caller's transaction; returns the job's name.

        Parameters
        ----------
        connection
            In the caller's transaction.
        study
            The version whose results are delivered.
        destination
            Its name.
        attempt
            Counts the tries. The same attempt queued twice is one job: a crash between sending and noting it down
            does not split the chain of tries in two.
        delay_s
            Before then nobody takes the job.
        occasion
            Tells a new chain of tries from those before it: :func:`of_objects`, or the person or the sweep that began
            it; up to 32 characters.
        """
        token, priority = connection.execute(sa.select(studies.c.token, studies.c.priority).where(study.row)).one()
        name = f"deliver:{token}:{study.version}:{destination}:{attempt}" + (f":{occasion}" if occasion else "")
        arguments = (study.study_instance_uid, study.version, destination, attempt)
        lane = destination
        return self._enqueue(
            connection, DELIVERIES, "make_delivery", name, arguments, Priority(priority), delay_s, lane
        )

    def _enqueue(
        self,
        connection: sa.Connection,
        queue: str,
        workflow: str,
        name: str,
        arguments: tuple[Any, ...],
        priority: Priority,
        delay_s: float,
        lane: str | None = None,
    ) -> str:
        options: EnqueueOptions = {
            "queue_name": queue,
            "workflow_name": workflow,
            "workflow_id": name,
            "app_version": _VERSION,
            "priority": priority.value,
        }
        if lane is not None:
            options["queue_partition_key"] = lane
        if delay_s > 0:
            options["delay_seconds"] = delay_s
        self._client.enqueue_in_transaction(connection, options, *arguments)
        return name

    def run_studies(self, assess: AssessStudy) -> None:
        """Begin to do studies in the background, one at a time."""
        self._run(STUDIES, assess, threads=1, worker_concurrency=1)

    def run_deliveries(self, deliver: MakeDelivery) -> None:
        """Begin to make deliveries in the background, a few at once to each destination."""
        threads = _DELIVERIES_AT_ONCE * (len(self._destinations) + 1)  # and to those that left the settings
        self._run(DELIVERIES, deliver, threads, partition_worker_concurrency=_DELIVERIES_AT_ONCE)

    def _run(self, queue: str, handler: Callable[..., None], threads: int, **limits: Any) -> None:
        _handlers[queue] = handler
        DBOS(
            config={
                "name": _NAME,
                "system_database_url": self._url,
                "application_version": _VERSION,
                "executor_id": self.executor_id,
                "serializer": DBOSPortableJSONSerializer(),
                "log_level": "CRITICAL",
                "max_executor_threads": threads + _OTHER_THREADS,
            }
        )
        DBOS.listen_queues([queue])
        self._lease.beat()  # before the first job: nobody may take this process for dead
        self._client.register_queue(queue, polling_interval_sec=_POLL_S, **limits)
        DBOS.launch()
        self._lease.start()
        self._running = True

    def stop(self, drain_s: float = 0.0) -> None:
        """Take no more jobs, wait for those under way, and give the lease back.

        Parameters
        ----------
        drain_s
            How long to wait; what is not done by then is done by another process, or after the next start.
        """
        if self._running:
            DBOS.destroy(workflow_completion_timeout_sec=int(drain_s))
            self._lease.stop()
        self._client.destroy()

    def broken(self) -> list[str]:
        """Name the jobs that the job runner has given up; what they were to do is for a sweep to queue again."""
        found = self._client.list_workflows(status=list(_BROKEN), load_input=False, load_output=False)
        return [workflow.workflow_id for workflow in found]

    def under_way(self, queue: str, taken_after: float = 0.0) -> list[str]:
        """Name the jobs of a queue that are queued, delayed or running.

        Parameters
        ----------
        queue
            :data:`STUDIES` or :data:`DELIVERIES`.
        taken_after
            Leave out what a process took from the queue before then, in seconds since 1970: the job runner may fail
            between taking a job and beginning it, and then a process that lives holds what it never does.
        """
        found = self._client.list_workflows(
            status=list(_UNDER_WAY), queue_name=queue, load_input=False, load_output=False
        )
        return [
            workflow.workflow_id
            for workflow in found
            if workflow.status != "PENDING" or (workflow.dequeued_at or 0) >= taken_after * 1000
        ]

    def forget(self, before: float, at_most: int = 1000) -> int:
        """Delete jobs that ended before a time; returns how many.

        Parameters
        ----------
        before
            The time, in seconds since 1970.
        at_most
            How many to delete.
        """
        found = self._client.list_workflows(
            status=["SUCCESS", *_BROKEN],
            completed_before=datetime.fromtimestamp(before, UTC).isoformat(),
            limit=at_most,
            load_input=False,
            load_output=False,
        )
        names = [workflow.workflow_id for workflow in found]
        if names:
            self._client.delete_workflows(names)
        return len(names)

    def _recover(self, dead: Callable[[set[str]], list[str]]) -> int:
        """Requeue what belongs to the dead. DBOS's call is private: a test fails if an upgrade moves it."""
        pending = self._client.list_workflows(status="PENDING", load_input=False, load_output=False)
        executors = dead({workflow.executor_id for workflow in pending if workflow.executor_id})
        return len(DBOS._recover_pending_workflows(executors)) if executors else 0


def _silence() -> None:
    """Drop what the job runner logs: it quotes arguments and errors."""
    log = logging.getLogger("dbos")
    log.setLevel(logging.CRITICAL + 1)
    log.disabled = True
    log.propagate = False
