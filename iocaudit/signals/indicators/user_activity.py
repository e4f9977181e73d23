"""Indicator 4: abnormal user activity. Here what concerns identities; sessions and secrets have files of their own."""

from __future__ import annotations

from datetime import timedelta

from iocaudit.core.request import service_account_of
from iocaudit.core.severity import IoC, Severity
from iocaudit.knowledge.clipping import clip
from iocaudit.signals.accounts import (
    attack_tool,
    is_anonymous,
    is_cloud,
    is_control_plane,
    is_node,
    is_node_of_cloud,
    is_own,
    is_person,
    is_public,
    uses_script,
    uses_tool_of_person,
)
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.indicators.declaration import Indicator, Observation
from iocaudit.signals.memory import Steps
from iocaudit.signals.wording import origin, what, who

INDICATOR = Indicator(
    IoC.USER_ACTIVITY,
    "user-activity",
    "Sessions into pods, secrets that are read, tokens that are minted or used from elsewhere, impersonation, anonymous "
    "requests, traces that are removed.",
    "What a person does inside a session, which Falco sees; and who is meant to do what, which only a profile of "
    "expected activity says.",
)

_PROBES = ("/healthz", "/livez", "/readyz")
_OPEN_PATHS = ("/version", "/.well-known/", "/openid/")
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_PRIVILEGED_GROUPS = frozenset({"system:masters", "cluster-admin", "system:cluster-admins", "kubeadm:cluster-admins"})
_PRIVILEGED_USERS = frozenset({"admin", "cluster-admin", "kubernetes-admin", "system:admin", "kubernetes-super-admin"})


def _path(event: AuditEvent) -> str:
    return event.uri.partition("?")[0].rstrip("/") or "/"


def _is_probe(event: AuditEvent) -> bool:
    path = _path(event)
    return any(path == probe or path.startswith(f"{probe}/") for probe in _PROBES)


def _is_public_information(event: AuditEvent) -> bool:
    """What Kubernetes shows to anyone on purpose: its version, its token issuer, and how kubeadm joins a node."""
    if event.target.resource:
        target = event.target
        return (target.resource, target.namespace, target.name) == ("configmaps", "kube-public", "cluster-info")
    return event.uri.startswith(_OPEN_PATHS)


@INDICATOR.detects(
    "anonymous-request-allowed",
    severity=Severity.HIGH,
    technique="T1078.001",
    related=("anonymous-binding", "exposed-dashboard"),
)
def anonymous_request_allowed(event: AuditEvent) -> Observation | None:
    """The API server answers an anonymous request.

    A request without credentials was allowed, beyond what Kubernetes shows to anyone on purpose (health, version, the
    token issuer, the `cluster-info` of kubeadm). Some binding gives `system:anonymous` or `system:unauthenticated`
    rights, and someone uses them.

    Fires:

        verb: list
        user: {username: "system:anonymous", groups: ["system:unauthenticated"]}
        sourceIPs: [198.51.100.7]
        objectRef: {resource: pods, namespace: shop, apiVersion: v1}
        requestURI: /api/v1/namespaces/shop/pods
        responseStatus: {code: 200}
        annotations: {authorization.k8s.io/decision: allow}

    Quiet:

        verb: get
        user: {username: "system:anonymous", groups: ["system:unauthenticated"]}
        sourceIPs: [10.0.0.5]
        requestURI: /livez?timeout=10s
        responseStatus: {code: 200}
        annotations: {authorization.k8s.io/decision: allow}

    Sources: Kubernetes documentation, Anonymous requests; CIS Kubernetes Benchmark 5.1.
    """
    if not is_anonymous(event.user) or not event.went_on or _is_probe(event) or _is_public_information(event):
        return None
    severity = Severity.CRITICAL if event.verb in _WRITES else None
    return Observation(f"nobody (system:anonymous){origin(event)} may {event.verb or 'read'} {what(event)}", severity)


