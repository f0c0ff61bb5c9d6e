"""Several files under one SOP Instance UID: the same instance again, a corrected one, or two that cannot both be it.

The receiver takes them all and decodes none; here they are told apart before a version is assessed:

=====================  ===========  =====================================================================
pixels                 identity     what becomes of it
=====================  ===========  =====================================================================
the same               the same     the later file is a DUPLICATE, however it is encoded
the same               changed      the earlier file is SUPERSEDED: the archive has corrected it
changed                any          the later file is QUARANTINED, with an alarm: nobody knows which is right
=====================  ===========  =====================================================================

Pixels are the same, too, where one file states a spacing or an orientation that the other leaves out. Then the fuller
one is kept.

A quarantined file is laid out beside the one that it contradicts, so that the application refuses both and the report
says why.

A SOP Instance UID is unique beyond its study too (PS3.5 9.1). Where two studies have other pixels under one, both files
are quarantined, and neither study is assessed. The same pixels in two studies are no contradiction: an archive gives a
study a new UID.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from candor.dicom.read.file import Picture, read_header, read_picture, read_pixels
from candor.dicom.shared.identity import fingerprint
from candor.study.errors import Refused
from gateway.store.schema import instances, study_instances
from gateway.store.states import InstanceState
from gateway.store.study import Study

_USED: Final = (InstanceState.KEPT.value, InstanceState.QUARANTINED.value)


@dataclass(frozen=True, slots=True)
class Received:
    """One received file of a version, as its row has it."""

    id: int
    sop_instance_uid: str
    file: str
    received: float
    state: InstanceState
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """What an instance is, whatever its encoding.

    Parameters
    ----------
    identity
        Hash of the attributes that results carry (:data:`candor.dicom.shared.identity.IDENTITY`).
    pixels
        Hash of the picture; "" where it cannot be decoded.
    picture
        What it shows apart from spacing and orientation; None where it cannot be decoded.
    """

    identity: str
    pixels: str
    picture: Picture | None = None

    def shows_the_same(self, other: Content) -> bool:
        """Return whether both have the same picture, one of them maybe with an attribute more."""
        if self.pixels == other.pixels:
            return True
        return self.picture is not None and other.picture is not None and self.picture.is_same(other.picture)

    def states_more(self, other: Content) -> bool:
        """Return whether it states more about the same picture than another file."""
        return self.picture is not None and other.picture is not None and self.picture.facts > other.picture.facts


def received_files(connection: sa.Connection, study: Study, at_most: int | None = None) -> list[Received]:
    """List the files that a version is made of, in the order in which they came.

    Parameters
    ----------
    connection
        To the node's database.
    study
        The version.
    at_most
        So many of them; None for all.
    """
    query = (
        sa.select(instances)
        .join(study_instances, study_instances.c.instance == instances.c.id)
        .where(study.within(study_instances), instances.c.state.in_(_USED))
        .order_by(instances.c.received, instances.c.id)
        .limit(at_most)
    )
    return [_received(row) for row in connection.execute(query)]


def files_elsewhere(connection: sa.Connection, study: Study, files: Iterable[Received]) -> list[tuple[Received, str]]:
    """List what other studies have under the SOP Instance UIDs of files, each with its Study Instance UID.

    Parameters
    ----------
    connection
        To the node's database.
    study
        The version that the files are of.
    files
        Of the version.
    """
    uids = sorted({file.sop_instance_uid for file in files})
    other = instances.c.study_instance_uid != study.study_instance_uid
    query = sa.select(instances).where(instances.c.sop_instance_uid.in_(uids), other, instances.c.state.in_(_USED))
    return [(_received(row), row.study_instance_uid) for row in connection.execute(query.order_by(instances.c.id))]


def contradict(one: Content, other: Content) -> bool:
    """Return whether both have a picture, and not the same.

    Parameters
    ----------
    one, other
        Of two files with one SOP Instance UID.
    """
    return bool(one.pixels and other.pixels and not one.shows_the_same(other))


def _received(row: Any) -> Received:
    state = InstanceState(row.state)
    return Received(row.id, row.sop_instance_uid, row.file, row.received, state, row.sha256)


def content_of(path: Path) -> Content:
    """Read what an instance is; a file that cannot be read has neither identity nor pixels."""
    try:
        identity = fingerprint(read_header(path), "")
    except Refused:
        return Content("", "")
    try:
        return Content(identity, read_pixels(path).pixel_sha256, read_picture(path))
    except Refused:
        return Content(identity, "")


def tell_apart(files: Iterable[Received], content: Callable[[Received], Content]) -> dict[int, InstanceState]:
    """Say what each file of a version is to its study.

    Parameters
    ----------
    files
        In the order in which they came.
    content
        Reads a file; called for those alone that share their SOP Instance UID.

    Returns
    -------
    The state of each file, by the id of its row.
    """
    same: defaultdict[str, list[Received]] = defaultdict(list)
    for file in files:
        same[file.sop_instance_uid].append(file)
    states: dict[int, InstanceState] = {}
    for group in same.values():
        states |= _settle(group, content) if len(group) > 1 else {group[0].id: group[0].state}
    return states


def _settle(group: list[Received], content: Callable[[Received], Content]) -> dict[int, InstanceState]:
    """Compare each file with the one that is kept so far; what is in quarantine never comes to be that one."""
    kept, *others = sorted(group, key=lambda file: file.state is InstanceState.QUARANTINED)
    kept_content = content(kept)
    states = {kept.id: InstanceState.KEPT}
    for file in others:
        here = content(file)
        states[file.id] = _compare(kept_content, here)
        if states[file.id] is InstanceState.KEPT:
            states[kept.id] = InstanceState.SUPERSEDED
            kept, kept_content = file, here
    return states


def _compare(kept: Content, later: Content) -> InstanceState:
    """Say what the later file is to the one that is kept."""
    if kept.pixels and not later.pixels:
        return InstanceState.DUPLICATE  # a broken copy never shuts out a whole one
    if later.pixels and not kept.pixels:
        return InstanceState.KEPT
    if not kept.shows_the_same(later):
        return InstanceState.QUARANTINED
    if later.states_more(kept):
        return InstanceState.KEPT
    if kept.identity == later.identity or kept.states_more(later):
        return InstanceState.DUPLICATE
    return InstanceState.KEPT


def note_states(connection: sa.Connection, before: Iterable[Received], after: dict[int, InstanceState]) -> None:
    """Write the states that changed.

    Parameters
    ----------
    connection
        In a transaction.
    before
        The files with the states that their rows have.
    after
        The state of each, by the id of its row.
    """
    for file in before:
        if after[file.id] is not file.state:
            row = instances.update().where(instances.c.id == file.id)
            connection.execute(row.values(state=after[file.id].value))
