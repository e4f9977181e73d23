"""The credentials in a text of any kind: a configuration file, a script, a connection string, a command line.

No format is parsed. Where a word of a credential stands, the name around it is taken, and what assigns a value to it
(``credential_notation``). Each look goes over a bounded number of characters, so the time grows with the text and
with nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from iocaudit.core.late_pattern import late
from iocaudit.knowledge.credentials.names import NameStrength, standing
from iocaudit.knowledge.credentials.notation import NameOccurrence, value_at
from iocaudit.knowledge.credentials.signs import NAME_SIGNS
from iocaudit.knowledge.credentials.values import is_literal

_LONGEST_NAME = 100
_LONGEST_HEAD = 300
_MOST = 20_000
"""How many places of a text are looked at."""
_NAME_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_NAME_END = late(r"[\w.-]{0,80}")
_SHORT = late(r"[ \t]{0,9}[:=][ \t]{0,9}[^\s\"'|>{]{1,5}\s")
"""A value too short to be a credential under a name that says little."""
_COMMENT = ("#", ";", "//", "*", "/*", "<!--", "!", "-- ", "REM ", "rem ", "::", '"" ')
_COMMENT_WITHIN = late(r"\s(?:#|//|--|<!--)\s")
_CODE = late(
    r"^[ \t]{0,20}(?:import [\w{*\"]|from [\w.]+ import|def \w+|class \w+|func \w+|function \w|package \w"
    r"|const \w+|let \w+|resource \"|variable \"|module \"|require[( ]|use \w+|fn \w+|public |private "
    r"|if .{0,200}[:{]$|return\b|#include)",
    re.MULTILINE,
)


class Literal(NamedTuple):
    """A literal in a text: the ``name`` it stands under, its ``length``, and where its value starts."""

    name: str
    length: int
    start: int


def literals(text: str, *, argv: bool = False) -> Iterator[Literal]:
    """The credentials that stand in a text under a name. ``argv``: it is one command with its arguments."""
    code: bool | None = None
    line = _Line(text)
    done = 0
    for at in _places(text):
        if at < done:
            continue
        start = at - _behind(text[max(0, at - _LONGEST_NAME) : at])
        found = _NAME_END.match(text, at)
        done = found.end() if found else at + 1
        name = text[start:done].rstrip(".-")
        bare = name.lstrip("-.").removeprefix("D") if name.startswith("-D") else name.lstrip("-.")
        of = standing(bare.rstrip("0123456789_-"))
        if of is NameStrength.NONE or (of <= NameStrength.WEAK and _SHORT.match(text, done)):
            continue
        if not argv and line.comments(start):
            continue
        if code is None:
            code = not argv and len(_CODE.findall(text[:20_000])) >= 2
        head = text[max(line.start_of(start), start - _LONGEST_HEAD) : start]
        value = value_at(NameOccurrence(text, start + len(name), head, name, of, code, argv))
        if value is not None and is_literal(value.text, of, code=value.code) and not _is_label(bare, value.text):
            yield Literal(bare, len(value.text), value.start)
            done = max(done, value.start + len(value.text))


class _Line:
    """The line of a place, and where its comment begins: asked for places that go forward."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._start, self._end, self._comment = 0, -1, 0

    def start_of(self, at: int) -> int:
        if at > self._end:
            self._start = self._text.rfind("\n", 0, at) + 1
            end = self._text.find("\n", at)
            self._end = end if end >= 0 else len(self._text)
            self._comment = self._first_comment()
        return self._start

    def comments(self, at: int) -> bool:
        """Whether a place is behind the mark of a comment."""
        self.start_of(at)
        return at >= self._comment

    def _first_comment(self) -> int:
        head = self._text[self._start : self._start + _LONGEST_HEAD].lstrip()
        # The registry in a file of npm's begins like a comment.
        if head.startswith(_COMMENT) and "/:_" not in head:
            return self._start
        found = _COMMENT_WITHIN.search(self._text, self._start, self._end)
        return found.start() if found else self._end + 1


def _is_label(name: str, value: str) -> bool:
    """The end of the name once more, as people are shown it (``--db-password PASSWORD``), or in another spelling."""
    bare = value.replace("_", "").replace("-", "").lower()
    return bare != value and name.replace("_", "").replace("-", "").lower().endswith(bare)


def _places(text: str) -> list[int]:
    """Where the words of credentials stand, in order."""
    lowered = text.lower()
    if len(lowered) != len(text):  # next to no character is longer in lower case
        lowered = "".join(char.lower() if len(char.lower()) == 1 else char for char in text)
    found: list[int] = []
    for sign in NAME_SIGNS:
        at = lowered.find(sign)
        while at >= 0:
            found.append(at)
            at = lowered.find(sign, at + len(sign))
    found.sort()
    return found[:_MOST]


def _behind(head: str) -> int:
    """How many characters of a name stand at the end of a text."""
    return len(head) - len(head.rstrip(_NAME_CHARS))
