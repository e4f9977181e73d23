"""Lists of names and globs, matched at once: a policy may hold hundreds, and is asked of every namespace."""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache
from typing import NamedTuple

_GLOB = re.compile(r"[*?\[]")
_SET = re.compile(r"\[[^\]]*\]")


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
