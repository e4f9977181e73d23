"""How an identity gets from what it holds to the power of cluster-admin, step by step.

Breadth first over identities: one leads to another where it can act as it, mint or read its token, or run or
enter a pod as it. Sources: as for ``powers``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Set
from dataclasses import dataclass

from iocaudit.core.kinds import CLUSTER_ROLE, NAMESPACE, POD, PODS, ROLE, SECRET, SERVICE_ACCOUNT
from iocaudit.core.resource import Resource
from iocaudit.core.shape import text
from iocaudit.core.world import World
from iocaudit.knowledge.pods.places import pods_of
from iocaudit.knowledge.rbac.bindings import ADMIN_NAMESPACE, BINDINGS, Binding, admin_first
from iocaudit.knowledge.rbac.defaults import default_role
from iocaudit.knowledge.rbac.grants import CHANGES, EDITS, Grants, meet, with_bindable
from iocaudit.knowledge.rbac.graph import HeldBinding, RbacGraph, graph_of, not_read
from iocaudit.knowledge.rbac.powers import PODS_CHANGED, SIGNER_NAMES, USER_SIGNER_NAMES, WORKLOADS_CREATED, powers_of
from iocaudit.knowledge.rbac.roles import containing
from iocaudit.knowledge.rbac.rules import RBAC_GROUP, READS, PolicyRule, is_everything
from iocaudit.knowledge.rbac.subjects import MASTERS, Subject

READ = (*BINDINGS, CLUSTER_ROLE, ROLE, NAMESPACE)
"""What ``way_by_accounts`` follows from."""
_MOST_WAYS = 10_000
_LONGEST_SUBJECT = 400
"""No subject of sense has a longer one, but anyone who reaches the webhook past the API server may write megabytes."""
_ADMISSION = "admissionregistration.k8s.io"
_SESSIONS = (
    (("get", "create"), "pods/exec"),
    (("get", "create"), "pods/attach"),
    (EDITS, "pods/ephemeralcontainers"),
)
"""What runs a command in a pod; ``pods/portforward`` and ``pods/proxy`` only talk to it."""


def opens_sessions(rule: PolicyRule) -> bool:
    """Whether a rule lets someone run a command in a pod."""
    return any(rule.allows(verb, "", resource) for verbs, resource in _SESSIONS for verb in verbs)


@dataclass(frozen=True, slots=True)
class EscalationStep:
    """One step: who, what it does, by which binding and role; ``to`` None means that this is cluster-admin."""

    subject: Subject
    how: str
    binding: Binding | None
    role: str
    to: Subject | None


@dataclass(frozen=True, slots=True)
class EscalationPath:
    """The shortest way found, empty where there is none, and what could not be judged on the way."""

    steps: tuple[EscalationStep, ...]
    problems: tuple[str, ...]


def way_to_cluster_admin(start: Subject, world: World) -> EscalationPath:
    """The shortest way of an identity to every right in the whole cluster."""
    search = _Search(graph_of(world), world)
    came: dict[Subject, EscalationStep | None] = {start: None}
    waiting = deque([start])
    while waiting:
        subject = waiting.popleft()
        for step in search.steps(subject):
            if step.to is None:
                return EscalationPath((*_back(came, subject), step), tuple(search.problems))
            if step.to not in came:
                came[step.to] = step
                waiting.append(step.to)
    return EscalationPath((), tuple(search.problems))


def way_by_accounts(start: Subject, world: World, near: Resource | None) -> tuple[EscalationStep, ...]:
    """The same by bindings and roles alone, as those nearest to an object are: without what pods run as and what
    Secrets hold. Empty where there is none. Kept until a binding or role changes: every pod may ask."""
    known: dict[str, tuple[EscalationStep, ...]] = world.memo("rbac-ways", READ, dict, near=near)
    if (answered := known.get(start.text)) is not None:
        return answered
    search = _Search(graph_of(world), world, near, objects=False)
    came: dict[Subject, EscalationStep | None] = {start: None}
    waiting = deque([start])
    found: tuple[EscalationStep, ...] = ()
    while waiting and not found:
        subject = waiting.popleft()
        kept = known.get(subject.text)
        if kept is not None:
            found = (*_back(came, subject), *kept) if kept else ()
            continue
        for step in search.steps(subject):
            if step.to is None:
                found = (*_back(came, subject), step)
                break
            if step.to not in came:
                came[step.to] = step
                waiting.append(step.to)
    if len(known) >= _MOST_WAYS:
        known.clear()
    # Where none is found, none of those on the way has one either.
    for subject in (start,) if found else came:
        if len(subject.text) <= _LONGEST_SUBJECT:
            known[subject.text] = found
    return found


def _back(came: dict[Subject, EscalationStep | None], subject: Subject) -> tuple[EscalationStep, ...]:
    steps: list[EscalationStep] = []
    step = came[subject]
    while step is not None:
        steps.append(step)
        step = came[step.subject]
    return tuple(reversed(steps))


class _Search:
    """What one search keeps: who was reached as a whole (a namespace's ServiceAccounts, those of its pods, every
    user) is not walked again."""

    def __init__(self, graph: RbacGraph, world: World, near: Resource | None = None, *, objects: bool = True) -> None:
        self.graph = graph
        self.world = world
        self.problems = dict.fromkeys(not_read(world, (*BINDINGS, SERVICE_ACCOUNT, NAMESPACE, POD)))
        self._near = near
        self._objects = objects
        self._taken: set[str] = set()
        self._entered: set[str] = set()
        self._acted_as_all = False
        self._everywhere: list[str] | None = None
        self._kept: dict[tuple[str, str], list[str]] | None = None

    def steps(self, subject: Subject) -> Iterator[EscalationStep]:
        """The steps from one identity: first to cluster-admin itself, then to others."""
        if subject.text == MASTERS:
            yield EscalationStep(subject, "bypasses RBAC", None, "", None)
            return
        grants = with_bindable(Grants.of(self.graph.held(subject, self.world, near=self._near)), self.world)
        for held in grants.held:
            if held.bound.problem is not None:
                self.problems[held.bound.problem] = None
        yield from _at_once(subject, grants, self.world)
        yield from self._by_accounts(subject, grants)
        yield from self._by_impersonation(subject, grants)
        if self._objects:
            yield from self._by_entering(subject, grants)
        yield from self._by_secrets(subject, grants)

    def _by_accounts(self, subject: Subject, grants: Grants) -> Iterator[EscalationStep]:
        for verb, resource, how in (
            ("impersonate", "serviceaccounts", "impersonates"),
            ("create", "serviceaccounts/token", "mints a token of"),
        ):
            for held, rule in grants.giving((verb,), "", resource):
                yield from self._accounts(subject, how, held, held.binding, rule.names)
        for held, rule in grants.rules:
            if WORKLOADS_CREATED in powers_of(rule, clusterwide=held.binding.is_clusterwide):
                yield from self._accounts(subject, "runs a pod as", held, held.binding)
        for held, rule in grants.giving(("bind",), RBAC_GROUP, "clusterroles"):
            if rule.names:
                continue  # those roles count as held
            for other, _ in grants.giving(CHANGES, RBAC_GROUP, "rolebindings"):
                where = meet(held.binding, other.binding, self.world)
                if where is not None:
                    how = "binds itself to cluster-admin in its namespace, and mints a token of"
                    yield from self._accounts(subject, how, other, where)
        for held in grants.held:
            binding = held.binding
            if binding.role_kind == "Role" and binding.namespace is not None and _widens(grants, held, self.world):
                yield from self._accounts(subject, "widens its own role, and mints a token of", held, binding)
        for held, _ in grants.giving(("create",), "", "secrets"):
            for other, _ in grants.giving(READS, "", "secrets"):
                where = meet(held.binding, other.binding, self.world)
                if where is not None:
                    how = "has a token put into a Secret that it reads, of"
                    yield from self._accounts(subject, how, held, where)

    def _by_impersonation(self, subject: Subject, grants: Grants) -> Iterator[EscalationStep]:
        for held, rule in grants.giving(("impersonate",), "", "users", wide=True):
            if self._acted_as_all:
                break
            self._acted_as_all = not rule.names
            names = rule.names or [name for text in self.graph.by_subject if (name := _user(text))]
            for name in names:
                yield EscalationStep(subject, "impersonates", held.binding, held.bound.role, Subject("User", name))
        if grants.acts_as_somebody:
            for held, rule in grants.giving(("impersonate",), "", "groups", wide=True):
                for name in sorted(rule.names):
                    group = Subject("Group", name)
                    yield EscalationStep(subject, "impersonates a member of", held.binding, held.bound.role, group)

    def _by_entering(self, subject: Subject, grants: Grants) -> Iterator[EscalationStep]:
        for verbs, resource in _SESSIONS:
            for held, rule in grants.giving(verbs, "", resource):
                yield from self._pods(subject, "enters a pod that runs as", held, rule.names)
        for held, rule in grants.rules:
            if PODS_CHANGED in powers_of(rule, clusterwide=held.binding.is_clusterwide):
                yield from self._pods(subject, "swaps the image of a pod that runs as", held, rule.names)
        for held, rule in grants.giving(("get", "create"), "", "nodes/proxy", wide=True):
            if rule.names:
                how = "runs commands through the kubelet of a node, in a pod that runs as"
                yield from self._pods(subject, how, held)
        for held, _, signers in grants.certifies():
            if signers & SIGNER_NAMES:
                how = "has itself certified as a node, and takes the token of its pods, which run as"
                yield from self._pods(subject, how, held)

    def _by_secrets(self, subject: Subject, grants: Grants) -> Iterator[EscalationStep]:
        for held, rule in grants.giving(READS, "", "secrets"):
            how = "reads Secrets, and there a token (if one is kept) of"
            if rule.names:
                if self._objects:
                    yield from self._by_named_secrets(subject, held, rule.names)
            else:
                yield from self._accounts(subject, how, held, held.binding)

    def _by_named_secrets(self, subject: Subject, held: HeldBinding, names: frozenset[str]) -> Iterator[EscalationStep]:
        """Named Secrets hold the token of those whom they say, as far as Secrets are known (in files)."""
        if self._kept is None:
            self._kept = {}
            for secret in self.world.all(SECRET):
                account = text(secret.annotations.get("kubernetes.io/service-account.name"))
                if account:
                    space = self.world.namespace_of(secret) or ""
                    self._kept.setdefault((secret.name, account), []).append(space)
        for (name, account), spaces in self._kept.items():
            for space in spaces:
                if name in names and held.binding.holds_in(space, self.world):
                    how = f"reads Secret {name}, and there a token of"
                    to = Subject("ServiceAccount", account, space)
                    yield EscalationStep(subject, how, held.binding, held.bound.role, to)

    def _accounts(
        self, subject: Subject, how: str, held: HeldBinding, where: Binding, names: frozenset[str] = frozenset()
    ) -> Iterator[EscalationStep]:
        """A step to each ServiceAccount, or to those of some names, where a binding holds."""
        if names:
            for name in sorted(names):
                for namespace in self.graph.homes_of(name):
                    if namespace not in self._taken and where.holds_in(namespace, self.world):
                        account = Subject("ServiceAccount", name, namespace)
                        yield EscalationStep(subject, how, held.binding, held.bound.role, account)
            return
        for namespace in self._namespaces(where, self._taken):
            self._taken.add(namespace)
            accounts = dict(self.graph.accounts.get(namespace, {}))
            for resource in self.world.of(SERVICE_ACCOUNT, namespace) if self._objects else ():
                accounts.setdefault(resource.name, Subject("ServiceAccount", resource.name, namespace))
            accounts.setdefault("default", Subject("ServiceAccount", "default", namespace))
            for account in accounts.values():
                yield EscalationStep(subject, how, held.binding, held.bound.role, account)

    def _pods(
        self, subject: Subject, how: str, held: HeldBinding, names: frozenset[str] = frozenset()
    ) -> Iterator[EscalationStep]:
        """A step to the ServiceAccount of each pod, or of those of some names, where a binding holds."""
        for namespace in self._namespaces(held.binding, self._entered):
            if not names:
                self._entered.add(namespace)
            for name in accounts_of_pods(self.world, namespace, names):
                account = Subject("ServiceAccount", name, namespace)
                yield EscalationStep(subject, how, held.binding, held.bound.role, account)

    def _namespaces(self, binding: Binding, but: set[str]) -> list[str]:
        """The namespaces in which a binding holds, as far as someone is there; kube-system first."""
        if binding.namespace is not None:
            return [binding.namespace] if binding.namespace not in but else []
        if self._everywhere is None:
            known = {resource.name for resource in self.world.all(NAMESPACE)}
            self._everywhere = admin_first({ADMIN_NAMESPACE, *self.graph.namespaces, *known})
        if len(but) >= len(self._everywhere) and but.issuperset(self._everywhere):
            return []
        return [name for name in self._everywhere if name not in but and binding.holds_in(name, self.world)]


def accounts_of_pods(world: World, namespace: str, names: frozenset[str] = frozenset()) -> list[str]:
    """The ServiceAccounts that pods of a namespace run as, or those that have, or whose makers have, one of the
    names: as far as such objects are known."""

    def build() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for kind in PODS:
            for resource in world.of(kind, namespace):
                accounts = found.setdefault(resource.name, [])
                accounts += (pod.service_account for pod in pods_of(resource))
        return found

    used = world.memo(("rbac-pods", namespace), PODS, build, namespace=namespace)
    found = (used.get(owner, ()) for name in names for owner in _makers(name)) if names else used.values()
    return list(dict.fromkeys(account for accounts in found for account in accounts))


def _makers(pod: str) -> Iterator[str]:
    """The names that a pod of this name, or what made it, may have: controllers add to their own after a dash."""
    while pod:
        yield pod
        pod = pod.rpartition("-")[0]


def _user(words: str) -> str:
    kind, _, name = words.partition(":")
    return name if kind == "User" else ""


def is_part_of(name: str, roles: Set[str], world: World) -> bool:
    """Whether a ClusterRole is one of these, or one that one of these aggregates."""
    if name in roles:
        return True
    role = world.get(CLUSTER_ROLE, None, name, whole=False) or default_role("ClusterRole", None, name)
    return role is not None and any(one.name in roles for one in containing(role, world))


def _widens(grants: Grants, role: HeldBinding, world: World) -> bool:
    """Whether it may give the Role by which it holds something more than it holds itself."""
    name, space = role.binding.role_name, role.binding.namespace or ""
    return all(
        any(held.binding.holds_in(space, world) for held, _ in grants.giving(verbs, RBAC_GROUP, "roles", name=name))
        for verbs in (("escalate",), EDITS)
    )


def _at_once(subject: Subject, grants: Grants, world: World) -> Iterator[EscalationStep]:
    """The steps that end at cluster-admin."""
    for ways in (_holding, _binding_itself, _widening_itself, _impersonating, _through_nodes, _rewriting):
        for held, how in ways(grants, world):
            yield EscalationStep(subject, how, held.binding, held.bound.role, None)


_Ways = Iterator[tuple[HeldBinding, str]]
"""By which grant, and how."""


def _holding(grants: Grants, _world: World) -> _Ways:
    wide = [held for held in grants.held if held.binding.is_clusterwide]
    for held in grants.held:
        if held.binding.is_clusterwide and is_everything(held.bound.rules):
            yield held, "holds every right"
        if held.subject.text == MASTERS:
            yield held, "bypasses RBAC"
    if is_everything(rule for held in wide for rule in held.bound.rules):
        yield wide[0], "holds every right by several bindings together"


def _binding_itself(grants: Grants, _world: World) -> _Ways:
    for held, rule in grants.giving(("bind",), RBAC_GROUP, "clusterroles", wide=True):
        if not rule.names and grants.may(CHANGES, RBAC_GROUP, "clusterrolebindings"):
            yield held, "binds itself to cluster-admin"


def _widening_itself(grants: Grants, world: World) -> _Ways:
    own = {held.binding.role_name for held in grants.held if held.binding.is_clusterwide}
    for held, rule in grants.giving(("escalate",), RBAC_GROUP, "clusterroles", wide=True):
        for name in rule.names or own:
            if grants.may(EDITS, RBAC_GROUP, "clusterroles", name=name) and is_part_of(name, own, world):
                yield held, "gives its own role every right"


def _impersonating(grants: Grants, _world: World) -> _Ways:
    if grants.acts_as_somebody:
        for held, rule in grants.giving(("impersonate",), "", "groups", wide=True):
            if not rule.names or "system:masters" in rule.names:
                yield held, "impersonates a member of Group system:masters"


def _through_nodes(grants: Grants, _world: World) -> _Ways:
    for held, rule in grants.giving(("get", "create"), "", "nodes/proxy", wide=True):
        if not rule.names:
            yield held, "runs commands in every pod through the kubelets, those of the control plane included"
    for held, verb, signers in grants.certifies():
        if signers & USER_SIGNER_NAMES:
            yield held, f"{verb}s a client certificate of its own making, for any user"


def _rewriting(grants: Grants, _world: World) -> _Ways:
    for resource in ("mutatingwebhookconfigurations", "mutatingadmissionpolicies"):
        for held, _ in grants.giving(CHANGES, _ADMISSION, resource, wide=True):
            yield held, f"rewrites what others send ({resource}), such as the subjects of a binding"