@INDICATOR.detects(
    "anonymous-write-tried",
    severity=Severity.MEDIUM,
    technique="T1190",
    related=("anonymous-binding",),
)
def anonymous_write_tried(event: AuditEvent) -> Observation | None:
    """Nobody tries to change the cluster.

    A request without credentials asked to create, change or delete something and was turned away. No client does so by
    mistake: someone tries whether the API server is open.

    Fires:

        verb: create
        user: {username: "system:anonymous", groups: ["system:unauthenticated"]}
        sourceIPs: [198.51.100.7]
        objectRef: {resource: pods, namespace: default, apiVersion: v1}
        responseStatus: {code: 403}
        annotations: {authorization.k8s.io/decision: forbid}

    Quiet:

        verb: get
        user: {username: "system:anonymous", groups: ["system:unauthenticated"]}
        requestURI: /api
        responseStatus: {code: 403}
        annotations: {authorization.k8s.io/decision: forbid}

    Sources: Kubernetes documentation, Anonymous requests; MITRE ATT&CK T1190.
    """
    # Google leaves the name out of entries of its own services.
    nobody = is_anonymous(event.user) or (not event.user.username and event.is_refused and event.knows_groups)
    if not nobody or event.verb not in _WRITES or event.went_on or not event.target.resource:
        return None
    return Observation(f"nobody{origin(event)} tries to {event.verb} {what(event)}")


@INDICATOR.detects(
    "anonymous-request-from-internet",
    severity=Severity.LOW,
    technique="T1595",
    related=("anonymous-binding",),
)
def anonymous_request_from_internet(event: AuditEvent) -> Observation | None:
    """Someone on the Internet talks to the API server without credentials.

    Whatever the answer was, the API server can be reached from a public address, and someone looks at it. Scanners
    find an open port within hours. Probes of load balancers come from private addresses.

    Fires:

        verb: get
        user: {username: "system:anonymous", groups: ["system:unauthenticated"]}
        sourceIPs: [8.8.4.4]
        requestURI: /version
        responseStatus: {code: 200}

    Quiet:

        verb: get
        user: {username: "system:anonymous", groups: ["system:unauthenticated"]}
        sourceIPs: [172.20.1.15]
        requestURI: /healthz
        responseStatus: {code: 200}

    Sources: MITRE ATT&CK T1595, Active Scanning.
    """
    if not is_anonymous(event.user) or not is_public(event.source_ip):
        return None
    return Observation(f"nobody{origin(event)} asks for {what(event)} (answer: {event.code or 'unknown'})")


@INDICATOR.detects(
    "system-account-from-internet",
    severity=Severity.MEDIUM,
    technique="T1078",
    related=("token-automounted", "secret-access"),
)
def system_account_from_internet(event: AuditEvent) -> Observation | None:
    """An account of the cluster is used from the Internet.

    Components, nodes and ServiceAccounts act from within the cluster. A request of theirs that comes from a public
    address is one of a credential that was carried away. Nodes that a cloud names are left out: behind NAT they reach a
    public endpoint from a public address.

    Fires:

        verb: list
        user: {username: "system:serviceaccount:kube-system:coredns"}
        sourceIPs: [8.8.4.4]
        objectRef: {resource: endpointslices, apiGroup: discovery.k8s.io}
        responseStatus: {code: 200}

    Quiet:

        verb: list
        user: {username: "system:serviceaccount:kube-system:coredns"}
        sourceIPs: [10.0.27.115]
        objectRef: {resource: endpointslices, apiGroup: discovery.k8s.io}
        responseStatus: {code: 200}

    Sources: MITRE ATT&CK T1078; Kubernetes documentation, Service account tokens.
    """
    user = event.user
    if not user.username.startswith("system:") or is_anonymous(user) or is_node_of_cloud(user) or is_cloud(user):
        return None
    if event.is_refused or not event.went_on or not is_public(event.source_ip):
        return None
    return Observation(f"{who(event)} acts{origin(event)}, on the Internet: {event.verb} {what(event)}")


