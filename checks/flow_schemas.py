"""FlowSchemas that take callers out of the API server's own rate limiting."""

from collections.abc import Iterator

from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds.flow_control import FLOW_SCHEMA
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, mapping, mappings, strings, text
from iocaudit.knowledge.clipping import clip

_BROAD_GROUPS = ("*", "system:authenticated", "system:unauthenticated", "system:serviceaccounts")
_BROAD_USERS = ("*", "system:anonymous")
_NAMESPACE_GROUP = "system:serviceaccounts:"
# The one bootstrap FlowSchema that sends everybody to exempt: health checks, and nothing else.
_PROBES = ("/healthz", "/livez", "/readyz")


@check(
    "apiserver-flow-exempt",
    severity=Severity.MEDIUM,
    iocs=(IoC.INBOUND_TRAFFIC,),
    group="network",
    looks_at=(FLOW_SCHEMA,),
    controls={"attack": "T1499", "ms": "MS-TA9040", "owasp": "K06", "nsa": "Control plane hardening"},
)
def apiserver_flow_exempt(resource: Resource) -> Iterator[Hit]:
    """A FlowSchema exempts broad groups from the API server's limits.

    Requests at priority level exempt are never queued nor refused. One workload or one stolen token can then
    keep the API server from answering anybody. The cluster's own schemas, for system:masters and for health
    checks, are known by name and content.

    Bad:

        apiVersion: flowcontrol.apiserver.k8s.io/v1
        kind: FlowSchema
        metadata: {name: fast}
        spec:
          matchingPrecedence: 100
          priorityLevelConfiguration: {name: exempt}
          rules:
          - subjects: [{kind: Group, group: {name: "system:serviceaccounts"}}]
            resourceRules: [{verbs: ["*"], apiGroups: ["*"], resources: ["*"], clusterScope: true, namespaces: ["*"]}]

    Good:

        apiVersion: flowcontrol.apiserver.k8s.io/v1
        kind: FlowSchema
        metadata: {name: fast}
        spec:
          matchingPrecedence: 100
          priorityLevelConfiguration: {name: workload-high}
          rules:
          - subjects: [{kind: ServiceAccount, serviceAccount: {name: ci, namespace: build}}]
            resourceRules: [{verbs: [list], apiGroups: [""], resources: [pods], namespaces: [build]}]

    Fix: Name a limited priority level in `spec.priorityLevelConfiguration`, or name the few callers that need to
    be exempt.

    Sources: Kubernetes documentation, API priority and fairness; bootstrap FlowSchemas of kube-apiserver.
    """
    spec = mapping(resource.raw.get("spec"))
    if lookup(spec, "priorityLevelConfiguration", "name") != "exempt":
        return
    for index, rule in enumerate(mappings(spec.get("rules"))):
        if resource.name == "probes" and _only_health_checks(rule):
            continue
        for at, subject in enumerate(mappings(rule.get("subjects"))):
            broad = _broad(subject)
            if broad:
                yield Hit(
                    "spec.rules",
                    f"sends {clip(broad)} to priority level exempt, which has no limit",
                    broad,
                    at=f"spec.rules[{index}].subjects[{at}]",
                )


def _only_health_checks(rule: dict[str, object]) -> bool:
    urls = [url for one in mappings(rule.get("nonResourceRules")) for url in strings(one.get("nonResourceURLs"))]
    verbs = [verb for one in mappings(rule.get("nonResourceRules")) for verb in strings(one.get("verbs"))]
    return not rule.get("resourceRules") and bool(urls) and set(urls) <= set(_PROBES) and set(verbs) <= {"get"}


def _broad(subject: dict[str, object]) -> str:
    """The subject in words where it stands for many callers; empty where it doesn't."""
    kind = text(subject.get("kind"))
    if kind == "Group":
        name = text(lookup(subject, "group", "name"))
        if name in _BROAD_GROUPS or (name.startswith(_NAMESPACE_GROUP) and len(name) > len(_NAMESPACE_GROUP)):
            return f"Group {name}"
    elif kind == "User":
        name = text(lookup(subject, "user", "name"))
        if name in _BROAD_USERS:
            return f"User {name}"
    elif kind == "ServiceAccount" and text(lookup(subject, "serviceAccount", "name")) == "*":
        return f"every ServiceAccount of {text(lookup(subject, 'serviceAccount', 'namespace'))}"
    return ""
