"""How an identity gets from what it holds to the power of cluster-admin, step by step.

Breadth first over identities: one leads to another where it can act as it, mint or read its token, or run or
enter a pod as it. Sources: as for ``powers``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from iocaudit.core.kinds import NAMESPACE, PODS, SERVICE_ACCOUNT
from iocaudit.core.rbac.bindings import ADMIN_NAMESPACE, Binding
from iocaudit.core.rbac.graph import Held, RbacGraph, graph_of
from iocaudit.core.rbac.powers import EXEC, SIGNER_NAMES, WORKLOADS_CREATED, powers_of
from iocaudit.core.rbac.rules import RBAC_GROUP, Rule, is_everything
from iocaudit.core.rbac.subjects import MASTERS, Subject
from iocaudit.core.world import World

_ADMISSION = "admissionregistration.k8s.io"
_CERTIFICATES = "certificates.k8s.io"
_CHANGES = ("create", "update", "patch")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: who, what it does, by which binding and role; ``to`` None means that this is cluster-admin."""

    subject: Subject
    how: str
    binding: Binding | None
    role: str
    to: Subject | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The shortest way found, empty where there is none, and what could not be judged on the way."""

    steps: tuple[Step, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Grants:
    """What one identity holds, asked request by request."""

    held: tuple[Held, ...]

    def find(self, verbs: Iterable[str], group: str, resource: str, *, wide: bool | None = None) -> Held | None:
        """A binding that gives one of the verbs. ``wide`` True: cluster-wide; False: in a namespace only."""
        return next(self.all(verbs, group, resource, wide=wide), None)

    def all(self, verbs: Iterable[str], group: str, resource: str, *, wide: bool | None = None) -> Iterator[Held]:
        asked = tuple(verbs)
        for held in self.held:
            here = wide is None or held.binding.is_clusterwide is wide
            if here and any(rule.allows(verb, group, resource) for rule in held.bound.rules for verb in asked):
                yield held

    def rules(self, test: Callable[[Rule, bool], bool]) -> Iterator[tuple[Held, Rule]]:
        for held in self.held:
            for rule in held.bound.rules:
                if test(rule, held.binding.is_clusterwide):
                    yield held, rule


def way_to_cluster_admin(start: Subject, world: World) -> Outcome:
    """The shortest way of an identity to every right in the whole cluster."""
    graph = graph_of(world)
    search = _Search(graph, world)
    came: dict[Subject, Step | None] = {start: None}
    waiting = deque([start])
    while waiting:
        subject = waiting.popleft()
        for step in search.steps(subject):
            if step.to is None:
                return Outcome((*_back(came, subject), step), tuple(search.problems))
            if step.to not in came:
                came[step.to] = step
                waiting.append(step.to)
    return Outcome((), tuple(search.problems))


def _back(came: dict[Subject, Step | None], subject: Subject) -> tuple[Step, ...]:
    steps: list[Step] = []
    step = came[subject]
    while step is not None:
        steps.append(step)
        step = came[step.subject]
    return tuple(reversed(steps))


class _Search:
    """What one search keeps: a namespace whose every ServiceAccount was reached is not walked again."""

    def __init__(self, graph: RbacGraph, world: World) -> None:
        self.graph = graph
        self.world = world
        self.problems: dict[str, None] = {}
        self._taken: set[str] = set()
        self._used: dict[str, set[str]] | None = None

    def steps(self, subject: Subject) -> Iterator[Step]:
        """The steps from one identity: first to cluster-admin itself, then to others."""
        if subject.text == MASTERS:
            yield Step(subject, "bypasses RBAC", None, "", None)
            return
        held = tuple(self.graph.held(subject, self.world))
        for one in held:
            if one.bound.problem is not None:
                self.problems[one.bound.problem] = None
        grants = _Grants(held)
        yield from _at_once(subject, grants)
        yield from self._by_accounts(subject, grants)

    def _by_accounts(self, subject: Subject, grants: _Grants) -> Iterator[Step]:
        for verbs, group, resource, how in (
            (("impersonate",), "", "serviceaccounts", "impersonates"),
            (("create",), "", "serviceaccounts/token", "mints a token of"),
        ):
            for held, rule in grants.rules(_giving(verbs, group, resource)):
                yield from self._accounts(subject, how, held, rule.names)
        for held, rule in grants.rules(_giving(("impersonate",), "", "users", wide=True)):
            for text in list(self.graph.by_subject):
                kind, _, name = text.partition(":")
                if kind == "User" and (not rule.names or name in rule.names):
                    yield Step(subject, "impersonates", held.binding, held.bound.role, Subject(kind, name))
        for held, _ in grants.rules(lambda rule, wide: WORKLOADS_CREATED in powers_of(rule, clusterwide=wide)):
            yield from self._accounts(subject, "runs a pod as", held)
        for held in grants.all(("bind",), RBAC_GROUP, "clusterroles"):
            for other in grants.all(_CHANGES, RBAC_GROUP, "rolebindings"):
                if held.binding.is_clusterwide or other.binding.namespace == held.binding.namespace:
                    yield from self._accounts(
                        subject, "binds itself to cluster-admin in its namespace, and mints a token of", other
                    )
        for held in grants.all(("escalate",), RBAC_GROUP, "roles", wide=False):
            yield from self._accounts(subject, "widens its own role, and mints a token of", held)
        for held in grants.all(("create",), "", "secrets"):
            if grants.find(("get", "list", "watch"), "", "secrets") is not None:
                yield from self._accounts(subject, "has a token put into a Secret that it reads, of", held)
        yield from self._by_entering(subject, grants)

    def _by_entering(self, subject: Subject, grants: _Grants) -> Iterator[Step]:
        for held, _ in grants.rules(lambda rule, wide: EXEC in powers_of(rule, clusterwide=wide)):
            for namespace in self._namespaces(held.binding):
                for name in sorted(self._in_use().get(namespace, ())):
                    account = Subject("ServiceAccount", name, namespace)
                    yield Step(subject, "enters a pod that runs as", held.binding, held.bound.role, account)
        for held in grants.all(("get", "list", "watch"), "", "secrets"):
            yield from self._accounts(subject, "reads Secrets, and there a token (if one is kept) of", held, last=True)

    def _accounts(
        self, subject: Subject, how: str, held: Held, names: frozenset[str] = frozenset(), *, last: bool = False
    ) -> Iterator[Step]:
        for namespace in self._namespaces(held.binding):
            if namespace in self._taken:
                continue
            if not names and not last:
                self._taken.add(namespace)
            accounts = dict(self.graph.accounts.get(namespace, {}))
            for resource in self.world.of(SERVICE_ACCOUNT, namespace):
                accounts.setdefault(resource.name, Subject("ServiceAccount", resource.name, namespace))
            accounts.setdefault("default", Subject("ServiceAccount", "default", namespace))
            for name, account in accounts.items():
                if not names or name in names:
                    yield Step(subject, how, held.binding, held.bound.role, account)

    def _namespaces(self, binding: Binding) -> list[str]:
        """The namespaces in which a binding holds, as far as somebody is there; kube-system first."""
        if binding.namespace is not None:
            return [binding.namespace]
        known = {ADMIN_NAMESPACE, *self.graph.accounts, *self.graph.group_namespaces}
        known |= {resource.name for resource in self.world.all(NAMESPACE)}
        ordered = sorted(known, key=lambda name: (name != ADMIN_NAMESPACE, name))
        return [name for name in ordered if binding.holds_in(name, self.world)]

    def _in_use(self) -> dict[str, set[str]]:
        """The ServiceAccounts that pods run as, by namespace."""
        if self._used is None:
            self._used = {}
            for kind in PODS:
                for resource in self.world.all(kind):
                    namespace = self.world.namespace_of(resource)
                    if namespace is not None:
                        self._used.setdefault(namespace, set()).update(pod.service_account for pod in resource.pods)
        return self._used


def _giving(verbs: tuple[str, ...], group: str, resource: str, *, wide: bool = False) -> Callable[[Rule, bool], bool]:
    return lambda rule, clusterwide: (
        (clusterwide or not wide) and any(rule.allows(verb, group, resource) for verb in verbs)
    )


def _at_once(subject: Subject, grants: _Grants) -> Iterator[Step]:
    """The steps that end at cluster-admin."""

    def step(held: Held, how: str) -> Step:
        return Step(subject, how, held.binding, held.bound.role, None)

    for held in grants.held:
        if held.binding.is_clusterwide and is_everything(held.bound.rules):
            yield step(held, "holds every right")
        if held.subject.text == MASTERS:
            yield step(held, "bypasses RBAC")
    pairs = (
        (("bind",), "clusterroles", _CHANGES, "clusterrolebindings", "binds itself to cluster-admin"),
        (("escalate",), "clusterroles", ("update", "patch"), "clusterroles", "gives its own role every right"),
    )
    for verbs, resource, changes, changed, how in pairs:
        held_or_none = grants.find(verbs, RBAC_GROUP, resource, wide=True)
        if held_or_none is not None and grants.find(changes, RBAC_GROUP, changed, wide=True) is not None:
            yield step(held_or_none, how)
    users = grants.find(("impersonate",), "", "users", wide=True)
    if users is not None:
        for held, rule in grants.rules(_giving(("impersonate",), "", "groups", wide=True)):
            if not rule.names or "system:masters" in rule.names:
                yield step(held, "impersonates a member of Group system:masters")
    node = grants.find(("get", "create"), "", "nodes/proxy", wide=True)
    if node is not None:
        yield step(node, "runs commands in every pod through the kubelets, those of the control plane included")
    yield from _by_certificates(grants, step)
    for resource in ("mutatingwebhookconfigurations", "mutatingadmissionpolicies"):
        hook = grants.find(_CHANGES, _ADMISSION, resource, wide=True)
        if hook is not None:
            yield step(hook, f"rewrites what others send ({resource}), such as the subjects of a binding")


def _by_certificates(grants: _Grants, step: Callable[[Held, str], Step]) -> Iterator[Step]:
    if grants.find(("create",), _CERTIFICATES, "certificatesigningrequests", wide=True) is None:
        return
    for verb, subresource in (("approve", "approval"), ("sign", "status")):
        resource = f"certificatesigningrequests/{subresource}"
        if grants.find(("update", "patch"), _CERTIFICATES, resource, wide=True) is None:
            continue
        for held, rule in grants.rules(_giving((verb,), _CERTIFICATES, "signers", wide=True)):
            if not rule.names or rule.names & SIGNER_NAMES:
                yield step(held, f"{verb}s a client certificate of its own making, for any user")