@INDICATOR.detects(
    "node-account-outside-kubelet",
    severity=Severity.HIGH,
    technique="T1078",
    related=("sensitive-host-path", "node-proxy-access"),
)
def node_account_outside_kubelet(event: AuditEvent) -> Observation | None:
    """A node's own credential is used by another program than the kubelet.

    The credential lies in files of the node. A client that says that it is kubectl, curl or a script and is a node to
    the API server has read it there: who holds the node reads the secrets of all its pods this way.

    Fires:

        verb: get
        user: {username: "system:node:worker-1", groups: ["system:nodes"]}
        userAgent: curl/8.5.0
        sourceIPs: [10.0.0.7]
        objectRef: {resource: secrets, namespace: shop, name: db}
        responseStatus: {code: 200}

    Quiet:

        verb: get
        user: {username: "system:node:worker-1", groups: ["system:nodes"]}
        userAgent: kubelet/v1.36.0 (linux/amd64) kubernetes/abcdef0
        sourceIPs: [10.0.0.7]
        objectRef: {resource: secrets, namespace: shop, name: db}
        responseStatus: {code: 200}

    Sources: Kubernetes documentation, Using Node Authorization; MITRE ATT&CK T1078.
    """
    if not is_node(event.user) or not (uses_tool_of_person(event) or uses_script(event)):
        return None
    if event.user_agent.lower().startswith("go-http-client"):
        return None
    return Observation(f"{who(event)} is used by {_agent(event)}{origin(event)}: {event.verb} {what(event)}")


def _agent(event: AuditEvent) -> str:
    return clip(event.user_agent.partition(" ")[0], 40)


@INDICATOR.detects(
    "service-account-in-hands",
    severity=Severity.LOW,
    technique="T1528",
    related=("token-automounted", "shared-service-account"),
)
def service_account_in_hands(event: AuditEvent) -> Observation | None:
    """A ServiceAccount is used by a tool that people type.

    Programs in pods talk to the API server by a client library. The same account with kubectl, curl or a script of
    Python is either a pipeline, which an exception can name, or someone with a token that was taken out of a pod. Helm is
    left out: with a ServiceAccount it is a pipeline nearly always.

    Fires:

        verb: list
        user: {username: "system:serviceaccount:shop:web"}
        userAgent: kubectl/v1.36.0 (linux/amd64)
        objectRef: {resource: pods, namespace: shop}
        responseStatus: {code: 200}

    Quiet:

        verb: list
        user: {username: "system:serviceaccount:shop:web"}
        userAgent: web/v0.0.0 (linux/amd64) kubernetes/$Format
        objectRef: {resource: pods, namespace: shop}
        responseStatus: {code: 200}

    Sources: MITRE ATT&CK T1528; kubernetes/client-go, rest.DefaultKubernetesUserAgent.
    """
    if service_account_of(event.user.username) is None or is_own(event.user) or not uses_tool_of_person(event):
        return None
    if event.code == 401 or event.user_agent.lower().startswith("helm"):
        return None
    refused = " (refused)" if event.is_refused else ""
    severity = Severity.MEDIUM if event.is_refused or event.target.resource == "secrets" else None
    return Observation(f"{who(event)} is used by {_agent(event)}: {event.verb} {what(event)}{refused}", severity)


