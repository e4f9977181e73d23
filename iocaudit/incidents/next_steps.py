"""What to do about an incident, as commands: look closer, keep what is needed, contain, take away."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import NamedTuple

from iocaudit.core.request import service_account_of
from iocaudit.core.shape import Json, strings

MOST = 12
_SCALED = {"Deployment": "deployment", "StatefulSet": "statefulset", "ReplicaSet": "replicaset"}
_GRANTS = {
    "ClusterRoleBinding": "clusterrolebinding",
    "RoleBinding": "rolebinding",
    "MutatingWebhookConfiguration": "mutatingwebhookconfiguration",
    "ValidatingWebhookConfiguration": "validatingwebhookconfiguration",
}


class NextStep(NamedTuple):
    """Why, and the command that does it."""

    why: str
    command: str


def next_steps(incident: Json) -> list[NextStep]:
    """At most ``MOST``; what only looks comes first."""
    accounts, targets = strings(incident.get("accounts")), strings(incident.get("targets"))
    found = [step for target in targets for step in _keep(target)]
    found += [step for account in accounts for step in _look(account)]
    found += [step for target in targets for step in _contain(target)]
    found += [step for account in accounts for step in _take_away(account)]
    return list(dict.fromkeys(found))[:MOST]


def _parts(target: str) -> tuple[str, str, str]:
    """Namespace (empty in cluster scope), kind and name."""
    parts = target.split("/", 2)
    if len(parts) == 3:
        return parts[0], parts[1], parts[2]
    return ("", parts[0], parts[1]) if len(parts) == 2 else ("", "", "")


def _kubectl(namespace: str, *words: str) -> str:
    where = ["-n", namespace] if namespace else []
    return shlex.join(["kubectl", *where, *words])


def _keep(target: str) -> Iterator[NextStep]:
    namespace, kind, name = _parts(target)
    if kind == "Pod" or kind in _SCALED:
        words = _kubectl(namespace, "get", f"{_SCALED.get(kind, 'pod')}/{name}", "-o", "yaml")
        yield NextStep("keep what ran, before anything is changed", words)


def _look(account: str) -> Iterator[NextStep]:
    if not account:
        return
    way = shlex.join(["iocaudit", "rbac", "path", "--cluster", "--", account])
    yield NextStep(f"see how {account} gets to cluster-admin", way)
    deeds = shlex.join(["iocaudit", "activity", "--", account, "AUDIT-LOG"])
    yield NextStep(f"see all that {account} did", deeds)


def _contain(target: str) -> Iterator[NextStep]:
    namespace, kind, name = _parts(target)
    if kind in _SCALED:
        yield NextStep("stop the workload", _kubectl(namespace, "scale", f"{_SCALED[kind]}/{name}", "--replicas=0"))
    elif kind == "DaemonSet":
        yield NextStep("stop the workload on every node", _kubectl(namespace, "delete", "daemonset", name))
    elif kind == "Pod":
        yield NextStep("stop the pod, once it was looked at", _kubectl(namespace, "delete", "pod", name))
    elif kind == "Node":
        yield NextStep("let nothing new start on the node", _kubectl("", "cordon", name))
    elif kind == "Secret":
        look = _kubectl(namespace, "describe", "secret", name)
        yield NextStep("have a new value in the Secret, where it comes from", look)
    elif kind in _GRANTS:
        yield NextStep("take it away, where it is not meant", _kubectl(namespace, "delete", _GRANTS[kind], name))


def _take_away(account: str) -> Iterator[NextStep]:
    found = service_account_of(account)
    if found is not None:
        namespace, name = found
        yield NextStep(
            "make the tokens of the account invalid (its workloads need it again)",
            _kubectl(namespace, "delete", "serviceaccount", name),
        )
