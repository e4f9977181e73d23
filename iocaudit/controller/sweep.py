"""The full audit of a cluster, page by page, and the audit of single changes in between.

Everything here runs in one thread. A page holds the objects; of each only what ``kept`` says stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from iocaudit.cluster.client import Client
from iocaudit.cluster.discovery import Served, discover
from iocaudit.cluster.errors import ApiError, ForbiddenError, NotFoundError
from iocaudit.controller.findings import Stored
from iocaudit.controller.inventory import Inventory, Scope
from iocaudit.controller.kept import Interner, keep
from iocaudit.controller.policies import Policies
from iocaudit.controller.publisher import Publisher
from iocaudit.controller.reports import Summary
from iocaudit.controller.resources import AUDIT_POLICY, IOC_WAIVER
from iocaudit.controller.waivers import StoredWaivers
from iocaudit.core.kinds import NAMESPACE, PODS, Kind
from iocaudit.core.outline import slim
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.shape import Json, mapping, text
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue

_log = logging.getLogger(__name__)

MOST_HOMES = 20
"""Namespaces whose objects of a kind are audited again one by one; of more, all objects of the kind are."""

_SHARE = 4.0
"""Rest between two rounds of auditing dependents, as a multiple of what the round took: a fifth of one core."""


@dataclass(frozen=True, slots=True)
class Change:
    """A watch event: an object of a kind as it is now, or as it was when it was deleted."""

    kind: Kind
    deleted: bool
    raw: Json


class Cluster:
    """What the operator knows of the cluster, brought up to date by sweeps and changes.

    ``between`` is called between pages, so that changes don't wait for the end of a long sweep.
    """

    def __init__(
        self,
        client: Client,
        catalogue: Catalogue,
        publisher: Publisher,
        policies: Policies,
        waivers: StoredWaivers | None = None,
        *,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self.client, self.catalogue, self.publisher, self.policies = client, catalogue, publisher, policies
        self.waivers = waivers if waivers is not None else StoredWaivers(catalogue)
        self.inventory = Inventory()
        self.world = World()
        self.auditor = Auditor(catalogue, policies.current, self.world)
        self.between = between
        self.swept_at: float | None = None
        """Monotonic time at which the last complete sweep ended."""
        self.duration = 0.0
        self._world_kinds = tuple(dict.fromkeys((*catalogue.world_kinds, NAMESPACE)))
        self._dependents = _dependents(catalogue)
        self._epochs: dict[Kind, bytes] = {}
        self._served = Served({})
        self._missed: dict[Kind, str] = {}
        self._forbidden: frozenset[Kind] = frozenset()
        self._sweeping = False
        self._complete = False
        self._listings: list[set[str]] = []
        self._due: dict[Kind, dict[str | None, None]] = {}
        self._rested_at = 0.0
        self._intern = Interner()

    @property
    def missed(self) -> dict[Kind, str]:
        """The kinds that the last sweep could not audit, with the reason."""
        return dict(self._missed)

    @property
    def forbidden(self) -> frozenset[Kind]:
        """The kinds that we may not list: whoever watches them is only turned away."""
        return self._forbidden

    # -- the sweep -----------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Audit everything, publish findings and reports. Raises ClusterError; then nothing is resolved."""
        begun = time.monotonic()
        self._sweeping = True
        self._intern = Interner()
        # What the world says by now is in the epoch, so that everything it concerns is audited anyway.
        self._due.clear()
        try:
            forbidden: set[Kind] = set()
            self.load_policies()
            self.load_waivers(forbidden)
            waiting = self.waivers.unrecorded
            self._served = discover(self.client)
            self.world.install(self._served.groups)
            self._missed = {}
            epochs = self._load_world(forbidden)
            fresh = self._concerned(epochs)
            self._audit_all(fresh, forbidden)
            self._forbidden = frozenset(forbidden)
            self._serve()
            self._epochs = epochs
            self.publisher.load()
        finally:
            self._sweeping = False
        self._complete = True
        self._count_waivers(waiting)
        self._publish_everything()
        self.swept_at = time.monotonic()
        self.duration = self.swept_at - begun
        _log.info(
            "swept", extra={"objects": len(self.inventory), "seconds": round(self.duration, 3), "fresh": len(fresh)}
        )

    def load_policies(self) -> bool:
        """Read the AuditPolicies; whether what is in force changed."""
        try:
            raws, _ = self.client.list_all(AUDIT_POLICY)
        except NotFoundError:
            raws = []
        changed = self.policies.load(raws)
        if changed:
            self._use_policies()
        self.policies.write_status(self.client)
        return changed

    def load_waivers(self, forbidden: set[Kind] | None = None) -> bool:
        """Read the IocWaivers; whether what they cover may have changed.

        Where we may not read them none is in force. Any other failure is no answer, and raised.
        """
        try:
            raws, _ = self.client.list_all(IOC_WAIVER)
        except NotFoundError:
            raws = []
        except ForbiddenError as error:
            _log.error("no waiver is in force: %s", error)
            raws = []
            if forbidden is not None:
                forbidden.add(IOC_WAIVER)
        return self.waivers.load(raws)

    def _count_waivers(self, waiting: frozenset[str]) -> None:
        """Tell the waivers of every hit; those that were ``waiting`` when the sweep began record theirs."""
        lacking = [*self._missed, *(kind for kind in self._world_kinds if self.world.incomplete(kind) is not None)]
        counted = self.waivers.count(waiting, lacking)
        if counted is not None:
            for scope in self.inventory.scopes:
                self.inventory.findings(scope, counted)
        self.waivers.record(self.client, counted)

    def _publish_everything(self) -> None:
        self.waivers.begin()
        for scope in dict.fromkeys((*self.inventory.scopes, *self.publisher.scopes)):
            self.publish(scope)
            self.between()
        self.publisher.publish_reports(self.reports())

    def follow_waivers(self) -> None:
        """Publish everything by the waivers as they are now: one ended, or was changed or removed."""
        if self._complete and not self._sweeping:
            self._count_waivers(frozenset())
            self._publish_everything()

    @property
    def waiver_ends_in(self) -> float:
        """Seconds until ``follow_waivers`` is due because a waiver ends; infinite where none does."""
        return self.waivers.expires_in if self._complete else float("inf")

    def _use_policies(self) -> None:
        self.auditor = Auditor(self.catalogue, self.policies.current, self.world)
        self._epochs = {}

    def _concerned(self, epochs: dict[Kind, bytes]) -> frozenset[Kind]:
        """The audited kinds whose every object has to be audited again, given what the world says now."""
        if not self._epochs or epochs.get(NAMESPACE) != self._epochs.get(NAMESPACE):
            # Policies may select by the labels of namespaces, whatever a check looks up.
            return frozenset(self.catalogue.audited_kinds)
        changed = [kind for kind, epoch in epochs.items() if epoch != self._epochs.get(kind)]
        return frozenset(one for kind in changed for one in self._dependents.get(kind, ()))

    def _load_world(self, forbidden: set[Kind]) -> dict[Kind, bytes]:
        """List the kinds that checks look up; the digest of the versions of each.

        A kind that cannot be listed is incomplete, for whatever reason: the others are still worth a sweep.
        """
        epochs: dict[Kind, bytes] = {}
        for kind in self._world_kinds:
            digest = hashlib.sha256(b"" if self._served.absent(kind) else b"served\n")
            found: dict[str, Resource] = {}
            try:
                for raw in self._each(kind):
                    resource = slim(raw, kind)
                    found[resource.uid] = resource
            except ApiError as error:
                if isinstance(error, ForbiddenError):
                    forbidden.add(kind)
                self.world.replace(kind, [])
                self.world.mark_incomplete(kind, str(error))
                epochs[kind] = str(error).encode()
                continue
            self.world.replace(kind, found.values())
            for uid, resource in found.items():
                digest.update(f"{uid} {resource.metadata.get('resourceVersion')}\n".encode())
            epochs[kind] = digest.digest()
            self.between()
        return epochs

    def _each(self, kind: Kind, namespace: str | None = None) -> Iterator[Json]:
        """Every object of a kind; none where it is not served. Raises ApiError where it cannot be listed."""
        if self._served.absent(kind):
            return
        try:
            yield from self.client.each(kind, namespace=namespace)
        except NotFoundError:
            if versions := self._served.only_as(kind):
                raise ApiError(f"GET {kind.plural}", 404, "NotFound", f"served only as {versions}") from None
            # It was removed since the server was asked what it serves.

    def _audit_all(self, fresh: frozenset[Kind], forbidden: set[Kind]) -> None:
        for kind in self.catalogue.audited_kinds:
            try:
                self._audit_kind(kind, kind in fresh)
            except ApiError as error:
                # What was known of the kind stays, and so do its findings.
                self._missed[kind] = f"cannot list {kind.plural}: {error}"
                _log.error("kind not audited: %s", error, extra={"kind": str(kind)})
                if isinstance(error, ForbiddenError):
                    forbidden.add(kind)

    def _serve(self) -> None:
        """Say which kinds' objects we know. Of others nobody can be looked up: such an owner is only claimed."""
        kinds = self._served.present(self.catalogue.audited_kinds)
        self.inventory.serve(kind for kind in kinds if kind not in self._forbidden)

    def _audit_kind(self, kind: Kind, fresh: bool, namespace: str | None = None) -> None:
        """Audit what a list holds, and forget what it does not.

        What changes while the list is read is newer than it: the list says nothing about that.
        """
        newer: set[str] = set()
        seen: set[str] = set()
        self._listings.append(newer)
        try:
            for count, raw in enumerate(self._each(kind, namespace), start=1):
                uid = text(mapping(raw.get("metadata")).get("uid"))
                seen.add(uid)
                if uid not in newer:
                    self._audit(raw, kind, fresh)
                if count % 500 == 0:
                    self.between()
            self.inventory.drop_missing(kind, seen | newer, namespace)
        finally:
            self._listings.remove(newer)
        for outer in self._listings:
            outer |= seen
        self.between()

    def _audit(self, raw: Json, kind: Kind, fresh: bool) -> None:
        metadata = mapping(raw.get("metadata"))
        known = self.inventory.get(text(metadata.get("uid")))
        if known is not None:
            version = text(metadata.get("resourceVersion"))
            if _older(version, known.resource_version):
                return
            if not fresh and known.resource_version == version and not known.skipped and not known.faults:
                return
        resource = Resource(raw, CLUSTER, kind=kind)
        self.inventory.put(keep(resource, self.auditor.audit(resource), self._intern))

    # -- single changes ------------------------------------------------------------------------------------

    def apply(self, changes: Iterable[Change]) -> None:
        """Audit changed objects and publish their scopes (once a sweep was made).

        What depends on them is noted, for ``catch_up``.
        """
        audited = set(self.catalogue.audited_kinds)
        world = set(self._world_kinds)
        dirty: dict[Scope, None] = {}
        for change in changes:
            resource = Resource(change.raw, CLUSTER, kind=change.kind)
            if not change.deleted and self._served.absent(change.kind):
                self._served = discover(self.client)
                self.world.install(self._served.groups)
                self._serve()
            if change.kind in world and self._changes_world(resource, change.deleted):
                for kind in self._dependents.get(change.kind, ()):
                    self._is_due(kind, resource.home)
            if change.kind not in audited:
                continue
            for newer in self._listings:
                newer.add(resource.uid)
            if change.deleted:
                self.inventory.drop(resource.uid)
            else:
                self._audit(change.raw, change.kind, fresh=True)
            dirty[resource.namespace] = None
        self._publish_all(dirty)

    def _publish_all(self, scopes: Iterable[Scope]) -> None:
        if self._complete and not self._sweeping:
            for scope in scopes:
                self.publish(scope)

    def _changes_world(self, resource: Resource, deleted: bool) -> bool:
        kind = resource.kind
        assert kind is not None
        now = slim(resource.raw, kind)
        before = self.world.get(kind, now.namespace, now.name)
        if before is not None and _older(_version(now), _version(before)):
            return False
        if deleted:
            self.world.remove(kind, now.namespace, now.name)
            return before is not None
        self.world.put(now)
        return before is None or _said(before) != _said(now)

    # -- what depends on changes ---------------------------------------------------------------------------

    def _is_due(self, kind: Kind, home: str | None) -> None:
        """Note that the objects of a kind are to be audited again: those of one namespace (None: all)."""
        if self._served.absent(kind):
            return
        homes = self._due.setdefault(kind, {})
        if home is None or len(homes) >= MOST_HOMES:
            homes.clear()
            homes[None] = None
        elif None not in homes:
            homes[home] = None

    @property
    def due_in(self) -> float | None:
        """Seconds until dependents may be audited again; None where none are due."""
        return max(0.0, self._rested_at - time.monotonic()) if self._due else None

    def catch_up(self) -> None:
        """Audit again what depends on changes, once for all changes so far, and rest in proportion.

        However fast Roles or policies change, this takes a bounded share of a core; a sweep does the same.
        """
        if self.due_in != 0.0 or self._sweeping:
            return
        begun = time.monotonic()
        due, self._due = self._due, {}
        dirty: dict[Scope, None] = {}
        for kind, homes in due.items():
            for home in homes:
                dirty |= dict.fromkeys(self._audit_again(kind, home))
        self._publish_all(dirty)
        ended = time.monotonic()
        self._rested_at = ended + _SHARE * (ended - begun)

    def _audit_again(self, kind: Kind, home: str | None) -> Iterator[Scope]:
        """Audit the objects of a kind that a change in a namespace (None: in cluster scope) may concern."""
        if kind in self._world_kinds and not kind.pods:
            for resource in self._known(kind, home):
                self._audit(resource.raw, kind, fresh=True)
                yield resource.namespace
            return
        namespace = home if kind.namespaced else None
        with contextlib.suppress(ForbiddenError):  # the sweep says so
            self._audit_kind(kind, True, namespace)
        if namespace is not None or not kind.namespaced:
            yield namespace
        else:
            yield from self.inventory.scopes

    def _known(self, kind: Kind, home: str | None) -> list[Resource]:
        if home is None:
            return self.world.all(kind)
        if kind is NAMESPACE:
            found = self.world.get(kind, None, home)
            return [found] if found is not None else []
        return self.world.of(kind, home) if kind.namespaced else self.world.all(kind)

    # -- what follows --------------------------------------------------------------------------------------

    def publish(self, scope: Scope) -> None:
        """Bring the stored findings of a scope in line with what is known now."""
        unsure = self.inventory.unsure(scope)
        missed = {kind.key for kind in self._missed}
        pods_missed = any(kind in PODS for kind in self._missed)

        def sure(one: Stored) -> bool:
            if (one.group, one.kind) in missed or (not one.verified and pods_missed):
                return False
            place = (one.group, one.kind, one.subject)
            return (one.check, *place) not in unsure and (None, *place) not in unsure

        findings = self.inventory.findings(scope, self.waivers.in_force())
        self.publisher.publish(scope, findings, sure, self.waivers.holding())

    def reports(self) -> dict[str | None, Json]:
        """The content of each namespace's report, and of the cluster's (None)."""
        whole = Summary()
        homes: dict[str, Summary] = {}
        waivers = self.waivers.in_force()
        for scope in self.inventory.scopes:
            for kept in self.inventory.members(scope):
                whole.cover(kept)
                if kept.home is not None:
                    homes.setdefault(kept.home, Summary()).cover(kept)
            for finding in self.inventory.findings(scope, waivers):
                whole.count(finding)
                if finding.home is not None:
                    homes.setdefault(finding.home, Summary()).count(finding)
        for reason in self._missed.values():
            whole.missed(reason)
        contents: dict[str | None, Json] = {}
        for home, summary in homes.items():
            found = self.world.get(NAMESPACE, None, home)
            labels = found.labels if found is not None else {}
            contents[home] = summary.content(self.policies.in_force(home, labels))
        names = [policy.name for policy in self.policies.current.policies]
        bad = sum(1 for summary in homes.values() if summary.severities.total())
        contents[None] = {**whole.content(names), "namespaces": bad}
        return contents


def _dependents(catalogue: Catalogue) -> dict[Kind, tuple[Kind, ...]]:
    """Kind to the audited kinds that have to be audited again when an object of it changes."""
    found: dict[Kind, dict[Kind, None]] = {}
    audited = set(catalogue.audited_kinds)
    for check in catalogue:
        if not check.admission_only:
            for kind in (*check.needs, *check.uses):
                found.setdefault(kind, {}).update((k, None) for k in check.looks_at if k in audited)
    return {kind: tuple(kinds) for kind, kinds in found.items()}


def _version(resource: Resource) -> str:
    return text(resource.metadata.get("resourceVersion"))


def _older(version: str, than: str) -> bool:
    """Whether a resourceVersion of one object comes before another: they grow, as decimal numbers."""
    return version.isascii() and version.isdigit() and than.isascii() and than.isdigit() and int(version) < int(than)


def _said(resource: Resource) -> tuple[object, ...]:
    """What of an object checks and policies can see; status and versions change without any meaning."""
    raw = {k: v for k, v in resource.raw.items() if k not in ("metadata", "status")}
    gone = resource.metadata.get("deletionTimestamp")
    return (raw, resource.labels, resource.annotations, gone)
