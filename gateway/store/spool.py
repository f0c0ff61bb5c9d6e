"""The spool: the images that were received, and what was made of them, in files that only their owner can read.

::

    incoming/.part-*                    being written
    instances/<aa>/<sha256>.dcm         Part 10 files, whole and durable; the name is the SHA-256 of the file
    studies/<token>/<version>/in/NNN.dcm   hard links to the instances of a version
    studies/<token>/<version>/out/         what the application wrote
    studies/<token>/<version>/quarantine/  results that failed the check, with what they lack
    damaged/<sha256>.dcm        instances that are not what their name says any more

No UID, and nothing else that a peer says, ever becomes part of a path.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from candor.dicom.check.write_checked import QUARANTINE
from candor.files.durable import sync_folder

_PART: Final = ".part-"
_FORGOTTEN_S: Final = 3600.0
"""A part that nobody has written to for so long belongs to a receiver that is no more."""

_TOKEN: Final = re.compile(r"[0-9a-f]{24}")
_BUFFER: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that outlasts a power loss.

    Parameters
    ----------
    file
        Below the spool.
    sha256
        Of the whole file, in hexadecimal.
    bytes
        Its length.
    repaired
        Whether another file had the name, which was not what the name says; this one took its place.
    """

    file: str
    sha256: str
    bytes: int
    repaired: bool = False


class Part:
    """A file that is being written; it has no name that anybody reads until :meth:`Spool.keep`.

    Parameters
    ----------
    folder
        Where it is written.
    hashing
        Runs the hash beside the wait for the disk.
    """

    def __init__(self, folder: Path, hashing: Executor) -> None:
        descriptor, name = tempfile.mkstemp(prefix=_PART, dir=folder)  # mode 0600, O_EXCL
        self.path = Path(name)
        self.bytes = 0
        self._hashing = hashing
        self._file = os.fdopen(descriptor, "wb", _BUFFER)

    def write(self, data: bytes | memoryview) -> None:
        """Append.

        Raises
        ------
        OSError
            The disk is full, or failed.
        """
        self._file.write(data)
        self.bytes += len(data)

    def flush(self) -> None:
        """Hand everything to the operating system, so that others can read the file."""
        self._file.flush()

    def synchronise(self) -> str:
        """Bring everything to the disk and close the file; returns its SHA-256 in hexadecimal.

        Another thread hashes the file while this one waits for the disk; what it reads is still in memory.

        Raises
        ------
        OSError
            The disk is full, or failed.
        """
        self._file.flush()
        sha256 = self._hashing.submit(_sha256, self.path)
        os.fsync(self._file.fileno())
        self._file.close()
        return sha256.result()

    def discard(self) -> None:
        """Remove the file's hidden name; what was kept stays under the name of its content."""
        with suppress(OSError):  # what could not be written need not be written any more
            self._file.close()
        self.path.unlink(missing_ok=True)


