"""What the checks of our own webhook share: which webhooks are ours, and which kinds the rules of one leave out.

Source: the API reference of admissionregistration.k8s.io (rules): `*` takes in no subresource.
"""

from collections.abc import Iterable
from typing import Any

from iocaudit.core.check import string_list
from iocaudit.core.guard import DENY
from iocaudit.core.kinds import CUSTOM_WORKLOADS, Kind
from iocaudit.core.resource import Resource
from iocaudit.core.shape import mappings, strings, text

GUARD_CONTROLS = {"cis-1.12": "5.2.1", "attack": "T1562", "owasp": "K04", "nsa": "Pod security enforcement"}
EXCLUDED = string_list(
    "excluded", "further namespaces that the webhook may leave out: the network plugin's", exempts=True
)


def deny_webhooks(resource: Resource) -> list[tuple[int, dict[str, Any]]]:
    """The webhooks of a configuration that are ours to deny by, with their positions."""
    found = enumerate(mappings(resource.raw.get("webhooks")))
    return [(index, webhook) for index, webhook in found if webhook.get("name") == DENY]


def uncovered(webhook: dict[str, Any], denied: Iterable[Kind]) -> list[str]:
    """What of the kinds that are denied no rule of a webhook sends to it; of those that every cluster serves."""
    built_in = (kind for kind in denied if "." not in kind.group or kind.group.endswith(".k8s.io"))
    kinds = sorted((kind for kind in built_in if kind not in CUSTOM_WORKLOADS), key=str)
    return [part for kind in kinds for part in _uncovered(webhook, kind)]


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
