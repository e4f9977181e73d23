"""What checks look up, as the cluster has it: listed whole by a sweep, kept up to date by changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial

from iocaudit.cluster.client import Client
from iocaudit.cluster.discovery import Served, discover
from iocaudit.cluster.errors import ApiError, ForbiddenError, NotFoundError
from iocaudit.core import own_names
from iocaudit.core.keeping import Keeper
from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json, text
from iocaudit.core.world import World
from iocaudit.engine.catalogue import Catalogue


class LiveWorld:
    """A World, and what the API server serves of it."""

    def __init__(self, client: Client, catalogue: Catalogue, own_namespace: str = own_names.NAMESPACE) -> None:
        self._client = client
        self.world = World(own_namespace=own_namespace)
        self.kinds = tuple(dict.fromkeys((*catalogue.world_kinds, NAMESPACE)))
        self.served = Served({})
        self.versions: dict[Kind, str] = {}
        """Of each kind the version as of which a whole list of it began first since the last ``discover``."""
        self._keepers: dict[Kind, Keeper] = {}

    def discover(self) -> None:
        """Ask the server what it serves."""
        self.served = discover(self._client)
        self.versions.clear()
        self.world.install(self.served.groups)

    def load(self, forbidden: set[Kind], between: Callable[[], None]) -> dict[Kind, bytes]:
        """List all kinds; the digest of the versions of each.

        A kind that cannot be listed is incomplete, for whatever reason: the others are still worth a sweep.
        """
        epochs: dict[Kind, bytes] = {}
        for kind in self.kinds:
            digest = hashlib.sha256(b"" if self.served.absent(kind) else b"served\n")
            found: dict[str, Resource] = {}
            try:
                keeper = Keeper(kind)
                for raw in self.each(kind):
                    resource = keeper.keep(raw)
                    found[resource.uid or str(resource.ref)] = resource
                self._keepers[kind] = keeper
            except ApiError as error:
                if isinstance(error, ForbiddenError):
                    forbidden.add(kind)
                self.world.replace(kind, [])
                self.world.mark_incomplete(kind, str(error))
                epochs[kind] = str(error).encode()
                continue
            self.world.replace(kind, found.values())
            for uid, resource in found.items():
                digest.update(f"{uid} {_version(resource)}\n".encode())
            epochs[kind] = digest.digest()
            between()
        return epochs

    def each(self, kind: Kind, namespace: str | None = None) -> Iterator[Json]:
        """Every object of a kind; none where it is not served. Raises ApiError where it cannot be listed."""
        if self.served.absent(kind):
            return
        try:
            yield from self._client.each(kind, namespace=namespace, listed=partial(self._listed, kind, namespace))
        except NotFoundError:
            if versions := self.served.only_as(kind):
                raise ApiError(f"GET {kind.plural}", 404, "NotFound", f"served only as {versions}") from None
            # It was removed since the server was asked what it serves.

    def _listed(self, kind: Kind, namespace: str | None, version: str) -> None:
        if namespace is None:
            self.versions.setdefault(kind, version)

    @property
    def incomplete(self) -> list[Kind]:
        return [kind for kind in self.kinds if self.world.incomplete(kind) is not None]

    def change(self, resource: Resource, *, deleted: bool) -> bool:
        """Take a changed object over; whether that says anything new to checks and policies."""
        kind = resource.kind
        assert kind is not None
        before = self.world.get(kind, resource.namespace, resource.name)
        if before is not None and older(_version(resource), _version(before)):
            return False
        keeper = self._keepers.setdefault(kind, Keeper(kind))
        if deleted:
            gone = keeper.forget(resource.raw)
            self.world.remove(kind, gone.namespace, gone.name)
            return before is not None
        now = keeper.keep(resource.raw)
        self.world.put(now)
        return before is None or _said(before) != _said(now)

    def known(self, kind: Kind, home: str | None) -> list[Resource]:
        """The objects of a kind that something in a namespace (None: anywhere) may concern."""
        if home is None:
            return self.world.all(kind)
        if kind is NAMESPACE:
            found = self.world.get(kind, None, home)
            return [found] if found is not None else []
        return self.world.of(kind, home) if kind.namespaced else self.world.all(kind)


def older(version: str, than: str) -> bool:
    """Whether a resourceVersion of one object comes before another: they grow, as decimal numbers."""
    return version.isascii() and version.isdigit() and than.isascii() and than.isdigit() and int(version) < int(than)


def _version(resource: Resource) -> str:
    return text(resource.metadata.get("resourceVersion"))


def _said(resource: Resource) -> tuple[object, ...]:
    """What of an object checks and policies can see; status and versions change without any meaning."""
    raw = {k: v for k, v in resource.raw.items() if k not in ("metadata", "status")}
    gone = resource.metadata.get("deletionTimestamp")
    return (raw, resource.labels, resource.annotations, gone, resource.lacks)
