"""What checks look up, as the cluster has it: listed whole by a sweep, kept up to date by changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial

from iocaudit.cluster.api import Api
from iocaudit.cluster.discovery import NOT_SERVED, ServedKinds, discover
from iocaudit.cluster.errors import ApiError, ForbiddenError, NotFoundError
from iocaudit.cluster.watch import MOST_REQUIRED, TooManyError
from iocaudit.core import own_names
from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json, text
from iocaudit.core.world import World
from iocaudit.engine.catalogue import Catalogue
from iocaudit.knowledge.keeping import Keeper, size_of
from iocaudit.live.needs import with_grant


class LiveWorld:
    """A World, and what the API server serves of it."""

    def __init__(self, client: Api, catalogue: Catalogue, own_namespace: str = own_names.NAMESPACE) -> None:
        self._client = client
        self.world = World(own_namespace=own_namespace)
        self.kinds: tuple[Kind, ...] = ()
        self._own = frozenset(_looked_up(catalogue))
        self.rebase(catalogue)
        self.served = ServedKinds({})
        self.versions: dict[Kind, str] = {}
        """Of each kind the version as of which a whole list of it began first since the last ``discover``."""
        self._keepers: dict[Kind, Keeper] = {}

    def rebase(self, catalogue: Catalogue) -> None:
        """Look up what other checks need from now on; what is new is incomplete until it is loaded."""
        kinds = _looked_up(catalogue)
        for new in set(kinds) - set(self.kinds) - self._own:
            self.world.mark_incomplete(new, "it is not loaded yet")
        for gone in set(self.kinds) - set(kinds):
            self.world.replace(gone, [])
            self.world.mark_incomplete(gone, "it is not looked up any more")
        self.kinds = kinds

    @property
    def needed(self) -> tuple[Kind, ...]:
        """The kinds that only rules look up."""
        return tuple(kind for kind in self.kinds if kind not in self._own)

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
        for named in self.kinds:
            kind = self.served.resolved(named)
            if kind is None:
                epochs[named] = self._miss(named, NOT_SERVED)
                continue
            digest = hashlib.sha256(b"" if self.served.absent(kind) else b"served\n")
            try:
                found = self._listed_whole(kind)
            except ApiError as error:
                reason = str(error)
                if isinstance(error, ForbiddenError):
                    forbidden.add(kind)
                    reason = with_grant(kind, f"forbidden: {error}") if kind not in self._own else reason
                epochs[kind] = self._miss(kind, reason)
                continue
            except TooManyError as error:
                epochs[kind] = self._miss(kind, str(error))
                continue
            self.world.replace(kind, found.values())
            for uid, resource in found.items():
                digest.update(f"{uid} {_version(resource)}\n".encode())
            epochs[kind] = digest.digest()
            between()
        return epochs

    def _miss(self, kind: Kind, reason: str) -> bytes:
        """A kind is not known; what stands for it in the digests."""
        self.world.replace(kind, [])
        self.world.mark_incomplete(kind, reason)
        return reason.encode()

    def _listed_whole(self, kind: Kind) -> dict[str, Resource]:
        """What is kept of all objects of a kind. Raises ApiError, TooManyError."""
        keeper, found, size = Keeper(kind), dict[str, Resource](), 0
        for raw in self.each(kind):
            resource = keeper.keep(raw)
            found[resource.uid or str(resource.ref)] = resource
            if kind not in self._own:
                size += size_of(resource)
                if size > MOST_REQUIRED:
                    raise TooManyError(f"its objects take more than {MOST_REQUIRED} bytes")
        self._keepers[kind] = keeper
        return found

    def each(self, kind: Kind, namespace: str | None = None) -> Iterator[Json]:
        """Every object of a kind; none where it is not served. Raises ApiError where it cannot be listed."""
        if self.served.absent(kind):
            return
        try:
            yield from self._client.each(kind, namespace=namespace, listed=partial(self._listed, kind, namespace))
        except NotFoundError as error:
            if versions := self.served.only_as(kind):
                raise ApiError(f"GET {kind.plural}", 404, "NotFound", f"served only as {versions}") from error
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


def _looked_up(catalogue: Catalogue) -> tuple[Kind, ...]:
    return tuple(dict.fromkeys((*catalogue.world_kinds, NAMESPACE)))


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
