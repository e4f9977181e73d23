"""Limits that stand away from the route: in a controller's own configuration, at a class, a group, every backend."""

import pytest

from iocaudit.core.kinds import SERVICE
from iocaudit.core.kinds.gateways import APISIX_GATEWAY_PROXY, CONTOUR_DEPLOYMENT
from tests.support.auditing import messages
from tests.unit.knowledge.rate_limit import test_traefik as traefik
from tests.unit.knowledge.rate_limit.test_gateways import (
    ALB,
    HAPROXY_IO,
    HAPROXY_ORG,
    ISTIO_ROUTE,
    PLAIN_HOST,
    ROUTES,
    envoy_filter,
    ingress,
    object_of,
    proxy,
    routed,
    together,
)

APISIX = "apisix.apache.org/apisix-ingress-controller"


def settings(data: str) -> str:
    return f"\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: haproxy, namespace: edge}}\ndata: {data}\n"


def entry_points(*arguments: str) -> str:
    args = ", ".join(f'"{one}"' for one in arguments)
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: traefik, namespace: edge}}
spec:
  selector: {{matchLabels: {{app: traefik}}}}
  template:
    metadata: {{labels: {{app: traefik}}}}
    spec: {{containers: [{{name: traefik, image: "traefik:v3.1", args: [{args}]}}]}}
