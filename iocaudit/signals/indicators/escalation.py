"""Indicator 3: attaching to cluster-admin, privilege escalation, privileged starts. Here what concerns RBAC."""

from __future__ import annotations

import re
from typing import Any

from iocaudit.core.namespaces import SYSTEM_NAMESPACES
from iocaudit.core.request import service_account_of
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import items, lookup, mapping, mappings, strings, text
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rbac.defaults import default_role
from iocaudit.signals.accounts import is_own, is_person, uses_tool_of_person
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.indicators.declaration import Indicator, Observation
from iocaudit.signals.wording import name_of, what, who

INDICATOR = Indicator(
    IoC.CLUSTER_ADMIN,
    "privilege-escalation",
    "Bindings to cluster-admin, roles that are widened, the guards of the cluster that are taken down, certificates that "
    "are approved. What an object that was written gives away, the checks say: each object in an audit event is judged "
    "as in a scan.",
    "An escape from a container into its node, which Falco sees.",
)
BINDINGS = ("rolebindings", "clusterrolebindings")
ROLES = ("roles", "clusterroles")
WRITES = ("create", "update", "patch")
_POWERFUL_VERBS = frozenset({"*", "escalate", "bind", "impersonate"})
_WRITE_VERBS = frozenset({"*", "create", "update", "patch"})
_POWERFUL_WRITES = frozenset(
    {
        "*",
        "clusterroles",
        "clusterrolebindings",
        "roles",
        "rolebindings",
        "pods/exec",
        "pods/attach",
        "pods/ephemeralcontainers",
        "serviceaccounts/token",
        "nodes/proxy",
        "certificatesigningrequests/approval",
        "mutatingwebhookconfigurations",
    }
)
_CLUSTERS_IMAGES = re.compile(
    r"registry\.k8s\.io/|k8s\.gcr\.io/|gke\.gcr\.io/|gcr\.io/(?:google[-_]containers|gke-release)/|mcr\.microsoft\.com/"
    r"|\d{12}\.dkr\.ecr\.[\w-]+\.amazonaws\.com/(?:eks|amazon)|public\.ecr\.aws/eks"
    r"|(?:quay\.io|docker\.io)/(?:calico|cilium|tigera|coreos|flannel|coredns)/"
)
"""What clusters and their networks are made of, by registry."""
_ANY_WRITES = frozenset({"*", "create", "update", "patch", "delete", "deletecollection"})
_POWERFUL_READS = frozenset({"*", "secrets", "nodes/proxy"})


def object_of(event: AuditEvent) -> dict[str, Any]:
    """What was written: as it was stored where the log says, else as it was sent."""
    for found in (event.response_object, event.request_object):
        if found is not None and found.get("kind") != "Status":
            return found
    return {}


def _patched(event: AuditEvent, field: str) -> list[dict[str, Any]]:
    """The maps of a list that an event writes: of the object, or of the operations of a JSON patch."""
    found = mappings(object_of(event).get(field)) or mappings(mapping(event.request_object).get(field))
    for operation in mappings(event.json_patch):
        if text(operation.get("path")).startswith(f"/{field}") and operation.get("op") in ("add", "replace"):
            value = operation.get("value")
            found = [*found, *(mappings(value) or ([value] if isinstance(value, dict) else []))]
    return found


@INDICATOR.detects(
    "cluster-admin-attached",
    severity=Severity.HIGH,
    technique="T1098.006",
    on=BINDINGS,
    related=("cluster-admin-binding", "masters-group-binding", "rbac-management"),
)
def cluster_admin_attached(event: AuditEvent) -> Observation | None:
    """Someone binds an account to cluster-admin.

    The account may do everything from now on. In a namespace (a RoleBinding) it may do everything there, which is
    medium. The check `cluster-admin-binding` finds the binding as long as it stands; this says who made it, and when.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: clusterrolebindings, apiGroup: rbac.authorization.k8s.io, name: mine}
        requestObject:
          roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
          subjects: [{kind: User, name: alice}]
        responseStatus: {code: 201}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: clusterrolebindings, apiGroup: rbac.authorization.k8s.io, name: readers}
        requestObject:
          roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
          subjects: [{kind: User, name: bob}]
        responseStatus: {code: 201}

    Sources: MITRE ATT&CK T1098.006; Microsoft threat matrix for Kubernetes, Cluster-admin binding.
    """
    if event.verb not in WRITES or not event.went_on or is_own(event.user):
        return None
    role = text(lookup(object_of(event), "roleRef", "name")) or text(lookup(event.request_object, "roleRef", "name"))
    if role != "cluster-admin":
        return None
    subjects = [text(one.get("name")) for one in _patched(event, "subjects")]
    shown = f" for {clip(', '.join(filter(None, subjects)))}" if any(subjects) else ""
    severity = Severity.MEDIUM if event.target.resource == "rolebindings" else None
    return Observation(f"{who(event)} binds cluster-admin by {what(event)}{shown}", severity)


