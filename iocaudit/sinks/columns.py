"""A plain table: columns padded to their widest value, and wrapped where the lines would be too long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from iocaudit.sinks.escape import visible
from iocaudit.sinks.look import cells, wrapped

_GAP = "  "


def columns(header: Sequence[str], rows: Iterable[Sequence[str]], width: int | None = None) -> str:
    """The lines of a table; nothing without rows. A column that is empty throughout is left out, as is an empty header.

    Values are data: what would move a cursor is spelled out. With a ``width`` the widest columns are wrapped until the
    lines fit, as far as their words allow.
    """
    shown = [tuple(visible(cell) for cell in row) for row in rows]
    keep = [index for index in range(len(header)) if any(row[index] for row in shown)]
    if not keep:
        return ""
    lines = [[row[index] for index in keep] for row in ((tuple(header), *shown) if any(header) else shown)]
    widths = [max(cells(line[column]) for line in lines) for column in range(len(keep))]
    if width is not None and sum(widths) > (room := width - len(_GAP) * (len(keep) - 1)):
        longest = [
            max(cells(word) for line in lines for word in line[column].split(" ")) for column in range(len(keep))
        ]
        widths = _fitted(widths, longest, room)
    return "".join(_row(line, widths) for line in lines)


def _fitted(natural: list[int], longest: list[int], room: int) -> list[int]:
    """The widths, the widest made as narrow as they have to be for all to fit and their longest words allow."""
    fitted = list(natural)
    while sum(fitted) > room:
        over = [column for column, width in enumerate(fitted) if width > longest[column]]
        if not over:
            break
        fitted[max(over, key=lambda column: fitted[column])] -= 1
    return fitted


def _row(line: Sequence[str], widths: Sequence[int]) -> str:
    parts = [wrapped(cell, width) for cell, width in zip(line, widths, strict=True)]
    text = ""
    for number in range(max(map(len, parts))):
        row = [part[number] if number < len(part) else "" for part in parts]
        padded = (cell + " " * (width - cells(cell)) for cell, width in zip(row, widths, strict=True))
        text += _GAP.join(padded).rstrip() + "\n"
    return text
