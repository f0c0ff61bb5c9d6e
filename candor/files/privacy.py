"""Name an error without its message.

The message of a library's error may hold a patient's data, and so may a path. Log lines, reports and the node's tables
therefore get only what these functions return: the type of an error and the place that raised it. The memory of a
process holds such data too: a process that reads images leaves no core dump.
"""

from __future__ import annotations

import ctypes
import resource
import traceback
from pathlib import Path
from typing import Final

_CALLS: Final = 4
_PR_SET_DUMPABLE: Final = 4
"""Of prctl(2)."""


class Unexpected(RuntimeError):
    """An unexpected error; its text is the type and the place of the original error, without the message."""

    @classmethod
    def of(cls, error: BaseException) -> Unexpected:
        """Return an error that stands for another."""
        return cls(f"{name_of(error)} at {place_of(error)}")


def name_of(error: BaseException | None) -> str:
    """Return the name of an error's type: ``"ValueError"``."""
    return type(error).__name__


def place_of(error: BaseException) -> str:
    """Return where an error was raised: the file, line and function of the innermost calls, the last one last."""
    frames = traceback.extract_tb(error.__traceback__)[-_CALLS:]
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)


def cause_of(error: BaseException) -> str:
    """Return the operating system's words for an error ("No space left on device"), or else the name of its type."""
    if isinstance(error, Unexpected):
        return str(error).split(" ", 1)[0]
    cause = error.__cause__ or error
    return (isinstance(cause, OSError) and cause.strerror) or name_of(error)


def forbid_core_dumps() -> None:
    """Let no crash of this process leave its memory in a file; nor may others of the same user read it.

    ``RLIMIT_CORE`` alone does not stop a core that is piped to a program (core(5)), as systemd-coredump has it.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")
