"""``python -m iocaudit.cli``, and what the installed programs call."""

import os
import sys

from iocaudit.cli.main import main

_LASTING = frozenset({"asyncio", "concurrent.futures", "multiprocessing"})
"""Modules of what has to be ended in order."""


def run() -> None:
    """Run ``main`` and end the process at once, without tearing down an interpreter that nobody needs any more.

    A tenth of a short scan would go into that. What has threads, a loop or processes of its own ends as usual.
    """
    try:
        main()
    except SystemExit as end:
        if not isinstance(end.code, int) or not _LASTING.isdisjoint(sys.modules):
            raise
        sys.stderr.flush()
        os._exit(end.code)


if __name__ == "__main__":  # a process of a scan imports this module again
    run()
