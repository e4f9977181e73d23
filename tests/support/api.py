"""The one API server in memory for tests that need none of its validation, nor its controllers.

It answers as a real one does what our code asks of it: pages of one consistent list, versions, uids and
preconditions, the status as a part of its own, namespaces that are missing or going. Everything else is a test for
`tests/cluster`.
"""

from __future__ import annotations

import copy
import queue
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

from iocaudit.cluster.api import EVERYWHERE, JSON, MERGE_PATCH, PAGE, Api, ListScope, Page, path_of
from iocaudit.cluster.errors import ApiError, ConflictError, ExpiredError, ForbiddenError, NotFoundError
from iocaudit.core.kinds import KINDS, NAMESPACE, Kind
from iocaudit.core.kinds.ours import AUDIT_POLICY, IOC_WAIVER, OURS

Json = dict[str, Any]


class Key(NamedTuple):
    """Where an object is stored."""

    group: str
    plural: str
    namespace: str | None
    name: str


class FakeApi(Api):
    """Holds objects by kind.

    ``before`` is called ahead of each request with its method and path, ``after`` once a write is stored; either may
    raise. ``absent``: (group, plural) that are not served, at first all that come with a CustomResourceDefinition of
    others. ``page``: the most objects a page. ``requests``: method and path of each; ``writes`` counts those that
    reached the storage, by method and plural. ``events`` is what watches see, an exception in it is raised to them.
    """

    def __init__(self, *namespaces: str, page: int = 500) -> None:
        self.objects: dict[Key, Json] = {}
        self.absent: set[tuple[str, str]] = {kind for kind in _served() if _custom(kind[0])}
        self.before: Callable[[str, str], None] = lambda _method, _path: None
        self.after: Callable[[str, str], None] = lambda _method, _path: None
        self.requests: list[tuple[str, str]] = []
        self.writes: Counter[tuple[str, str]] = Counter()
        self.page = page
        self.events: queue.Queue[tuple[str, Json] | Exception] = queue.Queue()
        self._version = 100
        self._made: Counter[Key] = Counter()
        self._lists: dict[str, tuple[list[Json], str]] = {}
        self._lock = threading.RLock()
        for name in namespaces:
            self.put(NAMESPACE, name)

    # -- for tests -----------------------------------------------------------------------------------------

    def put(self, kind: Kind, name: str, namespace: str | None = None, /, **content: Any) -> Json:
        """Store an object, new or changed; returns it whole. Metadata is added to what it has, the rest is replaced."""
        key = Key(kind.group, kind.plural, namespace, name)
        given = {**content.pop("metadata", {}), "name": name, **({"namespace": namespace} if namespace else {})}
        with self._lock:
            known = self.objects.get(key)
            before = _without(known["metadata"], *_SET_BY_US) if known is not None else {}
            body = {"apiVersion": kind.api_version, "kind": kind.name, **content, "metadata": {**before, **given}}
            return self._store(key, body, known)

    def remove(self, kind: Kind, name: str, namespace: str | None = None) -> Json:
        """Take an object away; returns it as it was."""
        return self.objects.pop(Key(kind.group, kind.plural, namespace, name))

    def stored(self, plural: str) -> list[Json]:
        """The objects of a kind themselves, in the order they came."""
        return [one for key, one in list(self.objects.items()) if key.plural == plural]

    def clear(self, kind: Kind) -> None:
        """Take away all objects of a kind."""
        for key in [key for key in self.objects if key[:2] == (kind.group, kind.plural)]:
            del self.objects[key]

    def end_namespace(self, name: str) -> None:
        """As the namespace controller does: what is in it goes, and nothing new comes."""
        key = Key("", NAMESPACE.plural, None, name)
        with self._lock:
            known = self.objects[key]
            self._store(key, _ending(known), known)
        for key in [key for key in self.objects if key.namespace == name]:
            del self.objects[key]

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
        self.requests.append((method, path))
        self.before(method, path)
        if path in ("/api", "/apis"):
            return self._discovery(path)
        with self._lock:
            answer = self._answer(_Call(method, path, content_type), query or {}, copy.deepcopy(body))
        if method != "GET":
            self.after(method, path)
        return answer

    def pages(
        self,
        kind: Kind,
        *,
        namespace: str | None = None,
        limit: int = PAGE,
        query: Mapping[str, str] | None = None,
    ) -> Iterator[Page]:
        asked = {**(query or {}), "limit": str(limit)}
        while True:
            answer = self.request("GET", path_of(kind, namespace), query=asked)
            metadata, items = answer["metadata"], answer["items"]
            whole = ({**item, "apiVersion": kind.api_version, "kind": kind.name} for item in items)
            yield Page(whole, metadata["resourceVersion"], metadata["continue"])
            if not metadata["continue"]:
                return
            asked["continue"] = metadata["continue"]

    def watch(
        self, kind: Kind, resource_version: str, *, scope: ListScope = EVERYWHERE, seconds: int = 240
    ) -> Iterator[tuple[str, Json]]:
        while True:
            event = self.events.get()
            if isinstance(event, Exception):
                raise event
            yield event

    # -- how it answers ------------------------------------------------------------------------------------

    def _answer(self, call: _Call, query: Mapping[str, str], body: object) -> Json:
        method, (group, version, plural), key = call.method, call.kind, call.key
        if (group, plural) in self.absent or _served().get((group, plural), version) != version:
            call.refuse(404, "NotFound", "the server could not find the requested resource")
        if method == "GET" and not key.name:
            return self._list(call, query)
        if method == "POST":
            assert isinstance(body, dict)
            return self._create(call, body)
        known = self.objects.get(key)
        if known is None:
            call.refuse(404, "NotFound", f'{plural} "{key.name}" not found')
        if method == "GET":
            return copy.deepcopy(known)
        if method == "DELETE":
            assert body is None or isinstance(body, dict)
            call.require((body or {}).get("preconditions", {}), known)
            self.writes[method, plural] += 1
            if known["metadata"].get("finalizers"):
                return self._store(key, _ending(known), known)
            return self.objects.pop(key)
        assert isinstance(body, dict)
        return self._update(call, body, known)

    def _create(self, call: _Call, body: Json) -> Json:
        metadata = body["metadata"]
        key = call.key._replace(name=metadata["name"])
        if key.namespace is not None:
            self._require_namespace(call, key.namespace)
        if metadata.get("resourceVersion"):
            call.refuse(500, "InternalError", "resourceVersion should not be set on objects to be created")
        if key in self.objects:
            call.refuse(409, "AlreadyExists", f'{key.plural} "{key.name}" already exists')
        if (key.group, key.plural) in _WITH_STATUS:
            body.pop("status", None)
        self.writes[call.method, key.plural] += 1
        return self._store(key, {**body, "metadata": _without(metadata, *_SET_BY_US)}, None)

    def _update(self, call: _Call, body: Json, known: Json) -> Json:
        key = call.key
        if call.method == "PATCH":
            assert call.content_type == MERGE_PATCH
            body = _merged(known, body)
        call.require({name: body["metadata"].get(name) for name in ("uid", "resourceVersion")}, known)
        if not body["metadata"].get("resourceVersion") and key.group:
            call.refuse(422, "Invalid", "metadata.resourceVersion: must be specified for an update")
        if call.subresource:
            assert call.subresource == "status"
            assert (key.group, key.plural) in _WITH_STATUS
            body = {**known, **({"status": body["status"]} if "status" in body else {})}
        elif (key.group, key.plural) in _WITH_STATUS:
            body = {**_without(body, "status"), **({"status": known["status"]} if "status" in known else {})}
        self.writes[call.method, key.plural] += 1
        ends = known["metadata"].get(_ENDING)
        metadata = {**_without(body["metadata"], *_SET_BY_US, _ENDING), **({_ENDING: ends} if ends else {})}
        stored = self._store(key, {**body, "metadata": metadata}, known)
        if ends and not metadata.get("finalizers"):
            del self.objects[key]
        return stored

    def _require_namespace(self, call: _Call, name: str) -> None:
        namespace = self.objects.get(Key("", NAMESPACE.plural, None, name))
        if namespace is None:
            call.refuse(404, "NotFound", f'namespaces "{name}" not found')
        if _ENDING in namespace["metadata"]:
            reason = f"unable to create new content in namespace {name} because it is being terminated"
            call.refuse(403, "Forbidden", reason)

    def _store(self, key: Key, body: Json, known: Json | None) -> Json:
        """Store what may be stored; an object that is as it was keeps its version."""
        if known is None:
            self._made[key] += 1
            again = f"-{self._made[key]}" if self._made[key] > 1 else ""
            uid, generation, version = f"uid-{key.plural}-{key.namespace or ''}-{key.name}{again}", 1, ""
        else:
            uid, generation, version = (known["metadata"][name] for name in ("uid", "generation", "resourceVersion"))
            generation += _content(known) != _content(body)
        own = {"uid": uid, "generation": generation, "resourceVersion": version}
        fresh = copy.deepcopy({**body, "metadata": {**own, **body["metadata"]}})
        if fresh != known:
            self._version += 1
            fresh["metadata"]["resourceVersion"] = str(self._version)
            self.objects[key] = fresh
        return copy.deepcopy(self.objects[key])

    def _list(self, call: _Call, query: Mapping[str, str]) -> Json:
        begin = int(query.get("continue") or 0)
        if not begin:
            kept = [
                copy.deepcopy(one)
                for key, one in sorted(self.objects.items(), key=lambda item: (item[0].namespace or "", item[0].name))
                if key[:2] == call.key[:2] and call.key.namespace in (None, key.namespace) and _selected(one, query)
            ]
            self._lists[call.path] = kept, str(self._version)
        found, version = self._lists[call.path]
        end = begin + min(self.page, int(query.get("limit") or len(found) or 1))
        metadata = {"resourceVersion": version, "continue": str(end) if end < len(found) else ""}
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


