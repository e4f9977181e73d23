"""JSON Patch (RFC 6902): a repair as operations on one object, and what they make of it.

Only what repairs need: ``test``, ``add``, ``replace`` and ``remove``, pointers by RFC 6901. An item that a path names
is guarded by a ``test`` of its name, so a patch applied later refuses a list that was reordered meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from iocaudit.core import paths
from iocaudit.core.repair import Edit, Repair, UnfixableError

PatchOperation = dict[str, Any]
Token = str | int

_PRUNED = frozenset(
    {"add", "annotations", "capabilities", "externalIPs", "seLinuxOptions", "securityContext", "sysctls"}
    | {"tolerations", "windowsOptions"}
)
"""Fields that say nothing when they are empty: one that a removal empties goes with it."""


def pointer(tokens: Iterable[Token]) -> str:
    """RFC 6901."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def tokens_of(text: str) -> list[str]:
    """The tokens of a pointer."""
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


class ItemNames:
    """Where the items of a name are in the lists of one object, for making many patches of it.

    A list that is asked of again is read once for all its names. Lists are distinguished by identity, so one of
    which this was asked may not change.
    """

    __slots__ = ("_lists",)

    def __init__(self) -> None:
        self._lists: dict[int, tuple[list[Any], dict[str, list[int]] | None]] = {}

    def of(self, items: list[Any], name: str) -> Sequence[int]:
        """The positions of the items of that name."""
        known = self._lists.get(id(items))
        if known is None:
            if len(items) > _FEW:
                self._lists[id(items)] = (items, None)  # kept, so no other list gets its identity
            return [i for i, item in enumerate(items) if isinstance(item, dict) and item.get("name") == name]
        _, places = known
        if places is None:
            places = {}
            for index, item in enumerate(items):
                if isinstance(item, dict) and isinstance(item.get("name"), str):
                    places.setdefault(item["name"], []).append(index)
            self._lists[id(items)] = (items, places)
        return places.get(name, ())


_FEW = 16


def patch_of(
    raw: Any, path: str, repair: Repair, item: str = "", names: ItemNames | None = None
) -> list[PatchOperation]:
    """The operations that carry out the repair of a hit at ``path`` on ``raw``.

    ``item`` is where the hit's object stands in ``raw`` where that is a List. Operations are empty where all is done
    already; raises UnfixableError where the object is not of the shape that the repair expects. With ``names`` of that
    very ``raw`` it takes no longer for the last item of a long list than for the first.
    """
    names = names if names is not None else ItemNames()
    ways = [paths.parse(_whole(item, edit.path or path)) for edit in repair.edits]
    base, depth = _Place(raw), 0
    if len(ways) > 1:
        base, depth = _shared_item(raw, ways, names)
    operations: list[PatchOperation] = []
    for edit, way in zip(repair.edits, ways, strict=True):
        done = _edit(edit, _located(base.again(), way[depth:], names))
        if len(ways) > 1:
            for operation in done:
                if operation["op"] != "test":
                    base.change(operation)
        operations += [one for one in done if one["op"] != "test" or one not in operations]
    return operations if any(one["op"] != "test" for one in operations) else []


def _whole(item: str, where: str) -> str:
    return item + (where if not item or not where or where.startswith("[") else f".{where}")


class _Place:
    """How far a path leads: ``tokens`` exist and end at ``value``, ``rest`` does not exist yet."""

    __slots__ = ("held", "rest", "tests", "tokens", "value")

    def __init__(self, raw: Any) -> None:
        self.value = raw
        self.tokens: list[Token] = []
        self.held: list[Any] = [raw]
        self.rest: list[str] = []
        self.tests: list[PatchOperation] = []

    def again(self) -> _Place:
        """The same, to go on from."""
        other = _Place(self.value)
        other.tokens, other.held = list(self.tokens), [*self.held[:-1], self.value]
        other.tests = list(self.tests)
        return other

    def change(self, operation: PatchOperation) -> None:
        """Carry out an operation on something below it; nothing above is copied, however large that is."""
        self.value = _applied(self.value, tokens_of(operation["path"])[len(self.tokens) :], operation)


def _shared_item(raw: Any, ways: Sequence[Sequence[paths.Segment]], names: ItemNames) -> tuple[_Place, int]:
    """The innermost item of a list in which all edits are made, and how many segments lead there; else the whole."""
    shared = 0
    for segments in zip(*ways, strict=False):
        if any(segment != segments[0] for segment in segments):
            break
        shared += 1
    shared = min(shared, min(map(len, ways)) - 1)
    place = _located(_Place(raw), ways[0][:shared], names)
    for depth in range(len(place.tokens), 0, -1):
        if isinstance(place.held[depth - 1], list):
            return _located(_Place(raw), ways[0][:depth], names), depth
    return _Place(raw), 0


