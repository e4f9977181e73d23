"""An API server in memory, as far as the operator's client can tell: lists in pages, versions, conflicts."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from iocaudit.cluster.client import JSON, Client
from iocaudit.cluster.errors import ApiError, ConflictError, ExpiredError, NotFoundError
from iocaudit.cluster.reading import Holder
from iocaudit.core.kinds import KINDS, Kind
from iocaudit.decoding.answers import ListAnswer

Json = dict[str, Any]
Where = tuple[str, str, str]
"""Group, version, plural."""

OURS = ("iocfindings", "clusteriocfindings", "auditreports", "clusterauditreports", "auditpolicies", "iocwaivers")


class FakeApi(Client):
    """Holds objects by kind. ``before`` is called ahead of each request and may raise an ApiError for it.

    ``absent``: (group, plural) that are not served. ``writes`` counts by method and plural.
    """

    def __init__(self, *, page: int = 500) -> None:
        self.objects: dict[Where, dict[tuple[str, str], Json]] = {}
        self.absent: set[tuple[str, str]] = {kind for kind in _served() if _custom(kind[0])}
        self.before: Callable[[str, str], None] = lambda _method, _path: None
        self.requests: list[tuple[str, str]] = []
        self.writes: Counter[tuple[str, str]] = Counter()
        self.page = page
        self._version = 100
        self._may_write = lambda: None
        self._sizes = {}

    # -- for tests -----------------------------------------------------------------------------------------

    def put(self, kind: Kind, name: str, namespace: str | None = None, /, **content: Any) -> Json:
        """Store an object, new or changed; returns it with its metadata."""
        self._version += 1
        where = (kind.group, kind.version, kind.plural)
        known = self.objects.setdefault(where, {}).get((namespace or "", name), {})
        metadata = {
            "uid": f"uid-{kind.plural}-{namespace or ''}-{name}",
            **known.get("metadata", {}),
            **content.pop("metadata", {}),
            "name": name,
            "resourceVersion": str(self._version),
            **({"namespace": namespace} if namespace else {}),
        }
        found = {"apiVersion": kind.api_version, "kind": kind.name, **content, "metadata": metadata}
        self.objects[where][(namespace or "", name)] = found
        return copy.deepcopy(found)

    def remove(self, kind: Kind, name: str, namespace: str | None = None) -> Json:
        return self.objects[(kind.group, kind.version, kind.plural)].pop((namespace or "", name))

    def stored(self, plural: str) -> list[Json]:
        return [one for (_, _, found), objects in self.objects.items() if found == plural for one in objects.values()]

    # -- the API -------------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON,
        timeout: float | None = None,
        accept: str = JSON,
    ) -> Json:
        if method != "GET":
            self._may_write()
        self.requests.append((method, path))
        self.before(method, path)
        if path in ("/api", "/apis"):
            return self._discovery(path)
        where, namespace, name, _ = _parsed(path)
        if (where[0], where[2]) in self.absent:
            raise NotFoundError(f"{method} {path}", 404, "NotFound", "the server could not find the requested resource")
        objects = self.objects.setdefault(where, {})
        if method != "GET":
            self.writes[(method, where[2])] += 1
            assert body is None or isinstance(body, dict)
        if method == "GET" and not name:
            return self._list(objects, namespace, query or {})
        if method == "POST":
            assert isinstance(body, dict)
            key = (namespace, body["metadata"]["name"])
            if key in objects:
                raise ConflictError(f"{method} {path}", 409, "AlreadyExists", "already exists")
            return self._store(objects, key, {**body, "metadata": {**body["metadata"], "uid": f"uid-{key}"}})
        key = (namespace, name)
        if key not in objects:
            raise NotFoundError(f"{method} {path}", 404, "NotFound", f"{name} not found")
        if method == "GET":
            return copy.deepcopy(objects[key])
        if method == "DELETE":
            return objects.pop(key)
        assert isinstance(body, dict)
        if method == "PATCH":
            merged = {**objects[key], **body}
            return self._store(objects, key, merged)
        wanted = body["metadata"].get("resourceVersion")
        if wanted and wanted != objects[key]["metadata"]["resourceVersion"]:
            raise ConflictError(f"{method} {path}", 409, "Conflict", "the object has been modified")
        return self._store(
            objects, key, {**objects[key], **body, "metadata": {**objects[key]["metadata"], **body["metadata"]}}
        )

    def _page(
        self, path: str, query: Mapping[str, str], holder: Holder, *, whole: bool
    ) -> tuple[ListAnswer, int] | None:
        answer = self.request("GET", path, query=query)
        metadata = answer["metadata"]
        found = ListAnswer(iter(answer["items"]), metadata["resourceVersion"], metadata.get("continue", ""))
        return found, len(answer["items"])

    def _store(self, objects: dict[tuple[str, str], Json], key: tuple[str, str], body: Json) -> Json:
        self._version += 1
        objects[key] = copy.deepcopy({**body, "metadata": {**body["metadata"], "resourceVersion": str(self._version)}})
        return copy.deepcopy(objects[key])

    def _list(self, objects: dict[tuple[str, str], Json], namespace: str, query: Mapping[str, str]) -> Json:
        found = [one for (where, _), one in sorted(objects.items()) if not namespace or where == namespace]
        begin = int(query.get("continue") or 0)
        end = begin + min(self.page, int(query.get("limit") or len(found) or 1))
        metadata = {"resourceVersion": str(self._version), "continue": str(end) if end < len(found) else ""}
        return {"metadata": metadata, "items": copy.deepcopy(found[begin:end])}

    def _discovery(self, path: str) -> Json:
        groups: dict[str, dict[str, list[Json]]] = {}
        for (group, plural), version in _served().items():
            if (group, plural) not in self.absent and (group == "") == (path == "/api"):
                groups.setdefault(group, {}).setdefault(version, []).append({"resource": plural})
        return {
            "items": [
                {
                    "metadata": {"name": group},
                    "versions": [{"version": v, "resources": found} for v, found in versions.items()],
                }
                for group, versions in groups.items()
            ]
        }


def _custom(group: str) -> bool:
    return "." in group and not group.endswith((".k8s.io", "iocaudit.io"))


def _served() -> dict[tuple[str, str], str]:
    known = {(kind.group, kind.plural): kind.version for kind in KINDS.values()}
    return {**known, **{("iocaudit.io", plural): "v1alpha1" for plural in OURS}}


def _parsed(path: str) -> tuple[Where, str, str, str]:
    parts = path.strip("/").split("/")
    group = parts[1] if parts[0] == "apis" else ""
    rest = parts[2:] if parts[0] == "apis" else parts[1:]
    version, rest = rest[0], rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "")[:3]
    return (group, version, plural), namespace, name, subresource


def expired(path: str) -> ApiError:
    return ExpiredError(f"GET {path}", 410, "Expired", "the provided continue parameter is too old")
