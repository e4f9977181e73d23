"""ServiceAccounts: what pods hold through them, whose they are, and whether the token is there without need."""

from collections.abc import Iterator

from checks._rbac import CONTROLS, LOOKED_UP, bound_in, subject_hit
from iocaudit.core.check import Parameter, Params, check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import (
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    JOB,
    POD,
    PODS,
    SECRET,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    Kind,
)
from iocaudit.core.repair import Edit, Repair
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import text
from iocaudit.core.world import World
from iocaudit.knowledge.pods.alike import accounted_alike
from iocaudit.knowledge.pods.places import pods_of
from iocaudit.knowledge.pods.pod import PodSpec
from iocaudit.knowledge.rbac.accounts import powers_of_account
from iocaudit.knowledge.rbac.bindings import BINDINGS
from iocaudit.knowledge.rbac.graph import graph_of
from iocaudit.knowledge.rbac.own import is_own_grant
from iocaudit.knowledge.rbac.rules import listed
from iocaudit.knowledge.rbac.subjects import ACCOUNTS_OF, Subject
from iocaudit.knowledge.service_account import account_of, token_mount

_LOOKED_UP = (*LOOKED_UP, SERVICE_ACCOUNT)
_USERS: tuple[Kind, ...] = (DEPLOYMENT, STATEFUL_SET, DAEMON_SET, CRON_JOB, JOB)
_WORKLOADS: tuple[Kind, ...] = (*_USERS, POD)
_TOKEN_TYPE = "kubernetes.io/service-account-token"


@check(
    "workload-holds-power",
    severity=Severity.HIGH,
    iocs=(IoC.CLUSTER_ADMIN, IoC.USER_ACTIVITY),
    group="rbac",
    looks_at=PODS,
    needs=BINDINGS,
    uses=_LOOKED_UP,
    controls=CONTROLS | {"cis-1.12": "5.1.1"},
)
def workload_holds_power(pod: PodSpec, world: World) -> Iterator[Hit | Skip]:
    """A workload's ServiceAccount holds the cluster.

    Anyone who breaks into the workload, or may open a session into it, holds what its ServiceAccount does: every
    right, escalation or impersonation, the kubelets, admission webhooks, certificates, or the Secrets and tokens of
    the whole cluster or of kube-system. To run pods there, or in a namespace whose ServiceAccounts get to
    cluster-admin, is to be any of these; what else is bound in another namespace ends there. Groups of ServiceAccounts
    count; a workload without a token does not, nor what this auditor's own bindings give, which are known by content.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          serviceAccountName: web
          containers: [{name: app, image: hooli.com/web:1}]
        ---
        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRoleBinding
        metadata: {name: web}
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
        subjects: [{kind: ServiceAccount, name: web, namespace: shop}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          serviceAccountName: web
          containers: [{name: app, image: hooli.com/web:1}]
        ---
        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRoleBinding
        metadata: {name: web}
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
        subjects: [{kind: ServiceAccount, name: web, namespace: shop}]

    Fix: Give the workload a ServiceAccount of its own with a Role of what it calls, in its namespace.

    Sources: Kubernetes, RBAC good practices; CIS Kubernetes Benchmark 1.12, 5.1.1.
    """
    account = account_of(pod, world)
    mount = None
    for held, amounts in powers_of_account(account, world, pod.resource):
        mount = mount or token_mount(pod, world)
        if not mount.mounted:
            return
        if mount.problem is not None or not amounts:
            yield Skip(mount.problem or held.bound.problem or "")
            continue
        binding = held.binding
        if is_own_grant(binding.resource, held.bound.source, world):
            continue
        by = f"{binding.resource.kind_name} {binding.resource.name} ({held.bound.role})"
        message = f"runs as {account.title}, which may {listed(amounts)}{binding.where} by {by}"
        yield Hit(accounted_alike(pod).fields["serviceAccountName"][0], message, f"{account.text} by {by}")


