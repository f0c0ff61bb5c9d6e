"""A very small PACS for trials, which stores every instance that it receives by C-STORE in a folder.

    python tools/small_pacs.py --folder FOLDER --port 11113 [--ae-title PACS]

Every instance becomes a file, and a line of ``received.jsonl`` with UIDs, hash, time and sender. It has no
access control and no storage commitment: use it for trials on one machine only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import socket
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, Final

from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

INDEX: Final = "received.jsonl"
_SUCCESS: Final = 0x0000


class SmallPacs:
    """A PACS that keeps every instance.

    Parameters
    ----------
    folder
        Made where it is missing; what lies there stays.
    """

    def __init__(self, folder: Path, ae_title: str = "PACS") -> None:
        _config.LOG_HANDLER_LEVEL = "none"
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._lock = folder, threading.Lock()
        self._ae = ApplicationEntity(ae_title)
        self._ae.maximum_pdu_size = 0
        self._ae.supported_contexts = AllStoragePresentationContexts
        self._ae.add_supported_context(Verification)

    def start(self, port: int, host: str = "127.0.0.1") -> None:
        """Start the server and return."""
        self._ae.start_server((host, port), block=False, evt_handlers=self.handlers())

    def handlers(self) -> list[Any]:
        """Return what is bound to the server's events."""
        return [(evt.EVT_C_STORE, self._store)]

    def stop(self) -> None:
        """Stop the server."""
        self._ae.shutdown()

    def received(self) -> list[dict[str, Any]]:
        """Return all arrivals in order; an instance that was sent twice is there twice."""
        return received(self._folder)

    def _store(self, event: Any) -> int:
        request, data = event.request, event.request.DataSet.getvalue()
        digest = hashlib.sha256(data).hexdigest()
        (self._folder / f"{digest}.dcm").write_bytes(event.encoded_dataset())
        line = {
            "sop_class_uid": str(request.AffectedSOPClassUID),
            "sop_instance_uid": str(request.AffectedSOPInstanceUID),
            "sha256": digest,
            "time": time.time(),
            "from": event.assoc.requestor.ae_title,
        }
        with self._lock, (self._folder / INDEX).open("a") as index:
            index.write(json.dumps(line) + "\n")
        return _SUCCESS


def break_off(association: Any) -> None:
    """Abort an association in a handler of its events; the status that the handler returns is not sent.

    pynetdicom would try to send it, and its thread would die of that.
    """
    association.dimse.send_msg = lambda *_: None
    association.abort()


def free_port() -> int:
    """Return a free TCP port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def received(folder: Path) -> list[dict[str, Any]]:
    """Return the arrivals in a small PACS's folder, in order."""
    index = folder / INDEX
    return [json.loads(line) for line in index.read_text().splitlines()] if index.exists() else []


def main() -> None:
    """Run until a signal comes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, default=11113)
    parser.add_argument("--ae-title", default="PACS")
    options = parser.parse_args()
    ended = threading.Event()

    def end(signum: int, frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    pacs = SmallPacs(options.folder, options.ae_title)
    pacs.start(options.port)
    print(f"keeping what comes to port {options.port} in {options.folder}", flush=True)
    ended.wait()
    pacs.stop()


if __name__ == "__main__":
    main()
