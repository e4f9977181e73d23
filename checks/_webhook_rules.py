"""Which kinds our webhook has to see, and which of them its rules leave out.

Source: the API reference of admissionregistration.k8s.io (rules): `*` takes in no subresource.
"""

from functools import cache
from typing import Any

from iocaudit.core.kinds import CONNECTIONS, CUSTOM_WORKLOADS, Kind
from iocaudit.core.shape import mappings, strings, text


def uncovered(webhook: dict[str, Any]) -> list[str]:
    """What of the guarded no rule of a webhook sends to it."""
    return [part for kind in guarded() for part in _uncovered(webhook, kind)]


@cache
def guarded() -> tuple[Kind, ...]:
    """The built-in kinds that a check looks at which denies by default."""
    from checks import declared  # late: this module is one of those it reads

    kinds = {
        kind
        for one in declared()
        if one.may_reach_critical and not one.audit_only
        for kind in one.looks_at
        if kind not in CUSTOM_WORKLOADS and kind not in CONNECTIONS
    }
    return tuple(sorted((kind for kind in kinds if "." not in kind.group or kind.group.endswith(".k8s.io")), key=str))


def _parts(kind: Kind) -> list[str]:
    """A kind and its subresources that carry it: ephemeral containers arrive by one."""
    return [str(kind), *(f"{kind}/{subresource}" for subresource in kind.subresources)]


def _uncovered(webhook: dict[str, Any], kind: Kind) -> list[str]:
    """What of a kind no rule sends to the webhook: its creations and updates, or the updates of a subresource."""
    rules = mappings(webhook.get("rules"))
    names = [{kind.plural, "*", "*/*"}]
    names += [{f"{kind.plural}/{sub}", f"{kind.plural}/*", f"*/{sub}", "*/*"} for sub in kind.subresources]
    return [
        part
        for at, (part, resources) in enumerate(zip(_parts(kind), names, strict=True))
        if not _covered(rules, kind, resources, {"UPDATE"} if at else {"CREATE", "UPDATE"})
    ]


def _covered(rules: list[dict[str, Any]], kind: Kind, resources: set[str], operations: set[str]) -> bool:
    wanted = set(operations)
    scope = "Namespaced" if kind.namespaced else "Cluster"
    for rule in rules:
        if all(
            named & set(strings(rule.get(field)))
            for field, named in (
                ("apiGroups", {kind.group, "*"}),
                ("apiVersions", {kind.version, "*"}),
                ("resources", resources),
            )
        ) and text(rule.get("scope")) in ("", "*", scope):
            given = set(strings(rule.get("operations")))
            wanted -= operations if "*" in given else given
    return not wanted
