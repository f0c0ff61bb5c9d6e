"""Count what became of every study that a node acknowledged: delivered or told by its deadline, lost, twice, or silent.

A study is *delivered* to a destination when a report of its newest version's assessment has come there. It is *told*
when a report has come that nothing was assessed, or an alarm about the study or the destination is open. An alarm about
the whole node tells too, but only until the end of the trial: then the study itself must be delivered or told.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage

from candor.dicom.shared.codes import disposition_code
from candor.study.result import Disposition
from gateway.store.schema import alarms, instances, objects, studies
from tools.small_pacs import received

NODE: Final = frozenset({"process", "standstill"})
"""Kinds of alarms that are about all studies."""

_NOT_ASSESSED: Final = disposition_code(Disposition.NOT_ASSESSED).value.encode()
_KEPT: Final = "kept"


@dataclass(frozen=True)
class Arrival:
    """A report that came to a destination.

    Parameters
    ----------
    time
        Seconds since 1970.
    assessed
        False where it says that nothing was assessed.
    """

    destination: str
    study: str
    uid: str
    sha256: str
    time: float
    assessed: bool


@dataclass(frozen=True)
class Alarm:
    """An alarm, from the table or from the webhook.

    Parameters
    ----------
    subject
        A study's token or a destination's name.
    raised
        Seconds since 1970.
    is_open
        Whether it stands at the end.
    """

    kind: str
    subject: str
    raised: float
    is_open: bool


@dataclass(frozen=True)
class Evidence:
    """All that a trial left behind.

    Parameters
    ----------
    acknowledged
        When the last image of each study was acknowledged, by Study Instance UID.
    tokens
        Of the studies that the node knows.
    assessed
        Studies of which a version was assessed.
    newest
        The newest version of each study.
    made
        Study and version of each report that the node made, by SOP Instance UID.
    missing
        Studies with an acknowledged image that the node does not know, or whose file is missing or damaged.
    limit_s
        A study is answered by then, after its last image.
    tainted
        Studies whose images were damaged before they were used: only a word about the study itself is an answer.
    """

    acknowledged: Mapping[str, float]
    tokens: Mapping[str, str]
    assessed: frozenset[str]
    newest: Mapping[str, int]
    made: Mapping[str, tuple[str, int]]
    missing: frozenset[str]
    arrivals: Sequence[Arrival]
    alarms: Sequence[Alarm]
    limit_s: float
    tainted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Row:
    """What came out for one destination."""

    acknowledged: int
    assessed: int
    delivered: int
    told: int
    lost: int
    twice: int
    silent: int

    @property
    def good(self) -> bool:
        """Whether the promise was kept."""
        return not (self.lost or self.twice or self.silent)

    @classmethod
    def titles(cls) -> list[str]:
        """Return the titles of the columns."""
        return [each.name for each in fields(cls)]


def row(evidence: Evidence, destination: str) -> Row:
    """Count for one destination.

    Parameters
    ----------
    evidence
        What the trial left behind.
    destination
        Its name.
    """
    here = [each for each in evidence.arrivals if each.destination == destination]
    delivered = {each.study for each in here if each.assessed and _is_newest(evidence, each)}
    told = {study for study in evidence.acknowledged if _told(evidence, study, here, destination)}
    answered = (delivered - evidence.tainted) | told
    late = {study for study in evidence.acknowledged if not _in_time(evidence, study, here, destination)}
    known = evidence.acknowledged.keys()
    return Row(
        acknowledged=len(known),
        assessed=len(known & evidence.assessed),
        delivered=len(known & delivered),
        told=len(told - delivered),
        lost=len((known & evidence.missing) - told),
        twice=_twice(evidence, here),
        silent=len((known - answered) | late),
    )


def _is_newest(evidence: Evidence, arrival: Arrival) -> bool:
    study, version = evidence.made.get(arrival.uid, (arrival.study, 0))
    return version >= evidence.newest.get(study, 0)


def _told(evidence: Evidence, study: str, here: Sequence[Arrival], destination: str) -> bool:
    """Return whether somebody knows of the study, at the end, that it has no result at the destination."""
    subjects = {evidence.tokens.get(study)} | (set() if study in evidence.tainted else {destination})
    reports = any(each.study == study and not each.assessed for each in here)
    return reports or any(alarm.is_open and alarm.subject in subjects for alarm in evidence.alarms)


def _in_time(evidence: Evidence, study: str, here: Sequence[Arrival], destination: str) -> bool:
    """Return whether a result or a word was there by the deadline, of whatever kind."""
    subjects, acknowledged = {evidence.tokens.get(study), destination}, evidence.acknowledged[study]
    said = [each.time for each in here if each.study == study]
    said += [each.raised for each in evidence.alarms if each.subject in subjects or each.kind in NODE]
    return any(time <= acknowledged + evidence.limit_s for time in said)


def _twice(evidence: Evidence, here: Sequence[Arrival]) -> int:
    """Count reports beyond one for each version, UIDs with two contents, and reports that the node does not know."""
    contents: dict[str, set[str]] = defaultdict(set)
    versions: dict[tuple[str, int], set[str]] = defaultdict(set)
    for each in here:
        contents[each.uid].add(each.sha256)
        if each.assessed and each.uid in evidence.made:
            versions[evidence.made[each.uid]].add(each.uid)
    unknown = len(contents.keys() - evidence.made.keys())
    return unknown + sum(len(found) - 1 for found in (*contents.values(), *versions.values()))


def arrivals(folders: Mapping[str, Path]) -> list[Arrival]:
    """Read the reports in the folders of small PACSs, by the names of the destinations."""
    found = []
    for name, folder in folders.items():
        for line in received(folder):
            if line["sop_class_uid"] == Comprehensive3DSRStorage:
                path = folder / f"{line['sha256']}.dcm"
                study = str(dcmread(path, specific_tags=["StudyInstanceUID"], force=True).StudyInstanceUID)
                assessed = _NOT_ASSESSED not in path.read_bytes()
                found.append(Arrival(name, study, line["sop_instance_uid"], line["sha256"], line["time"], assessed))
    return found


def kept_alarms(database: sa.Engine, posted: Sequence[tuple[float, str, str]]) -> list[Alarm]:
    """Read the alarms.

    Parameters
    ----------
    database
        The node's.
    posted
        What the webhook got: time, kind and subject.
    """
    with database.connect() as connection:
        found = [
            Alarm(row.kind, row.subject, row.raised, row.cleared is None)
            for row in connection.execute(sa.select(alarms))
        ]
    return found + [Alarm(kind, subject, time, is_open=False) for time, kind, subject in posted]


def missing(database: sa.Engine, spool: Path, sent: Mapping[str, str]) -> frozenset[str]:
    """Return the studies of acknowledged images that the node lost.

    Parameters
    ----------
    database
        The node's.
    spool
        Its files.
    sent
        The Study Instance UID of each acknowledged SOP Instance UID.
    """
    with database.connect() as connection:
        rows = connection.execute(sa.select(instances)).all()
        known = set(connection.execute(sa.select(studies.c.study_instance_uid)).scalars())
    damaged = {
        each.sop_instance_uid for each in rows if each.state == _KEPT and not _is_whole(spool / each.file, each.sha256)
    }
    whole = {each.sop_instance_uid for each in rows} - damaged
    return frozenset(study for uid, study in sent.items() if uid not in whole or study not in known)


def _is_whole(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def made(database: sa.Engine) -> dict[str, tuple[str, int]]:
    """Return study and version of each report that the node made."""
    with database.connect() as connection:
        rows = connection.execute(sa.select(objects).where(objects.c.kind == "sr")).all()
    return {row.sop_instance_uid: (row.study_instance_uid, row.version) for row in rows}


def known_studies(database: sa.Engine) -> tuple[dict[str, str], frozenset[str], dict[str, int]]:
    """Return the token of each study, the studies of which a version was assessed, and each one's newest version."""
    with database.connect() as connection:
        rows = connection.execute(sa.select(studies).order_by(studies.c.version)).all()
    tokens = {row.study_instance_uid: row.token for row in rows}
    assessed = frozenset(row.study_instance_uid for row in rows if row.disposition is not None)
    return tokens, assessed, {row.study_instance_uid: row.version for row in rows}


def markdown(rows: Sequence[tuple[str, Row | str]]) -> str:
    """Return the table of scenarios; a text stands where a scenario was not run.

    Parameters
    ----------
    rows
        The name of each scenario, with what came out.
    """
    titles = ["scenario", *Row.titles()]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for name, result in rows:
        cells = [result, *[""] * (len(titles) - 2)] if isinstance(result, str) else list(map(str, _values(result)))
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def _values(result: Row) -> list[int]:
    return [getattr(result, name) for name in Row.titles()]
