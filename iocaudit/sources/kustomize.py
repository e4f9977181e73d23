"""The kustomizations of an input: which files they name as patches, which as resources, and what those hold.

A patch is a fragment of what it changes, whatever kind and name it carries. It is one only where the resources of its
kustomization that are in the input hold what it names: else anyone who writes a kustomization could keep a manifest
from being judged. Source: the reference of the kustomization file,
https://kubectl.docs.kubernetes.io/references/kustomize.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from iocaudit.core.shape import items, mapping, mappings, strings, text
from iocaudit.sources.documents import KUSTOMIZATIONS, Document, ReadFailure, Template, TextCache, read_documents

FileReader = Callable[[str], bytes | ReadFailure]
Fragments = Mapping[str, Mapping[int, str]]
"""By file, which of its documents are fragments, and the kustomization that says so."""
_MOST_DEPTH = 32


class KustomizedObject(NamedTuple):
    """An object among the resources of a kustomization, under every name that it has on its way there."""

    group: str
    kind: str
    names: frozenset[str]
    namespaces: frozenset[str]
    """Empty where it has none of its own and gets none: it then fits any."""
    labels: Mapping[str, Any]


@dataclass(slots=True, eq=False)
class Kustomization:
    """One kustomization file. ``folder`` is absolute."""

    file: str
    folder: str
    value: Mapping[str, Any]
    line: int
    parts: list[Kustomization] = field(default_factory=list)
    """Those that it takes as resources, bases or components."""
    files: list[str] = field(default_factory=list)
    """The files that it takes as resources."""
    patches: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    """The files that it names as patches, each with the selector of its target, which may be empty."""

    @property
    def is_component(self) -> bool:
        return self.value.get("kind") == "Component"


class Kustomizations:
    """Those among the files of an input. Nothing is read where there is none."""

    def __init__(self, files: Iterable[str], read: FileReader, cache: TextCache) -> None:
        self._read, self._cache = read, cache
        self.all: dict[str, Kustomization] = {}
        """By absolute folder."""
        self._documents: dict[tuple[str, frozenset[str] | None], list[Document]] = {}
        self._kinds: frozenset[str] | None = None
        """The kinds that some patch changes; None where it may be any."""
        self._held: dict[str, list[KustomizedObject]] = {}
        files = list(files)
        found = [file for file in files if os.path.basename(file) in KUSTOMIZATIONS]
        self._by_path = {os.path.abspath(file): file for file in files} if found else {}
        for file in found:
            self._load(file)
        for one in self.all.values():
            self._link(one)

    def _load(self, file: str) -> None:
        data = self._read(file)
        if isinstance(data, ReadFailure):
            return
        for outcome in read_documents(data, file, _all, cache=self._cache):
            if isinstance(outcome, Template) and outcome.value is not None:
                folder = os.path.dirname(os.path.abspath(file))
                self.all.setdefault(folder, Kustomization(file, folder, outcome.value, outcome.line))
                return

    def _link(self, one: Kustomization) -> None:
        value = one.value
        for name in ("resources", "bases", "components"):
            for entry in strings(value.get(name)):
                path = _joined(one.folder, entry)
                if path in self.all:
                    one.parts.append(self.all[path])
                elif path in self._by_path:
                    one.files.append(self._by_path[path])
        named = [(text(entry.get("path")), mapping(entry.get("target"))) for entry in mappings(value.get("patches"))]
        named += [(entry, {}) for entry in strings(value.get("patchesStrategicMerge"))]
        for entry, target in named:
            if entry and "\n" not in entry and (found := self._by_path.get(_joined(one.folder, entry))) is not None:
                one.patches.append((found, target))

    # -- fragments ----------------------------------------------------------------------------------------

    def fragments(self) -> Fragments:
        """Which documents of which files are patches of what the input holds."""
        resources = {file for one in self.all.values() for file in one.files}
        patches = [
            (one, document, file, target)
            for one in self.all.values()
            for file, target in one.patches
            if file not in resources
            for document in self.documents(file)
        ]
        self._kinds = _changed_kinds((document.value, target) for _, document, _, target in patches)
        found: dict[str, dict[int, str]] = {}
        for one, document, file, target in patches:
            if any(_is_meant(document.value, target, held) for held in self.reached(one)):
                found.setdefault(file, {})[document.number] = one.file
        return found

    def reached(self, one: Kustomization) -> list[KustomizedObject]:
        """The objects that the patches of a kustomization may change: of a component, those of whatever takes it."""
        found = list(self.held(one))
        waiting, seen = [one], {one.folder}
        while waiting:
            current = waiting.pop()
            if not current.is_component:
                continue
            for other in self.all.values():
                if current in other.parts and other.folder not in seen:
                    seen.add(other.folder)
                    waiting.append(other)
                    found += self.held(other)
        return found

    def held(self, one: Kustomization, depth: int = 0) -> list[KustomizedObject]:
        """Every object among the resources of a kustomization that is in the input."""
        known = self._held.get(one.folder)
        if known is not None or depth > _MOST_DEPTH:
            return known or []
        self._held[one.folder] = []  # what takes itself in is refused by kustomize
        found = [held for file in one.files for held in self._objects(file)]
        for part in one.parts:
            found += self.held(part, depth + 1)
        prefix, suffix = text(one.value.get("namePrefix")), text(one.value.get("nameSuffix"))
        namespace = text(one.value.get("namespace"))
        if prefix or suffix or namespace:
            found = [
                held._replace(
                    names=held.names | {f"{prefix}{name}{suffix}" for name in held.names},
                    namespaces=(held.namespaces | {namespace}) if namespace and held.namespaces else held.namespaces,
                )
                for held in found
            ]
        self._held[one.folder] = found
        return found

    def _objects(self, file: str) -> Iterator[KustomizedObject]:
        for document in self.documents(file, self._kinds):
            yield from _held_in(document)

    def changes(self, patch: Document, target: Mapping[str, Any], own: Document) -> bool:
        """Whether a patch changes the object of a document; of its name it may hold only a part."""
        held = next(_held_in(own), None)
        return held is not None and _is_meant(patch.value, target, held)

    def documents(self, file: str, kinds: frozenset[str] | None = None) -> list[Document]:
        """The Kubernetes documents of a file; those of other kinds may be left out."""
        known = self._documents.get((file, kinds))
        if known is None:
            data = self._read(file)
            wanted = _all if kinds is None else lambda _version, kind: kind in kinds
            outcomes = () if isinstance(data, ReadFailure) else read_documents(data, file, wanted, cache=self._cache)
            known = self._documents[file, kinds] = [one for one in outcomes if isinstance(one, Document)]
        return known

    # -- rendering ----------------------------------------------------------------------------------------

    @property
    def roots(self) -> list[Kustomization]:
        """Those to render: nobody among the input takes them, and they are not components."""
        taken = {part.folder for one in self.all.values() for part in one.parts}
        return [one for one in self.all.values() if one.folder not in taken and not one.is_component]

    def tree(self, one: Kustomization) -> list[Kustomization]:
        """A kustomization and all that it takes, the nearest first."""
        found: dict[str, Kustomization] = {one.folder: one}
        waiting = [one]
        while waiting:
            for part in waiting.pop(0).parts:
                if part.folder not in found:
                    found[part.folder] = part
                    waiting.append(part)
        return list(found.values())

    def named(self, path: str) -> str | None:
        """The file of the input at an absolute path, as it was given."""
        return self._by_path.get(path)


def _all(_version: str, _kind: str) -> bool:
    return True


def _held_in(document: Document) -> Iterator[KustomizedObject]:
    value = document.value
    for raw in items(value.get("items")) if text(value.get("kind")).endswith("List") else [value]:
        metadata = mapping(mapping(raw).get("metadata"))
        namespace = text(metadata.get("namespace"))
        yield KustomizedObject(
            text(mapping(raw).get("apiVersion")).rpartition("/")[0],
            text(mapping(raw).get("kind")),
            frozenset({text(metadata.get("name"))}),
            frozenset({namespace} if namespace else ()),
            mapping(metadata.get("labels")),
        )


def _changed_kinds(patches: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> frozenset[str] | None:
    """The kinds that patches change; None where one of them may change any."""
    kinds = [(target.get("kind") if target else value.get("kind")) for value, target in patches]
    named = [kind for kind in kinds if isinstance(kind, str) and kind.isalnum()]
    return frozenset(named) if len(named) == len(kinds) else None


def _joined(folder: str, entry: str) -> str:
    return os.path.normpath(os.path.join(folder, entry))


def _is_meant(value: Mapping[str, Any], target: Mapping[str, Any], held: KustomizedObject) -> bool:
    """Whether a patch changes an object: the one that its target selects, without one the one that it names."""
    if not target:
        metadata = mapping(value.get("metadata"))
        namespace = text(metadata.get("namespace"))
        return (
            (held.group, held.kind) == (text(value.get("apiVersion")).rpartition("/")[0], value.get("kind"))
            and text(metadata.get("name")) in held.names
            and (not namespace or not held.namespaces or namespace in held.namespaces)
        )
    group, kind = target.get("group"), target.get("kind")
    return (
        (not group or group == held.group)
        and (not kind or _matches(kind, held.kind))
        and _any_matches(target.get("name"), held.names)
        and (not held.namespaces or _any_matches(target.get("namespace"), held.namespaces))
        and _selected(target.get("labelSelector"), held.labels)
    )


def _any_matches(pattern: Any, words: Iterable[str]) -> bool:
    return not pattern or any(_matches(pattern, word) for word in words)


def _matches(pattern: Any, word: str) -> bool:
    """As kustomize does: a regular expression for the whole word."""
    try:
        return isinstance(pattern, str) and re.fullmatch(pattern, word) is not None
    except re.error:
        return False


def _selected(selector: Any, labels: Mapping[str, Any]) -> bool:
    """Only ``name=value`` joined by commas is understood; of what else is asked it is assumed to hold."""
    if not isinstance(selector, str) or not selector:
        return True
    pairs = [part.partition("=") for part in selector.split(",")]
    return all(
        not found or "!" in name or labels.get(name.strip()) == value.strip(" =") for name, found, value in pairs
    )