@INDICATOR.detects(
    "binding-changed",
    severity=Severity.LOW,
    technique="T1098.006",
    on=BINDINGS,
    related=("cluster-admin-binding", "rbac-management", "admin-role-bound-widely"),
)
def binding_changed(event: AuditEvent) -> Observation | None:
    """Someone gives or takes rights.

    A binding was created, changed or deleted, by anyone but the cluster itself. Administrators who install something do
    so; in a running system it is rare enough for a line each.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: rolebindings, apiGroup: rbac.authorization.k8s.io, namespace: shop, name: readers}
        responseStatus: {code: 201}

    Quiet:

        verb: create
        user: {username: "system:apiserver"}
        objectRef: {resource: rolebindings, apiGroup: rbac.authorization.k8s.io, namespace: kube-system, name: "system:controller:token-cleaner"}
        responseStatus: {code: 201}

    Sources: MITRE ATT&CK T1098.006.
    """
    if event.verb not in (*WRITES, "delete", "deletecollection") or not event.went_on or is_own(event.user):
        return None
    return Observation(f"{who(event)} {_past(event.verb)} {what(event)}")


def _past(verb: str) -> str:
    return {"patch": "patches", "deletecollection": "deletes"}.get(verb, f"{verb}s")


@INDICATOR.detects(
    "rbac-changed-by-service-account",
    severity=Severity.LOW,
    technique="T1098.006",
    on=(*BINDINGS, *ROLES),
    related=("rbac-management", "escalation-verb", "workload-holds-power"),
)
def rbac_changed_by_service_account(event: AuditEvent) -> Observation | None:
    """A ServiceAccount changes roles or bindings.

    Few programs have reason to: operators that install others, and tools for GitOps. Where the account belongs to an
    application, its token is in other hands. By a tool that people type it is high.

    Fires:

        verb: create
        user: {username: "system:serviceaccount:shop:web"}
        userAgent: kubectl/v1.36.0
        objectRef: {resource: clusterroles, apiGroup: rbac.authorization.k8s.io, name: helper}
        responseStatus: {code: 201}

    Quiet:

        verb: update
        user: {username: "system:serviceaccount:kube-system:clusterrole-aggregation-controller"}
        objectRef: {resource: clusterroles, apiGroup: rbac.authorization.k8s.io, name: edit}
        responseStatus: {code: 200}

    Sources: MITRE ATT&CK T1098.006.
    """
    if event.verb not in (*WRITES, "delete", "deletecollection") or not event.went_on or is_own(event.user):
        return None
    if service_account_of(event.user.username) is None:
        return None
    severity = Severity.HIGH if uses_tool_of_person(event) else None
    return Observation(f"{who(event)} {_past(event.verb)} {what(event)}", severity)


