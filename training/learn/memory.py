"""Keep freed memory in a process that trains."""

from __future__ import annotations

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_MAX: Final = -4
_NEVER: Final = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let glibc keep what is freed, from now on; return whether the C library can do that.

    The activations of each batch are large blocks. glibc gives such a block back to the kernel as soon as it is freed,
    and the next batch waits until the kernel has zeroed it again, page by page: on a CPU a quarter of the time.

    References
    ----------
    mallopt(3): M_TRIM_THRESHOLD, M_MMAP_MAX.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl, macOS
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _NEVER) and mallopt(_MMAP_MAX, 0))
