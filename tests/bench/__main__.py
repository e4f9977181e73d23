"""``make bench``: each figure as a ratio to a yardstick of the same run, absolute figures beside it.

``python -m tests.bench rules`` measures the webhook with rules alone, ``receivers`` what receives signals.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.history import history_rows
from tests.bench.network import network_rows
from tests.bench.operator import operator_rows
from tests.bench.rbac import rbac_rows
from tests.bench.receivers import receivers_rows
from tests.bench.rules import rules_rows
from tests.bench.scan import growth_rows, scan_rows
from tests.bench.webhook import Row, webhook_rows


def main() -> int:
    alone = {"rules": rules_rows, "receivers": receivers_rows}
    if len(sys.argv) > 1:
        _print(alone[sys.argv[1]]())
        return 0
    folder = Path(os.environ.get("IOCAUDIT_REALWORLD") or Path(__file__).parents[2] / "../shared/realworld")
    if not folder.is_dir():
        print(f"IOCAUDIT_REALWORLD names a folder of real manifests; there is no {folder}", file=sys.stderr)
        return 1
    _print(
        chain(
            scan_rows(folder),
            growth_rows(folder),
            network_rows(),
            rbac_rows(),
            webhook_rows(),
            rules_rows(),
            receivers_rows(),
            operator_rows(),
            history_rows(),
        )
    )
    return 0


def _print(rows: Iterable[Row]) -> None:
    table = Table("what", "ours", "yardstick", "ratio", "target")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
