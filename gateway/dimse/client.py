"""Ask a peer to answer (C-ECHO), or send it a folder's files (C-STORE), for a person at a terminal."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

from pydicom import Dataset
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from candor.dicom.read.file import read_header
from candor.dicom.read.folder import input_files
from candor.dicom.shared.attributes import is_uid
from candor.study.errors import CandorError, Refused, SettingsError
from gateway.dimse.association import NoAssociation, Remote, associated
from gateway.dimse.status import Status, explain, hexadecimal
from gateway.settings import Settings

_MOST_CONTEXTS: Final = 128
"""PS3.8 9.3.2.2: their identifiers are the odd numbers of one byte."""

Sent = tuple[str, int | None]
"""A file's name, and the status that it was answered with; None without an answer."""


class NotSent(CandorError):
    """Not everything that was to be sent was taken."""


def remotes_of(settings: Settings) -> dict[str, Remote]:
    """Return our own receiver as ``"node"``, and every destination by its name."""
    destinations = {item.name: Remote.destination(item) for item in settings.destinations}
    return {"node": Remote.ourselves(settings)} | destinations


def remote_named(remotes: dict[str, Remote], name: str) -> Remote:
    """Return the remote of a name.

    Parameters
    ----------
    remotes
        From :func:`remotes_of`.
    name
        As a person typed it.

    Raises
    ------
    SettingsError
        There is none of that name.
    """
    if name not in remotes:
        raise SettingsError(f"no destination is named {name!r}; known are {', '.join(remotes)}")
    return remotes[name]


def echo(remote: Remote, settings: Settings) -> tuple[bool, str]:
    """Send C-ECHO.

    Parameters
    ----------
    remote
        Whom to ask.
    settings
        Name the calling AE title and the longest wait.

    Returns
    -------
    Whether the answer was success, and the answer in words.
    """
    calling, timeout_s = settings.delivering_ae_title, settings.deliver.timeout_s
    try:
        with associated(remote, calling, [build_context(Verification)], timeout_s) as association:
            status = association.send_c_echo().get("Status")
    except NoAssociation as error:
        return False, str(error)
    return status == Status.SUCCESS.code, _words(status)


def send_folder(folder: Path, remote: Remote, calling_ae_title: str, timeout_s: float) -> list[Sent]:
    """Send the DICOM files of a folder over one association, each as it is.

    Parameters
    ----------
    folder
        Searched with all its subfolders.
    remote
        Whom to send to.
    calling_ae_title
        Our own.
    timeout_s
        Longest wait for the connection and for each answer, in seconds.

    Raises
    ------
    NotSent
        The folder holds no DICOM file, or too many kinds for one association.
    NoAssociation
        The other side does not answer or refuses.
    """
    files = [(path, header) for path in input_files(folder) if (header := _header(path)) is not None]
    pairs = sorted({(str(header.SOPClassUID), str(header.file_meta.TransferSyntaxUID)) for _, header in files})
    if not 0 < len(pairs) <= _MOST_CONTEXTS:
        raise NotSent(f"{folder} holds no DICOM file, or of more than {_MOST_CONTEXTS} kinds; send a part of it")
    with associated(remote, calling_ae_title, [build_context(*pair) for pair in pairs], timeout_s) as association:
        return _send(association, files)


def outcome(sent: list[Sent]) -> list[str]:
    """Return a line for each file that was not taken, and a line with the number of each status."""
    refused = [f"{name}: {_words(status)}" for name, status in sent if status != Status.SUCCESS.code]
    counted = Counter("no answer" if status is None else hexadecimal(status) for _, status in sent)
    return [*refused, ", ".join(f"{number} x {status}" for status, number in sorted(counted.items()))]


def count_refused(sent: list[Sent]) -> int:
    """Return how many files were not taken."""
    return sum(status != Status.SUCCESS.code for _, status in sent)


def _send(association: Association, files: list[tuple[Path, Dataset]]) -> list[Sent]:
    sent: list[Sent] = []
    for path, header in files:
        offered = (str(header.SOPClassUID), str(header.file_meta.TransferSyntaxUID))
        taken = {(cx.abstract_syntax, cx.transfer_syntax[0]) for cx in association.accepted_contexts}
        if not association.is_established:
            sent.append((path.name, None))
        elif offered not in taken:
            sent.append((path.name, Status.CLASS_NOT_SUPPORTED.code))
        else:
            answer = association.send_c_store(path)
            sent.append((path.name, answer.get("Status")))
    return sent


def _words(status: int | None) -> str:
    return "no answer" if status is None else explain(status)


def _header(path: Path) -> Dataset | None:
    """Return a file's header; None where the file has no SOP Class or no transfer syntax, or is no DICOM file."""
    try:
        header = read_header(path)
    except Refused:
        return None
    syntax = header.file_meta.get("TransferSyntaxUID")
    return header if is_uid(header.get("SOPClassUID")) and is_uid(syntax) else None