class _Call:
    """A request for objects, its path taken apart."""

    def __init__(self, method: str, path: str, content_type: str) -> None:
        self.method, self.path, self.content_type = method, path, content_type
        parts = path.strip("/").split("/")
        group, rest = (parts[1], parts[2:]) if parts[0] == "apis" else ("", parts[1:])
        version, rest = rest[0], rest[1:]
        namespace = None
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        plural, name, self.subresource = (*rest, "", "")[:3]
        self.kind = group, version, plural
        self.key = Key(group, plural, namespace, name)

    def refuse(self, status: int, reason: str, message: str) -> NoReturn:
        raise _ERRORS.get(status, ApiError)(f"{self.method} {self.path}", status, reason, message)

    def require(self, wanted: Mapping[str, str | None], known: Json) -> None:
        """The preconditions of a write: the very object, or a version of it."""
        for name in ("uid", "resourceVersion"):
            if wanted.get(name) not in (None, "", known["metadata"][name]):
                self.refuse(409, "Conflict", f"the {name} in the precondition is not the one in the object's metadata")


def _selected(raw: Json, query: Mapping[str, str]) -> bool:
    """Whether an object has the labels (``name=value``, ``name in (value,value)``) that a list asks for."""
    labels = raw["metadata"].get("labels", {})
    asked = re.findall(r"([^,=() ]+)(?:=([^,]*)| in \(([^)]*)\))", query.get("labelSelector", ""))
    return all(labels.get(name) in ([value] if value else among.split(",")) for name, value, among in asked)


