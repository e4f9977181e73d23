"""Holes in the auditor's own guard, and namespaces that are outside of any."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from checks._webhook_rules import uncovered
from iocaudit.core.check import Params, check, string_list
from iocaudit.core.guard import DENY, WebhookClient, certificates, client_of
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import DEPLOYMENT, NAMESPACE
from iocaudit.core.kinds.builtin import VALIDATING_WEBHOOK_CONFIGURATION
from iocaudit.core.label_selector import is_empty, selects
from iocaudit.core.namespaces import NAME_LABEL, SYSTEM_NAMESPACES
from iocaudit.core.own_names import ADMISSION, NEVER_DENIES_PATH
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, mapping, mappings, strings, text
from iocaudit.core.wording import clip, several
from iocaudit.core.world import World

# The namespaces of the system, and ours: what is exempt lets an administrator mend the auditor itself.
_DOCUMENTED = (*SYSTEM_NAMESPACES, "iocaudit")
_CONTROLS = {"cis-1.12": "5.2.1", "attack": "T1562", "owasp": "K04", "nsa": "Pod security enforcement"}
_EXCLUDED = string_list(
    "excluded", "further namespaces that the webhook may leave out: the network plugin's", exempts=True
)


def _deny_webhooks(resource: Resource) -> list[tuple[int, dict[str, Any]]]:
    """The webhooks of a configuration that are ours to deny by, with their positions."""
    found = enumerate(mappings(resource.raw.get("webhooks")))
    return [(index, webhook) for index, webhook in found if webhook.get("name") == DENY]


@check(
    "admission-bypass",
    severity=Severity.CRITICAL,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="self",
    looks_at=(VALIDATING_WEBHOOK_CONFIGURATION, DEPLOYMENT),
    needs=(VALIDATING_WEBHOOK_CONFIGURATION,),
    audit_only=True,
    controls=_CONTROLS,
    parameters=(_EXCLUDED,),
)
def admission_bypass(resource: Resource, world: World, params: Params) -> Iterator[Hit]:
    """Requests get past this auditor's webhook.

    Its configuration is missing though its Deployment runs, fails open, or leaves out requests by a selector
    that others may set, by a namespace nobody documented, by a condition, or by a rule that is not there. Which
    kinds the rules have to name follows from the checks that deny by default. A CA bundle that holds no certificate
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
        yield from _missing(resource, world)
        return
    documented = {*_DOCUMENTED, *params["excluded"]}
    others = _others(resource)
    for index, webhook in _deny_webhooks(resource):
        where = f'webhooks["{DENY}"]'
        documented |= {text(lookup(webhook, "clientConfig", "service", "namespace"))}
        for hit in (*_holes(webhook, documented, world), *_elsewhere(webhook, others)):
            yield hit._replace(path=where + hit.path, at=f"webhooks[{index}]{hit.path}")


def _missing(resource: Resource, world: World) -> Iterator[Hit]:
    """Our Deployment as it is stored, and no configuration of ours in the cluster."""
    labels = resource.labels
    ours = labels.get("app.kubernetes.io/part-of") == "iocaudit" and resource.name == ADMISSION
    if not ours or not resource.uid:
        return
    if not any(_deny_webhooks(found) for found in world.all(VALIDATING_WEBHOOK_CONFIGURATION)):
        yield Hit("metadata.name", f"runs, but no configuration registers {DENY}", "missing")


def _others(resource: Resource) -> dict[WebhookClient, str]:
    """Who answers our other webhooks, each with the first that it answers."""
    found: dict[WebhookClient, str] = {}
    for webhook in mappings(resource.raw.get("webhooks")):
        name = text(webhook.get("name"))
        if name.endswith(".iocaudit.io") and name != DENY:
            found.setdefault(client_of(webhook), name)
    return found


def _elsewhere(deny: dict[str, Any], others: dict[WebhookClient, str]) -> Iterator[Hit]:
    """Whoever answers it is another than answers our other webhooks: all of them are written at once, and alike."""
    ours = client_of(deny)
    name = next((name for client, name in others.items() if client != ours), None)
    if name is not None:
        message = f"is answered by another service, or under another CA bundle, than {clip(name)}"
        yield Hit(".clientConfig", message, name, Severity.HIGH)


