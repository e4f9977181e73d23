"""What the cluster is run by and is changed: its own settings, its limits of requests, and what runs among its parts."""

from __future__ import annotations

from iocaudit.core.namespaces import SYSTEM_NAMESPACES
from iocaudit.core.severity import Severity
from iocaudit.core.shape import lookup, text
from iocaudit.signals.accounts import is_node, is_own, is_person
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.indicators import escalation, files, inbound, mining
from iocaudit.signals.indicators.declaration import Observation
from iocaudit.signals.wording import name_of, what, who

_WRITES = ("create", "update", "patch")
_CHANGES = (*_WRITES, "delete", "deletecollection")
_SETTINGS = frozenset(
    {
        ("kube-system", "kubeadm-config"),
        ("kube-system", "kubelet-config"),
        ("kube-system", "kube-proxy"),
        ("kube-system", "kube-proxy-config"),
        ("kube-system", "extension-apiserver-authentication"),
        ("kube-public", "cluster-info"),
    }
)
_STATIC_PODS = (
    "etcd-",
    "kube-apiserver-",
    "kube-controller-manager-",
    "kube-scheduler-",
    "kube-proxy-",
    "kube-vip-",
    "haproxy-",
    "keepalived-",
    "kube-addon-manager-",
    "cloud-controller-manager-",
    "konnectivity-",
    "nginx-proxy-",
)
"""What kubeadm, kubespray, k3s, RKE2 and managed clusters run as static pods."""
_MIRROR = "kubernetes.io/config.mirror"


@inbound.INDICATOR.detects(
    "request-limits-changed",
    severity=Severity.MEDIUM,
    technique="T1499",
    on=("flowschemas", "prioritylevelconfigurations"),
    related=("apiserver-flow-exempt",),
)
def request_limits_changed(event: AuditEvent) -> Observation | None:
    """Someone changes how the API server shares its time among requests.

    FlowSchemas and PriorityLevelConfigurations keep one client from taking it all. Who widens his own, or takes away those
    of the cluster, can shut the others out.

    Fires:

        verb: patch
        user: {username: alice}
        objectRef: {resource: flowschemas, apiGroup: flowcontrol.apiserver.k8s.io, name: exempt}
        responseStatus: {code: 200}

    Quiet:

        verb: update
        user: {username: "system:apiserver"}
        objectRef: {resource: flowschemas, apiGroup: flowcontrol.apiserver.k8s.io, name: exempt}
        responseStatus: {code: 200}

    Sources: Kubernetes documentation, API Priority and Fairness; MITRE ATT&CK T1499.
    """
    if event.verb not in _CHANGES or not event.went_on or is_own(event.user):
        return None
    return Observation(f"{who(event)} changes limits of requests: {event.verb} {what(event)}")


@escalation.INDICATOR.detects(
    "cluster-settings-changed",
    severity=Severity.MEDIUM,
    technique="T1562",
    on=("configmaps",),
    related=("configmap-tampering",),
)
def cluster_settings_changed(event: AuditEvent) -> Observation | None:
    """Someone changes the settings that the cluster's own parts read.

    What nodes join with, what kubelets and kube-proxy run with, and whom aggregated API servers believe. It changes when a
    cluster is installed or upgraded, and by hand.

    Fires:

        verb: patch
        user: {username: alice}
        objectRef: {resource: configmaps, namespace: kube-system, name: kubeadm-config}
        responseStatus: {code: 200}

    Quiet:

        verb: patch
        user: {username: alice}
        objectRef: {resource: configmaps, namespace: shop, name: settings}
        responseStatus: {code: 200}

    Sources: Kubernetes documentation, kubeadm; MITRE ATT&CK T1562.
    """
    if event.verb not in _CHANGES or not event.went_on or is_own(event.user):
        return None
    if (event.target.namespace, event.target.name) not in _SETTINGS:
        return None
    severity = Severity.LOW if event.verb == "create" else None
    return Observation(f"{who(event)} changes the cluster's settings: {event.verb} {what(event)}", severity)


