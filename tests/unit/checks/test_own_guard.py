"""Holes in our own webhook configuration, and namespaces that are exempted."""

import base64
from typing import Any

import pytest

from iocaudit.core.guard import client_of
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Preset
from iocaudit.install.webhook_configuration import WebhookTarget, configuration
from tests.support.auditing import Json, evidence, judge, places
from tests.support.bounded import cpu_within

PEM = b"-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n"
BUNDLE = base64.b64encode(PEM).decode()
CATALOGUE = builtin_catalogue()
ALL = {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "operations": ["*"], "scope": "*"}


def written(**change: Any) -> Json:
    """The configuration as the operator writes it, with fields of the deny webhook replaced."""
    target = WebhookTarget("iocaudit", "iocaudit-admission")
    body: Json = configuration(CATALOGUE, PolicySet(CATALOGUE, preset=Preset.LOCKDOWN), target, PEM)
    deny = next(webhook for webhook in body["webhooks"] if webhook["name"] == "deny.iocaudit.io")
    deny.update(change)
    for webhook in body["webhooks"]:
        webhook["clientConfig"] = change.get("clientConfig", webhook["clientConfig"])
    return body


def by_name(operator: str, *values: str, key: str = "kubernetes.io/metadata.name") -> Json:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def test_what_the_operator_writes_has_no_hole() -> None:
    assert [one.message for one in judge("admission-bypass", written())] == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"failurePolicy": "Ignore"}, "failurePolicy"),
        ({"objectSelector": {"matchLabels": {"audit": "on"}}}, "objectSelector"),
        ({"namespaceSelector": {"matchLabels": {"audit": "on"}}}, "namespaceSelector"),
        ({"namespaceSelector": by_name("NotIn", "off", key="audit")}, "namespaceSelector"),
        ({"namespaceSelector": by_name("NotIn", "kube-system", "shop")}, "namespaceSelector"),
        ({"namespaceSelector": by_name("In", "shop")}, "namespaceSelector"),
        ({"matchConditions": [{"name": "x", "expression": "request.userInfo.username != 'eve'"}]}, "matchConditions"),
        (
            {"matchConditions": [{"name": "x", "expression": 'request.userInfo.username != "system:apiserver"'}]},
            "matchConditions",
        ),
        ({"matchPolicy": "Exact"}, "matchPolicy"),
        ({"clientConfig": {"url": "https://x", "caBundle": base64.b64encode(b"no").decode()}}, "clientConfig.caBundle"),
        ({"rules": [{"apiGroups": [""], "resources": ["pods"], "operations": ["CREATE"]}]}, "rules"),
        ({"rules": []}, "rules"),
        ({"rules": [{**ALL, "apiVersions": ["v0"]}]}, "rules"),
        ({"rules": [{**ALL, "scope": "Cluster"}]}, "rules"),
        ({"rules": [{**ALL, "resources": ["*"]}]}, "rules"),
        ({"clientConfig": {"service": {"path": "/validate/system/"}, "caBundle": BUNDLE}}, "clientConfig"),
        ({"clientConfig": {"url": "https://x/validate/system", "caBundle": BUNDLE}}, "clientConfig"),
        ({"rules": [{**ALL, "operations": ["DELETE"]}]}, "rules"),
    ],
)
def test_each_hole(change: Json, field: str) -> None:
    found = judge("admission-bypass", written(**change))
    assert places(found) == [f'webhooks["deny.iocaudit.io"].{field}']
    assert found[0].hit.at == f"webhooks[0].{field}"


def test_a_rule_for_everything_has_no_hole() -> None:
    assert judge("admission-bypass", written(rules=[ALL])) == []


def test_a_subresource_that_carries_the_kind_needs_a_rule_too() -> None:
    rules = [{**ALL, "resources": ["*", "pods/resize"]}]
    assert evidence(judge("admission-bypass", written(rules=rules))) == ["Pod/ephemeralcontainers"]
    for name in ("pods/ephemeralcontainers", "pods/*", "*/ephemeralcontainers"):
        assert judge("admission-bypass", written(rules=[{**ALL, "resources": ["*", "pods/resize", name]}])) == []


