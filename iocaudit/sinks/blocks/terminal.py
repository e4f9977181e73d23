"""Pages in a terminal: formatted by rich where someone looks, plain where a program reads."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable
from typing import TextIO

from iocaudit.sinks.blocks.blocks import Block, Grid, Heading, Items, Line, Paragraph, Source
from iocaudit.sinks.blocks.markdown import as_markdown
from iocaudit.sinks.columns import columns
from iocaudit.sinks.escape import visible
from iocaudit.sinks.look import Look, look_of, wrapped

WIDEST = 100
"""Running text is not wrapped to more columns than this: longer lines are hard to read."""
_PIPED = 80


def show(blocks: Iterable[Block], stream: TextIO | None = None, *, look: Look | None = None) -> None:
    """Print a page."""
    stream = stream or sys.stdout
    look = look or look_of(stream)
    width = min(look.width or _PIPED, WIDEST)
    if look.colour:
        from rich.console import Console  # late: only colour needs it
        from rich.markdown import Markdown

        console = Console(file=stream, width=width, force_terminal=True, no_color=False)
        console.print(Markdown(as_markdown(blocks, links=False), hyperlinks=False))
    else:
        stream.write(as_text(blocks, width))


def as_text(blocks: Iterable[Block], width: int | None = None) -> str:
    """The page without any markup, in lines of at most ``width`` columns; manifests keep theirs."""
    return "\n".join(_block(block, width) for block in blocks)


def _block(block: Block, width: int | None) -> str:
    match block:
        case Heading(level, line):
            text = _line(line)
            return text + "\n" if level == 1 else f"{text[0].upper()}{text[1:]}:\n"
        case Paragraph(line):
            return _wrapped(_line(line), width)
        case Items(lines):
            return "".join(_wrapped(_line(line), width, first="- ") for line in lines)
        case Grid(header, rows):
            return columns(header, [[_line(cell) for cell in row] for row in rows], width)
        case Source(text):
            return textwrap.indent("".join(f"{visible(line)}\n" for line in text.rstrip().splitlines()), "  ")


def _wrapped(text: str, width: int | None, first: str = "") -> str:
    return "".join(f"{one}\n" for one in wrapped(text, width, first=first, indent=" " * len(first)))


def _line(line: Line) -> str:
    return visible(" ".join("".join(span.text for span in line).split()))
