"""The objects that tests name: by path, or by path and name (``pods.yaml#web``, ``all.yaml#Deployment/shop/web``)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from iocaudit.core.errors import IocauditError
from iocaudit.core.resource import Origin, Resource
from iocaudit.core.shape import Json, mapping, text
from iocaudit.core.wording import several
from iocaudit.engine.fields import nearest
from iocaudit.knowledge.clipping import clip
from iocaudit.sources.documents import Document, ForeignDocument, ReadFailure, Template, is_object, read_documents
from iocaudit.sources.files import Inputs, read_bytes

ENDINGS = (".policytest.yaml", ".policytest.yml", ".policytest.json")
"""What the name of a file of tests ends with, where a folder is searched for them."""
_MOST_NAMED = 8


class ObjectError(IocauditError):
    """What a test names cannot be had; says why, and what there is."""


class GivenObject(NamedTuple):
    """An object as it is written in a file."""

    raw: Json
    origin: Origin

    @property
    def resource(self) -> Resource:
        return Resource(self.raw, self.origin)


def is_test_file(path: str) -> bool:
    """Whether a file holds tests by its name: ``*.policytest.yaml``, or ``policytest.yaml`` itself."""
    name = os.path.basename(path)
    return name.endswith(ENDINGS) or f".{name}" in ENDINGS


def located(reference: str, folder: str) -> str:
    """The path of a file that a test file in a folder names; raises ObjectError where there is none."""
    path = os.path.normpath(os.path.join(folder, reference))
    if not os.path.exists(path):
        beside, name = os.path.split(path)
        try:
            there = os.listdir(beside or ".")
        except OSError:
            raise ObjectError(f"there is no folder {beside}") from None
        raise ObjectError(f"there is no file or folder {path}{nearest(name, there)}")
    return path


def files_below(path: str) -> list[str]:
    """The file itself, or the manifests in a folder and below, without files of tests."""
    inputs = Inputs([path])
    if inputs.unreadable:
        raise ObjectError(f"{inputs.unreadable[0].path}: {inputs.unreadable[0].reason}")
    return [one for one in inputs.files if one in inputs.named or not is_test_file(one)]


class ObjectFiles:
    """The objects of the files that tests name; each file is read once."""

    def __init__(self) -> None:
        self._read: dict[str, list[GivenObject]] = {}

    def find(self, reference: str, folder: str) -> list[GivenObject]:
        """The objects that a reference names, at least one. Raises ObjectError."""
        file, sign, name = reference.partition("#")
        if sign and os.path.exists(os.path.normpath(os.path.join(folder, reference))):
            file, sign = reference, ""
        path = located(file, folder)
        found = [one for below in files_below(path) for one in self._of_file(below, named=not os.path.isdir(path))]
        if not found:
            raise ObjectError(f"{path} holds no Kubernetes object")
        return [_chosen(found, name, path)] if sign else found

    def _of_file(self, path: str, *, named: bool) -> list[GivenObject]:
        if path not in self._read:
            self._read[path] = list(_objects(path, named=named))
        return self._read[path]


def _objects(path: str, *, named: bool) -> Iterator[GivenObject]:
    data = read_bytes(path, named=named)
    outcomes = [data] if isinstance(data, ReadFailure) else read_documents(data, path, lambda _version, _kind: True)
    for outcome in outcomes:
        if isinstance(outcome, Document):
            yield from unpacked(outcome.value, Origin("file", path, outcome.line, outcome.number))
        elif isinstance(outcome, ReadFailure):
            raise ObjectError(f"{path}{f':{outcome.line}' if outcome.line else ''}: {outcome.reason}")
        elif isinstance(outcome, Template) and (named or outcome.tool != "kustomize"):
            raise ObjectError(f"{path}:{outcome.line}: {outcome.reason}")
        elif isinstance(outcome, ForeignDocument) and named:
            raise ObjectError(f"{path}:{outcome.line}: a document without apiVersion and kind is not an object")


def unpacked(raw: Json, origin: Origin) -> Iterator[GivenObject]:
    """The object itself, or the objects in a List."""
    items = raw.get("items")
    if raw.get("kind") != "List" or not isinstance(items, list):
        yield GivenObject(raw, origin)
        return
    for index, item in enumerate(items):
        if not is_object(item):
            raise ObjectError(f"{origin.file}:{origin.line}: items[{index}] of a List has no apiVersion and kind")
        yield from unpacked(item, origin._replace(item=f"items[{index}]"))


def _chosen(found: Sequence[GivenObject], name: str, path: str) -> GivenObject:
    """The one object of that name, ``KIND/NAME`` or ``KIND/NAMESPACE/NAME``."""
    chosen = [one for one in found if name in _names(one)]
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        full = sorted(_names(one)[-1] for one in chosen)
        raise ObjectError(f"{clip(name)} names {len(chosen)} objects of {path}: write {several(full, _MOST_NAMED)}")
    known = [one for each in found for one in _names(each)]
    there = f" (there are: {several(sorted(_names(one)[1] for one in found), _MOST_NAMED)})"
    raise ObjectError(f"no object of {path} is {clip(repr(name))}{nearest(name, known, otherwise=there)}")


def _names(one: GivenObject) -> tuple[str, ...]:
    """What names an object, the shortest first."""
    metadata, kind = mapping(one.raw.get("metadata")), text(one.raw.get("kind"))
    name = text(metadata.get("name")) or text(metadata.get("generateName"))
    namespace = text(metadata.get("namespace"))
    short = (name, f"{kind}/{name}")
    return (*short, f"{kind}/{namespace}/{name}") if namespace else short
