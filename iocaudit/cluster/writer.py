"""Writes of whole objects that only we write: create, replace by version, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from iocaudit.cluster.api import Api
from iocaudit.cluster.errors import ApiError, ConflictError, ForbiddenError, NotFoundError
from iocaudit.core.kinds import Kind
from iocaudit.core.shape import Json, mapping, text


def put(client: Api, kind: Kind, body: Mapping[str, Any]) -> Json:
    """Store an object as it is here, whatever stood there before: we are its only writer."""
    metadata = mapping(body.get("metadata"))
    namespace, name = text(metadata.get("namespace")) or None, text(metadata.get("name"))
    fresh = {**body, "metadata": {k: v for k, v in metadata.items() if k != "resourceVersion"}}
    for _ in range(3):
        version = text(metadata.get("resourceVersion"))
        try:
            if not version:
                return client.create(kind, fresh)
            return client.replace(kind, {**fresh, "metadata": {**metadata, "resourceVersion": version}})
        except ConflictError:
            current = client.get(kind, namespace, name)
            version = text(mapping(current.get("metadata")).get("resourceVersion"))
            metadata = {**metadata, "resourceVersion": version}
        except NotFoundError:
            if not version:
                raise
            metadata = {k: v for k, v in metadata.items() if k != "resourceVersion"}
    raise ConflictError(f"PUT {kind.plural} {name}", 409, "Conflict", "it changes faster than it can be written")


def change(client: Api, kind: Kind, namespace: str | None, name: str, edit: Callable[[Json], Json]) -> Json | None:
    """Read an object, edit it and store it, again where it changed meanwhile; None where it is gone."""
    for _ in range(3):
        try:
            return client.replace(kind, edit(client.get(kind, namespace, name)))
        except NotFoundError:
            return None
        except ConflictError:
            continue
    raise ConflictError(f"PUT {kind.plural} {name}", 409, "Conflict", "it changes faster than it can be written")


def is_terminating(error: ApiError) -> bool:
    """Whether a write failed because its namespace is being deleted."""
    return isinstance(error, ForbiddenError) and "being terminated" in str(error)
