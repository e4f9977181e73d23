"""``--exclude``: which files and folders of an input are left out, by patterns.

A pattern without a slash is the name of a file or folder anywhere; one with a slash is a path, as it was given or
below a folder that was given. ``*`` and ``?`` stay within a name, ``**`` spans folders, ``[…]`` is a set. A folder
that is left out is left out with all that it holds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from iocaudit.core.errors import IocauditError
from iocaudit.knowledge.clipping import clip

_SET = re.compile(r"\[(!?)([^\]/]+)\]")
_SPECIAL = re.compile(r"[\\^\[&~|]")


class GlobError(IocauditError):
    """A pattern cannot be used; names it."""


class ExcludedPaths:
    """The patterns of a command line; ``count`` is how many files and folders they have left out."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._names: list[re.Pattern[str]] = []
        self._paths: list[re.Pattern[str]] = []
        self.count = 0
        for pattern in patterns:
            trimmed = pattern.rstrip("/").removesuffix("/**")  # what a folder holds is the folder
            trimmed = trimmed[2:] if trimmed.startswith("./") else trimmed
            if trimmed:
                (self._paths if "/" in trimmed or trimmed == "**" else self._names).append(_compiled(trimmed))

    def leaves_out(self, path: str, root: str = "") -> bool:
        """Whether a path is left out; it is counted. ``root``: the folder that was given and holds it."""
        if not self._names and not self._paths:
            return False
        spelled = {os.path.normpath(path)}
        if root:
            spelled.add(os.path.relpath(path, root))
        found = any(pattern.fullmatch(os.path.basename(os.path.normpath(path))) for pattern in self._names) or any(
            pattern.fullmatch(one) for pattern in self._paths for one in spelled
        )
        self.count += found
        return found

    def leaves_out_named(self, path: str) -> bool:
        """The same for a file that was given by itself: a folder on its way from where we are may be left out, too."""
        if not self._names and not self._paths:
            return False
        parts = os.path.relpath(path).split(os.sep)
        if parts[0] == os.pardir:
            return self.leaves_out(path)
        return any(self.leaves_out(os.sep.join(parts[:end])) for end in range(1, len(parts) + 1))


def _compiled(pattern: str) -> re.Pattern[str]:
    """What a pattern matches, as a regular expression."""
    parts, at = [], 0
    while at < len(pattern):
        rest = pattern[at:]
        if rest.startswith("**/"):
            parts.append("(?:[^/]+/)*")
            at += 3
        elif rest.startswith("**"):
            parts.append(".*")
            at += 2
        elif rest[0] == "*":
            parts.append("[^/]*")
            at += 1
        elif rest[0] == "?":
            parts.append("[^/]")
            at += 1
        elif (group := _SET.match(rest)) is not None:
            inside = _SPECIAL.sub(r"\\\g<0>", group[2])
            parts.append(f"[^/{inside}]" if group[1] else f"[{inside}]")
            at += len(group[0])
        else:
            parts.append(re.escape(rest[0]))
            at += 1
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error as error:
        raise GlobError(f"--exclude {clip(pattern)}: is not a pattern of names: {error}") from error