@escalation.INDICATOR.detects(
    "role-changed",
    severity=Severity.LOW,
    technique="T1098.006",
    on=escalation.ROLES,
    related=("rbac-management",),
)
def role_changed(event: AuditEvent) -> Observation | None:
    """A person changes or deletes a role, and the log does not hold what it grants.

    At level Metadata nothing says whether a role is harmless. Where the log holds the role it is judged by what it grants.

    Fires:

        verb: patch
        level: Metadata
        user: {username: alice}
        objectRef: {resource: clusterroles, apiGroup: rbac.authorization.k8s.io, name: reader}
        responseStatus: {code: 200}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: clusterroles, apiGroup: rbac.authorization.k8s.io, name: reader}
        requestObject: {rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]}
        responseStatus: {code: 201}

    Sources: MITRE ATT&CK T1098.006; Kubernetes documentation, Auditing.
    """
    if event.verb not in _CHANGES or not event.went_on or not is_person(event.user):
        return None
    holds = event.request_object is not None or event.response_object is not None or event.json_patch
    if holds and event.verb in _WRITES:
        return None
    return Observation(f"{who(event)} changes {what(event)}: {event.verb}")


@escalation.INDICATOR.detects(
    "workload-made-in-system-namespace",
    severity=Severity.LOW,
    technique="T1036.005",
    on=("deployments", "daemonsets", "statefulsets", "jobs", "cronjobs", "replicasets"),
    related=("workload-in-system-namespace", "workload-creation"),
)
def workload_made_in_system_namespace(event: AuditEvent) -> Observation | None:
    """Someone starts a workload among those of the cluster.

    Add-ons are installed so. In a running cluster it is rare enough for a line each: what runs there is trusted by guards
    that look away, and is taken for the cluster's own.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: deployments, apiGroup: apps, namespace: kube-system, name: helper}
        responseStatus: {code: 201}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: deployments, apiGroup: apps, namespace: shop, name: web}
        responseStatus: {code: 201}

    Sources: Microsoft threat matrix for Kubernetes, Pod or container name similarity; MITRE ATT&CK T1036.005.
    """
    if event.verb != "create" or not event.went_on or is_own(event.user):
        return None
    if event.target.namespace not in SYSTEM_NAMESPACES:
        return None
    return Observation(f"{who(event)} creates {what(event)}")


@files.INDICATOR.detects(
    "static-pod-appeared",
    severity=Severity.MEDIUM,
    technique="T1543",
    on=("pods",),
    related=("sensitive-host-path", "writable-host-path"),
)
def static_pod_appeared(event: AuditEvent) -> Observation | None:
    """A node runs a pod from a file of its own.

    The kubelet runs what lies in its folder of manifests, whatever admission says, and shows it to the API server as a
    mirror. The control plane of many clusters runs so; another file there was written by someone on the node.

    Fires:

        verb: create
        user: {username: "system:node:node-1", groups: ["system:nodes"]}
        objectRef: {resource: pods, namespace: kube-system, name: helper-node-1}
        requestObject: {metadata: {name: helper-node-1, annotations: {kubernetes.io/config.mirror: abc}}, spec: {containers: [{name: c, image: x}]}}
        responseStatus: {code: 201}

    Quiet:

        verb: create
        user: {username: "system:node:node-1", groups: ["system:nodes"]}
        objectRef: {resource: pods, namespace: kube-system, name: kube-apiserver-node-1}
        requestObject: {metadata: {name: kube-apiserver-node-1, annotations: {kubernetes.io/config.mirror: abc}}, spec: {containers: [{name: c, image: x}]}}
        responseStatus: {code: 201}

    Sources: Kubernetes documentation, Create static Pods; MITRE ATT&CK T1543, Create or Modify System Process.
    """
    if event.verb != "create" or not event.went_on or not is_node(event.user):
        return None
    if not text(lookup(event.request_object, "metadata", "annotations", _MIRROR)):
        return None
    if name_of(event).startswith(_STATIC_PODS):
        return None
    return Observation(f"{who(event)} runs {what(event)} from a file on the node")


@mining.INDICATOR.detects(
    "priority-class-made",
    severity=Severity.LOW,
    technique="T1496",
    on=("priorityclasses",),
    related=("namespace-without-quota",),
)
def priority_class_made(event: AuditEvent) -> Observation | None:
    """A person makes or changes a PriorityClass.

    Pods of a higher priority push others off their nodes: a miner that nothing can push away, or a denial of service to
    everything else.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: priorityclasses, apiGroup: scheduling.k8s.io, name: first}
        responseStatus: {code: 201}

    Quiet:

        verb: create
        user: {username: "system:apiserver"}
        objectRef: {resource: priorityclasses, apiGroup: scheduling.k8s.io, name: system-node-critical}
        responseStatus: {code: 201}

    Sources: Kubernetes documentation, Pod Priority and Preemption; MITRE ATT&CK T1496.
    """
    if event.verb not in _WRITES or not event.went_on or not is_person(event.user):
        return None
    return Observation(f"{who(event)} changes priorities of pods: {event.verb} {what(event)}")
