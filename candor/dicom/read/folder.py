"""Read an input folder and group its files by study."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from candor.dicom.read.file import read_header
from candor.dicom.shared.attributes import is_uid
from candor.study.case import Case, CaseImage
from candor.study.errors import InputError, Refused
from candor.study.reasons import Reason


def scan(folder: Path, output: Path, time: datetime | None = None) -> list[Case]:
    """Read the headers of all files below ``folder`` and group them by study.

    Every file becomes an image of a case, whatever it holds. Links to files are read. Links to folders are refused as
    unreadable, because they may form circles or lead out of the job's folder.

    Parameters
    ----------
    folder
        Searched with all its subfolders.
    output
        A study's results go to the folder below it whose name is the Study Instance UID.
    time
        The job's time, with a time zone. By default it is the newest modification time of a study's files, in
        whole seconds, UTC, so that a second run gives the same results.

    Returns
    -------
    One case for each study in the order of their UIDs, its images in the order of their names. Files
    without a readable study form a case of their own, the first, with "" as its UID.

    Raises
    ------
    InputError
        The folder is missing, is not a folder, or has no file in it.
    """
    studies: dict[str, list[CaseImage]] = {}
    for path in input_files(folder):
        image = _read(path, path.relative_to(folder).as_posix())
        studies.setdefault(_study(image), []).append(image)
    return [Case(uid, images, output / uid, time or _newest(images)) for uid, images in sorted(studies.items())]


def input_files(folder: Path) -> list[Path]:
    """Return the paths of all files below ``folder``, and of folders that cannot be opened, sorted by name.

    Raises
    ------
    InputError
        The folder is missing, is not a folder, or has no file in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name the folder that holds the DICOM files")
    found: list[Path] = []

    def closed(error: OSError) -> None:
        found.append(Path(error.filename))

    for parent, folders, names in os.walk(folder, onerror=closed):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        found += [Path(parent, name) for name in (*names, *links)]
    if not found:
        raise InputError(f"{folder} holds no file; put a study's DICOM files into it, in subfolders or not")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _read(path: Path, name: str) -> CaseImage:
    """Read one file's header, or refuse it."""
    image = CaseImage(name, path)
    if not path.is_file():
        image.refuse(Reason.UNREADABLE, "not a file, a link that leads nowhere, or a folder that cannot be opened")
        return image
    try:
        image.header = read_header(path)
    except Refused as refused:
        image.refuse(refused.reason, refused.detail)
    return image


def _study(image: CaseImage) -> str:
    """Return the Study Instance UID where it is one, and so a safe name for a folder, else ""."""
    uid = image.header.get("StudyInstanceUID") if image.header is not None else None
    return str(uid) if is_uid(uid) else ""


def _newest(images: list[CaseImage]) -> datetime:
    """Return the newest modification time, in whole seconds."""
    seconds = (image.path.stat(follow_symlinks=image.path.exists()).st_mtime for image in images)
    return datetime.fromtimestamp(int(max(seconds)), UTC)
