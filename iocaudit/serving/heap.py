"""Keep the heap of the C library as small as what is in use: the buffers of connections, and large answers decoded.

glibc keeps freed memory for later and, once a large block has been freed, takes blocks of that size from where only
the last one can be given back: after a flood of connections a process would stay at its peak, and a little above each
time. Other C libraries have none of these calls, and are left as they are.
"""

from __future__ import annotations

import contextlib
import ctypes

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_ARENAS = 2
_LARGE = 128 * 1024


def keep_large_blocks_apart() -> None:
    """From now on give each block from 128 KiB on back to the system when it is freed; to be called at start.

    Threads share two arenas: by default there are up to eight a core, each of which keeps what it has freed.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Give what is free back to the system; takes some milliseconds."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
