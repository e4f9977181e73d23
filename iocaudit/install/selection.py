"""What stops in a cluster while the webhook is away: what the API server then refuses, and where."""

from __future__ import annotations

from collections.abc import Iterable

from iocaudit.core.guard import DENY
from iocaudit.core.kinds import KINDS
from iocaudit.core.shape import Json
from iocaudit.core.wording import several
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy_set import PolicySet
from iocaudit.install.webhook_configuration import WebhookTarget, configuration

_MOST_NAMED = 8


def selection_cost(catalogue: Catalogue, policies: PolicySet, own_namespace: str) -> list[str]:
    """One line for namespaces, one for cluster scope; a single one where nothing fails closed."""
    found = configuration(catalogue, policies, WebhookTarget(own_namespace, "iocaudit"), b"")
    deny = next((webhook for webhook in found["webhooks"] if webhook["name"] == DENY), None)
    if deny is None:
        return ["while the webhook is away nothing is refused: these policies deny nothing"]
    lines = []
    inside, wide = (_kinds(deny["rules"], scope) for scope in ("Namespaced", "Cluster"))
    spaces = [kind for kind in wide if kind == "Namespace"]
    (where,) = deny["namespaceSelector"]["matchExpressions"]
    named = several(where["values"], _MOST_NAMED)
    if inside or spaces:
        what = several([*inside, *spaces], _MOST_NAMED)
        if where["operator"] == "In":
            lines.append(f"while the webhook is away, making or changing these is refused in {named} alone: {what}")
        else:
            lines.append(
                f"while the webhook is away, making or changing these is refused in every namespace but {named}: "
                f"{what} (to confine that, let each policy that denies name its namespaces, without globs and labels)"
            )
    if rest := [kind for kind in wide if kind not in spaces]:
        lines.append(
            f"while the webhook is away, making or changing these is refused in the whole cluster: "
            f"{several(rest, _MOST_NAMED)}"
        )
    return lines


def _kinds(rules: Iterable[Json], scope: str) -> list[str]:
    """Kubernetes' own kinds first: they are the ones that everybody uses."""
    by_plural = {(kind.group, kind.plural): kind.name for kind in KINDS.values()}
    found = {
        ("." in group and not group.endswith(".k8s.io"), by_plural.get((group, resource), resource))
        for rule in rules
        if rule["scope"] == scope
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if "/" not in resource
    }
    return list(dict.fromkeys(name for _, name in sorted(found)))
