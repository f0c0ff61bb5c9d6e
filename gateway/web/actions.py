"""What an operator can start again from the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from gateway.assess.replay import replay_study
from gateway.deliver.requeue import queue_held
from gateway.deliver.resend import Selection, resend
from gateway.jobs.jobs import Jobs
from gateway.settings import Settings
from gateway.store.study import Study


@dataclass(frozen=True, slots=True)
class Acts:
    """Queue again what was given up or held; the first two write who did it into the audit trail.

    Parameters
    ----------
    replay_study
        The version, who: whether the version was parked, and so is queued now.
    resend
        Study Instance UID, destination, who: how many objects were in the dead letter, and so are due now.
    queue_held
        What shadow mode held goes out; how many jobs that makes.
    """

    replay_study: Callable[[Study, str], bool]
    resend: Callable[[str, str, str], int]
    queue_held: Callable[[], int]


def acts_of(database: sa.Engine, settings: Settings, jobs: Jobs, now: Callable[[], float]) -> Acts:
    """Make the acts of a node.

    Parameters
    ----------
    database
        The node's database.
    settings
        The node's.
    jobs
        The queue.
    now
        Seconds since 1970.
    """

    def replayed(study: Study, who: str) -> bool:
        return replay_study(database, settings, jobs, study, who, now())

    def dead(study_instance_uid: str, destination: str, who: str) -> int:
        return resend(database, jobs, Selection(study_instance_uid, destination), who, now())

    return Acts(replayed, dead, lambda: queue_held(database, jobs, now()))
