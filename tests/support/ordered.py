"""Objects that make a grant or a mount together, in few words."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
_RBAC = "rbac.authorization.k8s.io"


def rule(verbs: str, resources: str, groups: str = "", **more: Any) -> Json:
    return {"apiGroups": groups.split(","), "resources": resources.split(","), "verbs": verbs.split(","), **more}


SECRETS = rule("get,list", "secrets")
PODS = rule("create", "pods")
READ = rule("get,list", "pods")
EVERYTHING = rule("*", "*", "*")
NAMED_WEBHOOK = rule("update", "mutatingwebhookconfigurations", "admissionregistration.k8s.io", resourceNames=["x"])


def role(name: str, *rules: Json, namespace: str = "", labels: Json | None = None, **more: Any) -> Json:
    kind = "Role" if namespace else "ClusterRole"
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {}) | ({"labels": labels} if labels else {})
    return {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": metadata, "rules": list(rules), **more}


def aggregate(name: str, label: str, **more: Any) -> Json:
    selectors = {"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]}
    return role(name, aggregationRule=selectors, **more)


def binding(name: str, to: str, *subjects: str, namespace: str = "", role_kind: str = "ClusterRole") -> Json:
    named = []
    for words in subjects:
        kind, _, who = words.partition(":")
        space, _, account = who.rpartition("/")
        named.append({"kind": kind, "name": account} | ({"namespace": space} if space else {"apiGroup": _RBAC}))
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
        "roleRef": {"apiGroup": _RBAC, "kind": role_kind, "name": to},
        "subjects": named,
    }


def volume(name: str, claim: str = "", *, path: str = "/etc", kind: str = "hostPath", **spec: Any) -> Json:
    namespace, _, called = claim.partition("/")
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], kind: {"path": path}, **spec}
    if claim:
        spec["claimRef"] = {"namespace": namespace, "name": called}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


def claim(name: str, namespace: str = "shop", **spec: Any) -> Json:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def pod(name: str, claimed: str, namespace: str = "shop") -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "containers": [{"name": "app", "image": "hooli.com/shop/web:1.4"}],
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claimed}}],
        },
    }
