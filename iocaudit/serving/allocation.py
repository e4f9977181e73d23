"""Have the C library give memory back: what a large answer took must not stay with the process."""

import contextlib
import ctypes

_ARENA_MAX, _MMAP_THRESHOLD = -8, -3  # mallopt(3)
_ARENAS = 2
_OWN_MAPPING = 256 * 1024


def bound_allocator() -> None:
    """Few arenas for many threads, and a mapping of its own for each large block; to be called before any thread.

    By default glibc makes up to eight arenas a core, and raises the size from which a block is mapped by itself, and so
    given back when it is freed, to that of the largest block so far. Other C libraries know none of it.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_ARENA_MAX, _ARENAS)
        library.mallopt(_MMAP_THRESHOLD, _OWN_MAPPING)
