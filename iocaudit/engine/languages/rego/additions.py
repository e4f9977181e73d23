"""Whether a module of Rego says all that it said before, and at most more that is wrong.

A module is cut into what stands at the top of it. A cut may be finer than a statement of Rego, never coarser than a
line that is outside of all brackets. Where all parts of before are there in their order, and each new one is a whole
``deny`` or ``violation``, more can be denied and nothing less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(r'#[^\n]*|"(?:\\.|[^"\\\n])*"|`[^`]*`|[\[\](){}]|\n|[^#"`\[\](){}\n]+', re.DOTALL)
_OPENING, _CLOSING = "[({", "])}"
_HEAD = r'(deny|violation) ?(contains ("" ?|\w+ ?|\{\} ?)|\[\] ?)'
_WHOLE = re.compile(_HEAD + r"((if )?\{\}|if [\w.]+)?")
"""What is left of a rule that adds to the set, without what stands in brackets and texts."""
_INTERPOLATED = ('$"', "$`")
"""Begins a text that holds expressions, whose end is not told here."""
_SPACE = re.compile(r"[^\S\n]+")
_DENIALS = re.compile(r"\b(deny|violation)\b")


def only_adds(before: str, after: str) -> bool:
    """Whether one module denies all that another one does, as far as its text shows it; False where that is not clear.

    Comments, annotations among them, and blank space do not count.
    """
    if any(mark in text for text in (before, after) for mark in _INTERPOLATED):
        return _without_comments(before) == _without_comments(after)
    old, new = list(_parts(before)), list(_parts(after))
    added = _added(old, new)
    if added is None:
        return False
    if not added:
        return True
    if any(not _WHOLE.fullmatch(_outline(part)) for part in added):
        return False
    # A rule that looks at what is denied may deny less where more is.
    return not any(_reads_denials(part) for part in old)


def _reads_denials(part: str) -> bool:
    return len(_DENIALS.findall(part)) > bool(_DENIALS.match(part))


def _added(old: list[str], new: list[str]) -> list[str] | None:
    """The parts of the new one that the old one lacks; None where one of the old is gone or moved."""
    at, added = 0, []
    for part in new:
        if at < len(old) and part == old[at]:
            at += 1
        else:
            added.append(part)
    return added if at == len(old) else None


def _parts(text: str) -> Iterator[str]:
    """The lines of a module that are outside of all brackets, each with what its brackets hold."""
    depth, part = 0, ""
    for token in tokens(text):
        if token in _OPENING:
            depth += 1
        elif token in _CLOSING:
            depth -= 1
        if token == "\n" and depth <= 0:
            if part.strip():
                yield part.strip()
            part = ""
        elif token == "\n":
            # In brackets it ends an expression.
            part = part.rstrip() + token
        else:
            part += token if token[0] in '"`' else _one_space(token, part)
    if part.strip():
        yield part.strip()


def _one_space(token: str, before: str) -> str:
    found = _SPACE.sub(" ", token)
    return found.lstrip() if before[-1:] in ("", "\n") else found


def _outline(part: str) -> str:
    """A part without what is in its brackets and texts."""
    depth, found = 0, ""
    for token in tokens(part):
        if token in _OPENING:
            found += token if depth == 0 else ""
            depth += 1
        elif token in _CLOSING:
            depth -= 1
            found += token if depth == 0 else ""
        elif depth == 0:
            found += '""' if token[0] in '"`' else token
    return " ".join(found.split()) if depth == 0 else ""


def tokens(text: str) -> Iterator[str]:
    """The parts of a text that matter to brackets; comments are left out."""
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        token = found[0] if found else text[at]
        at += len(token)
        if not token.startswith("#"):
            yield token


def _without_comments(text: str) -> list[str]:
    """The lines of a module but for those that are comments alone."""
    lines = (line.rstrip() for line in text.splitlines())
    return [line for line in lines if line and not line.lstrip().startswith("#")]