@INDICATOR.detects(
    "powerful-role-written",
    severity=Severity.MEDIUM,
    technique="T1098.006",
    on=ROLES,
    related=("wildcard-rule", "escalation-verb", "exec-permission", "secret-access", "rbac-management"),
)
def powerful_role_written(event: AuditEvent) -> Observation | None:
    """Someone writes a role that leads to more than it says.

    Everything by a wildcard, the verbs escalate, bind and impersonate, writing roles and bindings, exec, minting tokens,
    the kubelet's API, reading Secrets. A change of a role that exists widens the rights of everyone who is bound to it:
    with a wildcard for verbs and resources it is high.

    Fires:

        verb: patch
        user: {username: alice}
        objectRef: {resource: clusterroles, apiGroup: rbac.authorization.k8s.io, name: readers}
        requestObject: {rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]}
        responseStatus: {code: 200}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: roles, apiGroup: rbac.authorization.k8s.io, namespace: shop, name: readers}
        requestObject: {rules: [{apiGroups: [""], resources: [pods, configmaps], verbs: [get, list, watch]}]}
        responseStatus: {code: 201}

    Sources: Kubernetes documentation, RBAC good practices, Privilege escalation risks; MITRE ATT&CK T1098.006.
    """
    if event.verb not in WRITES or not event.went_on or is_own(event.user):
        return None
    found: list[str] = []
    everything = False
    for rule in _patched(event, "rules"):
        verbs, resources = set(strings(rule.get("verbs"))), set(strings(rule.get("resources")))
        if not resources:
            continue
        everything |= "*" in verbs and "*" in resources
        powerful = verbs & _POWERFUL_VERBS
        writes = resources & _POWERFUL_WRITES if verbs & _WRITE_VERBS else set()
        execs = resources & {"pods/exec", "pods/attach", "nodes/proxy"} if "get" in verbs else set()
        reads = resources & _POWERFUL_READS if verbs & {"get", "list", "watch"} else set()
        if powerful or writes or execs or reads:
            found.append(f"{', '.join(sorted(verbs))} on {', '.join(sorted(resources))}")
    if not found:
        return None
    severity = Severity.HIGH if everything and event.verb != "create" else None
    return Observation(f"{who(event)} {_past(event.verb)} {what(event)}: may {clip('; '.join(found))}", severity)


@INDICATOR.detects(
    "writing-role-written",
    severity=Severity.LOW,
    technique="T1098.006",
    on=ROLES,
    related=("workload-creation", "rbac-management"),
)
def writing_role_written(event: AuditEvent) -> Observation | None:
    """Someone writes a role that may change something.

    Most applications need such a role, and get it when they are installed; in a running system it is rare enough for a
    line each. What leads further is `powerful-role-written`.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: roles, apiGroup: rbac.authorization.k8s.io, namespace: shop, name: writers}
        requestObject: {rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, update]}]}
        responseStatus: {code: 201}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: roles, apiGroup: rbac.authorization.k8s.io, namespace: shop, name: readers}
        requestObject: {rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list]}]}
        responseStatus: {code: 201}

    Sources: MITRE ATT&CK T1098.006.
    """
    if event.verb not in WRITES or not event.went_on or is_own(event.user):
        return None
    if not any(_ANY_WRITES.intersection(strings(rule.get("verbs"))) for rule in _patched(event, "rules")):
        return None
    return Observation(f"{who(event)} {_past(event.verb)} {what(event)}, which may change something")


@INDICATOR.detects(
    "system-role-changed",
    severity=Severity.HIGH,
    technique="T1098.006",
    on=ROLES,
    related=("rbac-management",),
)
def system_role_changed(event: AuditEvent) -> Observation | None:
    """Someone changes or deletes a role of Kubernetes itself.

    The API server restores what is missing in its default roles at each start, but not what was added. Other roles whose
    names begin with `system:` belong to add-ons: a change of those is low.

    Fires:

        verb: patch
        user: {username: alice}
        objectRef: {resource: clusterroles, apiGroup: rbac.authorization.k8s.io, name: "system:node"}
        responseStatus: {code: 200}

    Quiet:

        verb: patch
        user: {username: alice}
        objectRef: {resource: clusterroles, apiGroup: rbac.authorization.k8s.io, name: readers}
        responseStatus: {code: 200}

    Sources: Kubernetes documentation, Default roles and role bindings, Auto-reconciliation.
    """
    if event.verb not in (*WRITES, "delete", "deletecollection") or not event.went_on or is_own(event.user):
        return None
    name = name_of(event)
    kind = "Role" if event.target.resource == "roles" else "ClusterRole"
    born = default_role(kind, event.target.namespace or None, name) is not None
    if not born and (not name.startswith("system:") or event.verb == "create"):
        return None
    return Observation(f"{who(event)} {_past(event.verb)} {what(event)}", None if born else Severity.LOW)


