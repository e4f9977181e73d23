"""Pages as HTML by themselves: no script, no request, a policy of content that allows neither."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable
from html import escape
from typing import Final

from iocaudit.sinks.blocks.blocks import Block, Grid, Heading, Items, Line, Paragraph, Source, Span
from iocaudit.sinks.escape import visible

_STYLE: Final = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 72rem; margin: 0 auto; padding: 1rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; margin: 0.5rem 0 }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.75rem 0.25rem 0; border-bottom: 1px solid #8886 }
code, pre { font: 0.9em ui-monospace, monospace; overflow-wrap: anywhere }
@media (max-width: 30rem) { body { padding: 0.5rem } td, th { padding-right: 0.5rem } }
"""


def as_html(blocks: Iterable[Block], title: str) -> str:
    """The text of a file, in UTF-8."""
    digest = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = "\n".join(_block(block) for block in blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_shown(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _shown(text: str) -> str:
    return escape(visible(text), quote=True)


def _block(block: Block) -> str:
    match block:
        case Heading(level, line):
            rank = min(max(level, 1), 6)
            return f"<h{rank}>{_line(line)}</h{rank}>"
        case Paragraph(line):
            return f"<p>{_line(line)}</p>"
        case Items(lines):
            return "<ul>" + "".join(f"<li>{_line(line)}</li>" for line in lines) + "</ul>"
        case Grid(header, rows):
            return _grid(header, rows)
        case Source(text):
            source = "\n".join(visible(line) for line in text.rstrip().splitlines())
            return f"<pre><code>{escape(source)}</code></pre>"


def _grid(header: tuple[str, ...], rows: tuple[tuple[Line, ...], ...]) -> str:
    top = ""
    if any(header):
        top = "<thead><tr>" + "".join(f'<th scope="col">{_shown(one)}</th>' for one in header) + "</tr></thead>"
    body = []
    for row in rows:
        first, *rest = row if not top else ((), *row)
        cells = [f'<th scope="row">{_line(first)}</th>'] if not top else []
        body.append("<tr>" + "".join([*cells, *(f"<td>{_line(cell)}</td>" for cell in rest)]) + "</tr>")
    return f'<div class="wide"><table>{top}<tbody>{"".join(body)}</tbody></table></div>'


def _line(line: Line) -> str:
    return "".join(_span(span) for span in line)


def _span(span: Span) -> str:
    if span.style == "code":
        return f"<code>{_shown(span.text)}</code>"
    if span.style == "plain":
        return _shown(span.text)
    pieces = span.text.split("`")
    return "".join(f"<code>{_shown(one)}</code>" if number % 2 else _shown(one) for number, one in enumerate(pieces))
