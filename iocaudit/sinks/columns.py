"""A plain table: columns padded to their widest value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from iocaudit.sinks.escape import visible


def columns(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The lines of a table; nothing without rows. A column that is empty throughout is left out, as is an empty header.

    Values are data: what would move a cursor is spelled out.
    """
    shown = [tuple(visible(cell) for cell in row) for row in rows]
    keep = [index for index in range(len(header)) if any(row[index] for row in shown)]
    if not keep:
        return ""
    lines = [[row[index] for index in keep] for row in ((tuple(header), *shown) if any(header) else shown)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(keep))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines
    )
