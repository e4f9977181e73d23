"""What is taken away: policies and limits, namespaces, nodes and volumes, whole collections, and traces."""

from __future__ import annotations

from datetime import timedelta

from iocaudit.core.severity import Severity
from iocaudit.core.shape import lookup
from iocaudit.signals.accounts import is_own, is_person
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.indicators import mining, outbound, user_activity
from iocaudit.signals.indicators.declaration import Observation
from iocaudit.signals.memory import Steps
from iocaudit.signals.wording import account_of, what, who

_DELETES = ("delete", "deletecollection")
_NETWORK_POLICIES = (
    "networkpolicies",
    "globalnetworkpolicies",
    "ciliumnetworkpolicies",
    "ciliumclusterwidenetworkpolicies",
    "adminnetworkpolicies",
    "baselineadminnetworkpolicies",
    "clusternetworkpolicies",
)
_PARTS = ("namespaces", "nodes", "customresourcedefinitions", "persistentvolumes", "storageclasses")
_COLLECTIONS = (
    "pods",
    "deployments",
    "daemonsets",
    "statefulsets",
    "replicasets",
    "jobs",
    "cronjobs",
    "services",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "serviceaccounts",
    "roles",
    "ingresses",
)


def _is_deletion(event: AuditEvent) -> bool:
    return event.verb in _DELETES and event.went_on and not is_own(event.user)


@outbound.INDICATOR.detects(
    "isolation-removed",
    severity=Severity.LOW,
    technique="T1562.007",
    on=_NETWORK_POLICIES,
    related=("no-ingress-policy", "no-egress-policy", "network-policy-write"),
)
def isolation_removed(event: AuditEvent) -> Observation | None:
    """Someone deletes a policy of the network.

    Without it the pods that it selected reach what they like and are reached by all. By a person it is medium; tools that
    remove an application remove its policies as well.

    Fires:

        verb: delete
        user: {username: alice}
        objectRef: {resource: networkpolicies, apiGroup: networking.k8s.io, namespace: shop, name: default-deny}
        responseStatus: {code: 200}

    Quiet:

        verb: delete
        user: {username: "system:serviceaccount:kube-system:namespace-controller"}
        objectRef: {resource: networkpolicies, apiGroup: networking.k8s.io, namespace: shop, name: default-deny}
        responseStatus: {code: 200}

    Sources: MITRE ATT&CK T1562.007, Disable or Modify Cloud Firewall.
    """
    if not _is_deletion(event):
        return None
    return Observation(f"{who(event)} deletes {what(event)}", Severity.MEDIUM if is_person(event.user) else None)


@mining.INDICATOR.detects(
    "limits-removed",
    severity=Severity.LOW,
    technique="T1496",
    on=("resourcequotas", "limitranges"),
    related=("namespace-without-quota",),
)
def limits_removed(event: AuditEvent) -> Observation | None:
    """Someone deletes what bounds the resources of a namespace.

    Without its ResourceQuota and LimitRange a namespace takes what the nodes have, which is what a miner needs.

    Fires:

        verb: delete
        user: {username: alice}
        objectRef: {resource: resourcequotas, namespace: shop, name: compute}
        responseStatus: {code: 200}

    Quiet:

        verb: deletecollection
        user: {username: "system:serviceaccount:kube-system:namespace-controller"}
        objectRef: {resource: resourcequotas, namespace: shop}
        responseStatus: {code: 200}

    Sources: Kubernetes documentation, Resource Quotas; MITRE ATT&CK T1496, Resource Hijacking.
    """
    return Observation(f"{who(event)} deletes {what(event)}") if _is_deletion(event) else None


@user_activity.INDICATOR.detects(
    "part-of-cluster-deleted",
    severity=Severity.LOW,
    technique="T1485",
    on=_PARTS,
    related=("workload-creation",),
)
def part_of_cluster_deleted(event: AuditEvent) -> Observation | None:
    """Someone deletes a namespace, a node, a definition of objects or a volume.

    All that is in a namespace, and all objects of a definition, go with it. People do so when something has had its time;
    what the cluster and its autoscalers delete is left out.

    Fires:

        verb: delete
        user: {username: alice}
        objectRef: {resource: namespaces, namespace: shop, name: shop}
        responseStatus: {code: 200}

    Quiet:

        verb: delete
        user: {username: "system:serviceaccount:kube-system:cluster-autoscaler"}
        objectRef: {resource: nodes, name: node-1}
        responseStatus: {code: 200}

    Sources: MITRE ATT&CK T1485, Data Destruction.
    """
    if not _is_deletion(event) or not is_person(event.user):
        return None
    return Observation(f"{who(event)} deletes {what(event)}")


