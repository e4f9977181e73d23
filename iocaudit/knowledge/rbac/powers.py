"""What a rule amounts to: the grants that lead further than they say.

Sources: Kubernetes documentation, RBAC good practices (privilege escalation risks); KEP-5284 (constrained
impersonation); the API reference for what is namespaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from iocaudit.core.kinds import CUSTOM_WORKLOADS, POD_TEMPLATE, WORKLOADS
from iocaudit.knowledge.rbac.existing import gives_anything
from iocaudit.knowledge.rbac.own_powers import FINDINGS, GUARD, OWN_OBJECTS
from iocaudit.knowledge.rbac.power import Power, PowerTarget
from iocaudit.knowledge.rbac.rules import RBAC_GROUP, WRITES, PolicyRule

_CERTIFICATES = "certificates.k8s.io"
_MODIFY = ("create", "update", "patch")
_HTTP = ("get", "create", "update", "patch", "delete")
USER_SIGNER_NAMES = frozenset(
    {"kubernetes.io/*", "kubernetes.io/legacy-unknown", "kubernetes.io/kube-apiserver-client"}
)
"""Names by which a rule on signers takes in those that certify any user."""
SIGNER_NAMES = USER_SIGNER_NAMES | {"kubernetes.io/kube-apiserver-client-kubelet"}
"""Names by which a rule on signers takes in those whose certificates the API server accepts from clients: the one for
kubelets certifies nodes only."""


def _constrained(rule: PolicyRule, clusterwide: bool) -> Iterator[str]:
    """Constrained impersonation: ``impersonate:MODE`` beside ``impersonate-on:MODE:VERB``, which alone is nothing."""
    for verb in sorted(rule.verbs):
        if verb.startswith("impersonate:") and (clusterwide or "serviceaccounts" in rule.resources | {"*"}):
            yield f"{verb} {'/'.join(sorted(rule.resources)[:3])}"


def _extras(rule: PolicyRule, clusterwide: bool) -> Iterator[str]:
    """``userextras/KEY``, whatever the key; ``*`` counts by the other targets."""
    if clusterwide and rule.allows_verb("impersonate") and rule.groups & {"authentication.k8s.io", "*"}:
        for resource in sorted(rule.resources):
            if resource == "userextras" or resource.startswith("userextras/"):
                yield f"impersonate {resource}"


def _signing(rule: PolicyRule, clusterwide: bool) -> Iterator[str]:
    if clusterwide and rule.covers(_CERTIFICATES, "signers"):
        for verb in ("approve", "sign"):
            if rule.allows_verb(verb) and (not rule.names or rule.names & SIGNER_NAMES):
                yield f"{verb} signers"


def _owners_of_webhooks(rule: PolicyRule, clusterwide: bool) -> Iterator[str]:
    """Deleting any ClusterRole: our webhook configuration, and others', belong to one and go with it."""
    if clusterwide and not rule.names and rule.covers(RBAC_GROUP, "clusterroles"):
        verbs = [verb for verb in WRITES[-2:] if rule.allows(verb, RBAC_GROUP, "clusterroles")]
        if verbs:
            yield f"{'/'.join(verbs)} clusterroles"


_RUNS_PODS = tuple(
    (kind.group, kind.plural)
    for kind in (*WORKLOADS, *CUSTOM_WORKLOADS)
    if kind is not POD_TEMPLATE and not kind.plural.endswith("templates")
)
_FIXED_TEMPLATES = (
    ("batch", "jobs"),
    ("agones.dev", "gameserversets"),
    ("batch.volcano.sh", "jobs"),
    ("jobset.x-k8s.io", "jobsets"),
    ("serving.knative.dev", "revisions"),
    ("tekton.dev", "taskruns"),
)
"""Those whose pods stay as they were made: the API server, or the project's own admission, refuses another template
(where to schedule, how many, and labels may change). Sources: Kubernetes, Jobs, mutable scheduling directives; the
validating webhooks of Agones, Volcano, JobSet, Knative and Tekton."""
_PODS = ("", "pods")

