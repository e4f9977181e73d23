"""LoadBalancer Services of controllers: said where nothing limits all that comes in and no route is there."""

import pytest
import yaml

from iocaudit.core.kinds import INGRESS
from iocaudit.core.kinds.gateways import KONG_CLUSTER_PLUGIN
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.knowledge.rate_limit.registry import GATEWAYS
from iocaudit.scanning.scan import ScanOptions, scan_files
from tests.support.auditing import audited, messages
from tests.unit.knowledge.rate_limit import test_gateways as gateways
from tests.unit.knowledge.rate_limit.test_gateways import together


def door(selector: str, kind: str = "LoadBalancer", namespace: str = "edge") -> str:
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: door, namespace: {namespace}}}
spec: {{type: {kind}, selector: {selector}, ports: [{{port: 80}}]}}
"""


def running(image: str, labels: str = "{app: proxy}", init: str = "") -> str:
    more = f"initContainers: [{{name: first, image: {init}}}], " if init else ""
    return f"""
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: proxy, namespace: edge}}
spec:
  selector: {{matchLabels: {labels}}}
  template:
    metadata: {{labels: {labels}}}
    spec: {{{more}containers: [{{name: proxy, image: {image}}}]}}
"""


PROXY = door("{app: proxy}")
KONG_LABELS = "{app.kubernetes.io/name: kong, app.kubernetes.io/component: app}"


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("registry.k8s.io/ingress-nginx/controller:v1.11.2@sha256:" + 64 * "a", "ingress-nginx"),
        ("mirror.hooli.com/quay/ingress-nginx/controller:v1", "ingress-nginx"),
        ("nginx/nginx-ingress:3.6", "NGINX Inc.'s controller"),
        ("traefik:v3.1", "Traefik"),
        ("kong:3.4", "Kong"),
        ("kong/kong-gateway:3.8", "Kong"),
        ("haproxytech/kubernetes-ingress", "HAProxy Technologies' controller"),
        ("quay.io/jcmoraisjr/haproxy-ingress:v0.14", "HAProxy Ingress"),
        ("apache/apisix:3.9", "APISIX"),
    ],
)
def test_a_controller_is_told_by_its_image(image: str, name: str) -> None:
    (said,) = messages("no-rate-limit", together(PROXY, running(image)))
    assert f"Service edge/door: leads to {name}, with no limit for all that comes in" in said
    assert f"{name} needs" in said


def test_contour_runs_envoy_beside_its_own_image() -> None:
    text = together(PROXY, running("envoyproxy/envoy:v1.31", init="ghcr.io/projectcontour/contour:v1.30"))
    (said,) = messages("no-rate-limit", text)
    assert "leads to Contour" in said
    assert messages("no-rate-limit", together(PROXY, running("envoyproxy/envoy:v1.31"))) == []


@pytest.mark.parametrize("labels", [labels for gateway in GATEWAYS for labels in gateway.pods], ids=str)
def test_a_controller_is_told_by_the_labels_of_its_chart(labels: dict[str, str]) -> None:
    names = [gateway.name for gateway in GATEWAYS if any(one.items() <= labels.items() for one in gateway.pods)]
    selector = yaml.safe_dump({**labels, "app.kubernetes.io/instance": "x"}, default_flow_style=True)
    (said,) = messages("no-rate-limit", door(selector))
    assert f"leads to {' or '.join(names)}, with" in said


@pytest.mark.parametrize(
    "text",
    [
        door(KONG_LABELS, "ClusterIP"),
        door(KONG_LABELS, "NodePort"),
        door("{app: web}"),
        door("{}"),
        door("null"),
        door("{app.kubernetes.io/name: envoy, gateway.envoyproxy.io/owning-gateway-name: edge}"),
        door("{istio: ingressgateway, gateway.networking.k8s.io/gateway-name: edge}"),
        together(door("{app: proxy}", namespace="other"), running("kong:3.4")),
        together(door("{app: other}"), running("kong:3.4")),
        together(PROXY, running("hooli.com/king-kong:1")),
    ],
)
def test_other_services_are_no_front_door(text: str) -> None:
    assert messages("no-rate-limit", text) == []


@pytest.mark.parametrize(
    "text",
    [
        together(door(KONG_LABELS), gateways.kong("calm", gateways.MINUTE, cluster=True, labels='{global: "true"}')),
        together(
            door("{app.kubernetes.io/name: apisix}"),
            gateways.object_of("apisix.apache.org/v2", "ApisixGlobalRule", "calm", f"spec: {{{gateways.COUNT}}}"),
        ),
        together(
            door("{istio: ingressgateway}", namespace="istio-system"),
            gateways.envoy_filter("istio-system", gateways.INGRESS_GATEWAY),
        ),
        together(door("{istio: own, app: istio-ingress}"), gateways.envoy_filter("edge", "priority: 1")),
    ],
)
def test_a_limit_of_all_that_comes_in_counts(text: str) -> None:
    assert messages("no-rate-limit", text) == []


def test_routes_are_judged_by_themselves_and_the_service_is_left_alone() -> None:
    kong = door(KONG_LABELS)
    for route in (gateways.ingress(gateways.KONG), gateways.routed(gateways.KONG_ROUTE)):
        (said,) = messages("no-rate-limit", together(kong, route))
        assert "Service" not in said.partition(":")[0]
    limited = together(kong, gateways.ingress(gateways.KONG, gateways.NAMED), gateways.kong("calm", gateways.MINUTE))
    assert messages("no-rate-limit", limited) == []
    other = audited("no-rate-limit", together(kong, gateways.ingress("k8s.io/ingress-nginx"))).found
    assert sorted(found.subject.kind for found in other) == ["Ingress", "Service"], "a route of another controller"
    unknown = messages("no-rate-limit", together(kong, gateways.ingress("k8s.io/ingress-nginx").partition("---")[2]))
    assert len(unknown) == 1, "it may be Kong's"
    assert unknown[0].startswith("skipped: ")


def test_what_could_not_be_read_is_no_hit() -> None:
    for kind in (INGRESS, KONG_CLUSTER_PLUGIN):
        (said,) = messages("no-rate-limit", door(KONG_LABELS), incomplete={kind: "forbidden"})
        assert said.startswith("skipped: whether what it lets in has a rate limit cannot be determined")
    (said,) = messages(
        "no-rate-limit",
        together(
            door("{istio: ingress}"),
            gateways.envoy_filter("edge", "workloadSelector: {labels: {istio: ingress, x: y}}"),
        ),
    )
    assert "may select the gateway's pods or not" in said


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (door(KONG_LABELS), "KongClusterPlugin"),
        (door("{app.kubernetes.io/name: apisix}"), "ApisixGlobalRule"),
        (door("{istio: ingressgateway}", namespace="istio-system"), "EnvoyFilter"),
        (door("{app.kubernetes.io/name: traefik}"), ""),
    ],
)
def test_a_limit_for_all_is_made_where_there_is_such_a_thing(text: str, kind: str) -> None:
    catalogue = builtin_catalogue().select({"no-rate-limit", "ineffective-rate-limit"})
    given = {"a.yaml": text.encode()}
    (missing,) = scan_files([], catalogue, ScanOptions(suggest="missing"), texts=given).missing
    assert [one["kind"] for one in missing.objects] == ([kind] if kind else [])
    assert bool(missing.reason) != bool(kind)
    if kind:
        given["b.yaml"] = yaml.safe_dump_all(missing.objects).encode()
        assert not scan_files([], catalogue, ScanOptions(), texts=given).report.found