"""


WEB, OPS = "--entryPoints.web.address=:80/tcp", "--entrypoints.traefik.address=:9000/tcp"
TLS = "--entryPoints.websecure.address=:443/tcp"
CALM = "--entrypoints.web.http.middlewares=shop-calm@kubernetescrd"
CALM_TLS = "--entryPoints.websecure.http.middlewares=shop-other@kubernetescrd,shop-calm@kubernetescrd"
MIDDLEWARE = traefik.middleware("calm", traefik.LIMIT)
INGRESS = together(traefik.CLASS, traefik.SERVICE_YAML, traefik.ingress())
ON_WEB = traefik.route("[]").replace("spec:", "spec:\n  entryPoints: [web]")
ON_TLS = ON_WEB.replace("[web]", "[web, websecure]")
GATEWAY_PROXY = object_of(
    "apisix.apache.org/v1alpha1",
    "GatewayProxy",
    "all",
    "spec: {plugins: [{name: limit-req, enabled: true, config: {rate: 5, burst: 1}}]}",
    "infra",
)
BY_CLASS = ", parameters: {apiGroup: apisix.apache.org, kind: GatewayProxy, name: all, namespace: infra}"
BY_GATEWAY = "infrastructure: {parametersRef: {group: apisix.apache.org, kind: GatewayProxy, name: all}}\n  listeners:"
PROVISIONED = object_of(
    "projectcontour.io/v1alpha1",
    "ContourDeployment",
    "contour",
    "spec: {runtimeSettings: {rateLimitService: {defaultGlobalRateLimitPolicy: {descriptors: [{entries: []}]}}}}",
)
ON_CLASS = "targetRefs: [{group: gateway.networking.k8s.io, kind: GatewayClass, name: edge}]"
CALM_FILTER = "filters: [{type: ExtensionRef, extensionRef: {group: traefik.io, kind: Middleware, name: calm}}]"
TRAEFIK_ROUTE = "traefik.io/gateway-controller"
SERVICE_LIMIT = ingress(HAPROXY_IO).replace(
    "{name: web, namespace: shop}\nspec: {ports",
    "{name: web, namespace: shop, annotations: {haproxy-ingress.github.io/limit-rps: '5'}}\nspec: {ports",
)
VIRTUAL_SERVER = object_of(
    "k8s.nginx.org/v1",
    "VirtualServer",
    "web",
    "spec: {host: a.example, policies: [{name: calm}], routes: [{path: /, policies: [{name: own}]}]}",
)


def nginx(name: str, spec: str) -> str:
    return object_of("k8s.nginx.org/v1", "Policy", name, f"spec: {spec}")


LIMITED = [
    ("haproxytech, second prefix", ingress(HAPROXY_ORG, "{haproxy.com/rate-limit-requests: '5'}")),
    ("haproxytech, third prefix", ingress(HAPROXY_ORG, "{ingress.kubernetes.io/rate-limit-requests: '5'}")),
    ("haproxytech, config map", together(ingress(HAPROXY_ORG), settings("{rate-limit-requests: '5'}"))),
    ("haproxy ingress, config map", together(ingress(HAPROXY_IO), settings("{limit-connections: '5'}"))),
    ("haproxy ingress, service", SERVICE_LIMIT),
    ("traefik, entry point", together(INGRESS, MIDDLEWARE, entry_points(WEB, OPS, CALM))),
    ("traefik, entry points", together(INGRESS, MIDDLEWARE, entry_points(WEB, TLS, CALM, CALM_TLS))),
    (
        "traefik, default one",
        together(INGRESS, MIDDLEWARE, entry_points(WEB, TLS, CALM, "--entrypoints.web.asDefault")),
    ),
    ("traefik, named one", together(ON_WEB, MIDDLEWARE, entry_points(WEB, TLS, CALM))),
    ("traefik, gateway api", together(routed(TRAEFIK_ROUTE), MIDDLEWARE, entry_points(WEB, CALM))),
    ("apisix, class", together(ingress(APISIX, extra=BY_CLASS), GATEWAY_PROXY)),
    ("apisix, gateway", together(routed(APISIX).replace("listeners:", BY_GATEWAY, 1), GATEWAY_PROXY)),
    ("contour, provisioned", together(proxy("web", PLAIN_HOST + ROUTES), PROVISIONED)),
    ("istio, class", together(routed(ISTIO_ROUTE), envoy_filter("istio-system", ON_CLASS))),
    (
        "every backend",
        together(
            routed(TRAEFIK_ROUTE, f"[{{backendRefs: [{{name: a, {CALM_FILTER}}}, {{name: b, {CALM_FILTER}}}]}}]"),
            MIDDLEWARE,
        ),
    ),
    (
        "nginx inc, another sort at the route",
        together(
            VIRTUAL_SERVER, nginx("calm", "{rateLimit: {rate: 5r/s}}"), nginx("own", "{accessControl: {allow: []}}")
        ),
    ),
]
OPEN = [
    ("haproxytech, config map of nothing", together(ingress(HAPROXY_ORG), settings("{rate-limit-requests: '0'}"))),
    ("haproxytech, config map of the other", together(ingress(HAPROXY_ORG), settings("{limit-rps: '5'}"))),
    ("a number that is none", ingress("k8s.io/ingress-nginx", "{nginx.ingress.kubernetes.io/limit-rps: '2.5'}")),
    ("traefik, one entry point of two", together(INGRESS, MIDDLEWARE, entry_points(WEB, TLS, CALM))),
    ("traefik, one of two that are named", together(ON_TLS, MIDDLEWARE, entry_points(WEB, TLS, CALM))),
    ("traefik, no limit there", together(INGRESS, entry_points(WEB, CALM))),
    ("apisix, switched off", together(ingress(APISIX, extra=BY_CLASS), GATEWAY_PROXY.replace("enabled: true, ", ""))),
    (
        "apisix, disabled",
        together(ingress(APISIX, extra=BY_CLASS), GATEWAY_PROXY.replace("rate: 5", "rate: 5, _meta: {disable: true}")),
    ),
    ("istio, class outside the root", together(routed(ISTIO_ROUTE), envoy_filter("infra", ON_CLASS))),
    (
        "istio, another class",
        together(routed(ISTIO_ROUTE), envoy_filter("istio-system", ON_CLASS.replace("edge", "x"))),
    ),
    (
        "one backend of two",
        together(routed(TRAEFIK_ROUTE, f"[{{backendRefs: [{{name: a, {CALM_FILTER}}}, {{name: b}}]}}]"), MIDDLEWARE),
    ),
    (
        "nginx inc, the route's own only logs",
        together(
            VIRTUAL_SERVER,
            nginx("calm", "{rateLimit: {rate: 5r/s}}"),
            nginx("own", "{rateLimit: {rate: 5r/s, dryRun: true}}"),
        ),
    ),
]


@pytest.mark.parametrize("text", [row[1] for row in LIMITED], ids=[row[0] for row in LIMITED])
def test_a_limit_counts_wherever_it_stands(text: str) -> None:
    assert messages("no-rate-limit", text) == []


@pytest.mark.parametrize("text", [row[1] for row in OPEN], ids=[row[0] for row in OPEN])
def test_what_reaches_only_a_part_does_not(text: str) -> None:
    (message,) = messages("no-rate-limit", text)
    assert "has no rate limit" in message
    assert not message.startswith("skipped")


def test_one_web_acl_is_that_of_the_whole_group() -> None:
    grouped = "{alb.ingress.kubernetes.io/group.name: edge}"
    other = ingress(
        ALB, "{alb.ingress.kubernetes.io/group.name: edge, alb.ingress.kubernetes.io/wafv2-acl-arn: 'arn:x'}"
    )
    other = other.replace("name: web, namespace: shop, annotations", "name: api, namespace: shop, annotations")
    found = messages("no-rate-limit", together(ingress(ALB, grouped), other.partition("---")[2]))
    assert len(found) == 2
    assert all("web ACL arn:x has a rule" in one for one in found)
    (said,) = messages("no-rate-limit", ingress(ALB, grouped))
    assert "AWS Load Balancer Controller needs" in said


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (ingress(APISIX, extra=BY_CLASS), APISIX_GATEWAY_PROXY),
        (proxy("web", PLAIN_HOST + ROUTES), CONTOUR_DEPLOYMENT),
        (ingress(HAPROXY_IO).rpartition("---")[0], SERVICE),
    ],
)
def test_what_could_not_be_read_may_limit(text: str, kind: object) -> None:
    (said,) = messages("no-rate-limit", text, incomplete={kind: "forbidden"})
    assert said.startswith("skipped: ")


def test_an_entry_points_middleware_of_another_provider_is_unknown() -> None:
    (said,) = messages(
        "no-rate-limit", together(INGRESS, entry_points(WEB, "--entrypoints.web.http.middlewares=calm@file"))
    )
    assert said.startswith("skipped: ")
    assert "calm@file is defined outside" in said