def test_a_bundle_over_several_lines_is_usable() -> None:
    folded = BUNDLE[:20] + "\n  " + BUNDLE[20:]
    client = {"service": {"namespace": "iocaudit", "path": "/validate"}, "caBundle": folded}
    assert judge("admission-bypass", written(clientConfig=client)) == []


@pytest.mark.parametrize(
    "client",
    [
        {"service": {"namespace": "shop", "name": "iocaudit-admission", "path": "/validate"}, "caBundle": BUNDLE},
        {"service": {"namespace": "iocaudit", "name": "other", "path": "/validate"}, "caBundle": BUNDLE},
        {"url": "https://other.example/validate", "caBundle": BUNDLE},
        {
            "service": {"namespace": "iocaudit", "name": "iocaudit-admission", "path": "/validate"},
            "caBundle": base64.b64encode(PEM + b"other").decode(),
        },
    ],
)
def test_who_answers_it_must_be_who_answers_the_others(client: Json) -> None:
    body = written()
    body["webhooks"][0]["clientConfig"] = client
    assert places(judge("admission-bypass", body)) == ['webhooks["deny.iocaudit.io"].clientConfig']


def test_documented_namespaces_may_be_left_out() -> None:
    selector = by_name("NotIn", "kube-system", "iocaudit", "calico-system", "kube-public")
    body = written(namespaceSelector=selector)
    assert evidence(judge("admission-bypass", body)) == ["calico-system", "kube-public"]
    excluded = ["calico-system", "kube-public"]
    assert judge("admission-bypass", body, parameters={"excluded": excluded}) == []


def our_deployment() -> Json:
    """The webhook's own Deployment as it is stored."""
    metadata = {"name": "iocaudit-admission", "namespace": "iocaudit", "uid": "u"}
    labels = {"app.kubernetes.io/part-of": "iocaudit"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {**metadata, "labels": labels}, "spec": {}}


def test_the_configuration_may_be_missing_altogether() -> None:
    deployment = our_deployment()
    assert evidence(judge("admission-bypass", deployment)) == ["missing"]
    assert judge("admission-bypass", deployment, written()) == []
    del deployment["metadata"]["uid"]
    assert judge("admission-bypass", deployment) == []


