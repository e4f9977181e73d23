"""The repairs of one check on a stored object as one JSON Patch, for anyone who applies it later.

By then the object may have changed. So every operation is guarded: by what names the list items that it passes, and
by the value that it takes away or replaces; where it adds, by nothing being there, which is a ``test`` of null as
kube-apiserver reads it. A patch that no longer fits is refused whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from iocaudit.core.errors import PathSyntaxError
from iocaudit.core.hit import Hit
from iocaudit.core.json_patch import ItemNames, PatchOperation, apply_one, patch_of, pointer, tokens_of
from iocaudit.core.repair import UnfixableError

MOST = 8192
"""How long the text of a patch may be; what goes beyond is left for when this much is repaired."""

_MOST_TRIED = 1000
"""How many hits are tried: more than fit into the text, but not so many that an object of thousands takes minutes."""

_DEEPEST = 8
"""How deep a value in a patch may be nested."""

_NAMING = ("name", "mountPath", "containerPort")
"""The fields that tell one item of a list from the others."""


class StoredPatch(NamedTuple):
    """``patch`` is JSON text. ``hits`` are so many as it undoes; it is safe where every one of their repairs is."""

    patch: str
    hits: int
    safe: bool


def stored_patch(raw: Any, hits: Iterable[Hit]) -> StoredPatch | None:
    """The patch that undoes hits on an object one after the other, as far as they can be; None where none can."""
    operations: list[PatchOperation] = []
    text, undone, safe = "", 0, True
    names = ItemNames()
    for hit in islice((hit for hit in hits if hit.repair is not None), _MOST_TRIED):
        assert hit.repair is not None
        try:
            patch = patch_of(raw, hit.path, hit.repair, names=names)
            found = _guarded(raw, patch)
            if any(_is_deeper(one.get("value"), _DEEPEST) for one in found):
                continue
            longer = [*operations, *(one for one in found if one not in operations)]
            after = raw
            for operation in patch:
                after = apply_one(after, operation)
        except (UnfixableError, PathSyntaxError, RecursionError):
            continue  # the last: a list that is changed may hold anything, however deep
        longer_text = json.dumps(longer, separators=(",", ":"), ensure_ascii=False)
        if len(longer_text) > MOST:
            break
        raw, operations, text = after, longer, longer_text
        undone += 1
        safe = safe and hit.repair.safe
    return StoredPatch(text, undone, safe) if operations else None


def _guarded(raw: Any, patch: Iterable[PatchOperation]) -> list[PatchOperation]:
    """The same operations with their guards, for the object that they were made for."""
    done: list[PatchOperation] = []
    for operation in patch:
        for one in (*_guards(raw, operation), operation):
            if one["op"] != "test" or one not in done:
                done.append(one)
        raw = apply_one(raw, operation)
    return done


def _guards(raw: Any, operation: PatchOperation) -> Iterator[PatchOperation]:
    if operation["op"] == "test":
        return
    tokens = tokens_of(operation["path"])
    value = raw
    for depth, token in enumerate(tokens, start=1):
        last = depth == len(tokens)
        if isinstance(value, list):
            if token == "-":
                return
            value = value[int(token)]
            if isinstance(value, dict) and not last:
                for name in _NAMING:
                    if isinstance(value.get(name), str | int):
                        yield _test(pointer([*tokens[:depth], name]), value[name])
        else:
            value = value.get(token)
    yield _test(operation["path"], value)


def _is_deeper(value: Any, most: int) -> bool:
    """Whether a value is nested deeper than ``most`` levels: nobody reads that, and comparing it takes a stack."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return most == 0 or any(_is_deeper(one, most - 1) for one in inner)


def _test(path: str, value: Any) -> PatchOperation:
    return {"op": "test", "path": path, "value": value}
