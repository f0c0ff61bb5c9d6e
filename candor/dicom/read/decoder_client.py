"""Decode compressed pixel data in a separate process, so that no file can stop the application.

The process is started for the first compressed file and kept. It ends with the application, when its standard input is
closed. A process that crashed or was stopped is replaced for the next file.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID

from candor.dicom.read.frame import undecodable
from candor.study.errors import Refused
from candor.study.reasons import Reason

DECODING_SECONDS: Final = 20.0
"""The most time for one file; the largest radiographs take two seconds."""

MEMORY_BYTES: Final = 1 << 30
"""The most memory of the process; the largest radiographs need a quarter of it."""

_DTYPES: Final = ("|u1", "|i1", "<u2", "<i2")
_LINE_BYTES: Final = 4096
_PIPE_BYTES: Final = 1 << 20
_ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_ADVICE: Final = "send it uncompressed, or look at what sends it"


class DecoderProcess:
    """A process that decodes one file after another; it is started when it is first needed.

    Parameters
    ----------
    seconds
        How long one file may take.
    memory_bytes
        How much memory the process may take.
    module
        The module that it runs.
    """

    def __init__(
        self,
        seconds: float = DECODING_SECONDS,
        memory_bytes: int = MEMORY_BYTES,
        module: str = "candor.dicom.read.decoder_process",
    ) -> None:
        self._seconds, self._memory_bytes, self._module = seconds, memory_bytes, module
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def decode(self, path: Path, syntax: UID, shape: tuple[int, int]) -> NDArray[Any]:
        """Return a file's frame as :func:`candor.dicom.read.frame.read_frame` does.

        Parameters
        ----------
        path
            The file.
        syntax
            Its transfer syntax.
        shape
            The rows and columns that the frame must have.

        Raises
        ------
        Refused
            As ``read_frame``; and ``UNDECODABLE`` where the process crashed or was stopped.
        """
        request = {"path": str(path.absolute()), "syntax": syntax, "seconds": self._seconds}
        with self._lock:
            process = self._running()
            try:
                return _exchange(process, json.dumps(request).encode() + b"\n", shape)
            except (BrokenPipeError, EOFError):
                raise undecodable(syntax, f"{self._end(process)}; {_ADVICE}") from None

    def close(self) -> None:
        """End the process; the next file starts another."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.communicate()
                self._process = None

    @property
    def pid(self) -> int | None:
        """The process's identifier; None while none is running."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process = self._start()
        return self._process

    def _start(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)  # noqa: PTH100 - "" is this folder
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", self._module, str(self._memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # decoders print what files hold
            env={**os.environ, **_ONE_THREAD, "PYTHONPATH": path},
            start_new_session=True,  # signals to the application do not reach it
            pipesize=_PIPE_BYTES,
        )

    def _end(self, process: subprocess.Popen[bytes]) -> str:
        """Return how a process ended that gave no answer."""
        process.communicate()
        self._process = None
        if process.returncode == -signal.SIGALRM:
            return f"the decoder took over {self._seconds:g} s and was stopped"
        if process.returncode < 0:
            return f"the decoder crashed ({signal.Signals(-process.returncode).name})"
        return f"the decoder gave up ({process.returncode})"


def _exchange(process: subprocess.Popen[bytes], request: bytes, shape: tuple[int, int]) -> NDArray[Any]:
    """Return the frame that the process answers to a request.

    Raises
    ------
    BrokenPipeError, EOFError
        The process has ended, or was killed because its answer has the wrong form.
    Refused
        The process refuses the file.
    """
    requests, answers = process.stdin, process.stdout
    if requests is None or answers is None:
        raise BrokenPipeError
    requests.write(request)
    requests.flush()
    line = answers.readline(_LINE_BYTES)
    if not line.endswith(b"\n"):
        raise EOFError
    head = json.loads(line)
    if "reason" in head:
        raise Refused(Reason[head["reason"]], head["detail"])
    if head["dtype"] not in _DTYPES or tuple(head["shape"]) != shape:
        process.kill()
        raise EOFError
    pixels = np.empty(shape, head["dtype"])
    if answers.readinto(pixels.data.cast("B")) != pixels.nbytes:  # type: ignore[attr-defined]  # it is buffered
        raise EOFError
    return pixels


_SHARED: Final = DecoderProcess()
atexit.register(_SHARED.close)
decode_apart: Final = _SHARED.decode
