"""Holes in the auditor's own guard."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from checks._webhook_rules import EXCLUDED, GUARD_CONTROLS, deny_webhooks, uncovered
from iocaudit.core.check import Params, check
from iocaudit.core.guard import DENY, NOT_THE_API_SERVERS_OWN, Denials, WebhookClient, certificates, client_of
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import DEPLOYMENT
from iocaudit.core.kinds.builtin import VALIDATING_WEBHOOK_CONFIGURATION
from iocaudit.core.label_selector import is_empty
from iocaudit.core.namespaces import NAME_LABEL
from iocaudit.core.own_names import ADMISSION, NEVER_DENIES_PATH
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, mapping, mappings, strings, text
from iocaudit.core.wording import several
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rbac.bindings import ADMIN_NAMESPACE

_CONDITION = "".join(NOT_THE_API_SERVERS_OWN.split())


@check(
    "admission-bypass",
    severity=Severity.CRITICAL,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="self",
    looks_at=(VALIDATING_WEBHOOK_CONFIGURATION, DEPLOYMENT),
    needs=(VALIDATING_WEBHOOK_CONFIGURATION,),
    audit_only=True,
    controls=GUARD_CONTROLS,
    parameters=(EXCLUDED,),
)
def admission_bypass(resource: Resource, world: World, params: Params, guard: Denials) -> Iterator[Hit]:
    """Requests get past this auditor's webhook.

    Its configuration is missing though its Deployment runs, fails open, or leaves out requests by a selector
    that others may set, by a namespace nobody documented, by a condition, or by a rule that is not there. Which
    kinds the rules have to name, and which namespaces, follows from what the policies in force deny: where they deny
    nothing, only a webhook that is missing altogether is told, as medium; where no policy chooses a preset, a webhook
    that denies is judged as if lockdown held. A CA bundle that holds no certificate
    is told from the configuration, a stale one by the operator, which calls the webhook under it at every sweep. A
    configuration that is managed by hand is judged like the operator's own.

    Bad:

        apiVersion: admissionregistration.k8s.io/v1
        kind: ValidatingWebhookConfiguration
        metadata: {name: iocaudit}
        webhooks:
        - name: deny.iocaudit.io
          failurePolicy: Ignore
          matchPolicy: Equivalent
          sideEffects: NoneOnDryRun
          admissionReviewVersions: [v1]
          clientConfig:
            service: {namespace: iocaudit, name: iocaudit-admission, path: /validate}
            caBundle: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1BTUNBUUU9Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K
          rules: [{apiGroups: ["*"], apiVersions: ["*"], resources: ["*/*"], operations: ["*"]}]

    Good:

        apiVersion: admissionregistration.k8s.io/v1
        kind: ValidatingWebhookConfiguration
        metadata: {name: iocaudit}
        webhooks:
        - name: deny.iocaudit.io
          failurePolicy: Fail
          matchPolicy: Equivalent
          sideEffects: NoneOnDryRun
          admissionReviewVersions: [v1]
          clientConfig:
            service: {namespace: iocaudit, name: iocaudit-admission, path: /validate}
            caBundle: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1BTUNBUUU9Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K
          namespaceSelector:
            matchExpressions:
            - {key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, iocaudit]}
          rules: [{apiGroups: ["*"], apiVersions: ["*"], resources: ["*/*"], operations: ["*"]}]

    Fix: Let the operator write the configuration, or print it with `iocaudit manifests --static-webhook`.

    Sources: Kubernetes SIG Security, admission control threat model, threats 3, 4 and 11.
    """
    if resource.kind is DEPLOYMENT:
        yield from _missing(resource, world, guard)
        return
    guard = guard.supposed
    if not guard.kinds:
        return
    documented = {ADMIN_NAMESPACE, world.own_namespace, *params["excluded"]}
    others = _others(resource)
    for index, webhook in deny_webhooks(resource):
        where = f'webhooks["{DENY}"]'
        documented |= {text(lookup(webhook, "clientConfig", "service", "namespace"))}
        for hit in (*_holes(webhook, documented, world, guard), *_elsewhere(webhook, others)):
            yield hit._replace(path=where + hit.path, at=f"webhooks[{index}]{hit.path}")


def _missing(resource: Resource, world: World, guard: Denials) -> Iterator[Hit]:
    """Our Deployment as it is stored, and no configuration of ours in the cluster."""
    labels = resource.labels
    ours = labels.get("app.kubernetes.io/part-of") == "iocaudit" and resource.name == ADMISSION
    if not ours or not resource.uid or world.registering:
        return
    found = world.all(VALIDATING_WEBHOOK_CONFIGURATION)
    if guard.kinds:
        if not any(map(deny_webhooks, found)):
            yield Hit("metadata.name", f"runs, but no configuration registers {DENY}", "missing")
    elif not any(map(_others, found)):
        message = "runs, but no configuration registers any webhook of ours, so nothing is warned about"
        yield Hit("metadata.name", message, "missing", Severity.MEDIUM)


def _others(resource: Resource) -> dict[WebhookClient, str]:
    """Who answers our other webhooks, each with the first that it answers."""
    found: dict[WebhookClient, str] = {}
    for webhook in mappings(resource.raw.get("webhooks")):
        name = text(webhook.get("name"))
        if name.endswith(".iocaudit.io") and name != DENY:
            found.setdefault(client_of(webhook), name)
    return found


def _elsewhere(deny: dict[str, Any], others: dict[WebhookClient, str]) -> Iterator[Hit]:
    """It is answered elsewhere than our other webhooks: all of them are written at once, and alike."""
    ours = client_of(deny)
    name = next((name for client, name in others.items() if client != ours), None)
    if name is not None:
        message = f"is answered by another service, or under another CA bundle, than {clip(name)}"
        yield Hit(".clientConfig", message, name, Severity.HIGH)


def _holes(webhook: dict[str, Any], documented: set[str], world: World, guard: Denials) -> Iterator[Hit]:
    policy = text(webhook.get("failurePolicy")) or "Fail"
    if policy != "Fail":
        yield Hit(".failurePolicy", f"fails open (failurePolicy: {clip(policy)})", policy)
    if not is_empty(webhook.get("objectSelector")):
        message = "leaves out objects by labels, which the author of the object sets (objectSelector)"
        yield Hit(".objectSelector", message, str(webhook.get("objectSelector")))
    yield from _namespaces(mapping(webhook.get("namespaceSelector")), documented, guard.namespaces)
    for condition in mappings(webhook.get("matchConditions")):
        name, expression = text(condition.get("name")), text(condition.get("expression"))
        if "".join(expression.split()) != _CONDITION:
            message = f"leaves out requests by the condition {clip(name)}, which is not ours"
            yield Hit(".matchConditions", message, expression, Severity.HIGH)
    if text(webhook.get("matchPolicy")) not in ("", "Equivalent"):
        yield Hit(".matchPolicy", "misses other versions of the same kind (matchPolicy: Exact)", "Exact")
    client = client_of(webhook)
    if not certificates(client.bundle):
        yield Hit(".clientConfig.caBundle", "has no usable CA bundle, so every call fails", "unusable", Severity.HIGH)
    elif (reason := world.untrusted.get(client)) is not None:
        message = f"has a stale CA bundle, so every call fails: {clip(reason)}"
        yield Hit(".clientConfig.caBundle", message, "stale", Severity.HIGH)
    if _path(webhook) == NEVER_DENIES_PATH:
        yield Hit(".clientConfig", f"is answered at {NEVER_DENIES_PATH}, where nothing is denied", NEVER_DENIES_PATH)
    missing = uncovered(webhook, guard.kinds)
    if missing:
        yield Hit(".rules", f"has no rule for {several(missing, 5)}", ",".join(missing))


def _path(webhook: dict[str, Any]) -> str:
    client = mapping(webhook.get("clientConfig"))
    path = text(lookup(client, "service", "path"))
    with suppress(ValueError):  # not a URL
        path = path or urlsplit(text(client.get("url"))).path
    return "/" + path.strip("/")


def _namespaces(selector: Any, documented: set[str], denied: frozenset[str] | None) -> Iterator[Hit]:
    """``denied`` are the only namespaces that have to be selected; None where it is every one."""
    for label in mapping(selector.get("matchLabels")):
        yield Hit(
            ".namespaceSelector", f"is only for namespaces with label {clip(label)}, which can be left off", label
        )
    for expression in mappings(selector.get("matchExpressions")):
        name, values = text(expression.get("key")), strings(expression.get("values"))
        operator = text(expression.get("operator"))
        if name != NAME_LABEL:
            message = f"leaves out namespaces by label {clip(name)}, which anyone who may edit a namespace can set"
            yield Hit(".namespaceSelector", message, f"{name} {operator}")
        elif operator == "NotIn":
            for value in sorted(set(values if denied is None else denied.intersection(values)) - documented):
                message = f"leaves out namespace {clip(value)}, which is not documented as exempt"
                yield Hit(".namespaceSelector", message, value, Severity.HIGH)
        elif operator != "In" or denied is None or not denied - documented <= set(values):
            message = f"is only for some namespaces ({clip(operator)})"
            yield Hit(".namespaceSelector", message, f"{name} {operator} {','.join(values)}")
