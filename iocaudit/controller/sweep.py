"""The full audit of a cluster, page by page, and the audit of single changes in between.

Everything here runs in one thread. A page holds the objects; of each only what ``kept`` says stays.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from iocaudit.cluster.api import Api, ListScope
from iocaudit.cluster.errors import ApiError, ForbiddenError, NotFoundError
from iocaudit.controller.dependents import Dependents
from iocaudit.controller.needs import WebhookRights
from iocaudit.controller.policies import Policies
from iocaudit.controller.publisher import Publisher
from iocaudit.controller.waivers import StoredWaivers
from iocaudit.core import own_names
from iocaudit.core.guard import WebhookClient
from iocaudit.core.kinds import CONFIG_MAP, NAMESPACE, PODS, Kind, kind_of
from iocaudit.core.kinds.builtin import VALIDATING_WEBHOOK_CONFIGURATION
from iocaudit.core.report import Finding
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.shape import Json, mapping, text
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.kept import Interner, keep
from iocaudit.engine.languages.asking import AskingAtOnce
from iocaudit.engine.owners import HitWaivers
from iocaudit.engine.places import namespaces_in
from iocaudit.live.inventory import Causes, Inventory, Scope
from iocaudit.live.modules import SELECTOR
from iocaudit.live.needs import with_grant
from iocaudit.live.summary import Summary
from iocaudit.live.world import LiveWorld, older
from iocaudit.records.kinds import AUDIT_POLICY, IOC_WAIVER
from iocaudit.records.lifecycle import StoredFinding
from iocaudit.serving.fault_log import FaultLog
from iocaudit.supervision.part import beat

_log = logging.getLogger(__name__)
_SECONDS_TO_ASK = 3.0
"""For the rules of one object: as long as the webhook has."""


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """A watch event: an object of a kind as it is now, or as it was when it was deleted."""

    kind: Kind
    deleted: bool
    raw: Json


class ClusterAuditor:
    """What the operator knows of the cluster, brought up to date by sweeps and changes.

    ``between`` is called between pages, so changes don't wait for the end of a long sweep.
    """

    def __init__(
        self,
        client: Api,
        catalogue: Catalogue,
        publisher: Publisher,
        policies: Policies,
        waivers: StoredWaivers | None = None,
        *,
        between: Callable[[], None] = lambda: None,
        untrusted: Callable[[World], Mapping[WebhookClient, str]] = lambda _: {},
        registering: Callable[[], bool] = lambda: False,
        own_namespace: str = own_names.NAMESPACE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``untrusted`` tries how our own webhooks are called, of the configurations that a world holds;
        ``registering`` says whether they are about to be registered for the first time. ``clock`` counts seconds.
        """
        self._clock = clock
        self._registering = registering
        self._untrusted = untrusted
        self.client, self.publisher, self.policies = client, publisher, policies
        self._shipped = catalogue
        self.catalogue = catalogue
        """The checks, and the rules that policies and ConfigMaps bring along."""
        self._modules = ListScope(own_namespace, SELECTOR)
        self._answers = AskingAtOnce(policies.engines.evaluators, _SECONDS_TO_ASK)
        self.waivers = waivers if waivers is not None else StoredWaivers(catalogue)
        self.inventory = Inventory()
        self._live = LiveWorld(client, catalogue, own_namespace)
        self.world = self._live.world
        self.auditor = Auditor(catalogue, policies.current, self.world, answers=self._answers)
        self.between = between
        self.require: Callable[[tuple[Kind, ...]], None] = lambda _kinds: None
        """Told of the kinds that only rules look up, whenever these may have changed: they are to be followed."""
        self.swept_at: float | None = None
        """The clock's time at which the last complete sweep ended."""
        self.duration = 0.0
        self._dependents = Dependents(catalogue, clock)
        self._epochs: dict[Kind, bytes] = {}
        self._missed: dict[Kind, str] = {}
        self._unfollowed: dict[Kind, str] = {}
        self._forbidden: frozenset[Kind] = frozenset()
        self._trouble: tuple[frozenset[object], ...] = (frozenset(), frozenset(), frozenset())
        self._webhook = WebhookRights(client, own_namespace, clock)
        self._sweeping = False
        self._complete = False
        self._listings: list[set[str]] = []
        self._intern = Interner()
        self._fault_log = FaultLog()
        self._implied: dict[Scope, int] = {}

    @property
    def implied(self) -> int:
        """How many hits are told with others, as of the last publication of each scope."""
        return sum(self._implied.values())

    @property
    def missed(self) -> dict[Kind, str]:
        """The kinds that the last sweep could not audit, with the reason."""
        return dict(self._missed)

    @property
    def unfollowed(self) -> dict[Kind, str]:
        """The kinds of which changes are not seen now, with the reason."""
        return dict(self._unfollowed)

    def note_unfollowed(self, kinds: Mapping[Kind, str | None]) -> None:
        """Take note of kinds of which changes are not seen from now on, with the reason; None: they are again.

        What a sweep found of them holds, and is as old as the sweep: what is looked up in them is not sure.
        """
        before = dict(self._unfollowed)
        for kind, reason in kinds.items():
            if reason is None:
                self._unfollowed.pop(kind, None)
            elif kind in self._live.needed:
                # It may have been installed since the last sweep, and nothing but this says why it is not known.
                self.world.mark_incomplete(kind, with_grant(kind, reason))
            elif not self._live.served.absent(kind):
                self._unfollowed[kind] = reason
        self._doubt()
        if self._complete and not self._sweeping and self._unfollowed != before:
            self.publisher.publish_reports(self.reports())

    def _doubt(self) -> None:
        for kind, reason in self._unfollowed.items():
            if kind in self._live.kinds and self.world.incomplete(kind) is None:
                self.world.mark_incomplete(kind, reason)

    def take_version(self, kind: Kind) -> str | None:
        """The version that a watch of the kind may begin with: as of it the last sweep listed it; given out once."""
        return self._live.versions.pop(kind, None)

    # -- the sweep -----------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Audit everything, publish findings and reports. Raises ClusterError; then nothing is resolved."""
        begun = self._clock()
        self._sweeping = True
        self._intern = Interner()
        # What the world says by now is in the epoch, so everything it concerns is audited anyway.
        self._dependents.clear()
        try:
            forbidden: set[Kind] = set()
            self.load_policies()
            self.load_waivers(forbidden)
            waiting = self.waivers.unrecorded
            self._live.discover()
            self._missed = {}
            epochs = self._live.load(forbidden, self.between)
            self._try_own_webhooks(epochs)
            fresh = self._dependents.concerned(self._epochs, epochs)
            self._audit_all(fresh, forbidden)
            self._forbidden = frozenset(forbidden)
            self._serve()
            self._epochs = epochs
            self.publisher.load()
        finally:
            self._sweeping = False
        self._doubt()
        self._complete = True
        self._count_waivers(waiting)
        self._publish_everything()
        self.tell_policies()
        self.swept_at = self._clock()
        self.duration = self.swept_at - begun
        _log.info(
            "swept", extra={"objects": len(self.inventory), "seconds": round(self.duration, 3), "fresh": len(fresh)}
        )

    def load_policies(self) -> bool:
        """Read the AuditPolicies, and the ConfigMaps with modules; whether what is in force changed."""
        try:
            raws, _ = self.client.list_all(AUDIT_POLICY)
        except NotFoundError:
            raws = []
        modules: list[Json] | None = None
        try:
            modules, _ = self.client.list_all(CONFIG_MAP, scope=self._modules)
        except ForbiddenError as error:
            _log.error("ConfigMaps with rules cannot be read, what was read of them stays in force: %s", error)
        self.world.knows_rules = modules is not None
        changed = self.policies.load(raws, modules)
        return self._take_policies(changed)

    @property
    def rules_fail(self) -> bool:
        """Whether there are rules that could not be evaluated when they were last asked."""
        return bool(self.policies.engines.failing)

    def mend_rules(self) -> bool:
        """Compile and load again the rules that could not be; whether all of them are in force by now."""
        engines = self.policies.engines
        self.policies.lacking = self._lacking()
        lacking = frozenset(self.policies.lacking.items())
        trouble = (frozenset(engines.failing), frozenset(engines.trouble.items()), lacking)
        if trouble != self._trouble:
            self._trouble = trouble
            self.tell_policies()
            self.publisher.publish_rules(self.policies.rule_states)
        if not self.policies.is_unsure:
            return False
        self._take_policies(self.policies.try_again())
        return not self.policies.is_unsure

    def _take_policies(self, changed: bool) -> bool:
        if changed:
            self._use_policies()
        self.policies.tell_of_modules(self.client, self._modules.namespace or "")
        if self._complete:
            self.publisher.publish_rules(self.policies.rule_states)
        self.tell_policies()
        return changed

    def is_module(self, change: ObjectChange) -> bool:
        """Whether a change is of a ConfigMap that may hold modules: of one of our own namespace."""
        namespace = text(mapping(change.raw.get("metadata")).get("namespace"))
        return change.kind is CONFIG_MAP and namespace == self._modules.namespace

    def _lacking(self) -> Mapping[Kind, str]:
        """By kind that only rules look up why it is not known: to us, or to the webhook where that has such rules."""
        found = {kind: why for kind in self._live.needed if (why := self.world.incomplete(kind)) is not None}
        shipped = self._shipped.admission_world_kinds
        asked = [kind for kind in self.catalogue.admission_world_kinds if kind not in shipped and kind not in found]
        resolved = [one for kind in asked if (one := self._live.served.resolved(kind)) is not None]
        return {**(self._webhook.lacking(resolved) if resolved else {}), **found}

    def tell_policies(self) -> None:
        """Write what the policies' statuses say where it is something else by now."""
        if self._complete:
            self.policies.lacking = self._lacking()
        known = self._complete and self.world.incomplete(NAMESPACE) is None
        self.policies.write_status(self.client, list(namespaces_in(self.world)) if known else None)

    def load_waivers(self, forbidden: set[Kind] | None = None) -> bool:
        """Read the IocWaivers; whether what they cover may have changed.

        Where we may not read them none is in force. Any other failure is raised.
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
        lacking = [*self._missed, *self._live.incomplete]
        counted = self.waivers.count(waiting, lacking)
        if counted is not None:
            for scope in self.inventory.scopes:
                counted.scope = scope
                self.inventory.attributed(scope, counted)
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
        self.catalogue = self.publisher.catalogue = self.policies.current.catalogue
        self._live.rebase(self.catalogue)
        self.require(self._live.needed)
        self._dependents.rebase(self.catalogue)
        self.auditor = Auditor(self.catalogue, self.policies.current, self.world, answers=self._answers)
        self._epochs = {}

    def _try_own_webhooks(self, epochs: dict[Kind, bytes]) -> None:
        """Their configuration may stay as it is while what it verifies changes."""
        if (ours := epochs.get(VALIDATING_WEBHOOK_CONFIGURATION)) is not None:
            self.world.registering = self._registering()
            self.world.untrusted = self._untrusted(self.world)
            tried = (self.world.registering, self.world.untrusted)
            epochs[VALIDATING_WEBHOOK_CONFIGURATION] = ours + repr(tried).encode()

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
        kinds = self._live.served.present(self.catalogue.audited_kinds)
        self.inventory.serve(kind for kind in kinds if kind not in self._forbidden)

    def _audit_kind(self, kind: Kind, fresh: bool, namespace: str | None = None) -> None:
        """Audit what a list holds, and forget what it does not.

        What changes while the list is read is newer than it: the list says nothing about that.
        """
        newer: set[str] = set()
        seen: set[str] = set()
        self._listings.append(newer)
        try:
            for count, raw in enumerate(self._live.each(kind, namespace), start=1):
                uid = text(mapping(raw.get("metadata")).get("uid"))
                seen.add(uid)
                beat()
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
            if older(version, known.resource_version):
                return
            if not fresh and known.resource_version == version and not known.skipped and not known.faults:
                return
        resource = Resource(raw, CLUSTER, kind=kind)
        report = self.auditor.audit(resource)
        self._fault_log.note(report.faults)
        self.inventory.put(keep(resource, report, self._intern))

    # -- single changes ------------------------------------------------------------------------------------

    def apply(self, changes: Iterable[ObjectChange]) -> None:
        """Audit changed objects and publish their scopes (once a sweep was made).

        What depends on them is noted, for ``catch_up``.
        """
        audited = set(self.catalogue.audited_kinds)
        world = set(self._live.kinds)
        dirty: dict[Scope, None] = {}
        self.world.registering = self._registering()
        for change in changes:
            resource = Resource(change.raw, CLUSTER, kind=change.kind)
            if not change.deleted and self._live.served.absent(change.kind):
                self._live.discover()
                self._serve()
            if change.kind in world and self._live.change(resource, deleted=change.deleted):
                for kind in self._dependents.of(change.kind):
                    if not self._live.served.absent(kind):
                        self._dependents.note(kind, resource.home)
            if change.kind not in audited:
                continue
            for newer in self._listings:
                newer.add(resource.uid)
            if change.deleted:
                self.inventory.drop(resource.uid)
            else:
                self._audit(change.raw, change.kind, fresh=True)
            dirty[resource.home] = None
        self._publish_all(dirty)

    def _publish_all(self, scopes: Iterable[Scope]) -> None:
        if self._complete and not self._sweeping:
            counted = False
            for scope in scopes:
                # A count accepts what is in force: one pass publishes and counts.
                count = self.waivers.count_again(scope)
                self.publish(scope, count)
                if count is not None:
                    self.waivers.take(count)
                    counted = True
            if counted:
                self.waivers.write_status(self.client)

    # -- what depends on changes ---------------------------------------------------------------------------

    @property
    def due_in(self) -> float | None:
        """Seconds until dependents may be audited again; None where none are due."""
        return self._dependents.due_in

    def catch_up(self) -> None:
        """Audit again what depends on changes, once for all changes so far, and rest in proportion."""
        if self.due_in != 0.0 or self._sweeping:
            return
        begun = self._clock()
        dirty: dict[Scope, None] = {}
        self.world.registering = self._registering()
        for kind, homes in self._dependents.take().items():
            for home in homes:
                dirty |= dict.fromkeys(self._audit_again(kind, home))
        self._publish_all(dirty)
        self._dependents.rest(begun)

    def _audit_again(self, kind: Kind, home: str | None) -> Iterator[Scope]:
        """Audit the objects of a kind that a change in a namespace (None: in cluster scope) may concern."""
        if kind in self._live.kinds and not kind.pods:
            for resource in self._live.known(kind, home):
                beat()
                self._audit(resource.raw, kind, fresh=True)
                yield resource.home
            return
        namespace = home if kind.namespaced else None
        with contextlib.suppress(ForbiddenError):  # the sweep says so
            self._audit_kind(kind, True, namespace)
        if namespace is not None or not kind.namespaced:
            yield namespace
        else:
            yield from self.inventory.scopes

    # -- what follows --------------------------------------------------------------------------------------

    def publish(self, scope: Scope, waivers: HitWaivers | None = None) -> None:
        """Bring the stored findings of a scope in line with what is known now.

        ``waivers`` accept what those in force accept.
        """
        beat()
        unsure = self.inventory.unsure(scope)
        missed = {kind.key for kind in self._missed}
        pods_missed = any(kind in PODS for kind in self._missed)

        def sure(one: StoredFinding) -> bool:
            if (one.group, one.kind) in missed or (not one.verified and pods_missed):
                return False
            place = (one.group, one.kind, one.subject)
            return (one.check, *place) not in unsure and (None, *place) not in unsure

        causes = self.inventory.causes(scope, self.catalogue, self.waivers.in_force() if waivers is None else waivers)
        self._implied[scope] = len(causes.implied)
        findings = [finding for finding in causes.findings if not self._is_outdated(finding)]
        self.publisher.publish(scope, findings, sure, self.waivers.holding(), _implied(causes))

    def _is_outdated(self, finding: Finding) -> bool:
        """Whether a grant came to stand on its binding only because the role changed, and the binding is judged next.

        It would be stored to be resolved a moment later.
        """
        if any(found.hit.grant is None for found in finding.hits):
            return False
        subject = finding.subject
        waits = self._dependents.waits(kind_of(subject.group, subject.kind), finding.home)
        return waits and self.publisher.get((finding.home, finding.name)) is None

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
            for finding in self.inventory.causes(scope, self.catalogue, waivers).findings:
                whole.count(finding)
                if finding.home is not None:
                    homes.setdefault(finding.home, Summary()).count(finding)
        for reason in self._missed.values():
            whole.missed(reason)
        for kind, reason in self._unfollowed.items():
            if kind not in self._missed:
                whole.missed(f"changes of {kind.plural} are not followed: {reason}")
        contents: dict[str | None, Json] = {}
        for home, summary in homes.items():
            found = self.world.get(NAMESPACE, None, home)
            labels = found.labels if found is not None else {}
            contents[home] = summary.content(self.policies.in_force(home, labels))
        names = [policy.name for policy in self.policies.current.policies]
        bad = sum(1 for summary in homes.values() if summary.severities.total())
        contents[None] = {**whole.content(names), "namespaces": bad, "enforcement": self.policies.enforcement}
        if rules := self.policies.rule_states:
            contents[None]["rules"] = rules
        return contents


def _implied(causes: Causes) -> frozenset[tuple[str, str, str, str]]:
    """Check, and group, kind and name of the subject as findings have them, of what is told with something else."""
    subjects = ((one.found.check, one.found.subject.shown) for one in causes.implied)
    return frozenset((check, ref.group, ref.kind, ref.name) for check, ref in subjects)