@INDICATOR.detects(
    "certificate-signed",
    severity=Severity.MEDIUM,
    technique="T1649",
    on=("certificatesigningrequests", "certificatesigningrequests/approval", "certificatesigningrequests/status"),
    related=("csr-approval",),
)
def certificate_signed(event: AuditEvent) -> Observation | None:
    """Someone asks for or approves a client certificate by hand.

    A certificate of the API server's signer is an identity that cannot be taken back before it ends, with any name and
    group that was asked for. Nodes ask for theirs and controllers approve those, which is left out. An approval by a
    person is high.

    Fires:

        verb: update
        user: {username: alice}
        objectRef: {resource: certificatesigningrequests, subresource: approval, apiGroup: certificates.k8s.io, name: mine}
        responseStatus: {code: 200}

    Quiet:

        verb: create
        user: {username: "system:node:worker-1", groups: ["system:nodes"]}
        objectRef: {resource: certificatesigningrequests, apiGroup: certificates.k8s.io, name: csr-x7k2p}
        responseStatus: {code: 201}

    Sources: Kubernetes documentation, Certificates and Certificate Signing Requests; MITRE ATT&CK T1649.
    """
    if event.verb not in WRITES or not event.went_on or is_own(event.user):
        return None
    if event.user.username.startswith("system:bootstrap:"):
        return None
    if event.target.subresource:
        return Observation(f"{who(event)} approves {what(event)}", Severity.HIGH if is_person(event.user) else None)
    signer = text(lookup(object_of(event), "spec", "signerName"))
    if signer and not signer.startswith("kubernetes.io/"):
        return None
    return Observation(f"{who(event)} asks for a certificate by {what(event)}{f' of {clip(signer)}' if signer else ''}")


@INDICATOR.detects(
    "cloud-identity-mapping-changed",
    severity=Severity.HIGH,
    technique="T1098.006",
    on=("configmaps",),
    related=("configmap-tampering",),
)
def cloud_identity_mapping_changed(event: AuditEvent) -> Observation | None:
    """Someone changes who users are.

    The ConfigMap `aws-auth` of EKS maps identities of the cloud to users and groups, `system:masters` included;
    `extension-apiserver-authentication` says whose headers aggregated API servers believe. A line there is a way in that
    no role shows.

    Fires:

        verb: patch
        user: {username: alice}
        objectRef: {resource: configmaps, namespace: kube-system, name: aws-auth}
        responseStatus: {code: 200}

    Quiet:

        verb: update
        user: {username: "eks:node-manager"}
        objectRef: {resource: configmaps, namespace: kube-system, name: aws-auth}
        responseStatus: {code: 200}

    Sources: Amazon EKS User Guide, aws-auth; Kubernetes documentation, Configure the Aggregation Layer.
    """
    if event.target.namespace != "kube-system" or event.verb not in (*WRITES, "delete"):
        return None
    if event.target.name not in ("aws-auth", "extension-apiserver-authentication"):
        return None
    if not event.went_on or is_own(event.user):
        return None
    return Observation(f"{who(event)} {_past(event.verb)} {what(event)}, which says who users are")


