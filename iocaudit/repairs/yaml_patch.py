"""Carry a JSON Patch out on the text of a document, so everything it does not name stays as it was written.

Only the lines of the entries that change are touched: block style gets lines, flow style (JSON) gets entries between
commas, both in the document's own indentation and line breaks. Comments stay but the one on a line that is removed.
Libraries that round-trip YAML with comments (ruamel.yaml) write the whole document anew: they rewrap flow collections
and long strings, have one indentation for all of it, and read other YAML than Kubernetes does (1.2 or 1.1, where
go-yaml v2 is neither), so ``on`` or a number could change its type on the way. Anyone who calls this reads the
outcome again with the reader of scans and compares it to the patched object.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from copy import copy
from itertools import pairwise
from typing import Any, NamedTuple

from iocaudit.core.json_patch import PatchOperation, apply_one, pointer, tokens_of
from iocaudit.core.repair import UnfixableError
from iocaudit.core.yaml_write import entry_lines, inline, scalar
from iocaudit.repairs.yaml_style import is_quoted, style_of
from iocaudit.repairs.yaml_tree import Entry, Node, read_tree
from iocaudit.sources.text_lines import TextLines

_SHARED = "an anchor that is used in more than one place: write it out, or change it by hand"
_MERGED = "a merge (<<): write it out, or change it by hand"


class Replacement(NamedTuple):
    """Put ``text`` in place of what stands from ``start`` to ``end``."""

    start: int
    end: int
    text: str


class _NewEntry:
    """An entry that a patch adds."""

    __slots__ = ("key", "value")

    def __init__(self, key: str | None, value: Any) -> None:
        self.key = key
        self.value = value


class TextPatch:
    """Operations on one document of a text, ``line`` (from 0) being where its content starts.

    ``apply`` takes a patch as a whole or, raising UnfixableError, not at all; a copy is independent of it.
    Raises UnfixableError for a text without such a document.
    """

    def __init__(self, text: str, line: int = 0) -> None:
        root = read_tree(text, line)
        if root is None:
            raise UnfixableError("its text was not found")
        if text.count("\r") != text.count("\r\n") or any(odd in text for odd in "\x85\u2028\u2029"):
            raise UnfixableError("its lines end in an unusual way: save the file with line feeds")
        self._text = text
        self.lines = TextLines(text)
        self._root = root
        self._style = style_of(text, root, self.lines)
        self._by_key: dict[int, dict[str | None, list[Entry]]] = {}
        self._dead: frozenset[int] = frozenset()
        self._gone: dict[int, tuple[Entry, ...]] = {}
        """The dead entries by their node."""
        self._fresh: dict[int, tuple[_NewEntry, ...]] = {}
        self._new: dict[int, Any] = {}
        self._touched: dict[int, tuple[int, Node]] = {}

    def branch(self) -> TextPatch:
        """Another that goes on from here on its own."""
        other = copy(self)
        other._fresh, other._new, other._touched = dict(self._fresh), dict(self._new), dict(self._touched)
        other._gone = dict(self._gone)
        return other

    def apply(self, patch: Iterable[PatchOperation]) -> None:
        """Note the changes of all operations."""
        trial = self.branch()
        for operation in patch:
            if operation["op"] != "test":
                trial._apply(operation, tokens_of(operation["path"]))
        vars(self).update(vars(trial))

    def _apply(self, operation: PatchOperation, tokens: list[str]) -> None:
        node = self._root
        for depth, token in enumerate(tokens):
            if node.shared:
                raise UnfixableError(f"{pointer(tokens[:depth])} is {_SHARED}")
            if id(node) in self._new:
                self._new[id(node)] = apply_one(self._new[id(node)], _below(operation, tokens[depth:]))
                return
            found = self._find(node, token)
            if isinstance(found, _NewEntry):
                fresh = self._fresh[id(node)]
                if depth == len(tokens) - 1 and operation["op"] == "remove":
                    self._fresh[id(node)] = tuple(one for one in fresh if one is not found)
                    return
                value = apply_one({"": found.value}, _below(operation, ["", *tokens[depth + 1 :]]))[""]
                changed = _NewEntry(found.key, value)
                self._fresh[id(node)] = tuple(changed if one is found else one for one in fresh)
                return
            if depth == len(tokens) - 1:
                self._change(node, found, token, operation, depth)
                return
            if found is None:
                where = pointer(tokens[: depth + 1])
                raise UnfixableError(f"{where} comes from {_MERGED}" if node.merges else f"{where} is not in its text")
            node = found.node
        raise UnfixableError("the whole of it cannot be changed in place")

    def _find(self, node: Node, token: str) -> Entry | _NewEntry | None:
        """The live entry of a key, or the item at a position."""
        if node.is_list:
            items: Sequence[Entry | _NewEntry] = node.entries
            if self._dead or id(node) in self._fresh:
                live = [entry for entry in node.entries if id(entry) not in self._dead]
                items = [*live, *self._fresh.get(id(node), ())]
            return items[int(token)] if token.isdigit() and int(token) < len(items) else None
        live = [entry for entry in self._named(node, token) if id(entry) not in self._dead]
        if len(live) > 1:
            raise UnfixableError(f"the key {token} is there more than once")
        if live:
            return live[0]
        return next((one for one in self._fresh.get(id(node), ()) if one.key == token), None)

    def _named(self, node: Node, key: str) -> Sequence[Entry]:
        """The entries of a key; many are asked for of one map."""
        known = self._by_key.get(id(node))
        if known is None:
            known = self._by_key[id(node)] = {}
            for entry in node.entries:
                known.setdefault(entry.key, []).append(entry)
        return known.get(key, ())

    def _change(self, node: Node, found: Entry | None, token: str, operation: PatchOperation, depth: int) -> None:
        op = operation["op"]
        if found is None:
            if op != "add" or (node.is_list and token != "-") or not (node.is_list or node.is_map):
                raise UnfixableError(f"{token} comes from {_MERGED}" if node.merges else f"{token} is not in its text")
            key = token if node.is_map else None
            self._fresh[id(node)] = (*self._fresh.get(id(node), ()), _NewEntry(key, operation["value"]))
        else:
            below = list(found.node.walk())
            if any(one.shared for one in below):
                raise UnfixableError(f"{token} holds {_SHARED}")
            if op == "remove":
                self._forget(below)
                self._dead |= {id(found)}
                self._gone[id(node)] = (*self._gone.get(id(node), ()), found)
            elif node.is_list and op == "add":
                raise UnfixableError("an item can be added at the end of a list only")
            else:
                child = found.node
                if child.entries and not child.flow:
                    raise UnfixableError(f"{token} would be replaced as a whole: change it by hand")
                self._forget(below)
                self._new[id(child)] = operation["value"]
                self._touched[id(child)] = (depth + 1, child)
                return
        self._touched[id(node)] = (depth, node)

    def _forget(self, nodes: Iterable[Node]) -> None:
        """Drop the changes inside of what goes as a whole."""
        for node in nodes:
            for noted in (self._touched, self._fresh, self._new):
                noted.pop(id(node), None)

    def replacements(self) -> list[Replacement]:
        """What to put where, in the order of the text; none of them overlap."""
        ordered: list[tuple[int, int, int, Replacement]] = []
        for number, (depth, node) in enumerate(self._touched.values()):
            if id(node) in self._new:
                changes = [self._replaced(node, self._new[id(node)])]
            elif node.flow:
                changes = _FlowChanges(self, node).made()
            else:
                changes = self._block(node)
            # At one place the insertions of inner nodes come first: they belong to what stands above.
            ordered += [(change.start, -depth, number, change) for change in changes]
        ordered.sort(key=lambda one: one[:3])
        made = [one[3] for one in ordered]
        for before, after in pairwise(made):
            if after.start < before.end:
                raise UnfixableError("changes overlap: apply them one by one")
        return made

    def text(self) -> str:
        """The text with all changes."""
        return replaced(self._text, self.replacements())

    def _replaced(self, node: Node, value: Any) -> Replacement:
        shown = inline(value, self._style)
        if node.start == node.end:  # a null that is not written
            before = self._text[node.start - 1 : node.start]
            if before not in (":", "-", " "):
                raise UnfixableError("a value that is not written: write null there")
            return Replacement(node.start, node.end, shown if before == " " else f" {shown}")
        return Replacement(node.start, self._tail(node.start, node.end), shown)

    def _tail(self, start: int, end: int) -> int:
        """``end`` without the blanks before it."""
        while end > start and self._text[end - 1] in " \t\r\n":
            end -= 1
        return end

    def _block(self, node: Node) -> list[Replacement]:
        """The changes of a map or list in block style."""
        text, newline = self._text, self._style.newline
        fresh = self._fresh.get(id(node), ())
        last = self._last_live(node)
        lines = [line for one in fresh for line in entry_lines(one.key, one.value, self._style, node.column)]
        if last is None:
            start = node.entries[0].start
            empty = "{}" if node.is_map else "  []"  # deeper than the key above, where the list is not
            shown = newline.join(lines)[node.column :] if lines else empty
            return [Replacement(start, max(self._tail(start, node.end), start), shown)]
        changes = [self._deleted(node, entry) for entry in self._gone.get(id(node), ())]
        if lines:
            # Behind the line of the last entry; a block scalar ends at the start of a line itself.
            at = last.node.end if last.node.block_text else self.lines.end(max(last.node.end, last.key_end, last.start))
            shown = "".join(line + newline for line in lines)
            if not (at == 0 or text[at - 1] == "\n"):
                shown = newline + shown[: -len(newline)]
            changes.append(Replacement(at, at, shown))
        return changes

    def _last_live(self, node: Node, before: int | None = None) -> Entry | None:
        """The last entry that stays (that starts before a position); most often the very last."""
        return next(
            (
                entry
                for entry in reversed(node.entries)
                if id(entry) not in self._dead and (before is None or entry.start < before)
            ),
            None,
        )

    def _deleted(self, node: Node, entry: Entry) -> Replacement:
        """The deletion of the lines of a block entry; one that shares its line leaves it to what follows."""
        text = self._text
        end = self.lines.end(self._tail(entry.start, max(entry.node.end, entry.key_end, entry.start + 1)) - 1)
        if self.lines.is_first(entry.start):
            return Replacement(self.lines.start(entry.start), end, "")
        following = node.entries.index(entry) + 1  # few share their line
        if following < len(node.entries) and id(node.entries[following]) in self._dead:
            raise UnfixableError("several of the first entries would be removed: do that by hand")
        while end < len(text) and text[end] in " \t\r\n":
            end += 1
        return Replacement(entry.start, end, "")


def _below(operation: PatchOperation, tokens: list[str]) -> PatchOperation:
    return {**operation, "path": pointer(tokens)}


def replaced(text: str, replacements: Iterable[Replacement]) -> str:
    """The text with replacements that are in order."""
    parts = []
    position = 0
    for one in replacements:
        parts += [text[position : one.start], one.text]
        position = one.end
    return "".join((*parts, text[position:]))


class _FlowChanges:
    """The changes of one map or list in flow style: entries and their commas go, and come behind the last."""

    def __init__(self, patch: TextPatch, node: Node) -> None:
        self._text = patch._text
        self._lines = patch.lines
        self._node = node
        self._fresh = patch._fresh.get(id(node), ())
        self._patch = patch
        style = patch._style
        self._style = style if style.json else style._replace(json=is_quoted(node))

    def made(self) -> list[Replacement]:
        changes = [self._added()] if self._fresh else []
        for entry in self._patch._gone.get(id(self._node), ()):
            changes += self._deleted(entry)
        return changes

    def _added(self) -> Replacement:
        node = self._node
        last = self._patch._last_live(node)
        if last is None:
            return Replacement(node.open, node.open, ", ".join(self._shown(one, "") for one in self._fresh))
        first = self._lines.start(last.start)
        at = max(last.node.end, last.key_end)
        if first <= node.open or not self._lines.is_first(last.start):
            return Replacement(at, at, "".join(f", {self._shown(one, '')}" for one in self._fresh))
        pad = self._text[first : last.start]
        comma = f",{self._style.newline}{pad}"
        return Replacement(at, at, "".join(comma + self._shown(one, pad) for one in self._fresh))

    def _shown(self, one: _NewEntry, pad: str) -> str:
        style = self._style
        if style.json and pad and isinstance(one.value, dict | list) and one.value:
            shown = json.dumps(one.value, indent=style.step).replace("\n", style.newline + pad)
        else:
            shown = inline(one.value, style)
        return shown if one.key is None else f"{scalar(one.key, style)}: {shown}"

    def _deleted(self, entry: Entry) -> list[Replacement]:
        text, start = self._text, entry.start
        end = max(entry.node.end, entry.key_end, start)
        first = self._lines.start(start)
        comma = self._comma(end)
        changes = []
        if comma is not None:
            end = comma + 1
        elif (before := self._patch._last_live(self._node, start)) is not None:
            comma = self._comma(max(before.node.end, before.key_end))
            if comma is not None:
                changes.append(Replacement(comma, comma + 1, ""))
                if not text[comma + 1 : start].strip(" \t"):
                    start = comma + 1
        after = end
        while text[after : after + 1] in (" ", "\t"):
            after += 1
        rest = text[after : after + 2]
        if first > self._node.open and rest.startswith(("\n", "\r")) and self._lines.is_first(entry.start):
            return [*changes, Replacement(first, self._lines.end(after), "")]
        if comma is not None and comma < end and rest[:1] not in ("", "\n", "\r", "#"):
            end = after
        return [*changes, Replacement(start, end, "")]

    def _comma(self, position: int) -> int | None:
        """Where the next comma is, past blanks and comments; None where something else comes first."""
        text = self._text
        while position < len(text):
            character = text[position]
            if character == ",":
                return position
            if character == "#":
                position = self._lines.end(position)
            elif character in " \t\r\n":
                position += 1
            else:
                return None
        return None
