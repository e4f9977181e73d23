"""What people call kinds."""

from __future__ import annotations

from functools import cache

from iocaudit.core.kinds import KINDS

SHORT = {
    "cj": "cronjobs",
    "cm": "configmaps",
    "crd": "customresourcedefinitions",
    "crds": "customresourcedefinitions",
    "csr": "certificatesigningrequests",
    "deploy": "deployments",
    "ds": "daemonsets",
    "ep": "endpoints",
    "ev": "events",
    "hpa": "horizontalpodautoscalers",
    "ing": "ingresses",
    "netpol": "networkpolicies",
    "no": "nodes",
    "node": "nodes",
    "ns": "namespaces",
    "po": "pods",
    "pv": "persistentvolumes",
    "pvc": "persistentvolumeclaims",
    "quota": "resourcequotas",
    "rc": "replicationcontrollers",
    "rs": "replicasets",
    "sa": "serviceaccounts",
    "sts": "statefulsets",
    "svc": "services",
}
"""kubectl's short names, by plural."""


@cache
def _plurals() -> dict[tuple[str, str], str]:
    return {(kind.group, kind.name): kind.plural for kind in KINDS.values()}


def is_called(written: str, group: str, kind: str) -> bool:
    """Whether a kind may be written like that: ``Deployment``, ``deployments.apps``, ``deploy``, in any case."""
    name, _, given = written.lower().partition(".")
    plural = _plurals().get((group, kind), "")
    return (given in ("", group) and name in (kind.lower(), plural)) or (not given and SHORT.get(name, "-") == plural)