@INDICATOR.detects(
    "admission-changed",
    severity=Severity.MEDIUM,
    technique="T1562.001",
    on=(
        "validatingwebhookconfigurations",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
    ),
    related=("guard-tampering", "webhook-tampering"),
)
def admission_changed(event: AuditEvent) -> Observation | None:
    """Someone changes what guards the API server, or what changes objects on their way in.

    Deleting a validating webhook opens the door; a mutating one of an attacker puts a container into every pod. Programs
    that only keep their own certificate authority in a configuration are left out, and a ServiceAccount that sets up a
    webhook of its own is low.

    Fires:

        verb: delete
        user: {username: alice}
        objectRef: {resource: validatingwebhookconfigurations, apiGroup: admissionregistration.k8s.io, name: guard}
        responseStatus: {code: 200}

    Quiet:

        verb: patch
        user: {username: "system:serviceaccount:cert-manager:cert-manager-cainjector"}
        objectRef: {resource: validatingwebhookconfigurations, apiGroup: admissionregistration.k8s.io, name: cert-manager-webhook}
        requestObject: {webhooks: [{name: webhook.cert-manager.io, clientConfig: {caBundle: "LS0t"}}]}
        responseStatus: {code: 200}

    Sources: Microsoft threat matrix for Kubernetes, Malicious admission controller; MITRE ATT&CK T1562.001.
    """
    if event.verb not in (*WRITES, "delete", "deletecollection") or not event.went_on or is_own(event.user):
        return None
    account = service_account_of(event.user.username)
    if account is not None and not uses_tool_of_person(event):
        if account[1].endswith("cainjector") or _only_certificates(event) or _is_own_webhook(event, account[0]):
            return None
        return Observation(f"{who(event)} {_past(event.verb)} {what(event)}", Severity.LOW)
    return Observation(f"{who(event)} {_past(event.verb)} {what(event)}")


def _only_certificates(event: AuditEvent) -> bool:
    """Whether a patch sets nothing but the certificate authority of webhooks."""
    if event.verb != "patch":
        return False
    if event.json_patch is not None:
        paths = [text(one.get("path")) for one in mappings(event.json_patch)]
        return bool(paths) and all(path.endswith("/clientConfig/caBundle") for path in paths)
    webhooks = mappings(mapping(event.request_object).get("webhooks"))
    fields = {key for one in webhooks for key in one}
    inner = {key for one in webhooks for key in mapping(one.get("clientConfig"))}
    return bool(webhooks) and fields <= {"name", "clientConfig"} and inner <= {"caBundle"}


def _is_own_webhook(event: AuditEvent, namespace: str) -> bool:
    """Whether all webhooks of the configuration are served from the account's own namespace."""
    webhooks = mappings(object_of(event).get("webhooks"))
    served = {text(lookup(one, "clientConfig", "service", "namespace")) for one in webhooks}
    return bool(webhooks) and served == {namespace}


@INDICATOR.detects(
    "aggregated-api-changed",
    severity=Severity.MEDIUM,
    technique="T1557",
    on=("apiservices",),
    related=("admission-bypass",),
)
def aggregated_api_changed(event: AuditEvent) -> Observation | None:
    """Someone has a part of the API answered by a server of their own.

    An APIService hands requests, with the users who make them, to a Service. Who controls it sees what is asked and
    answers as it likes.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: apiservices, apiGroup: apiregistration.k8s.io, name: v1.mine.example.com}
        requestObject: {spec: {service: {namespace: shop, name: mine}}}
        responseStatus: {code: 201}

    Quiet:

        verb: create
        user: {username: "system:apiserver"}
        objectRef: {resource: apiservices, apiGroup: apiregistration.k8s.io, name: v1.apps}
        responseStatus: {code: 201}

    Sources: Kubernetes documentation, Kubernetes API Aggregation Layer.
    """
    if event.verb not in (*WRITES, "delete") or not event.went_on or is_own(event.user):
        return None
    account = service_account_of(event.user.username)
    service = text(lookup(object_of(event), "spec", "service", "namespace"))
    if account is not None and (account[1].endswith("cainjector") or account[0] == service):
        return None
    return Observation(f"{who(event)} {_past(event.verb)} {what(event)}")


