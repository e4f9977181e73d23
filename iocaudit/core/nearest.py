"""Which of several documents of one identity another resource means: the nearest, by their files' folders."""

from __future__ import annotations

import posixpath
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from iocaudit.core.resource import Resource

Folders = tuple[str, ...]


class _NearestBelow(NamedTuple):
    """Of the variants below a folder one that lies least deep; of several the first that was added."""

    depth: int
    order: int
    resource: Resource


class Variants(list[Resource]):
    """The documents of one identity, two or more, in the order in which they were read.

    ``nearest`` answers in the time that a path takes to walk up, however many there are: a repository of a hundred
    overlays asks each of its look-ups a hundred times.
    """

    __slots__ = ("_below", "_by_file", "_by_folder", "_elsewhere", "_nowhere", "_size")

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        super().__init__(resources)
        self._size = 0

    def nearest(self, near: Resource) -> Resource:
        """The one in the same file, else in the same folder, the nearest parent, or the fewest steps away.

        Of several in one file it is the one whose document is closest, before rather than after.
        """
        if self._size != len(self):
            self._index()
        file = near.origin.file
        inside = self._by_file.get(file)
        if inside is not None:
            documents, resources = inside
            return resources[_closest(documents, near.origin.document)]
        if file is None:
            return self[0]
        folders = folders_of(file)
        for length in range(len(folders), -1, -1):
            above = self._by_folder.get(folders[:length])
            if above is not None:
                return above
        if self._nowhere is not None:
            return self._nowhere
        found = self._elsewhere.get(folders)
        if found is None:
            steps = (
                (below.depth - 2 * length, below.order, below.resource)
                for length in range(len(folders) + 1)
                if (below := self._below.get(folders[:length])) is not None
            )
            found = self._elsewhere[folders] = min(steps, key=lambda step: step[:2])[2]
        return found

    def _index(self) -> None:
        by_file: dict[str | None, list[Resource]] = {}
        self._nowhere: Resource | None = None
        self._by_folder: dict[Folders, Resource] = {}
        self._below: dict[Folders, _NearestBelow] = {}
        self._elsewhere: dict[Folders, Resource] = {}
        for order, resource in enumerate(self):
            file = resource.origin.file
            by_file.setdefault(file, []).append(resource)
            if file is None:
                self._nowhere = self._nowhere or resource
                continue
            folders = folders_of(file)
            if folders in self._by_folder:
                continue
            self._by_folder[folders] = resource
            for length in range(len(folders) + 1):
                known = self._below.get(folders[:length])
                if known is None or len(folders) < known.depth:
                    self._below[folders[:length]] = _NearestBelow(len(folders), order, resource)
        self._by_file: dict[str | None, tuple[list[int], list[Resource]]] = {}
        for file, found in by_file.items():
            found.sort(key=lambda resource: resource.origin.document)
            self._by_file[file] = ([resource.origin.document for resource in found], found)
        self._size = len(self)


def _closest(documents: list[int], document: int) -> int:
    """Where in ascending numbers the closest to a number stands; of equally close ones the lower."""
    after = bisect_left(documents, document)
    if after == 0:
        return 0
    before = bisect_left(documents, documents[after - 1])
    if after == len(documents) or document - documents[before] <= documents[after] - document:
        return before
    return after


def pick(variants: list[Resource], near: Resource | None) -> Resource:
    """Of the variants of one identity, the one nearest to ``near``; the first where nothing is near."""
    if near is None or not isinstance(variants, Variants):
        return variants[0]
    return variants.nearest(near)


@lru_cache(maxsize=4096)
def folders_of(file: str) -> Folders:
    """The folders that lead to a file, from the outermost on."""
    names = [name for name in posixpath.dirname(file).split("/") if name not in ("", ".")]
    return ("/", *names) if file.startswith("/") else tuple(names)