class Spool:
    """Keep files below one folder.

    Parameters
    ----------
    root
        The setting ``spool``; made where it is missing.

    Raises
    ------
    OSError
        The folders cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._hashing = ThreadPoolExecutor(thread_name_prefix="hash")
        self._incoming, self._instances, self._studies, self._damaged = (
            _folder(root / name) for name in ("incoming", "instances", "studies", "damaged")
        )
        for first_byte in range(256):  # made here once, so that storing has one folder to synchronise
            _folder(self._instances / f"{first_byte:02x}")
        for folder in (self._instances, root):
            sync_folder(folder)

    def free_bytes(self) -> int:
        """How much disk is left to us."""
        return shutil.disk_usage(self.root).free

    def is_read_only(self) -> bool:
        """Whether the system has made the disk read-only, as it does after an error of the disk."""
        return bool(os.statvfs(self.root).f_flag & os.ST_RDONLY)

    def begin(self) -> Part:
        """Open a part to write to.

        Raises
        ------
        OSError
            The folder cannot be written.
        """
        return Part(self._incoming, self._hashing)

    def keep(self, part: Part) -> Stored:
        """Make a part durable under the name of its content: fsync, a hard link, fsync of the folder.

        The part has its hidden name until :meth:`Part.discard`, so that :meth:`put_back` has something to put back.
        A file of that name stays, with the links that studies have to it, unless it is damaged: then the part takes
        its place.

        Raises
        ------
        OSError
            The disk is full or failed; then nothing may be acknowledged.
        """
        sha256 = part.synchronise()
        target = self._instances / sha256[:2] / f"{sha256}.dcm"
        repaired = False
        try:
            os.link(part.path, target)
        except FileExistsError:
            if not _is_sound(target, sha256):
                copy = part.path.with_name(f"{part.path.name}.copy")
                os.link(part.path, copy)
                copy.replace(target)
                repaired = True
        sync_folder(target.parent)
        return Stored(target.relative_to(self.root).as_posix(), sha256, part.bytes, repaired)

    def put_back(self, part: Part, stored: Stored) -> None:
        """Link a part again where retention has deleted its file since :meth:`keep`.

        Called within the transaction that records the instance, while retention waits
        (:func:`gateway.store.database.lock_study`).

        Parameters
        ----------
        part
            Not yet discarded.
        stored
            What :meth:`keep` said of it.

        Raises
        ------
        OSError
            The disk is full or failed; then nothing may be acknowledged.
        """
        target = self.path(stored.file)
        if not target.exists():
            os.link(part.path, target)
            sync_folder(target.parent)

    def is_sound(self, file: str, sha256: str) -> bool:
        """Return whether a file is there and is what was written.

        Parameters
        ----------
        file
            Below the spool.
        sha256
            What its content was, in hexadecimal.

        Raises
        ------
        FileNotFoundError
            Its folder is not there either: the spool is not mounted.
        """
        path = self.path(file)
        if not self._instances.is_dir():
            raise FileNotFoundError("the spool is not there")
        return _is_sound(path, sha256)

    def set_aside(self, file: str) -> None:
        """Move an instance that is damaged out of the way, for a person to look at.

        Raises
        ------
        OSError
            It cannot be moved.
        """
        path = self.path(file)
        with suppress(FileNotFoundError):
            path.replace(self._damaged / path.name)
            sync_folder(path.parent)

    def delete(self, file: str) -> None:
        """Delete an instance, and what was set aside of it."""
        path = self.path(file)
        path.unlink(missing_ok=True)
        (self._damaged / path.name).unlink(missing_ok=True)

    def store(self, *chunks: bytes) -> Stored:
        """Keep a file that is in memory; see :meth:`keep`."""
        part = self.begin()
        try:
            for chunk in chunks:
                part.write(chunk)
            return self.keep(part)
        finally:
            part.discard()

    def path(self, file: str) -> Path:
        """Find a file by what the database says of it.

        Raises
        ------
        ValueError
            The name leads out of the spool.
        """
        path = self.root / file
        if ".." in path.parts or not path.is_relative_to(self.root):
            raise ValueError("a file of the spool is named by a path that leads out of it")
        return path

    def instances(self) -> Iterator[str]:
        """Name all files that were ever kept and are still there, in the order of their names."""
        for path in sorted(self._instances.glob("??/*.dcm")):
            yield path.relative_to(self.root).as_posix()

    def sweep(self, now: float) -> int:
        """Delete what receivers that were killed have left half-written; returns how many files.

        Parameters
        ----------
        now
            Seconds since 1970. Another machine's receiver may be writing to the same spool, so that only parts are
            deleted which have rested for an hour.
        """
        forgotten = [path for path in self._incoming.glob(f"{_PART}*") if _age(path, now) > _FORGOTTEN_S]
        for path in forgotten:
            path.unlink(missing_ok=True)
        return len(forgotten)

    def lay_out(self, token: str, version: int, files: Sequence[str]) -> Path:
        """Make the folder that the application reads: hard links to a version's instances, and nothing else.

        Parameters
        ----------
        token
            The study's (:mod:`gateway.store.tokens`).
        version
            Of the study.
        files
            Below the spool, in the order of their names in the folder.

        Raises
        ------
        OSError
            A file is not there any more, or the disk is full.
        """
        folder = _folder(self.folder(token, version) / "in")
        names = {f"{number:03d}.dcm": self.path(file) for number, file in enumerate(files, 1)}
        for path in folder.iterdir():
            if path.name not in names or not path.samefile(names[path.name]):
                path.unlink()
        for name, source in names.items():
            if not (folder / name).exists():
                os.link(source, folder / name)
        return folder

    def results(self, token: str, version: int) -> Path:
        """Return the folder that the application writes to, made where it is missing.

        Parameters
        ----------
        token
            The study's (:mod:`gateway.store.tokens`).
        version
            Of the study.
        """
        return _folder(self.folder(token, version) / "out")

    def quarantine(self, token: str, version: int) -> Path:
        """Return the folder for results that failed the check; it need not exist.

        Parameters
        ----------
        token
            The study's (:mod:`gateway.store.tokens`).
        version
            Of the study.
        """
        return self.folder(token, version) / QUARANTINE

    def folder(self, token: str, version: int) -> Path:
        """Return the folder of one version of a study; it need not exist.

        Parameters
        ----------
        token
            The study's (:mod:`gateway.store.tokens`).
        version
            Of the study.

        Raises
        ------
        ValueError
            The token is none, or the version is not counted from 1.
        """
        if not _TOKEN.fullmatch(token) or version < 1:
            raise ValueError("a study's folder is named by its token and a version from 1")
        return self._studies / token / str(version)


def _sha256(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_sound(path: Path, sha256: str) -> bool:
    try:
        return _sha256(path) == sha256
    except OSError:  # it is not there, or the disk cannot read it
        return False


def _folder(path: Path) -> Path:
    """Make a folder, and those above it, for their owner alone."""
    if not path.is_dir():
        _folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def _age(path: Path, now: float) -> float:
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