@INDICATOR.detects(
    "pod-security-loosened",
    severity=Severity.MEDIUM,
    technique="T1562",
    on=("namespaces",),
    related=("namespace-unguarded",),
)
def pod_security_loosened(event: AuditEvent) -> Observation | None:
    """Someone loosens the Pod Security Standard of a namespace.

    The label `pod-security.kubernetes.io/enforce` was set to `privileged` or taken away: from now on pods that hold the
    node are let in.

    Fires:

        verb: patch
        user: {username: alice}
        objectRef: {resource: namespaces, namespace: shop, name: shop}
        requestObject: {metadata: {labels: {pod-security.kubernetes.io/enforce: privileged}}}
        responseStatus: {code: 200}

    Quiet:

        verb: patch
        user: {username: alice}
        objectRef: {resource: namespaces, namespace: shop, name: shop}
        requestObject: {metadata: {labels: {pod-security.kubernetes.io/enforce: restricted}}}
        responseStatus: {code: 200}

    Sources: Kubernetes documentation, Pod Security Admission.
    """
    if event.verb not in ("update", "patch") or not event.went_on or is_own(event.user):
        return None
    label = "pod-security.kubernetes.io/enforce"
    labels = mapping(lookup(event.request_object, "metadata", "labels"))
    removed = label in labels and labels[label] is None
    for operation in mappings(event.json_patch):
        if text(operation.get("path")) == f"/metadata/labels/{label.replace('/', '~1')}":
            removed |= operation.get("op") == "remove"
            labels = {label: operation.get("value")}
    if not removed and labels.get(label) != "privileged":
        return None
    return Observation(f"{who(event)} lets privileged pods into namespace {clip(name_of(event))}")


@INDICATOR.detects(
    "account-made-in-system-namespace",
    severity=Severity.LOW,
    technique="T1136",
    on=("serviceaccounts",),
    related=("workload-in-system-namespace",),
)
def account_made_in_system_namespace(event: AuditEvent) -> Observation | None:
    """Someone creates a ServiceAccount among those of the cluster.

    Between the accounts of `kube-system` one more goes unnoticed. Add-ons create theirs there when they are installed.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: serviceaccounts, namespace: kube-system, name: helper}
        responseStatus: {code: 201}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: serviceaccounts, namespace: shop, name: web}
        responseStatus: {code: 201}

    Sources: MITRE ATT&CK T1136, Create Account.
    """
    if event.verb != "create" or not event.went_on or is_own(event.user):
        return None
    if event.target.namespace not in SYSTEM_NAMESPACES:
        return None
    return Observation(f"{who(event)} creates {what(event)}")


@INDICATOR.detects(
    "pod-made-in-system-namespace",
    severity=Severity.MEDIUM,
    technique="T1036.005",
    on=("pods",),
    related=("workload-in-system-namespace", "workload-creation"),
)
def pod_made_in_system_namespace(event: AuditEvent) -> Observation | None:
    """Someone starts a pod among those of the cluster.

    Add-ons run by workloads, whose pods the cluster's controllers create: those are low, and reported only where an
    image is not of the cluster's own registries. A bare pod in `kube-system` hides between them, where guards look away;
    with the ServiceAccount of one of the cluster's controllers it is high.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, namespace: kube-system, name: helper}
        responseStatus: {code: 201}

    Quiet:

        verb: create
        user: {username: "system:serviceaccount:kube-system:daemon-set-controller"}
        objectRef: {resource: pods, namespace: kube-system}
        requestObject: {spec: {containers: [{name: kube-proxy, image: "registry.k8s.io/kube-proxy:v1.36.0"}]}}
        responseStatus: {code: 201}

    Sources: Microsoft threat matrix for Kubernetes, Pod or container name similarity; MITRE ATT&CK T1036.005.
    """
    if event.verb != "create" or not event.went_on:
        return None
    if event.target.namespace not in SYSTEM_NAMESPACES:
        return None
    if is_own(event.user):
        return _of_a_workload(event)
    account = text(lookup(object_of(event), "spec", "serviceAccountName"))
    born = default_role("ClusterRole", None, f"system:controller:{account}") is not None
    shown = f" with ServiceAccount {clip(account)}" if account and account != "default" else ""
    severity = Severity.HIGH if account and (born or account.endswith("-controller")) else None
    return Observation(f"{who(event)} creates {what(event)}{shown}", severity)


def _of_a_workload(event: AuditEvent) -> Observation | None:
    """A pod that a controller makes is as strange as its images, and as the namespace is for any pod."""
    if service_account_of(event.user.username) is None:
        return None
    images = [text(one.get("image")) for one in mappings(lookup(object_of(event), "spec", "containers"))]
    strange = [image for image in images if image and not _CLUSTERS_IMAGES.match(image)]
    if not strange:
        return None
    severity = Severity.LOW if event.target.namespace == "kube-system" else None
    return Observation(f"{who(event)} creates {what(event)} with image {clip(', '.join(strange))}", severity)


