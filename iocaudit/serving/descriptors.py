"""File descriptors: as many as the process may have, shared out so that connections never take the last ones."""

from __future__ import annotations

import contextlib
import resource

RESERVE = 256
"""Kept for everything that is not a client's connection: files, calls to the API server, those about to end."""


def raise_limit() -> int:
    """Raise the soft limit of open files to the hard one, as far as that is allowed; the limit that holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A system may refuse what it gives as the hard limit (macOS does).
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft if soft != resource.RLIM_INFINITY else 2**31


def shared_out(wanted: list[int], limit: int) -> list[int]:
    """How many connections each listener may have so that all together leave `RESERVE`, or half of a low limit."""
    available = max(limit - RESERVE, limit // 2)
    together = sum(wanted)
    return wanted if together <= available else [max(1, number * available // together) for number in wanted]