@INDICATOR.detects(
    "attack-tool",
    severity=Severity.HIGH,
    technique="T1613",
)
def attack_tool_used(event: AuditEvent) -> Observation | None:
    """The client says that it is a tool of attackers or scanners.

    Tools that enumerate rights, hunt secrets or probe clusters often leave their own name in the user agent. Where a
    team runs one on purpose, the account and the address say so.

    Fires:

        verb: create
        user: {username: alice}
        userAgent: kubectl-access_matrix/v0.0.0 (linux/amd64) kubernetes/$Format
        objectRef: {resource: selfsubjectaccessreviews, apiGroup: authorization.k8s.io}
        responseStatus: {code: 201}

    Quiet:

        verb: create
        user: {username: alice}
        userAgent: kubectl/v1.36.0 (linux/amd64)
        objectRef: {resource: selfsubjectaccessreviews, apiGroup: authorization.k8s.io}
        responseStatus: {code: 201}

    Sources: the tools' own source code; MITRE ATT&CK T1613.
    """
    name = attack_tool(event)
    if not name or (event.code == 401 and not event.user.username):
        return None
    return Observation(f"{who(event)}{origin(event)} uses {name}: {event.verb} {what(event)}")


@INDICATOR.detects(
    "impersonation",
    severity=Severity.MEDIUM,
    technique="T1134.003",
    related=("escalation-verb", "rbac-management"),
)
def impersonation(event: AuditEvent) -> Observation | None:
    """Someone acts in another's name.

    The right to impersonate is the right to be anyone that it covers. It is high where the other is an administrator, a
    component of the cluster or an account of `kube-system`. Gateways that do so for every user (as a ServiceAccount, for
    people without such power) are reported as low.

    Fires:

        verb: get
        user: {username: alice}
        impersonatedUser: {username: "system:admin", groups: ["system:masters"]}
        objectRef: {resource: secrets, namespace: kube-system, name: bootstrap}
        responseStatus: {code: 200}

    Quiet:

        verb: get
        user: {username: alice}
        objectRef: {resource: pods, namespace: shop, name: web}
        responseStatus: {code: 200}

    Sources: Kubernetes documentation, User impersonation; MITRE ATT&CK T1134.
    """
    other = event.impersonated
    if other is None or is_own(event.user) or event.is_refused or not event.went_on:
        return None
    if is_cloud(other):
        return None
    privileged = (
        not _PRIVILEGED_GROUPS.isdisjoint(other.groups)
        or other.username in _PRIVILEGED_USERS
        or is_control_plane(other)
    )
    severity = Severity.HIGH if privileged else Severity.MEDIUM if is_person(event.user) else Severity.LOW
    return Observation(f"{who(event)} may {event.verb} {what(event)}", severity)


@INDICATOR.detects(
    "token-minted",
    severity=Severity.MEDIUM,
    technique="T1528",
    on=("serviceaccounts/token",),
    related=("token-minting",),
)
def token_minted(event: AuditEvent) -> Observation | None:
    """Someone mints a token of a ServiceAccount.

    The kubelet asks for the tokens of pods, and controllers for their own. A person who asks for one becomes that
    account, for as long as the token lives, outside of any pod. For an account of `kube-system` that is most of the
    cluster.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: serviceaccounts, subresource: token, namespace: shop, name: deployer}
        responseStatus: {code: 201}

    Quiet:

        verb: create
        user: {username: "system:node:worker-1", groups: ["system:nodes"]}
        objectRef: {resource: serviceaccounts, subresource: token, namespace: shop, name: web}
        responseStatus: {code: 201}

    Sources: Kubernetes documentation, TokenRequest API; MITRE ATT&CK T1528.
    """
    if event.verb not in ("create", "") or not event.went_on or is_own(event.user):
        return None
    target, account = event.target, service_account_of(event.user.username)
    if account == (target.namespace, target.name):
        return None
    if account is not None and account[0] == target.namespace:
        severity = Severity.LOW
    else:
        severity = Severity.HIGH if target.namespace == "kube-system" else Severity.MEDIUM
    return Observation(f"{who(event)} mints a token of ServiceAccount {target.namespace}/{target.name}", severity)