ESCALATE = Power(
    "escalate",
    "grant what it does not hold",
    (
        PowerTarget(("escalate",), ((RBAC_GROUP, "roles"),)),
        PowerTarget(("escalate",), ((RBAC_GROUP, "clusterroles"),), scoped=False),
        # A RoleBinding may name a ClusterRole: the right to bind it is asked for in the namespace.
        PowerTarget(("bind",), ((RBAC_GROUP, "roles"), (RBAC_GROUP, "clusterroles"))),
    ),
    critical=True,
)
IMPERSONATE = Power(
    "impersonate",
    "act as another user",
    (
        PowerTarget(("impersonate",), (("", "serviceaccounts"),)),
        PowerTarget(("impersonate",), (("", "users"), ("", "groups"), ("authentication.k8s.io", "uids")), scoped=False),
    ),
    _extras,
    critical=True,
)
CONSTRAINED = Power("impersonate-constrained", "act as another user within limits", (), _constrained)
WORKLOADS_CREATED = Power(
    "workloads",
    "run pods",
    (
        PowerTarget(("create",), (_PODS, *_FIXED_TEMPLATES[:1])),
        PowerTarget(_MODIFY, tuple(one for one in _RUNS_PODS if one not in (_PODS, *_FIXED_TEMPLATES))),
        PowerTarget(("create",), _FIXED_TEMPLATES[1:]),
    ),
)
PODS_CHANGED = Power("images", "swap the images of pods", (PowerTarget(("update", "patch"), (_PODS,)),))
"""Of a pod that exists only its images can change, not what it runs as. Source: Kubernetes, Pods, pod update and
replacement."""
FIXED_CHANGED = Power("fixed-workloads", "change workloads", (PowerTarget(("update", "patch"), _FIXED_TEMPLATES),))
EXEC = Power(
    "exec",
    "open sessions into pods",
    (
        PowerTarget(("get", "create"), (("", "pods/exec"), ("", "pods/attach"), ("", "pods/portforward"))),
        PowerTarget(_HTTP, (("", "pods/proxy"),)),
        PowerTarget(("update", "patch"), (("", "pods/ephemeralcontainers"),)),
    ),
)
SECRETS = Power("secrets", "reach Secrets", (PowerTarget(("get", "list", "watch", *_MODIFY), (("", "secrets"),)),))
SECRETS_DELETED = Power("secrets-deleted", "delete Secrets", (PowerTarget(WRITES[-2:], (("", "secrets"),)),))
TOKENS = Power(
    "tokens", "mint tokens of ServiceAccounts", (PowerTarget(("create",), (("", "serviceaccounts/token"),)),)
)
NODES = Power(
    "nodes",
    "control nodes",
    (
        PowerTarget(_HTTP, (("", "nodes/proxy"),), scoped=False),
        PowerTarget(WRITES, (("", "nodes"),), scoped=False),
        PowerTarget(("update", "patch"), (("", "nodes/status"),), scoped=False),
    ),
    critical=True,
)
CERTIFICATES = Power(
    "certificates",
    "approve or sign certificates",
    (PowerTarget(("update", "patch"), ((_CERTIFICATES, "certificatesigningrequests/approval"),), scoped=False),),
    _signing,
    critical=True,
)
WEBHOOKS = Power(
    "webhooks",
    "change how the API server admits and serves objects",
    (
        PowerTarget(
            WRITES,
            (
                *(
                    ("admissionregistration.k8s.io", name)
                    for name in (
                        "validatingwebhookconfigurations",
                        "mutatingwebhookconfigurations",
                        "validatingadmissionpolicies",
                        "validatingadmissionpolicybindings",
                        "mutatingadmissionpolicies",
                        "mutatingadmissionpolicybindings",
                    )
                ),
                ("apiextensions.k8s.io", "customresourcedefinitions"),
                ("apiregistration.k8s.io", "apiservices"),
            ),
            scoped=False,
        ),
    ),
    _owners_of_webhooks,
    critical=True,
)
RBAC = Power(
    "rbac",
    "write roles and bindings",
    (
        PowerTarget(WRITES, ((RBAC_GROUP, "roles"), (RBAC_GROUP, "rolebindings"))),
        PowerTarget(WRITES, ((RBAC_GROUP, "clusterroles"), (RBAC_GROUP, "clusterrolebindings")), scoped=False),
    ),
)
VOLUMES = Power(
    "volumes", "reach the files of nodes", (PowerTarget(("create",), (("", "persistentvolumes"),), scoped=False),)
)
SERVICE_STATUS = Power(
    "service-status", "redirect traffic", (PowerTarget(("update", "patch"), (("", "services/status"),)),)
)
ENDPOINTS = Power(
    "endpoints",
    "redirect traffic",
    (PowerTarget(_MODIFY, (("", "endpoints"), ("discovery.k8s.io", "endpointslices"))),),
)
CONFIG_MAPS = Power("configmaps", "change configuration", (PowerTarget(WRITES, (("", "configmaps"),)),))
NETWORK_POLICIES = Power(
    "network-policies",
    "open the network",
    (
        PowerTarget(
            WRITES,
            (
                ("networking.k8s.io", "networkpolicies"),
                ("crd.projectcalico.org", "networkpolicies"),
                ("projectcalico.org", "networkpolicies"),
                ("cilium.io", "ciliumnetworkpolicies"),
            ),
        ),
        PowerTarget(
            WRITES,
            (
                ("crd.projectcalico.org", "globalnetworkpolicies"),
                ("projectcalico.org", "globalnetworkpolicies"),
                ("cilium.io", "ciliumclusterwidenetworkpolicies"),
                ("policy.networking.k8s.io", "adminnetworkpolicies"),
                ("policy.networking.k8s.io", "baselineadminnetworkpolicies"),
                ("policy.networking.k8s.io", "clusternetworkpolicies"),
            ),
            scoped=False,
        ),
    ),
)
EVENTS = Power("events", "wipe traces", (PowerTarget(WRITES[-2:], (("", "events"), ("events.k8s.io", "events"))),))
LOGS = Power("logs", "wipe traces", (PowerTarget(WRITES[-2:], (("", "pods/log"),)),))

