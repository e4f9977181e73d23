"""``scan --generate``: what is missing as new documents, which make the finding go away when scanned with the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from iocaudit.core.json_patch import apply, patch_of
from iocaudit.core.repair import Repair
from iocaudit.core.wording import counted
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.scanning.scan import ScanOptions, scan_files
from tests.support.running import run
from tests.unit.checks import test_workload_rate_limits as mesh
from tests.unit.knowledge.rate_limit import test_gateways as gateways
from tests.unit.knowledge.rate_limit import test_traefik as traefik
from tests.unit.knowledge.rate_limit.test_gateways import together

CATALOGUE = builtin_catalogue()
NETWORK = ("no-ingress-policy", "no-egress-policy", "namespace-without-default-deny")
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, version: "1"}}
    spec: {containers: [{name: app, image: "hooli.com/web:1"}]}
"""
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: shop, labels: {app: one}}
spec: {containers: [{name: app, image: "hooli.com/web:1"}]}
"""
DNS = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]


def _generated(text: str, *checks: str) -> tuple[list[dict[str, Any]], str]:
    """The documents made for a text, and what was said of the others."""
    selected = [part for check in checks for part in ("--check", check)]
    code, out, errors = run("scan", "-", "--generate", "-", *selected, stdin=text)
    assert code in (0, 1)
    return [one for one in yaml.safe_load_all(out) if one], errors


def _found(*texts: str) -> set[tuple[str, str]]:
    given = {f"{number}.yaml": text.encode() for number, text in enumerate(texts)}
    report = scan_files([], CATALOGUE, ScanOptions(profile="strict"), texts=given).report
    return {(found.check, str(found.subject)) for found in report.found}


@pytest.mark.parametrize("check", NETWORK)
def test_the_bad_example_is_answered_and_nothing_else_comes_up(check: str, tmp_path: Path) -> None:
    declared = CATALOGUE.find(check)
    assert declared is not None
    # A namespace has pods: where there are none, policy-selects-nothing says so of any policy.
    bad = f"{declared.doc.bad}\n---\n{POD}"
    file, new = tmp_path / "bad.yaml", tmp_path / "new.yaml"
    file.write_text(bad)
    code, out, errors = run("scan", str(file), "--check", check, "--generate", str(new))
    assert code == 0
    assert check in out, "the report says what was found"
    assert "not generated" not in errors
    before, after = _found(bad), _found(bad, new.read_text())
    assert check in {one for one, _ in before}
    assert check not in {one for one, _ in after}
    assert not after - before


def test_a_workload_is_isolated_by_what_its_selector_says_with_dns_allowed() -> None:
    (policy,), errors = _generated(DEPLOYMENT, *NETWORK)
    assert policy["metadata"] == {"name": "isolate-web"}, "the namespace is left open, as in the file"
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app": "web"}}
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["egress"][0]["ports"] == DNS
    assert "ingress" not in policy["spec"]
    assert "1 document for 2 findings" in errors


def test_what_covers_the_namespace_spares_its_workloads() -> None:
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n"
    made, errors = _generated(f"{namespace}---\n{DEPLOYMENT}", *NETWORK)
    assert [(one["metadata"]["name"], one["spec"]["podSelector"]) for one in made] == [("default-deny", {})]
    assert "1 document for 4 findings" in errors


def test_pods_without_labels_are_covered_by_their_namespace() -> None:
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\nspec: {containers: [{name: b}]}\n"
    (policy,), _ = _generated(pod, *NETWORK)
    assert policy["metadata"] == {"name": "default-deny", "namespace": "shop"}
    assert policy["spec"]["podSelector"] == {}


def test_a_name_in_use_is_left_to_its_owner() -> None:
    policy = (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: isolate-web}\n"
        "spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}\n"
    )
    (made,), _ = _generated(f"{policy}---\n{DEPLOYMENT}", *NETWORK)
    assert made["metadata"]["name"] == "isolate-web-2"
    assert made["spec"]["policyTypes"] == ["Egress"]


def test_labels_that_do_not_last_are_not_selected_by() -> None:
    pod = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {app: b, pod-template-hash: x}}\n"
        "spec: {containers: [{name: b}]}\n"
    )
    (policy,), _ = _generated(pod, *NETWORK)
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app": "b"}}


KONG_ROUTE = gateways.routed(gateways.KONG_ROUTE)
APISIX = "apisix.apache.org/apisix-ingress-controller"
FILTER = """[{name: all, filters: [{type: RequestMirror, requestMirror: {backendRef: {name: web, port: 80}}}]}]"""
TRAEFIK_ROUTE = gateways.routed("traefik.io/gateway-controller", FILTER)
LEGACY = "traefik.containo.us"
OLD_INGRESS = together(
    traefik.CLASS, traefik.SERVICE_YAML, traefik.ingress(), traefik.middleware("a", "{}", group=LEGACY)
)
IN_FRONT = gateways.kuadrant(gateways.TO_GATEWAY, "defaults: {limits: {}}", "infra", "wide")
# Each gateway's way in, what is made for it, and the annotation or list of the route that has to name it.
MADE = [
    ("traefik, ingress", together(traefik.CLASS, traefik.SERVICE_YAML, traefik.ingress()), "traefik.io", "annotations"),
    ("traefik 2, ingress", OLD_INGRESS, LEGACY, "annotations"),
    ("traefik, route", traefik.route("[]"), "traefik.io", "spec.routes[0].middlewares"),
    ("traefik 2, route", traefik.route("[]", group=LEGACY), LEGACY, "spec.routes[0].middlewares"),
    ("traefik, gateway api", TRAEFIK_ROUTE, "traefik.io", "spec.rules[0].filters"),
    ("kong, ingress", gateways.ingress(gateways.KONG), "configuration.konghq.com", "annotations"),
    ("kong, gateway api", KONG_ROUTE, "configuration.konghq.com", "annotations"),
    ("istio", gateways.VIRTUAL_SERVICE, "networking.istio.io", ""),
    ("istio, ingress", gateways.ingress("istio.io/ingress-controller"), "networking.istio.io", ""),
    ("istio, gateway api", gateways.routed(gateways.ISTIO_ROUTE), "networking.istio.io", ""),
    ("kuadrant", together(gateways.routed(gateways.ISTIO_ROUTE), IN_FRONT), "kuadrant.io", ""),
    ("envoy gateway", gateways.routed(gateways.ENVOY), "gateway.envoyproxy.io", ""),
    ("nginx fabric", gateways.routed(gateways.FABRIC), "gateway.nginx.org", ""),
    ("nginx inc", gateways.virtual_server("x: y", "x: y"), "k8s.nginx.org", "spec.policies"),
    ("apisix, ingress", gateways.ingress(APISIX), "apisix.apache.org", "annotations"),
    ("apisix, gateway api", gateways.routed(APISIX), "apisix.apache.org", "spec.rules[0].filters"),
    ("cilium, ingress", gateways.ingress("cilium.io/ingress-controller"), "cilium.io", ""),
    ("cilium, gateway api", gateways.routed(gateways.CILIUM_ROUTE), "cilium.io", ""),
]
LIMITS = CATALOGUE.select({"no-rate-limit", "ineffective-rate-limit"})


@pytest.mark.parametrize(("text", "group", "named"), [case[1:] for case in MADE], ids=[case[0] for case in MADE])
def test_each_gateway_gets_a_limit_that_holds_once_the_route_names_it(text: str, group: str, named: str) -> None:
    given = {"a.yaml": text.encode()}
    before = scan_files([], LIMITS, ScanOptions(suggest="missing"), texts=given)
    assert {found.check for found in before.report.found} >= {"no-rate-limit"}
    made, errors = _generated(text, "no-rate-limit")
    assert {one["apiVersion"].partition("/")[0] for one in made} == {group}
    assert "not generated" not in errors
    assert f"{counted(len(made), 'document')} for {counted(len(before.missing), 'finding')}" in errors
    assert ("change: <stdin>:" in errors) == bool(named), "what the route has to say is said"
    documents = [one for one in yaml.safe_load_all(text) if one]
    for one in before.missing:
        assert named in one.edits[0].path if named else not one.edits
        at = one.found.origin.document
        documents[at] = apply(documents[at], patch_of(documents[at], one.found.hit.path, Repair(one.edits)))
    after = scan_files([], LIMITS, ScanOptions(), texts={"a.yaml": yaml.safe_dump_all([*documents, *made]).encode()})
    known = {(found.check, str(found.subject)) for found in before.report.found}
    assert not [found for found in after.report.found if found.check == "no-rate-limit"]
    assert not {(found.check, str(found.subject)) for found in after.report.found} - known


@pytest.mark.parametrize("case", gateways.OPEN, ids=lambda case: case[0])
def test_a_route_gets_its_limit_or_is_told_why_not(case: tuple[str, str, str]) -> None:
    text = case[1]
    found = scan_files([], LIMITS, ScanOptions(suggest="missing"), texts={"a.yaml": text.encode()}).missing
    assert found
    made, errors = _generated(text, "no-rate-limit")
    assert bool(made) == any(one.objects for one in found) or "another policy takes precedence" in errors
    assert ("not generated: " in errors) == (not made)
    for one in found:
        assert bool(one.objects) != bool(one.reason)
        assert one.found.hit.repair is None or "--fix --unsafe-fixes" in one.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (gateways.ingress(gateways.ALB), "its limit is a rate-based rule of a web ACL, made in AWS"),
        (gateways.routed(gateways.GKE_ROUTE), "Cloud Armor policy, made in Google Cloud: name that policy in a GCPB"),
        (gateways.ingress("projectcontour.io/ingress-controller"), "an HTTPProxy can have one"),
        (gateways.routed("x").partition("---")[2], "its controller is not known"),
        (
            together(gateways.ingress(gateways.KONG, gateways.NAMED), gateways.kong("calm", "plugin: rate-limiting")),
            "enable KongPlugin calm, which it names",
        ),
        (
            gateways.ingress(APISIX, "{k8s.apisix.apache.org/plugin-config-name: own}"),
            "add plugin limit-count to ApisixPluginConfig own, which it names",
        ),
        (
            together(traefik.route("[]", group=LEGACY), traefik.middleware("a", "{}")),
            "Traefik 3 does not read its group",
        ),
    ],
)
def test_where_no_limit_can_be_made_the_reason_is_said(text: str, reason: str) -> None:
    made, errors = _generated(text, "no-rate-limit")
    assert made == []
    assert reason in errors


@pytest.mark.parametrize(
    "text", [gateways.proxy("web", gateways.PLAIN_HOST + gateways.ROUTES), gateways.apisix_route("plugins: []")]
)
def test_a_limit_that_stands_in_the_route_is_a_repair_of_it(text: str) -> None:
    found = scan_files([], LIMITS, ScanOptions(), texts={"a.yaml": text.encode()}).report.found
    (document,) = yaml.safe_load_all(text)
    for one in found:
        assert one.hit.repair is not None
        document = apply(document, patch_of(document, one.hit.path, one.hit.repair))
    assert not scan_files([], LIMITS, ScanOptions(), texts={"a.yaml": yaml.safe_dump(document).encode()}).report.found


def test_a_limit_that_another_policy_beats_is_not_written(tmp_path: Path) -> None:
    """Of two policies on one route the older one holds, as the names settle it in files."""
    older = gateways.traffic_policy("first", gateways.TO_ROUTE, "timeout: {}")
    made, errors = _generated(together(gateways.routed(gateways.ENVOY), older), "no-rate-limit")
    assert made == []
    assert "give BackendTrafficPolicy shop/first a rateLimit rule without clientSelectors" in errors


def test_the_files_themselves_stay_as_they_are(tmp_path: Path) -> None:
    file, new = tmp_path / "web.yaml", tmp_path / "new.yaml"
    file.write_text(KONG_ROUTE)
    code, _, errors = run("scan", str(file), "--check", "no-rate-limit", "--generate", str(new))
    assert code == 0
    assert file.read_text() == KONG_ROUTE
    change = 'HTTPRoute shop/web: set metadata.annotations["konghq.com/plugins"] to "limit-web"'
    assert change in errors
    assert change in new.read_text(), "the new file says it too"
    assert [one["kind"] for one in yaml.safe_load_all(new.read_text())] == ["KongPlugin"]


def test_routes_that_share_a_gateway_share_its_limit_and_others_do_not() -> None:
    other = gateways.VIRTUAL_SERVICE.replace("name: web", "name: api")
    made, errors = _generated(together(gateways.VIRTUAL_SERVICE, other.partition("---")[2]), "no-rate-limit")
    assert [one["metadata"]["name"] for one in made] == ["limit-edge"]
    assert "1 document for 2 findings" in errors
    assert "note: all routes of that gateway share this limit" in errors
    apart = gateways.VIRTUAL_SERVICE.replace("namespace: shop", "namespace: infra").replace("ingressgateway", "own")
    made, errors = _generated(together(gateways.VIRTUAL_SERVICE, apart), "no-rate-limit")
    assert sorted(one["metadata"]["name"] for one in made) == ["limit-edge", "limit-edge-2"]
    assert "2 documents for 2 findings" in errors


def test_a_name_in_use_by_another_limit_is_left_to_it() -> None:
    taken = traefik.middleware("limit-web", "{headers: {}}")
    (made,), errors = _generated(together(traefik.route("[]"), taken), "no-rate-limit")
    assert made["metadata"]["name"] == "limit-web-2"
    assert 'add {"name": "limit-web-2"} to spec.routes[0].middlewares' in errors


SERVERLESS = mesh.namespace(annotations="{linkerd.io/inject: enabled}")
SERVER = mesh.LINKERD.partition("---")[0]
OTHER = gateways.cilium("stat_prefix: x", "[{name: other, namespace: shop}]")
BETWEEN = [
    ("istio", together(mesh.ISTIO, mesh.SERVICE_YAML, mesh.workload()), "EnvoyFilter"),
    ("linkerd", together(SERVERLESS, mesh.SERVICE_YAML, mesh.workload(), SERVER), "HTTPLocalRateLimitPolicy"),
    ("cilium", together(mesh.namespace(), mesh.SERVICE_YAML, mesh.workload(), OTHER), "CiliumEnvoyConfig"),
]


@pytest.mark.parametrize(("text", "kind"), [case[1:] for case in BETWEEN], ids=[case[0] for case in BETWEEN])
def test_a_workload_of_a_mesh_gets_its_limit(text: str, kind: str) -> None:
    made, errors = _generated(text, "no-workload-rate-limit")
    assert [one["kind"] for one in made] == [kind]
    assert "1 document for 1 finding" in errors
    checks = CATALOGUE.select({"no-workload-rate-limit", "ineffective-rate-limit"})
    given = {"a.yaml": text.encode(), "b.yaml": yaml.safe_dump_all(made).encode()}
    found = scan_files([], checks, ScanOptions(profile="strict"), texts=given).report.found
    assert not [
        one for one in found if one.check == "no-workload-rate-limit" or one.subject.name == made[0]["metadata"]["name"]
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (together(SERVERLESS, mesh.SERVICE_YAML, mesh.workload()), "no Server of Linkerd selects it yet"),
        (
            together(
                mesh.ISTIO,
                mesh.SERVICE_YAML.replace("app: web", "pod-template-hash: x"),
                mesh.workload("{pod-template-hash: x}"),
            ),
            "its pods bear no labels to be selected by",
        ),
    ],
)
def test_a_workload_that_cannot_be_limited_is_told_why(text: str, reason: str) -> None:
    made, errors = _generated(text, "no-workload-rate-limit")
    assert made == []
    assert reason in errors


def test_every_route_of_an_object_is_answered_by_one_limit() -> None:
    route = traefik.route("[]") + "  - {match: Host(`b.example`), kind: Rule, services: [{name: web, port: 80}]}\n"
    made, errors = _generated(route, "no-rate-limit")
    assert [one["kind"] for one in made] == ["Middleware"]
    assert "1 document for 2 findings, with the 2 changes above" in errors


def test_what_the_baseline_knows_is_not_answered(tmp_path: Path) -> None:
    file, known = tmp_path / "web.yaml", tmp_path / "known.json"
    file.write_text(traefik.route("[]"))
    selected = ("--check", "no-rate-limit")
    assert run("scan", str(file), *selected, "--write-baseline", str(known))[0] == 0
    code, out, errors = run("scan", str(file), *selected, "--baseline", str(known), "--generate", "-")
    assert code == 0
    assert out == ""
    assert "generated: 0 documents for 0 findings" in errors


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    new.write_text("mine")
    code, _, errors = run("scan", "-", "--generate", str(new), stdin=DEPLOYMENT)
    assert code == 2
    assert "already exists; name a new file" in errors
    assert new.read_text() == "mine"


def test_a_file_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    code, _, errors = run("scan", "-", "--generate", str(tmp_path / "no" / "new.yaml"), stdin=DEPLOYMENT)
    assert code == 2
    assert "cannot be written" in errors


def test_where_nothing_is_missing_nothing_is_written(tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    code, _, errors = run("scan", "-", "--check", "host-pid", "--generate", str(new), stdin=DEPLOYMENT)
    assert code == 0
    assert "0 documents" in errors
    assert not new.exists()


@pytest.mark.parametrize("more", [("--fix",), ("--diff",), ("--each-file-alone",), ("--write-baseline", "b.json")])
def test_wrong_usage(more: tuple[str, ...]) -> None:
    assert run("scan", "-", "--generate", "-", *more, stdin=DEPLOYMENT)[0] == 2
