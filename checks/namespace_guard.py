"""Namespaces that are outside of any guard."""

from collections.abc import Iterator

from checks._webhook_rules import EXCLUDED, GUARD_CONTROLS, deny_webhooks
from iocaudit.core.check import Params, check
from iocaudit.core.guard import DENY, Denials
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import NAMESPACE
from iocaudit.core.kinds.builtin import VALIDATING_WEBHOOK_CONFIGURATION
from iocaudit.core.label_selector import selects
from iocaudit.core.namespaces import NAME_LABEL, SYSTEM_NAMESPACES
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, text
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip


@check(
    "namespace-unguarded",
    severity=Severity.MEDIUM,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="self",
    looks_at=(NAMESPACE,),
    uses=(VALIDATING_WEBHOOK_CONFIGURATION,),
    controls=GUARD_CONTROLS,
    parameters=(EXCLUDED,),
)
def namespace_unguarded(resource: Resource, world: World, params: Params, guard: Denials) -> Iterator[Hit | Skip]:
    """A namespace is exempted from admission control by its labels.

    `pod-security.kubernetes.io/enforce: privileged` switches Pod Security Admission off in it, and labels such as
    `admission.gatekeeper.sh/ignore` or whatever a webhook's own selector asks for switch other guards off. Anyone who
    may edit the namespace can set them. The namespaces of the system are left out. What our own webhook leaves out
    counts where the policies in force deny anything.

    Bad:

        apiVersion: v1
        kind: Namespace
        metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: privileged}}

    Good:

        apiVersion: v1
        kind: Namespace
        metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: baseline}}

    Fix: Remove the label, and exempt single workloads where they need it.

    Sources: Kubernetes documentation, Pod Security Admission, Exemptions; SIG Security threat model, threat 11.
    """
    if resource.name in (*SYSTEM_NAMESPACES, world.own_namespace, *params["excluded"]):
        return
    labels = resource.labels
    if labels.get("pod-security.kubernetes.io/enforce") == "privileged":
        yield Hit(
            'metadata.labels["pod-security.kubernetes.io/enforce"]',
            "is exempted from Pod Security Admission (enforce: privileged)",
            "privileged",
        )
    for label, off in _IGNORED.items():
        if label in labels and (off is None or labels[label] == off):
            yield Hit(f'metadata.labels["{label}"]', f"is exempted from an admission webhook by label {label}", label)
    if reason := world.incomplete(VALIDATING_WEBHOOK_CONFIGURATION):
        yield Skip(f"whether our own webhook covers it needs all validatingwebhookconfigurations: {reason}")
        return
    guard = guard.supposed
    if not guard.kinds or (guard.namespaces is not None and resource.name not in guard.namespaces):
        return  # nothing is denied here anyway
    named = {**labels, NAME_LABEL: resource.name}
    for configuration in world.all(VALIDATING_WEBHOOK_CONFIGURATION, near=resource):
        for _, webhook in deny_webhooks(configuration):
            ours = text(lookup(webhook, "clientConfig", "service", "namespace"))
            if resource.name != ours and not selects(webhook.get("namespaceSelector"), named):
                message = f"is left out by {DENY} of ValidatingWebhookConfiguration {clip(configuration.name)}"
                yield Hit("metadata.labels", message, configuration.name)


# Labels by which well-known webhooks leave a namespace out, and the value that does it where not any does.
_IGNORED: dict[str, str | None] = {
    "admission.gatekeeper.sh/ignore": None,
    "openpolicyagent.org/webhook": "ignore",
    "policy.sigstore.dev/exclude": "true",
    "neuvector.io/admission": "ignore",
    "falcon.crowdstrike.com/admission": "disabled",
}