@INDICATOR.detects(
    "token-in-two-places",
    severity=Severity.MEDIUM,
    technique="T1550.001",
    related=("token-automounted",),
    window=timedelta(minutes=30),
)
def token_in_two_places(event: AuditEvent, steps: Steps) -> Observation | None:
    """One token is used from two addresses.

    A token that is tied to a pod is used from that pod's address, or its node's. The same token (its id stands in the
    log) from another address within half an hour was copied. Two addresses of one pod, as IPv4 and IPv6 give it, count
    as one each.

    Fires:

        - verb: list
          user: &web
            username: system:serviceaccount:shop:web
            extra: {authentication.kubernetes.io/credential-id: [JTI=7d1f]}
          sourceIPs: [10.0.1.7]
          objectRef: {resource: pods, namespace: shop}
          responseStatus: {code: 200}
          stageTimestamp: "2026-11-30T10:00:00Z"
        - verb: list
          user: *web
          sourceIPs: [10.0.9.9]
          objectRef: {resource: secrets, namespace: shop}
          responseStatus: {code: 200}
          stageTimestamp: "2026-11-30T10:05:00Z"

    Quiet:

        - verb: list
          user: &web
            username: system:serviceaccount:shop:web
            extra: {authentication.kubernetes.io/credential-id: [JTI=7d1f]}
          sourceIPs: [10.0.1.7]
          objectRef: {resource: pods, namespace: shop}
          responseStatus: {code: 200}
          stageTimestamp: "2026-11-30T10:00:00Z"
        - verb: list
          user: *web
          sourceIPs: [10.0.1.7]
          objectRef: {resource: secrets, namespace: shop}
          responseStatus: {code: 200}
          stageTimestamp: "2026-11-30T10:05:00Z"

    Sources: Kubernetes documentation, Schema for service account private claims; MITRE ATT&CK T1550.001.
    """
    token = event.user.told("credential-id")
    if not token or not event.source_ip or is_own(event.user) or service_account_of(event.user.username) is None:
        return None
    # An address family of its own: a pod has one of each.
    family = "6" if ":" in event.source_ip else "4"
    before = steps.recall(event.user.username, token + family, event.when)
    if before is None or before.what != event.source_ip:
        steps.note(event.user.username, token + family, event.when, event.source_ip)
    if before is None or before.what == event.source_ip:
        return None
    return Observation(f"the token {token[:40]} of {who(event)} is used{origin(event)}, before from {before.what}")


@INDICATOR.detects(
    "rights-listed",
    severity=Severity.LOW,
    technique="T1069",
    on=("selfsubjectrulesreviews", "selfsubjectaccessreviews"),
    related=("shared-service-account",),
)
def rights_listed(event: AuditEvent) -> Observation | None:
    """Someone asks what an account may do.

    `kubectl auth can-i --list` is the first thing to type with a credential that was found. Asking for all rights is
    reported for every account but the cluster's; asking for one right only where it is done by a tool that people type
    or a script. Programs ask for their users, too, and are left out.

    Fires:

        verb: create
        user: {username: "system:serviceaccount:shop:web"}
        objectRef: {resource: selfsubjectrulesreviews, apiGroup: authorization.k8s.io}
        responseStatus: {code: 201}

    Quiet:

        verb: create
        user: {username: "system:serviceaccount:portal:portal"}
        userAgent: portal/v2.1 (linux/amd64)
        objectRef: {resource: selfsubjectaccessreviews, apiGroup: authorization.k8s.io}
        responseStatus: {code: 201}

    Sources: Kubernetes documentation, Checking API access; MITRE ATT&CK T1069.
    """
    if event.verb not in ("create", "") or is_own(event.user) or is_anonymous(event.user):
        return None
    is_account = service_account_of(event.requester.username) is not None or is_node(event.requester)
    if event.target.resource == "selfsubjectaccessreviews" and not uses_tool_of_person(event):
        return None
    return Observation(f"{who(event)} asks what it may do", Severity.MEDIUM if is_account else None)
