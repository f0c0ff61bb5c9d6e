"""A decoder that does what the file's name says: ``python -m tests.hostile.misbehaving``."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from candor.dicom.read.decoder_process import _limit

PIXELS = bytes(range(12))


def answer(head: dict[str, object], pixels: bytes) -> None:
    """Answer as the decoder does."""
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + pixels)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    _limit(int(sys.argv[1]))
    for line in sys.stdin.buffer:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, request["seconds"])
        match Path(request["path"]).name:
            case "hangs":
                time.sleep(600)
            case "crashes":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "leaves":
                sys.exit(3)
            case "stops halfway":
                answer({"dtype": "<u2", "shape": [2, 3]}, PIXELS[:5])
                os.kill(os.getpid(), signal.SIGABRT)
            case "another shape":
                answer({"dtype": "<u2", "shape": [60_000, 60_000]}, PIXELS)
            case "another type":
                answer({"dtype": "|O", "shape": [2, 3]}, PIXELS)
            case "dies afterwards":
                answer({"dtype": "<u2", "shape": [2, 3]}, PIXELS)
                sys.exit()
            case _:
                answer({"dtype": "<u2", "shape": [2, 3]}, PIXELS)
        signal.setitimer(signal.ITIMER_REAL, 0)
