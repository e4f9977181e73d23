"""How a hit can be undone without knowing more than the object says: declared by a check, carried out elsewhere.

A repair is symbolic, in paths of a hit's grammar, so declaring one costs nothing; ``core.json_patch`` turns it
into RFC 6902 against an object. It is safe where it cannot change what a workload that was correct before does, and
unsafe in every other case: nobody but its owner knows whether a program needs what a repair takes from it.
"""

from functools import lru_cache
from typing import Any, Literal, NamedTuple

from iocaudit.core.errors import IocauditError


class UnfixableError(IocauditError):
    """A repair does not fit the object or the text it is to change; says why."""


class Edit(NamedTuple):
    """One change at ``path``: the whole path in the object, or "" for the hit's own.

    ``set`` puts ``value`` there, making the maps on the way; ``remove`` takes away what is there, ``discard`` every
    item of the list there that ``value`` lists; ``include`` adds ``value`` to the list there.
    """

    op: Literal["set", "remove", "discard", "include"]
    path: str = ""
    value: Any = None


class Repair(NamedTuple):
    """Edits that together make the hit go away."""

    edits: tuple[Edit, ...]
    safe: bool = False


class TextChange(NamedTuple):
    """A piece of a file and what to put in its place; lines and columns count code points from 1."""

    start_line: int
    start_column: int
    end_line: int
    end_column: int
    text: str


class Suggestion(NamedTuple):
    """A repair worked out on an object: the operations of its JSON Patch.

    ``changes`` are those of the object's file; none where nobody asked, or where the text does not allow it.
    """

    patch: tuple[dict[str, Any], ...]
    safe: bool
    changes: tuple[TextChange, ...] = ()


_SWITCHES = {value: Repair((Edit("set", "", value),)) for value in (False, True)}
"""The repairs that most hits have: made once, since a review pays for each."""


def put(value: Any, path: str = "", *, safe: bool = False) -> Repair:
    """Set a value."""
    if isinstance(value, bool) and not path and not safe:
        return _SWITCHES[value]
    return Repair((Edit("set", path, value),), safe)


@lru_cache(maxsize=1024)
def remove(*paths: str, safe: bool = False) -> Repair:
    """Remove what is at these paths; without any, at the hit's own."""
    return Repair(tuple(Edit("remove", path) for path in paths or ("",)), safe)


def discard(*values: Any, path: str = "") -> Repair:
    """Take values out of a list. Unsafe: someone asked for them."""
    return Repair((Edit("discard", path, values),))


def include(value: Any) -> Repair:
    """Add a value to the list at the hit's path."""
    return Repair((Edit("include", "", value),))
