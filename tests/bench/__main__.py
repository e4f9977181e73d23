"""``make bench``: each figure as a ratio to a yardstick of the same run, absolute figures beside it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.network import network_rows
from tests.bench.operator import operator_rows
from tests.bench.rbac import rbac_rows
from tests.bench.scan import growth_rows, scan_rows
from tests.bench.webhook import webhook_rows


def main() -> int:
    folder = Path(os.environ.get("IOCAUDIT_REALWORLD") or Path(__file__).parents[2] / "../shared/realworld")
    if not folder.is_dir():
        print(f"IOCAUDIT_REALWORLD names a folder of real manifests; there is no {folder}", file=sys.stderr)
        return 1
    table = Table("what", "ours", "yardstick", "ratio", "target")
    for row in (
        *scan_rows(folder),
        *growth_rows(folder),
        *network_rows(),
        *rbac_rows(),
        *webhook_rows(),
        *operator_rows(),
    ):
        table.add_row(*row)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
