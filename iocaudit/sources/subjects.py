"""The objects inside documents: one of its own, or the items of a List."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from iocaudit.core.kinds import SECRET
from iocaudit.core.resource import Origin, Resource
from iocaudit.core.shape import items, mapping
from iocaudit.sources.documents import Document, is_object


class Subject(NamedTuple):
    """An object to audit and the document that holds it."""

    resource: Resource
    document: Document

    def __reduce__(self) -> tuple[Any, ...]:
        # A kind is compared by identity, so that another process has to look it up anew.
        return _subject, (self.resource.raw, self.resource.origin, self.document)


def _subject(raw: dict[str, Any], origin: Origin, document: Document) -> Subject:
    resource = Resource(raw, origin)
    if resource.kind is SECRET:
        resource = Resource(_without_values(raw), origin)
    return Subject(resource, document)


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


def subjects(document: Document, name: str, *, lines: bool = True, lost: list[str] | None = None) -> Iterator[Subject]:
    """Every object of a document, Lists taken apart; with ``lines`` its lines are those of the file ``name``.

    ``lost`` takes the paths of those items of Lists that are not objects.
    """
    origin = Origin("file", name, document.line if lines else None, document.number)
    for raw, item in _exploded(document.value, "", lost if lost is not None else []):
        yield _subject(raw, origin._replace(item=item) if item else origin, document)


def _exploded(value: dict[str, Any], path: str, lost: list[str]) -> Iterator[tuple[dict[str, Any], str]]:
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
            yield from _exploded(item, place, lost)
        else:
            lost.append(place)
