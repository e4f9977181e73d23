"""An API server in memory, as far as the writers of findings need one: versions, conflicts, namespaces, failures."""

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from iocaudit.cluster.errors import ApiError, ConflictError, ForbiddenError, NotFoundError
from iocaudit.core.kinds import NAMESPACE, Kind

Json = dict[str, Any]
Key = tuple[str, str | None, str]


class MemoryApi:
    """Takes the place of a Client. ``fail`` is asked before and after each write and may raise."""

    def __init__(self, *namespaces: str) -> None:
        self.objects: dict[Key, Json] = {}
        self.namespaces = {name: f"uid-{name}" for name in namespaces}
        self.terminating: set[str] = set()
        self.fail: Callable[[str], None] = lambda _when: None
        self.writes = 0
        self._versions = itertools.count(1)

    def end_namespace(self, name: str) -> None:
        """As the namespace controller does: everything in it goes, and nothing new comes."""
        self.terminating.add(name)
        self.objects = {key: body for key, body in self.objects.items() if key[1] != name}

    def each(self, kind: Kind) -> Iterator[Json]:
        yield from [copy.deepcopy(body) for key, body in self.objects.items() if key[0] == kind.plural]

    def get(self, kind: Kind, namespace: str | None, name: str) -> Json:
        if kind is NAMESPACE:
            if name not in self.namespaces:
                raise NotFoundError(f"GET {name}", 404, "NotFound", "no such namespace")
            return {"metadata": {"name": name, "uid": self.namespaces[name]}}
        found = self.objects.get((kind.plural, namespace, name))
        if found is None:
            raise NotFoundError(f"GET {name}", 404, "NotFound", "no such object")
        return copy.deepcopy(found)

    def create(self, kind: Kind, body: Mapping[str, Any]) -> Json:
        key = self._key(kind, body)
        if key[1] is not None and key[1] not in self.namespaces:
            raise NotFoundError("POST", 404, "NotFound", "no such namespace")
        if key[1] in self.terminating:
            raise ForbiddenError("POST", 403, "Forbidden", "because it is being terminated")
        if key in self.objects:
            raise ConflictError("POST", 409, "AlreadyExists", "it is there")
        return self._write(key, body, f"object-{next(self._versions)}")

    def replace(self, kind: Kind, body: Mapping[str, Any]) -> Json:
        key = self._key(kind, body)
        if key not in self.objects:
            raise NotFoundError("PUT", 404, "NotFound", "no such object")
        before = self.objects[key]["metadata"]
        if body["metadata"].get("resourceVersion") not in (None, before["resourceVersion"]):
            raise ConflictError("PUT", 409, "Conflict", "it changed")
        return self._write(key, body, before["uid"])

    def delete(self, kind: Kind, namespace: str | None, name: str, *, uid: str | None = None) -> None:
        self.objects.pop((kind.plural, namespace, name), None)

    def _write(self, key: Key, body: Mapping[str, Any], uid: str) -> Json:
        self.fail("before")
        stored = copy.deepcopy(dict(body))
        stored["metadata"] |= {"resourceVersion": str(next(self._versions)), "uid": uid}
        self.objects[key] = stored
        self.writes += 1
        self.fail("after")
        return copy.deepcopy(stored)

    @staticmethod
    def _key(kind: Kind, body: Mapping[str, Any]) -> Key:
        return (kind.plural, body["metadata"].get("namespace"), body["metadata"]["name"])


def unavailable() -> ApiError:
    return ApiError("PUT", 503, "ServiceUnavailable", "not now")
