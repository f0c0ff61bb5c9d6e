"""A process that decodes: ``python -m candor.dicom.read.decoder_process``. Its death costs one file.

Decoders are other people's C, C++ and Rust, run on bytes that anybody may have sent: they hang, crash and ask for
more memory than there is. So they run here, within limits that the system keeps: its alarm ends the process whatever
the decoder is at.

Each line of standard input asks for one file; see :mod:`candor.dicom.read.decoder_client`, which asks.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydicom.uid import UID

from candor.dicom.read.frame import read_frame
from candor.study.errors import Refused


def serve(requests: Iterable[bytes], answers: BinaryIO) -> None:
    """Answer each request: a line of JSON, and where that names a ``dtype``, the pixels behind it."""
    for line in requests:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, request["seconds"])  # the signal's default is to end the process
        head, pixels = _decode(Path(request["path"]), UID(request["syntax"]))
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(json.dumps(head).encode() + b"\n")
        answers.write(pixels)
        answers.flush()


def _decode(path: Path, syntax: UID) -> tuple[dict[str, Any], bytes | memoryview]:
    try:
        frame = np.ascontiguousarray(read_frame(path, syntax))
    except Refused as refused:
        return {"reason": refused.reason.name, "detail": refused.detail}, b""
    return {"dtype": frame.dtype.str, "shape": frame.shape}, frame.data.cast("B")


def _limit(memory_bytes: int) -> None:
    """Bound this process's memory, and let no crash leave pixels in a core file."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _own_output() -> BinaryIO:
    """Take standard output away from the decoders, which print to it."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return answers


if __name__ == "__main__":
    _limit(int(sys.argv[1]))
    serve(sys.stdin.buffer, _own_output())
