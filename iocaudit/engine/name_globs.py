"""Lists of names and globs, matched at once: a policy may hold hundreds, and is asked of every namespace."""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache
from typing import NamedTuple

_GLOB = re.compile(r"[*?\[]")
_SET = re.compile(r"\[[^\]]*\]")
_TOKEN = re.compile(r"\[!?\]?[^\]]*\]|.", re.DOTALL)
"""A set as fnmatch reads it, or one character."""


class NameGlobs(NamedTuple):
    """Names, and one expression for all globs beside them."""

    exact: frozenset[str]
    globs: re.Pattern[str] | None

    def match(self, name: str) -> bool:
        return name in self.exact or (self.globs is not None and self.globs.match(name) is not None)


@lru_cache(maxsize=4096)
def name_globs(patterns: tuple[str, ...]) -> NameGlobs:
    """The list, ready to be matched; case counts, as in the names of namespaces."""
    globs = [fnmatch.translate(pattern) for pattern in patterns if is_glob(pattern)]
    exact = frozenset(pattern for pattern in patterns if not is_glob(pattern))
    return NameGlobs(exact, re.compile("|".join(globs)) if globs else None)


def is_glob(pattern: str) -> bool:
    """Whether a pattern is more than one name."""
    return _GLOB.search(pattern) is not None


def matches_anything(pattern: str) -> bool:
    """Whether hardly a name is left out: nothing in it but wildcards, whole sets and what separates parts."""
    return bool(pattern) and not re.sub(r"[*?/:.@-]", "", _SET.sub("", pattern))


@lru_cache(maxsize=65_536)
def globs_meet(one: str, other: str) -> bool:
    """Whether some name matches both patterns."""
    if not is_glob(one):
        return fnmatch.fnmatchcase(one, other)
    if not is_glob(other):
        return fnmatch.fnmatchcase(other, one)
    first, second = _tokens(one), _tokens(other)
    characters = _characters(one + other)
    # after[j]: whether what is left of the first, from where the loop is, meets what is left of the second from j on
    after = [False] * len(second) + [True]
    for j in reversed(range(len(second))):
        after[j] = second[j] == "*" and after[j + 1]
    for token in reversed(first):
        now = [False] * len(second) + [token == "*" and after[-1]]
        for j in reversed(range(len(second))):
            if token == "*":
                now[j] = after[j] or now[j + 1]
            elif second[j] == "*":
                now[j] = now[j + 1] or after[j]
            else:
                now[j] = after[j + 1] and _share(token, second[j], characters)
        after = now
    return after[0]


def _tokens(pattern: str) -> list[str]:
    """The parts of a glob that match one character each, and its stars."""
    return _TOKEN.findall(pattern)


def _characters(patterns: str) -> str:
    """Characters that tell all parts of these patterns apart: where ranges end, and what is beside them."""
    codes = {code + step for code in map(ord, patterns) for step in (-1, 0, 1)}
    return "".join(map(chr, sorted(code for code in codes if 0 < code < 0xD800)))


def _share(one: str, other: str, characters: str) -> bool:
    if len(one) == len(other) == 1 and "?" not in (one, other):
        return one == other
    return any(fnmatch.fnmatchcase(c, one) and fnmatch.fnmatchcase(c, other) for c in characters)
