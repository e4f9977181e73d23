"""Pages as Markdown (GitHub's). Every text is escaped for the place where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterable

from iocaudit.sinks.blocks.blocks import Block, Grid, Heading, Items, Line, Paragraph, Source, Span
from iocaudit.sinks.escape import visible

_MARKUP = re.compile(r"([\\`*_\[\]<>&|~$])")
# What starts a heading, a list, a rule or an underlined heading where it stands first on a line.
_AT_START = re.compile(r"^([#+=:-]|\d+(?=[.)](\s|$)))")
_CODE = re.compile(r"(`[^`]+`)")


def as_markdown(blocks: Iterable[Block], *, links: bool = True) -> str:
    """The text of a file. Without ``links`` their words stay and the addresses go."""
    return "\n".join(_block(block, links) for block in blocks)


def literal(text: str) -> str:
    """Text that shows as it is within a line; where it begins one, ``_begun`` does the rest."""
    return _MARKUP.sub(r"\\\1", visible(" ".join(text.split())))


def _begun(line: str) -> str:
    """A line of Markdown that is not taken for a heading, a list or a rule, whatever it begins with."""
    # Of a number that would begin a list, what follows it is escaped.
    return _AT_START.sub(lambda found: f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}", line)


def code_span(text: str, *, in_table: bool = False) -> str:
    """A code span that shows the text as it is; an empty text is an empty string."""
    shown = visible(" ".join(text.split()))
    if not shown:
        return ""
    if in_table:
        # In a cell, ``|`` ends it even within code, and ``\|`` is the one escape that works there.
        shown = shown.replace("|", r"\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _block(block: Block, links: bool) -> str:
    match block:
        case Heading(level, line):
            return f"{'#' * level} {_line(line, links)}\n"
        case Paragraph(line):
            return _line(line, links) + "\n"
        case Items(lines):
            return "".join(f"- {_line(line, links)}\n" for line in lines)
        case Grid(header, rows):
            cells = [[_line(cell, links, in_table=True) for cell in row] for row in rows]
            top = [literal(title) for title in header]
            return "".join(f"| {' | '.join(row)} |\n" for row in (top, ["---"] * len(top), *cells))
        case Source(text):
            fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
            return f"{fence}yaml\n{_lines(text)}\n{fence}\n"


def _lines(text: str) -> str:
    return "\n".join(visible(line) for line in text.rstrip().splitlines())


def _line(line: Line, links: bool, *, in_table: bool = False) -> str:
    return _begun("".join(_span(span, links, in_table) for span in line).strip())


def _span(span: Span, links: bool, in_table: bool) -> str:
    linked = bool(span.link) and links
    if span.style == "code":
        text = code_span(span.text, in_table=in_table)
    elif span.style == "plain":
        text = literal(span.text) if linked else _with_ends(span.text)
    else:
        text = _prose(span.text, in_table)
    if linked:
        address = re.sub(r"[\s<>()\\|]", lambda found: f"%{ord(found[0]):02x}", visible(span.link or ""))
        return f"[{text}]({address})"
    return text


def _prose(text: str, in_table: bool) -> str:
    pieces = _CODE.split(text)
    return "".join(
        code_span(piece[1:-1], in_table=in_table) if index % 2 else _with_ends(piece)
        for index, piece in enumerate(pieces)
    )


def _with_ends(text: str) -> str:
    """Escaped, with a space at either end where there was white space."""
    shown = literal(text)
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() and shown else ""
    return f"{before}{shown}{after}"
