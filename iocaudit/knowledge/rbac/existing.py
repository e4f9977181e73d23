"""What there is for a rule to give: the verbs the API server asks about, and the resources of Kubernetes' own groups.

A rule is free to name what does not exist. Whatever a group with a dot may serve is not known here, as custom
resources are its business. Source: Kubernetes API reference; Using RBAC Authorization; KEP-5284.
"""

from __future__ import annotations

from functools import cache

from iocaudit.core.kinds import KINDS
from iocaudit.knowledge.rbac.defaults import default_cluster_roles
from iocaudit.knowledge.rbac.names import may_be_named
from iocaudit.knowledge.rbac.rules import PolicyRule, rules_of

_VERBS = frozenset(
    [
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
        "escalate",
        "bind",
        "impersonate",
        "approve",
        "sign",
        "attest",
        "use",
        "proxy",
        "associate",
    ]
)
_IMPERSONATES = ("impersonate:", "impersonate-on:")
_HTTP_VERBS = frozenset(["get", "head", "post", "put", "patch", "delete", "options"])
_OWN_GROUPS = {
    "": "bindings componentstatuses configmaps endpoints events limitranges namespaces namespaces/finalize "
    "namespaces/status nodes nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/spec "
    "nodes/stats nodes/status persistentvolumeclaims persistentvolumeclaims/status persistentvolumes "
    "persistentvolumes/status pods pods/attach pods/binding pods/ephemeralcontainers pods/eviction pods/exec pods/log "
    "pods/portforward pods/proxy pods/resize pods/status podtemplates replicationcontrollers "
    "replicationcontrollers/scale replicationcontrollers/status resourcequotas resourcequotas/status secrets "
    "serviceaccounts serviceaccounts/token services services/proxy services/status users groups",
    "apps": "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status "
    "replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
    "batch": "cronjobs cronjobs/status jobs jobs/status",
    "autoscaling": "horizontalpodautoscalers horizontalpodautoscalers/status",
    "policy": "poddisruptionbudgets poddisruptionbudgets/status podsecuritypolicies",
    "extensions": "daemonsets deployments deployments/scale ingresses networkpolicies podsecuritypolicies replicasets",
}
_OF_EVERY_RESOURCE = frozenset({"finalizers"})
"""Asked about by the admission plugin OwnerReferencesPermissionEnforcement, whatever the resource."""


def gives_anything(rule: PolicyRule) -> bool:
    """Whether there is anything that a rule may give, as far as can be known."""
    if rule.urls and any(verb == "*" or verb in _HTTP_VERBS for verb in rule.verbs):
        return True
    if not any(verb == "*" or verb in _VERBS or verb.startswith(_IMPERSONATES) for verb in rule.verbs):
        return False
    return any(_there(resource, rule) for resource in rule.resources)


def _there(resource: str, rule: PolicyRule) -> bool:
    if rule.names and not any(may_be_named(resource, name) for name in rule.names):
        return False
    whole, _, sub = resource.partition("/")
    if resource == "*" or sub in _OF_EVERY_RESOURCE or any("." in group for group in rule.groups):
        return bool(rule.groups)
    if whole == "*":
        return any(known.endswith(f"/{sub}") for known in _known_anywhere())
    if "*" in rule.groups:
        # Verbs of every kind on a custom resource are much; a few of them in every group are not more than in its own.
        return "*" in rule.verbs or resource in _known_anywhere()
    return any(resource in _known_in(group) for group in rule.groups)


@cache
def _known_in(group: str) -> frozenset[str]:
    return frozenset(_OWN_GROUPS.get(group, "").split())


@cache
def _known_anywhere() -> frozenset[str]:
    found = {kind.plural for kind in KINDS.values()}
    for words in _OWN_GROUPS.values():
        found.update(words.split())
    for role in default_cluster_roles():
        for rule in rules_of(role):
            found |= rule.resources - {"*"}
    return frozenset(found)