@INDICATOR.detects(
    "workload-on-every-node",
    severity=Severity.LOW,
    technique="T1610",
    on=("daemonsets",),
    related=("workload-creation", "privileged-container"),
)
def workload_on_every_node(event: AuditEvent) -> Observation | None:
    """Someone starts a program on every node.

    A DaemonSet reaches all nodes by one request: agents are installed so, and miners. Those that the cluster's add-ons
    bring are left out.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: daemonsets, apiGroup: apps, namespace: shop, name: agent}
        responseStatus: {code: 201}

    Quiet:

        verb: update
        user: {username: "system:serviceaccount:kube-system:daemon-set-controller"}
        objectRef: {resource: daemonsets, apiGroup: apps, namespace: shop, name: agent}
        responseStatus: {code: 200}

    Sources: MITRE ATT&CK T1610, Deploy Container.
    """
    if event.verb != "create" or not event.went_on or is_own(event.user):
        return None
    return Observation(f"{who(event)} starts a program on every node: {what(event)}")


@INDICATOR.detects(
    "node-made-by-another",
    severity=Severity.MEDIUM,
    technique="T1578",
    on=("nodes",),
    related=("csr-approval",),
)
def node_made_by_another(event: AuditEvent) -> Observation | None:
    """A node joins that did not announce itself.

    A kubelet creates its own Node, with its own name, and a cloud may do it. A Node that a person or an application
    creates draws pods and their Secrets onto a machine of their choice.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: nodes, name: worker-9}
        responseStatus: {code: 201}

    Quiet:

        verb: create
        user: {username: "system:node:worker-1", groups: ["system:nodes"]}
        objectRef: {resource: nodes, name: worker-1}
        responseStatus: {code: 201}

    Sources: Kubernetes documentation, Using Node Authorization, and Nodes, Self-registration.
    """
    if event.verb != "create" or is_own(event.user) or event.user.username.startswith("system:bootstrap:"):
        return None
    if event.code == 401:
        return None
    tried = "" if event.went_on else " (refused)"
    return Observation(f"{who(event)} creates {what(event)}{tried}", None if event.went_on else Severity.LOW)


@INDICATOR.detects(
    "containers-put-into-workload",
    severity=Severity.LOW,
    technique="T1525",
    on=("deployments", "daemonsets", "statefulsets", "replicasets", "cronjobs"),
    related=("workload-creation", "untrusted-registry"),
)
def containers_put_into_workload(event: AuditEvent) -> Observation | None:
    """Someone patches the containers of a running workload.

    A patch that sets containers changes what runs under a name that is trusted: a further container reads along. Tools
    of deployment do the same with a new image, so it is a line, not an alarm. Controllers of the cluster are left out.

    Fires:

        verb: patch
        user: {username: alice}
        objectRef: {resource: deployments, apiGroup: apps, namespace: shop, name: web}
        requestObject: {spec: {template: {spec: {containers: [{name: side, image: "docker.io/someone/side:1"}]}}}}
        responseStatus: {code: 200}

    Quiet:

        verb: patch
        user: {username: alice}
        objectRef: {resource: deployments, apiGroup: apps, namespace: shop, name: web}
        requestObject: {spec: {replicas: 3}}
        responseStatus: {code: 200}

    Sources: Microsoft threat matrix for Kubernetes, Sidecar injection.
    """
    if event.verb != "patch" or not event.went_on or is_own(event.user):
        return None
    spec = mapping(lookup(event.request_object, "spec", "template", "spec")) or mapping(
        lookup(event.request_object, "spec", "jobTemplate", "spec", "template", "spec")
    )
    containers = [*items(spec.get("containers")), *items(spec.get("initContainers"))]
    for operation in mappings(event.json_patch):
        if "ontainers" in text(operation.get("path")) and operation.get("op") in ("add", "replace"):
            containers.append(operation.get("value"))
    if not containers:
        return None
    images = [text(one.get("image")) for one in mappings(containers)]
    shown = f": {clip(', '.join(filter(None, images)))}" if any(images) else ""
    return Observation(f"{who(event)} patches the containers of {what(event)}{shown}")
