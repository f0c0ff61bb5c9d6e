"""The decoder process: ``python -m candor.dicom.read.decoder_process``. If it crashes, one file is lost.

Decoders are third-party C, C++ and Rust, and run on bytes that anybody may have sent: they hang, crash and allocate too
much memory. So they run here, within limits that the operating system enforces; its alarm ends a process that hangs.

Each line of standard input is a request for one file from :mod:`candor.dicom.read.decoder_client`.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from pydicom.uid import UID

from candor.dicom.read.frame import read_frame, undecodable
from candor.files.privacy import forbid_core_dumps
from candor.study.errors import Refused

_MADE_UP: Final = (b"Corrupt JPEG data", b"Premature end of JPEG")
"""What libjpeg prints where it fills in a picture that the data do not hold, or leaves data over."""


def serve(requests: Iterable[bytes], answers: BinaryIO, printed: BinaryIO | None = None) -> None:
    """Answer each request: a line of JSON, and where that names a ``dtype``, the pixels behind it.

    Parameters
    ----------
    requests
        Lines of JSON with ``path``, ``syntax`` and ``seconds``.
    answers
        Where answers go.
    printed
        What the decoders print, where that is listened to.
    """
    for line in requests:
        request = json.loads(line)
        if printed is not None:
            printed.seek(0)
            printed.truncate()
        signal.setitimer(signal.ITIMER_REAL, request["seconds"])  # the signal's default is to end the process
        head, pixels = _decode(Path(request["path"]), UID(request["syntax"]))
        signal.setitimer(signal.ITIMER_REAL, 0)
        if printed is not None and "reason" not in head and _is_made_up(printed):
            refused = undecodable(UID(request["syntax"]), "its data are those of another picture, or corrupt")
            head, pixels = {"reason": refused.reason.name, "detail": refused.detail}, b""
        answers.write(json.dumps(head).encode() + b"\n")
        answers.write(pixels)
        answers.flush()


def _is_made_up(printed: BinaryIO) -> bool:
    printed.seek(0)  # the decoders write through the same position
    said = printed.read()
    return any(words in said for words in _MADE_UP)


def _decode(path: Path, syntax: UID) -> tuple[dict[str, Any], bytes | memoryview]:
    try:
        frame = np.ascontiguousarray(read_frame(path, syntax))
    except Refused as refused:
        return {"reason": refused.reason.name, "detail": refused.detail}, b""
    return {"dtype": frame.dtype.str, "shape": frame.shape}, frame.data.cast("B")


def _limit(memory_bytes: int) -> None:
    """Limit this process's memory, and turn off core files, which would hold pixels."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    forbid_core_dumps()


def _own_output() -> BinaryIO:
    """Return standard output, and redirect it for the decoders, which print to it, to the null device."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return answers


def _own_errors() -> BinaryIO:
    """Listen to what the decoders print to standard error; it is kept in memory and shown to nobody."""
    printed = os.memfd_create("decoders")
    os.dup2(printed, sys.stderr.fileno())
    return os.fdopen(printed, "r+b", buffering=0)


if __name__ == "__main__":
    _limit(int(sys.argv[1]))
    serve(sys.stdin.buffer, _own_output(), _own_errors())