@check(
    "token-automounted",
    severity=Severity.LOW,
    worst=Severity.HIGH,
    iocs=(IoC.USER_ACTIVITY,),
    group="rbac",
    looks_at=PODS,
    uses=(SERVICE_ACCOUNT, *BINDINGS),
    controls=CONTROLS
    | {
        "cis-1.12": "5.1.5, 5.1.6",
        "attack": "T1528",
        "ms": "MS-TA9016",
        "owasp": "K01",
        "nsa": "Protecting Pod service account tokens",
    },
    parameters=(
        Parameter("every", {"type": "boolean"}, "flag every mounted token, not only powerful ones", False, strict=True),
    ),
)
def token_automounted(pod: PodSpec, world: World, params: Params) -> Iterator[Hit | Skip]:
    """A ServiceAccount's token is mounted without need.

    The token authenticates to the API server anyone who reads the pod's files. Few workloads call the API. The pod's
    automountServiceAccountToken decides, then its ServiceAccount's; unset, the token is mounted. Where the pod runs
    as the ServiceAccount `default` and a binding gives that one rights, it is high, for every pod of the namespace
    that names no other holds them. Any other mounted token is low, under profile strict.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: hooli.com/web:1}]
        ---
        apiVersion: rbac.authorization.k8s.io/v1
        kind: RoleBinding
        metadata: {name: all, namespace: shop}
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
        subjects: [{kind: ServiceAccount, name: default, namespace: shop}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          automountServiceAccountToken: false
          containers: [{name: app, image: hooli.com/web:1}]
        ---
        apiVersion: rbac.authorization.k8s.io/v1
        kind: RoleBinding
        metadata: {name: all, namespace: shop}
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
        subjects: [{kind: ServiceAccount, name: default, namespace: shop}]

    Fix: Set automountServiceAccountToken: false on the pod, or on its ServiceAccount.

    Sources: CIS Kubernetes Benchmark 1.12, 5.1.5 and 5.1.6; Configure Service Accounts for Pods.
    """
    if pod.service_account != "default" and not params["every"]:
        return
    account = account_of(pod, world)
    granted = _default_granted(account, world, pod.resource) if account.name == "default" else []
    incomplete = next(filter(None, map(world.incomplete, BINDINGS)), None)
    unsure = account.name == "default" and not granted and incomplete is not None
    if not (granted or params["every"] or unsure):
        return
    mount = token_mount(pod, world)
    if not mount.mounted:
        return
    if mount.problem is not None:
        yield Skip(mount.problem)
        return
    field = "automountServiceAccountToken"
    alike = accounted_alike(pod).fields
    # One that speaks for several says it for each.
    undo = Repair(tuple(Edit("set", path, False) for path in alike[field])) if mount.at == field else None
    if granted:
        message = f"mounts the token of {account.title}, to which {listed(granted)} gives rights"
        yield Hit(alike[mount.at][0], message, account.text, Severity.HIGH, repair=undo)
        return
    if unsure:
        yield Skip(f"whether {account.title} holds rights is not known here ({incomplete})")
    if params["every"]:
        message = f"mounts the token of {account.title}"
        yield Hit(alike[mount.at][0], message, account.text, Severity.LOW, repair=undo)


def _default_granted(account: Subject, world: World, near: Resource) -> list[str]:
    """The bindings that name a namespace's ServiceAccount ``default``, or the group of that namespace."""

    def build() -> list[str]:
        graph = graph_of(world)
        group = Subject("Group", ACCOUNTS_OF.removeprefix("Group:") + account.namespace)
        return [
            f"{binding.resource.kind_name} {binding.resource.name}"
            for one in (account, group)
            for binding, _ in graph.naming(one, world, groups=False, near=near)
        ]

    return world.memo(("default-granted", account.namespace), BINDINGS, build, near=near)