def namespace(name: str = "shop", **labels: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def test_namespaces_that_are_exempted() -> None:
    assert judge("namespace-unguarded", namespace()) == []
    assert judge("namespace-unguarded", namespace(), written()) == []
    privileged = {"pod-security.kubernetes.io/enforce": "privileged"}
    assert evidence(judge("namespace-unguarded", namespace(**privileged))) == ["privileged"]
    assert judge("namespace-unguarded", namespace("kube-system", **privileged)) == []
    assert judge("namespace-unguarded", namespace("cni", **privileged), parameters={"excluded": ["cni"]}) == []
    ignored = {"admission.gatekeeper.sh/ignore": "no-self-managing"}
    assert evidence(judge("namespace-unguarded", namespace(**ignored))) == ["admission.gatekeeper.sh/ignore"]
    by_label = written(namespaceSelector=by_name("NotIn", "off", key="audit"))
    assert evidence(judge("namespace-unguarded", namespace(audit="off"), by_label)) == ["iocaudit"]
    assert judge("namespace-unguarded", namespace(audit="on"), by_label) == []


def test_a_stale_bundle_is_flagged_where_the_operator_found_it_so() -> None:
    subject = Resource(written(), CLUSTER)
    world = World()
    world.put(subject)
    client = client_of(subject.raw["webhooks"][0])
    auditor = Auditor(CATALOGUE.select(["admission-bypass"]), PolicySet(CATALOGUE, preset=Preset.LOCKDOWN), world)
    assert auditor.audit(subject).found == []
    world.untrusted = {client: "unable to get local issuer certificate", client._replace(port=1): "another"}
    (found,) = auditor.audit(subject).found
    assert found.hit.path == 'webhooks["deny.iocaudit.io"].clientConfig.caBundle'
    assert "stale CA bundle, so every call fails: unable to get local issuer certificate" in found.message


@pytest.mark.parametrize("url", ["https://[::1", "https://a:99999999/validate"])
def test_a_url_that_is_none_is_judged_without_an_error(url: str) -> None:
    found = judge("admission-bypass", written(clientConfig={"url": url, "caBundle": BUNDLE}))
    assert places(found) == []


def test_thousands_of_our_webhooks_in_one_configuration_are_judged_in_time() -> None:
    body = written()
    named = [{"name": name, "rules": [ALL]} for name in ("deny.iocaudit.io", "observe.iocaudit.io")]
    body["webhooks"] = named * 4000
    with cpu_within(10):
        assert judge("admission-bypass", body)


# -- as far as the policies in force deny anything --------------------------------------------------------------

QUIET: Json = {
    "metadata": {"name": "quiet"},
    "spec": {"checks": [{"profiles": ["default"], "mode": "warn"}, {"groups": ["self"], "mode": "warn"}]},
}
SHOP: Json = {
    "metadata": {"name": "shop"},
    "spec": {
        "priority": 1,
        "match": {"namespaces": ["shop"]},
        "checks": [{"ids": ["privileged-container"], "mode": "deny"}],
    },
}


def under(check: str, subject: Json, *policies: Json, beside: Json | None = None) -> list[str]:
    world = World()
    resources = [Resource(raw, CLUSTER) for raw in (subject, *([beside] if beside else []))]
    for resource in resources:
        world.put(resource)
    auditor = Auditor(CATALOGUE.select([check]), read_policies(policies, CATALOGUE, preset=Preset.LOCKDOWN), world)
    return [f"{found.severity.label}: {found.hit.evidence}" for found in auditor.audit(resources[0]).found]


def of_policies(*policies: Json) -> Json:
    body: Json = configuration(
        CATALOGUE, read_policies(policies, CATALOGUE, preset=Preset.LOCKDOWN), WebhookTarget("iocaudit", "x"), PEM
    )
    return body


@pytest.mark.parametrize("policies", [(), (QUIET,), (QUIET, SHOP), (SHOP,)])
def test_what_the_operator_writes_for_any_policies_has_no_hole(policies: tuple[Json, ...]) -> None:
    assert under("admission-bypass", of_policies(*policies), *policies) == []
    for name in ("shop", "bar"):
        assert under("namespace-unguarded", namespace(name), *policies, beside=of_policies(*policies)) == []


def test_one_namespace_alone_is_a_hole_where_more_is_denied() -> None:
    assert under("admission-bypass", of_policies(QUIET, SHOP)) != []
    narrow = of_policies(QUIET, SHOP)
    bar = {**SHOP, "metadata": {"name": "bar"}, "spec": {**SHOP["spec"], "match": {"namespaces": ["bar"]}}}
    assert len(under("admission-bypass", narrow, QUIET, SHOP, bar)) == 1
    assert len(under("namespace-unguarded", namespace("bar"), QUIET, SHOP, bar, beside=narrow)) == 1


def test_where_nothing_is_denied_a_missing_webhook_is_not_critical() -> None:
    deployment = our_deployment()
    assert under("admission-bypass", deployment) == ["critical: missing"]
    assert under("admission-bypass", deployment, QUIET) == ["medium: missing"]
    assert under("admission-bypass", deployment, QUIET, beside=of_policies(QUIET)) == []
    assert under("admission-bypass", deployment, beside=of_policies(QUIET)) == ["critical: missing"]
    assert under("admission-bypass", written(failurePolicy="Ignore"), QUIET) == []


def test_while_the_operator_is_about_to_register_it_nothing_is_missing() -> None:
    metadata = {"name": "iocaudit-admission", "labels": {"app.kubernetes.io/part-of": "iocaudit"}, "uid": "u"}
    raw = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {}}
    world = World()
    auditor = Auditor(CATALOGUE.select(["admission-bypass"]), PolicySet(CATALOGUE, preset=Preset.LOCKDOWN), world)
    assert len(auditor.audit(Resource(raw, CLUSTER)).found) == 1
    world.registering = True
    assert auditor.audit(Resource(raw, CLUSTER)).found == []