_ERRORS: Mapping[int, type[ApiError]] = {403: ForbiddenError, 404: NotFoundError, 409: ConflictError}
_SET_BY_US = ("uid", "generation", "resourceVersion")
_WITH_STATUS = frozenset((kind.group, kind.plural) for kind in (AUDIT_POLICY, IOC_WAIVER))
"""Kinds whose status is a subresource: it is written apart from the rest."""


def _custom(group: str) -> bool:
    return "." in group and not group.endswith((".k8s.io", "iocaudit.io"))


def _served() -> dict[tuple[str, str], str]:
    return {(kind.group, kind.plural): kind.version for kind in (*KINDS.values(), *OURS)}


_ENDING = "deletionTimestamp"


def _ending(raw: Json) -> Json:
    """The object as it is once it is to be deleted."""
    return {**raw, "metadata": {**raw["metadata"], _ENDING: "2026-01-02T03:04:05Z"}}


def _content(raw: Json) -> Json:
    """That of which changes count as generations."""
    return _without(raw, "metadata", "status")


def _without(raw: Json, *names: str) -> Json:
    return {name: value for name, value in raw.items() if name not in names}


def _merged(target: Any, patch: Any) -> Any:
    """A merge patch carried out (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = _merged(found.get(name), value)
    return found


def expired(path: str) -> ApiError:
    return ExpiredError(f"GET {path}", 410, "Expired", "the provided continue parameter is too old")


def unavailable() -> ApiError:
    return ApiError("PUT", 503, "ServiceUnavailable", "not now")