@check(
    "shared-service-account",
    severity=Severity.MEDIUM,
    iocs=(IoC.USER_ACTIVITY,),
    group="rbac",
    looks_at=(SERVICE_ACCOUNT, *BINDINGS),
    uses=(*LOOKED_UP, *_USERS),
    in_files=(POD, SECRET),
    audit_only=True,
    controls=CONTROLS | {"cis-1.12": "5.1.5", "attack": "T1078"},
)
def shared_service_account(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """A ServiceAccount is shared by what has nothing to do with each other.

    What one needs, all hold, and the audit log does not say who it was. Workloads belong together where they share
    the value of a label that names their application (`app.kubernetes.io/instance`, `part-of`, `name`, `app`,
    `k8s-app`). A Secret that holds a lasting token means people or other systems use it (seen in files only: Secrets
    are never read from a cluster). A binding that names the ServiceAccount `default` gives rights to every workload
    that asks for none.

    Bad:

        apiVersion: v1
        kind: ServiceAccount
        metadata: {name: common, namespace: shop}
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web, namespace: shop, labels: {app: web}}
        spec:
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec: {serviceAccountName: common, containers: [{name: app, image: hooli.com/web:1}]}
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: mail, namespace: shop, labels: {app: mail}}
        spec:
          selector: {matchLabels: {app: mail}}
          template:
            metadata: {labels: {app: mail}}
            spec: {serviceAccountName: common, containers: [{name: app, image: hooli.com/mail:1}]}

    Good:

        apiVersion: v1
        kind: ServiceAccount
        metadata: {name: web, namespace: shop}
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web, namespace: shop, labels: {app: web}}
        spec:
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec: {serviceAccountName: web, containers: [{name: app, image: hooli.com/web:1}]}

    Fix: Make a ServiceAccount for each application, and let people sign in as themselves.

    Sources: CIS Kubernetes Benchmark 1.12, 5.1.5; Kubernetes, RBAC good practices.
    """
    if resource.kind is not SERVICE_ACCOUNT:
        for binding, bound in bound_in(resource, world):
            for named in binding.named:
                if named.subject.kind == "ServiceAccount" and named.subject.name == "default":
                    message = (
                        f"gives {bound.role} to {named.subject.title}, which every pod that names no other runs as"
                    )
                    yield subject_hit(named, message, bound, Severity.MEDIUM)
        return
    namespace = world.namespace_of(resource)
    yield from _tokens(resource, namespace, world)
    if resource.name == "default":
        return
    apart = _applications(_users_of(resource, namespace, world))
    if len(apart) > 1:
        names = listed([one[0] for one in apart])
        yield Hit("metadata.name", f"is used by unrelated workloads: {names}", ", ".join(one[0] for one in apart))
        return
    incomplete = next((reason for kind in _USERS if (reason := world.incomplete(kind))), None)
    if incomplete is not None:
        yield Skip(f"who uses it is not known in full here ({incomplete})")


def _tokens(account: Resource, namespace: str | None, world: World) -> Iterator[Hit]:
    for secret in world.of(SECRET, namespace, near=account):
        named = text(secret.annotations.get("kubernetes.io/service-account.name"))
        if secret.raw.get("type") == _TOKEN_TYPE and named == account.name:
            message = (
                f"has a long-lived token in Secret {secret.name}, with which people and other systems can act as it"
            )
            yield Hit("metadata.name", message, f"token in {secret.name}")


def _users_of(account: Resource, namespace: str | None, world: World) -> list[Resource]:
    """The top-level workloads that run as it; what a controller made is its controller's."""

    def build() -> dict[str, list[Resource]]:
        found: dict[str, list[Resource]] = {}
        for kind in _WORKLOADS:
            for workload in world.of(kind, namespace, near=account):
                if workload.controller is not None:
                    continue
                for name in dict.fromkeys(pod.service_account for pod in pods_of(workload)):
                    found.setdefault(name, []).append(workload)
        return found

    index = world.memo(("users of accounts", namespace), _WORKLOADS, build, near=account, namespace=namespace)
    return index.get(account.name, [])


_APPLICATION_LABELS = (
    "app.kubernetes.io/instance",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/name",
    "app",
    "k8s-app",
)


def _applications(workloads: list[Resource]) -> list[list[str]]:
    """Workloads grouped by shared application labels, each group as sorted titles."""
    groups: list[tuple[set[str], list[str]]] = []
    for workload in workloads:
        title = f"{workload.kind_name} {workload.name}"
        labels = [workload.labels, *(pod.labels for pod in pods_of(workload))]
        values = {v for each in labels for key in _APPLICATION_LABELS if isinstance(v := each.get(key), str)} or {title}
        titles = [title]
        for group in [group for group in groups if group[0] & values]:
            groups.remove(group)
            values |= group[0]
            titles += group[1]
        groups.append((values, titles))
    return sorted(sorted(titles) for _, titles in groups)