def _located(place: _Place, segments: Sequence[paths.Segment], names: ItemNames) -> _Place:
    for number, segment in enumerate(segments):
        value = place.value
        token: Token
        if isinstance(value, list):
            token = _index(value, segment, names)
            if isinstance(segment, paths.KeySegment):
                name = pointer([*place.tokens, token, "name"])
                place.tests.append({"op": "test", "path": name, "value": segment.text})
        elif isinstance(segment, int):
            raise UnfixableError(f"{pointer(place.tokens) or '/'} is not a list")
        else:
            token = segment.name if isinstance(segment, paths.Field) else segment.text
            if value is None or (isinstance(value, dict) and token not in value):
                place.rest = [_name(left) for left in segments[number:]]
                return place
            if not isinstance(value, dict):
                raise UnfixableError(f"{pointer(place.tokens)} is not a map")
        place.tokens.append(token)
        place.value = value[token]
        place.held.append(place.value)
    return place


def _index(items: list[Any], segment: paths.Segment, names: ItemNames) -> int:
    if isinstance(segment, paths.Field):
        raise UnfixableError(f"a list has no field {segment.name}")
    if isinstance(segment, int):
        if segment >= len(items):
            raise UnfixableError(f"the list has no item {segment}")
        return segment
    found = names.of(items, segment.text)
    if len(found) != 1:
        raise UnfixableError(f"{len(found) or 'no'} items are named {segment.text}")
    return found[0]


def _name(segment: paths.Segment) -> str:
    if isinstance(segment, int):
        raise UnfixableError("a list that is not there has no items")
    return segment.name if isinstance(segment, paths.Field) else segment.text


def _edit(edit: Edit, place: _Place) -> list[PatchOperation]:
    if edit.op == "set":
        return _set(place, edit.value)
    if edit.op == "include":
        if place.rest or place.value is None:
            return _set(place, [edit.value])
        if not isinstance(place.value, list):
            raise UnfixableError(f"{pointer(place.tokens)} is not a list")
        if edit.value in place.value:
            return []
        return [*place.tests, {"op": "add", "path": pointer([*place.tokens, "-"]), "value": edit.value}]
    if place.rest:
        return []  # it is gone already
    if edit.op == "remove":
        return [*place.tests, _removed(place, place.tokens)]
    if not isinstance(place.value, list):
        raise UnfixableError(f"{pointer(place.tokens)} is not a list")
    doomed = [index for index, item in enumerate(place.value) if any(_same(item, value) for value in edit.value)]
    if not doomed:
        return []
    if len(doomed) == len(place.value):
        return [*place.tests, _removed(place, place.tokens)]
    return [*place.tests, *({"op": "remove", "path": pointer([*place.tokens, i])} for i in reversed(doomed))]


def _set(place: _Place, value: Any) -> list[PatchOperation]:
    for name in reversed(place.rest[1:] if place.value is not None else place.rest):
        value = {name: value}
    if not place.rest or place.value is None:
        if _same(place.value, value):
            return []
        return [*place.tests, {"op": "replace", "path": pointer(place.tokens), "value": value}]
    return [*place.tests, {"op": "add", "path": pointer([*place.tokens, place.rest[0]]), "value": value}]


def _removed(place: _Place, tokens: list[Token]) -> PatchOperation:
    """The removal of what ``tokens`` lead to, or of the outermost field that it leaves empty and meaningless."""
    while len(tokens) > 1 and len(place.held[len(tokens) - 1]) == 1 and tokens[-2] in _PRUNED:
        tokens = tokens[:-1]
    return {"op": "remove", "path": pointer(tokens)}


def _same(one: Any, other: Any) -> bool:
    """Equality of JSON values: true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def apply(raw: Any, patch: Iterable[PatchOperation]) -> Any:
    """The value after all operations; ``raw`` stays as it is. Raises UnfixableError where one does not fit."""
    for operation in patch:
        raw = apply_one(raw, operation)
    return raw


def apply_one(raw: Any, operation: PatchOperation) -> Any:
    """The value after one operation; what it does not touch is shared with ``raw``."""
    return _applied(raw, tokens_of(operation["path"]), operation)


def _applied(value: Any, tokens: list[str], operation: PatchOperation) -> Any:
    op = operation["op"]
    if not tokens:
        if op == "test":
            if not _same(value, operation["value"]):
                raise UnfixableError("the object is not what the patch expects")
            return value
        if op != "replace":
            raise UnfixableError(f"cannot {op} the whole of it")
        return operation["value"]
    token, rest = tokens[0], tokens[1:]
    if isinstance(value, dict):
        if token not in value and (rest or op != "add"):
            if op == "test" and not rest and operation["value"] is None:
                return value  # kube-apiserver takes what is not there for null
            raise UnfixableError(f"there is no {token}")
        changed: Any = dict(value)
        key: Any = token
    elif isinstance(value, list):
        changed = list(value)
        key = len(value) if token == "-" else int(token) if token.isascii() and token.isdigit() else -1
        if not 0 <= key < len(value) + (op == "add" and not rest):
            raise UnfixableError(f"the list has no item {token}")
    else:
        raise UnfixableError(f"there is no {token}")
    if rest or op == "test":
        changed[key] = _applied(changed[key], rest, operation)
    elif op == "remove":
        del changed[key]
    elif op == "add" and isinstance(changed, list):
        changed.insert(key, operation["value"])
    else:
        changed[key] = operation["value"]
    return changed