@user_activity.INDICATOR.detects(
    "collection-deleted",
    severity=Severity.LOW,
    technique="T1485",
    on=_COLLECTIONS,
    related=("workload-creation",),
)
def collection_deleted(event: AuditEvent) -> Observation | None:
    """Someone deletes all objects of a kind by one request.

    The cluster empties a namespace that goes in this way. People, and the programs that they run, delete by name.

    Fires:

        verb: deletecollection
        user: {username: alice}
        objectRef: {resource: persistentvolumeclaims, namespace: shop}
        responseStatus: {code: 200}

    Quiet:

        verb: deletecollection
        user: {username: "system:serviceaccount:kube-system:namespace-controller"}
        objectRef: {resource: persistentvolumeclaims, namespace: shop}
        responseStatus: {code: 200}

    Sources: MITRE ATT&CK T1485.
    """
    if event.verb != "deletecollection" or not _is_deletion(event):
        return None
    return Observation(f"{who(event)} deletes all {what(event)}")


@user_activity.INDICATOR.detects(
    "traces-removed",
    severity=Severity.MEDIUM,
    technique="T1070",
    on=("events",),
    related=("event-deletion",),
)
def traces_removed(event: AuditEvent) -> Observation | None:
    """Someone deletes Events.

    Events expire by themselves; nothing but the cluster's own clean-up deletes them. A person who does hides what
    happened to a pod.

    Fires:

        verb: deletecollection
        user: {username: alice}
        objectRef: {resource: events, namespace: shop}
        responseStatus: {code: 200}

    Quiet:

        verb: deletecollection
        user: {username: "system:serviceaccount:kube-system:namespace-controller"}
        objectRef: {resource: events, namespace: gone}
        responseStatus: {code: 200}

    Sources: Microsoft threat matrix for Kubernetes, Delete Kubernetes events; MITRE ATT&CK T1070.
    """
    if event.verb not in ("delete", "deletecollection") or is_own(event.user) or not event.went_on:
        return None
    return Observation(f"{who(event)} deletes {what(event)}")


@user_activity.INDICATOR.detects(
    "workloads-destroyed",
    severity=Severity.MEDIUM,
    technique="T1485",
    on=(
        "deployments",
        "daemonsets",
        "statefulsets",
        "namespaces",
        "persistentvolumeclaims",
        "persistentvolumes",
        "secrets",
        "configmaps",
        "services",
        "pods",
        "deployments/scale",
        "statefulsets/scale",
    ),
    related=("workload-creation",),
    window=timedelta(minutes=5),
)
def workloads_destroyed(event: AuditEvent, steps: Steps) -> Observation | None:
    """One account deletes many things in a short time.

    Ten different workloads, volumes, secrets or namespaces within five minutes are an environment that is taken down:
    by its owner, or by someone who wants to do harm. Workloads that are scaled to nothing count, and pods from the
    fortieth on. What the cluster collects by itself, and Helm's own records, do not count.

    Fires:

        many: 10
        verb: delete
        user: {username: alice}
        objectRef: {resource: namespaces, name: "team-%d"}
        responseStatus: {code: 200}
        stageTimestamp: "2026-11-30T10:00:00Z"

    Quiet:

        - {verb: delete, user: {username: alice}, objectRef: {resource: deployments, namespace: shop, name: web}, responseStatus: {code: 200}, stageTimestamp: "2026-11-30T10:00:00Z"}

    Sources: MITRE ATT&CK T1485, Data Destruction.
    """
    if not event.went_on or is_own(event.user) or not (event.verb in _DELETES or _is_stopped(event)):
        return None
    target = event.target
    if target.name.startswith("sh.helm.release."):
        return None
    item = f"{target.resource}/{target.namespace}/{target.name}"
    most, key = (40, f"pods of {account_of(event)}") if target.resource == "pods" else (10, account_of(event))
    if not steps.reaches(key, item, event.when, most):
        return None
    return Observation(f"{who(event)} took away {most} different objects within 5 minutes, {what(event)} the last")


def _is_stopped(event: AuditEvent) -> bool:
    """Whether a workload is scaled to nothing."""
    return event.target.subresource == "scale" and lookup(event.request_object, "spec", "replicas") == 0
