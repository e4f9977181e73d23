"""Which of several documents of one identity another resource means: the nearest, by their files' folders."""

from __future__ import annotations

import posixpath
from functools import lru_cache

from iocaudit.core.resource import Origin, Resource


def pick(variants: list[Resource], near: Resource | None) -> Resource:
    """Of the variants of one identity, the one nearest to ``near``; the first where nothing is near."""
    if len(variants) == 1 or near is None:
        return variants[0]
    return min(variants, key=lambda resource: _distance(resource.origin, near.origin))


def _distance(origin: Origin, near: Origin) -> tuple[int, int]:
    """Smaller is nearer: same file, same folder, nearest parent, then anywhere, by steps between folders."""
    if origin.file == near.file:
        return (0, abs(origin.document - near.document))
    if origin.file is None or near.file is None:
        return (3, 0)
    return _apart(folders_of(origin.file), folders_of(near.file))


@lru_cache(maxsize=65536)  # a scan of a thousand files asks a hundred thousand times
def _apart(ours: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[int, int]:
    if ours == theirs:
        return (1, 0)
    common = 0
    for one, other in zip(ours, theirs, strict=False):
        if one != other:
            break
        common += 1
    if common == len(ours):
        return (2, len(theirs) - common)
    return (3, len(theirs) + len(ours) - 2 * common)


@lru_cache(maxsize=4096)
def folders_of(file: str) -> tuple[str, ...]:
    """The folders that lead to a file, from the outermost on."""
    names = [name for name in posixpath.dirname(file).split("/") if name not in ("", ".")]
    return ("/", *names) if file.startswith("/") else tuple(names)
