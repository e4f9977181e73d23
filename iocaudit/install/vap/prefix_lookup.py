"""Look-ups of prefixes by whole segments, whose cost does not grow with their number.

A regular expression of them costs its length times that of the text; to look up a key of a map costs next to nothing.
So a text is cut at its slashes, and as many of the parts as a prefix has are looked up: once for each number of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from iocaudit.install.vap.cel import keys


class PrefixLookup(NamedTuple):
    """``conditions`` on ``parts``, a text cut at its slashes: any of them tells that a prefix fits.

    They use the ``constants``, which are variables by name.
    """

    conditions: tuple[str, ...]
    constants: tuple[tuple[str, str], ...]


def prefix_lookup(prefixes: Iterable[str], name: str, *, below: bool = False) -> PrefixLookup:
    """That a text is one of the prefixes or lies below it; with ``below`` only what lies below.

    A prefix has at least one slash, and none at its end. ``name`` begins the names of the constants.
    """
    by_depth: dict[int, list[str]] = {}
    for one in prefixes:
        by_depth.setdefault(one.count("/"), []).append(one)
    conditions, constants = [], []
    for depth, found in sorted(by_depth.items()):
        constants.append((f"{name}{depth}", keys(found)))
        first = " + ".join(["parts[0]", *(f"'/' + parts[{at}]" for at in range(1, depth + 1))])
        conditions.append(f"size(parts) > {depth + below} && {first} in variables.{name}{depth}")
    return PrefixLookup(tuple(conditions), tuple(constants))