def _holes(webhook: dict[str, Any], documented: set[str], world: World) -> Iterator[Hit]:
    policy = text(webhook.get("failurePolicy")) or "Fail"
    if policy != "Fail":
        yield Hit(".failurePolicy", f"fails open (failurePolicy: {clip(policy)})", policy)
    if not is_empty(webhook.get("objectSelector")):
        message = "leaves out objects by labels, which whoever writes the object sets (objectSelector)"
        yield Hit(".objectSelector", message, str(webhook.get("objectSelector")))
    yield from _namespaces(mapping(webhook.get("namespaceSelector")), documented)
    for condition in mappings(webhook.get("matchConditions")):
        name, expression = text(condition.get("name")), text(condition.get("expression"))
        if "".join(expression.split()) not in _CONDITIONS:
            message = f"leaves out requests by the condition {clip(name)}, which is not ours"
            yield Hit(".matchConditions", message, expression, Severity.HIGH)
    if text(webhook.get("matchPolicy")) not in ("", "Equivalent"):
        yield Hit(".matchPolicy", "misses other versions of the same kind (matchPolicy: Exact)", "Exact")
    client = client_of(webhook)
    if not certificates(client.bundle):
        yield Hit(
            ".clientConfig.caBundle", "has no usable CA bundle, so that every call fails", "unusable", Severity.HIGH
        )
    elif (reason := world.untrusted.get(client)) is not None:
        message = f"has a stale CA bundle, so that every call fails: {clip(reason)}"
        yield Hit(".clientConfig.caBundle", message, "stale", Severity.HIGH)
    if _path(webhook) == NEVER_DENIES_PATH:
        yield Hit(".clientConfig", f"is answered at {NEVER_DENIES_PATH}, where nothing is denied", NEVER_DENIES_PATH)
    missing = uncovered(webhook)
    if missing:
        yield Hit(".rules", f"has no rule for {several(missing, 5)}", ",".join(missing))


def _path(webhook: dict[str, Any]) -> str:
    client = mapping(webhook.get("clientConfig"))
    path = text(lookup(client, "service", "path"))
    with suppress(ValueError):  # a URL that is none
        path = path or urlsplit(text(client.get("url"))).path
    return "/" + path.strip("/")


# What the operator writes: the API server's own writes are left out, whose name nobody else can have.
_CONDITIONS = frozenset(
    {'request.userInfo.username!="system:apiserver"', "request.userInfo.username!='system:apiserver'"}
)


def _namespaces(selector: Any, documented: set[str]) -> Iterator[Hit]:
    for label in mapping(selector.get("matchLabels")):
        yield Hit(
            ".namespaceSelector", f"is only for namespaces with label {clip(label)}, which can be left off", label
        )
    for expression in mappings(selector.get("matchExpressions")):
        name, values = text(expression.get("key")), strings(expression.get("values"))
        operator = text(expression.get("operator"))
        if name != NAME_LABEL:
            message = f"leaves out namespaces by label {clip(name)}, which whoever may edit one can set"
            yield Hit(".namespaceSelector", message, f"{name} {operator}")
        elif operator == "NotIn":
            for value in sorted(set(values) - documented):
                message = f"leaves out namespace {clip(value)}, which is not documented as exempt"
                yield Hit(".namespaceSelector", message, value, Severity.HIGH)
        else:
            message = f"is only for some namespaces ({clip(operator)})"
            yield Hit(".namespaceSelector", message, f"{name} {operator} {','.join(values)}")


@check(
    "namespace-unguarded",
    severity=Severity.MEDIUM,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="self",
    looks_at=(NAMESPACE,),
    uses=(VALIDATING_WEBHOOK_CONFIGURATION,),
    controls=_CONTROLS,
    parameters=(_EXCLUDED,),
)
def namespace_unguarded(resource: Resource, world: World, params: Params) -> Iterator[Hit | Skip]:
    """A namespace is exempted from admission control by its labels.

    `pod-security.kubernetes.io/enforce: privileged` switches Pod Security Admission off in it, and labels such
    as `admission.gatekeeper.sh/ignore` or whatever a webhook's own selector asks for switch other guards off.
    Whoever may edit the namespace can set them. The namespaces of the system are left out.

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
    if resource.name in (*_DOCUMENTED, *params["excluded"]):
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
    named = {**labels, NAME_LABEL: resource.name}
    for configuration in world.all(VALIDATING_WEBHOOK_CONFIGURATION, near=resource):
        for _, webhook in _deny_webhooks(configuration):
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
