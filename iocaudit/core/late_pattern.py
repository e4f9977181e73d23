"""Regular expressions that few runs ask: each is compiled at its first use, as every start would wait for all."""

import re
from functools import cache
from typing import Any, cast

_METHODS = ("findall", "finditer", "flags", "fullmatch", "groups", "match", "pattern", "search", "split", "sub", "subn")


class LatePattern:
    """Stands for a compiled pattern, until it is one."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._given = pattern, flags

    def __getattr__(self, name: str) -> Any:
        """What is not there yet: from here on all of it is."""
        if name not in _METHODS:
            raise AttributeError(name)
        compiled = re.compile(*self._given)
        vars(self).update({method: getattr(compiled, method) for method in _METHODS})
        return vars(self)[name]


def late(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """``re.compile`` of what few runs ask; to be asked by its methods, and not handed to the functions of ``re``."""
    return cast("re.Pattern[str]", LatePattern(pattern, flags))


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """The same for the patterns of a table, which are texts."""
    return re.compile(pattern)
