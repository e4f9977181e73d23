"""The objects inside documents: one of its own, the items of a List, or those that an unknown kind wraps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from iocaudit.core.kinds import SECRET, Kind, kind_of
from iocaudit.core.kinds.unknown import SHAPED
from iocaudit.core.report import ReportedHit
from iocaudit.core.resource import Origin, Resource
from iocaudit.core.shape import items, mapping
from iocaudit.knowledge.pods.by_shape import search
from iocaudit.sources.documents import Document, is_object
from iocaudit.sources.yaml_text import DEFINITION

OwnKinds = Mapping[tuple[str, str], Kind]
"""Kinds that no check of the product knows and rules are for, by group and name."""
NO_KINDS: OwnKinds = MappingProxyType({})


class RenderSource(Protocol):
    """Where what a rendered object was made of stands."""

    def origin(self, found: ReportedHit, resource: Resource) -> Origin:
        """The file and the line of a hit."""
        ...


class AuditSubject(NamedTuple):
    """An object to audit and the document that holds it; of a rendered one also where it comes from."""

    resource: Resource
    document: Document
    source: RenderSource | None = None


@dataclass(slots=True)
class UnjudgedObjects:
    """What of a document's objects is not judged: the paths of items of Lists that are not objects, the lists of
    containers of unknown kinds that are in no pod that counts, and the objects of unknown kinds in which nothing is.
    """

    items: list[str] = field(default_factory=list)
    containers: list[tuple[Resource, list[str]]] = field(default_factory=list)
    unknown: list[Resource] = field(default_factory=list)


def _subject(
    raw: dict[str, Any], origin: Origin, document: Document, source: RenderSource | None = None
) -> AuditSubject:
    resource = Resource(raw, origin)
    if resource.kind is None and origin.by_shape:
        resource = Resource(raw, origin, kind=SHAPED)
    elif resource.kind is SECRET:
        resource = Resource(_without_values(raw), origin)
    return AuditSubject(resource, document, source)


def _without_values(secret: dict[str, Any]) -> dict[str, Any]:
    """A Secret with its keys, and without what no output may ever show."""
    fields: dict[str, Any] = {
        name: dict.fromkeys(mapping(secret[name]), "") for name in ("data", "stringData") if name in secret
    }
    annotations = mapping(mapping(secret.get("metadata")).get("annotations"))
    if _APPLIED in annotations:  # kubectl apply keeps the whole object there
        kept = {name: value for name, value in annotations.items() if name != _APPLIED}
        fields["metadata"] = {**mapping(secret.get("metadata")), "annotations": kept}
    return {**secret, **fields}


_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def subjects(
    document: Document,
    name: str,
    *,
    lines: bool = True,
    aside: UnjudgedObjects | None = None,
    kinds: OwnKinds = NO_KINDS,
) -> Iterator[AuditSubject]:
    """Every object of a document, Lists taken apart; with ``lines`` its lines are those of the file ``name``.

    What is not judged goes to ``aside``. An object of an unknown kind comes only where it holds a pod by its shape, or
    defines a kind: that its group is installed, checks want to know. One of ``kinds``, which rules name, comes as well.
    """
    origin = Origin("file", name, document.line if lines else None, document.number)
    yield from _subjects(document.value, origin, document, aside if aside is not None else UnjudgedObjects(), kinds)


def _subjects(
    value: dict[str, Any], origin: Origin, document: Document, aside: UnjudgedObjects, kinds: OwnKinds
) -> Iterator[AuditSubject]:
    for raw, item in _exploded(value, origin.item, aside):
        place = origin._replace(item=item) if item else origin
        group = raw["apiVersion"].rpartition("/")[0]
        if kind_of(group, raw["kind"]) is not None:
            yield _subject(raw, place, document)
            continue
        own = kinds.get((group, raw["kind"]))
        if own is not None:
            yield AuditSubject(Resource(raw, place, kind=own), document)
        found = search(raw, group, raw["kind"])
        if found.unjudged:
            aside.containers.append((Resource(raw, place), found.unjudged))
        if found.pods:
            yield _subject(raw, place._replace(by_shape=True), document)
        elif not found.objects:
            if own is None:
                aside.unknown.append(Resource(raw, place))
            if raw["kind"] == DEFINITION:
                yield _subject(raw, place, document)
        if found.objects:
            from iocaudit.sources.wrapped import filled  # late: few files hold any

            for inner, path in found.objects:
                inside = place._replace(item=f"{item}.{path}" if item else path, by_shape=True)
                yield from _subjects(filled(inner, raw), inside, document, aside, kinds)


def _exploded(value: dict[str, Any], path: str, aside: UnjudgedObjects) -> Iterator[tuple[dict[str, Any], str]]:
    """The objects inside a List; a typed list (PodList) gives its items their kind, as the API does.

    Lists in Lists are taken apart as kubectl does, to whatever depth: what is read bounds it.
    """
    kind = value["kind"]
    if not (kind.endswith("List") and isinstance(value.get("items"), list)):
        yield value, path
        return
    for index, item in enumerate(items(value["items"])):
        place = f"{path}{'.' if path else ''}items[{index}]"
        if isinstance(item, dict) and kind != "List":
            given = {"apiVersion": value["apiVersion"], "kind": kind.removesuffix("List")}
            item = given | item | {name: word for name, word in given.items() if not item.get(name)}
        if is_object(item):
            yield from _exploded(item, place, aside)
        else:
            aside.items.append(place)
