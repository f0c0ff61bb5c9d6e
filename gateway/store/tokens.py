"""Stand-ins for UIDs in logs, URLs and metrics: keyed hashes that say nothing without the node's key."""

from __future__ import annotations

import hmac
import os
import secrets
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from candor.files.durable import whole_file

KEY_FILE: Final = "token.key"
_KEY_BYTES: Final = 32
_LENGTH: Final = 24


class Tokens:
    """Make tokens with the key that lies in the spool.

    Parameters
    ----------
    spool
        The spool; the key is made there, readable by its owner alone, where it is missing.
    """

    def __init__(self, spool: Path) -> None:
        self._key = _key(spool / KEY_FILE)

    def token(self, uid: str) -> str:
        """24 hexadecimal digits that stand for a UID, the same on every machine that shares the spool."""
        return hmac.new(self._key, uid.encode(), sha256).hexdigest()[:_LENGTH]


def _key(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    if not path.exists():
        with whole_file(made) as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
        made.chmod(0o600)
        with suppress(FileExistsError):  # the first of several processes wins
            os.link(made, path)
        made.unlink()
    return path.read_bytes()