POWERS: tuple[Power, ...] = (
    ESCALATE,
    IMPERSONATE,
    CONSTRAINED,
    WORKLOADS_CREATED,
    PODS_CHANGED,
    FIXED_CHANGED,
    EXEC,
    SECRETS,
    SECRETS_DELETED,
    TOKENS,
    NODES,
    CERTIFICATES,
    WEBHOOKS,
    RBAC,
    VOLUMES,
    SERVICE_STATUS,
    ENDPOINTS,
    CONFIG_MAPS,
    NETWORK_POLICIES,
    EVENTS,
    LOGS,
    GUARD,
    OWN_OBJECTS,
    FINDINGS,
)
"""Every power there is a check for."""
_CRITICAL_UNLESS_NAMED = (SECRETS, TOKENS)
OVER_IDENTITIES = frozenset({ESCALATE, IMPERSONATE, WORKLOADS_CREATED, TOKENS})
"""What gives the rights of those ServiceAccounts that are where it holds."""
_LEADING = OVER_IDENTITIES | {PODS_CHANGED, EXEC, SECRETS, NODES, CERTIFICATES, WEBHOOKS, RBAC}


def powers_of(rule: PolicyRule, *, clusterwide: bool) -> dict[Power, tuple[str, ...]]:
    """The powers a rule gives where it holds, each with what gives it."""
    return _powers(rule, clusterwide) if rule.is_huge else _kept_powers(rule, clusterwide)


def _powers(rule: PolicyRule, clusterwide: bool) -> dict[Power, tuple[str, ...]]:
    return {power: found for power in POWERS if (found := power.granted(rule, clusterwide=clusterwide))}


_kept_powers = lru_cache(maxsize=8192)(_powers)


def critical_powers(rule: PolicyRule, namespace: str | None) -> dict[Power, tuple[str, ...]]:
    """The powers of a rule that amount to the cluster, bound in a namespace (None: cluster-wide).

    Of namespaces only kube-system amounts to it, whose ServiceAccounts, Secrets and tokens hold the rest.
    """
    if namespace not in (None, "kube-system"):
        return {}
    found = powers_of(rule, clusterwide=namespace is None)
    return {p: t for p, t in found.items() if p.critical or (p in _CRITICAL_UNLESS_NAMED and not rule.names)}


def may_lead_on(rule: PolicyRule, *, clusterwide: bool = True) -> bool:
    """Whether a rule may be part of a way to cluster-admin, where it holds."""
    return bool(rule.verbs_on_everything) or not _LEADING.isdisjoint(powers_of(rule, clusterwide=clusterwide))


def is_dangerous(rule: PolicyRule, *, clusterwide: bool) -> bool:
    """Whether a rule changes something, reads Secrets, uses a wildcard, or has any of the powers, and is about
    anything that there is."""
    if not gives_anything(rule):
        return False
    if "*" in rule.verbs or ("*" in rule.resources and rule.groups):
        return True
    changes = any(verb not in _PLAIN_READS for verb in rule.verbs) and bool(rule.resources - _HARMLESS_WRITES)
    return changes or bool(powers_of(rule, clusterwide=clusterwide))


_PLAIN_READS = frozenset({"get", "list", "watch"})
# Creating one of these asks the API server about oneself and changes nothing.
_HARMLESS_WRITES = frozenset(
    {"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews", "localsubjectaccessreviews"}
)
