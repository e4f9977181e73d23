"""Pages in a terminal: formatted by rich where somebody looks, plain where a program reads."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable
from typing import TextIO

from iocaudit.sinks.catalogue.blocks import Block, Grid, Heading, Items, Line, Paragraph, Source
from iocaudit.sinks.catalogue.markdown import as_markdown
from iocaudit.sinks.columns import columns
from iocaudit.sinks.escape import visible


def show(blocks: Iterable[Block], stream: TextIO | None = None) -> None:
    """Print a page."""
    stream = stream or sys.stdout
    if stream.isatty() and "NO_COLOR" not in os.environ:
        from rich.console import Console  # late: only a terminal needs it
        from rich.markdown import Markdown

        Console(file=stream).print(Markdown(as_markdown(blocks, links=False), hyperlinks=False))
    else:
        stream.write(as_text(blocks))


def as_text(blocks: Iterable[Block]) -> str:
    """The page without any markup."""
    return "\n".join(_block(block) for block in blocks)


def _block(block: Block) -> str:
    match block:
        case Heading(level, line):
            text = _line(line)
            return text + "\n" if level == 1 else f"{text[0].upper()}{text[1:]}:\n"
        case Paragraph(line):
            return "".join(f"{part.strip()}\n" for part in "".join(s.text for s in line).splitlines() if part.strip())
        case Items(lines):
            return "".join(f"- {_line(line)}\n" for line in lines)
        case Grid(header, rows):
            return columns(header, [[_line(cell) for cell in row] for row in rows])
        case Source(text):
            return textwrap.indent("".join(f"{visible(line)}\n" for line in text.rstrip().splitlines()), "  ")


def _line(line: Line) -> str:
    return visible(" ".join("".join(span.text for span in line).split()))
