"""What our code asks of an API server: an ``Api``, which is the Client or, in tests, an API server in memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from iocaudit.cluster.errors import ExpiredError, NotFoundError
from iocaudit.core.kinds import Kind
from iocaudit.core.shape import Json, mapping, text

PAGE = 125
"""Objects a request at most: a pod of 10 KB takes 56 KB as dicts. Fewer where they are large."""
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
_LIST_TRIES = 3

T = TypeVar("T")


class ListScope(NamedTuple):
    """Which objects of a kind are asked for: of one namespace, or with some labels, alone. The rest is never sent."""

    namespace: str | None = None
    labels: str = ""
    """A label selector as the API takes it; empty for any labels."""

    @property
    def query(self) -> dict[str, str]:
        return {"labelSelector": self.labels} if self.labels else {}


EVERYWHERE = ListScope()


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list: raw objects, each to be had once, and the token of the next page."""

    items: Iterator[Json]
    resource_version: str
    remaining: str


class Api(Protocol):
    """Objects by kind, from any thread. Who implements it says how to send, list and watch; the rest follows."""

    @abstractmethod
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
        """Send a request and decode the answer. Raises ApiError by status, UnreachableError without one."""

    @abstractmethod
    def pages(
        self,
        kind: Kind,
        *,
        namespace: str | None = None,
        limit: int = PAGE,
        query: Mapping[str, str] | None = None,
    ) -> Iterator[Page]:
        """List a kind page by page, each item completed with apiVersion and kind.

        Raises ExpiredError when the list took too long to continue: start again.
        """

    @abstractmethod
    def watch(
        self, kind: Kind, resource_version: str, *, scope: ListScope = EVERYWHERE, seconds: int = 240
    ) -> Iterator[tuple[str, Json]]:
        """Changes after a version: ADDED, MODIFIED, DELETED or BOOKMARK and the object.

        Ends when the server ends it.

        Raises ExpiredError when the version is too old.
        """

    # -- what follows from them ----------------------------------------------------------------------------

    def each(
        self, kind: Kind, *, namespace: str | None = None, listed: Callable[[str], None] = lambda _version: None
    ) -> Iterator[Json]:
        """Every object of a kind, at most a page in memory at a time.

        Where the list expires in between it begins again, so an object may come twice. ``listed`` is told the
        version of each list as it begins.
        """
        for attempt in range(_LIST_TRIES):
            try:
                for number, page in enumerate(self.pages(kind, namespace=namespace)):
                    if not number:
                        listed(page.resource_version)
                    yield from page.items
                return
            except ExpiredError:
                if attempt == _LIST_TRIES - 1:
                    raise

    def list_all(self, kind: Kind, *, scope: ListScope = EVERYWHERE) -> tuple[list[Json], str]:
        """Every object of a kind and the list's resourceVersion; lists again where it expired in between."""
        return self.collect(kind, lambda raw: raw, scope=scope)

    def collect(self, kind: Kind, keep: Callable[[Json], T], *, scope: ListScope = EVERYWHERE) -> tuple[list[T], str]:
        """Like ``list_all``, with what ``keep`` makes of each object in its place: of the rest a page is held."""
        for attempt in range(_LIST_TRIES):
            kept: list[T] = []
            version = ""
            try:
                for page in self.pages(kind, namespace=scope.namespace, query=scope.query):
                    kept.extend(map(keep, page.items))
                    version = page.resource_version
            except ExpiredError:
                if attempt == _LIST_TRIES - 1:
                    raise
                continue
            return kept, version
        raise AssertionError("unreachable")

    def latest(self, kind: Kind) -> str:
        """The version of a kind as of now, for a watch to begin with."""
        return next(self.pages(kind, limit=1)).resource_version

    def get(self, kind: Kind, namespace: str | None, name: str) -> Json:
        return self.request("GET", path_of(kind, namespace, name))

    def create(self, kind: Kind, body: Mapping[str, Any]) -> Json:
        return self.request("POST", path_of(kind, _namespace(body)), body=body)

    def replace(self, kind: Kind, body: Mapping[str, Any], *, subresource: str = "") -> Json:
        """PUT the object; with its resourceVersion it fails with ConflictError if it changed meanwhile."""
        path = path_of(kind, _namespace(body), _name(body), subresource)
        return self.request("PUT", path, body=body)

    def patch(self, kind: Kind, namespace: str | None, name: str, body: object, *, subresource: str = "") -> Json:
        """A JSON merge patch."""
        path = path_of(kind, namespace, name, subresource)
        return self.request("PATCH", path, body=body, content_type=MERGE_PATCH)

    def delete(self, kind: Kind, namespace: str | None, name: str, *, uid: str | None = None) -> None:
        """Delete an object, with ``uid`` only that very one; one that is gone already is fine."""
        body = {"preconditions": {"uid": uid}} if uid else None
        try:
            self.request("DELETE", path_of(kind, namespace, name), body=body)
        except NotFoundError:
            return


def path_of(kind: Kind, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
    """The URL path of a collection (namespace None: across all), an object, or its subresource."""
    parts = ["/apis", kind.group] if kind.group else ["/api"]
    parts.append(kind.version)
    if kind.namespaced and namespace:
        parts += ["namespaces", namespace]
    parts.append(kind.plural)
    parts += [part for part in (name, subresource) if part]
    return "/".join(parts)


def _namespace(body: Mapping[str, Any]) -> str | None:
    return text(mapping(body.get("metadata")).get("namespace")) or None


def _name(body: Mapping[str, Any]) -> str:
    return text(mapping(body.get("metadata")).get("name"))
