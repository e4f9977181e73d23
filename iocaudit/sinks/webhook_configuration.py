"""The ValidatingWebhookConfiguration that follows from the checks and the policies in force.

Three webhooks: ``deny`` (Fail) sees what some check in effective mode deny looks at, ``observe`` (Ignore) the
rest and sessions, ``system`` (Ignore, never denies) the cluster's own namespaces.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from iocaudit.core.kinds import CONNECTIONS, Kind
from iocaudit.core.request import Operation
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy import PolicySet

NAME = "iocaudit"
SYSTEM_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease")
_NAMESPACE_LABEL = "kubernetes.io/metadata.name"
_NOT_APISERVER = {"name": "not-the-api-server", "expression": "request.userInfo.username != 'system:apiserver'"}

Rules = Mapping[Kind, frozenset[Operation]]


def webhook_configuration(
    catalogue: Catalogue,
    policies: PolicySet,
    client_config: Mapping[str, Any],
    *,
    namespace: str = "iocaudit-system",
    excluded: Iterable[str] = (),
    owner: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The whole object. ``client_config`` names the Service or URL (without a path) and the CA bundle."""
    everything = catalogue.admission_rules()
    denying = catalogue.admission_rules(check.id for check in catalogue if policies.may_deny(check))
    observed = {kind: operations - denying.get(kind, frozenset()) for kind, operations in everything.items()}
    outside = [*SYSTEM_NAMESPACES, namespace, *excluded]
    metadata: dict[str, Any] = {"name": NAME, "labels": {"app.kubernetes.io/name": "iocaudit"}}
    if owner is not None:
        metadata["ownerReferences"] = [dict(owner)]
    webhooks = [
        _webhook("deny", denying, client_config, "Fail", 3, ("NotIn", outside)),
        _webhook("observe", observed, client_config, "Ignore", 2, ("NotIn", outside)),
        _webhook("system", everything, client_config, "Ignore", 2, ("In", list(SYSTEM_NAMESPACES))),
    ]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": metadata,
        "webhooks": [webhook for webhook in webhooks if webhook["rules"]],
    }


def _webhook(
    name: str,
    rules: Rules,
    client_config: Mapping[str, Any],
    failure_policy: str,
    seconds: int,
    namespaces: tuple[str, list[str]],
) -> dict[str, Any]:
    operator, values = namespaces
    return {
        "name": f"{name}.iocaudit.io",
        "admissionReviewVersions": ["v1"],
        "clientConfig": _at(client_config, f"/validate/{name}"),
        "failurePolicy": failure_policy,
        "matchPolicy": "Equivalent",
        "sideEffects": "NoneOnDryRun",
        "timeoutSeconds": seconds,
        "namespaceSelector": {"matchExpressions": [{"key": _NAMESPACE_LABEL, "operator": operator, "values": values}]},
        "matchConditions": [_NOT_APISERVER],
        # Cluster-scoped objects are always selected by a namespaceSelector: the system webhook leaves them out.
        "rules": _rules(rules, "Namespaced" if name == "system" else "*"),
    }


def _at(client_config: Mapping[str, Any], path: str) -> dict[str, Any]:
    config = dict(client_config)
    if "url" in config:
        config["url"] = str(config["url"]).rstrip("/") + path
    else:
        config["service"] = {**config["service"], "path": path}
    return config


def _rules(rules: Rules, scope: str) -> list[dict[str, Any]]:
    grouped: dict[tuple[str, tuple[str, ...]], set[str]] = defaultdict(set)
    for kind, operations in rules.items():
        if not operations or (scope == "Namespaced" and not kind.namespaced):
            continue
        names = [kind.plural]
        if kind not in CONNECTIONS:
            names += [f"{kind.plural}/{subresource}" for subresource in kind.subresources]
        grouped[(kind.group, tuple(sorted(operations)))].update(names)
    return [
        {
            "apiGroups": [group],
            "apiVersions": ["*"],
            "operations": list(operations),
            "resources": sorted(resources),
            "scope": scope,
        }
        for (group, operations), resources in sorted(grouped.items())
    ]
