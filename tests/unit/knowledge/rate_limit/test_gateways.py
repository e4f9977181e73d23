"""Every other gateway: an open route is said with the mechanism that is missing, a limit by that mechanism counts,
one that does nothing is said, and what could not be read is no hit."""

import pytest
import yaml

from iocaudit.core.kinds import KINDS
from iocaudit.knowledge.rate_limit.registry import GATEWAYS
from tests.support.auditing import messages


def ingress(controller: str, annotations: str = "{}", extra: str = "") -> str:
    return f"""
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: edge}}
spec: {{controller: {controller}{extra}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web, namespace: shop, annotations: {annotations}}}
spec:
  ingressClassName: edge
  rules:
  - host: a.example
    http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {{ports: [{{port: 80}}]}}
"""


def routed(
    controller: str, rules: str = "[{name: all, backendRefs: [{name: web, port: 80}]}]", more: str = "{}"
) -> str:
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: edge}}
spec: {{controllerName: {controller}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge, namespace: infra, labels: {{tier: front}}}}
spec:
  gatewayClassName: edge
  listeners: [{{name: http, protocol: HTTP, port: 80}}, {{name: other, protocol: HTTP, port: 81}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web, namespace: shop, labels: {{app: web}}, annotations: {more}}}
spec:
  parentRefs: [{{name: edge, namespace: infra, sectionName: http}}]
  rules: {rules}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {{ports: [{{port: 80}}]}}
"""


def object_of(api: str, kind: str, name: str, spec: str, namespace: str | None = "shop", labels: str = "{}") -> str:
    where = f", namespace: {namespace}" if namespace else ""
    return f"""
apiVersion: {api}
kind: {kind}
metadata: {{name: {name}{where}, labels: {labels}}}
{spec}
"""


def kong(name: str, body: str, *, cluster: bool = False, labels: str = "{}") -> str:
    kind = "KongClusterPlugin" if cluster else "KongPlugin"
    return object_of("configuration.konghq.com/v1", kind, name, body, None if cluster else "shop", labels)


MINUTE = "plugin: rate-limiting\nconfig: {minute: 60}"
TO_ROUTE = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: web}"
TO_GATEWAY = "{group: gateway.networking.k8s.io, kind: Gateway, name: edge}"
ENVOY = "gateway.envoyproxy.io/gatewayclass-controller"


def traffic_policy(name: str, target: str, rest: str, namespace: str = "shop") -> str:
    spec = f"spec: {{targetRefs: [{target}], {rest}}}"
    return object_of("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", name, spec, namespace)


TEN = "rateLimit: {type: Local, local: {rules: [{limit: {requests: 10, unit: Second}}]}}"


def fabric(target: str, rest: str, namespace: str = "shop") -> str:
    spec = f"spec: {{targetRefs: [{target}], rateLimit: {{{rest}}}}}"
    return object_of("gateway.nginx.org/v1alpha1", "RateLimitPolicy", "calm", spec, namespace)


def kuadrant(target: str, rest: str, namespace: str = "shop", name: str = "calm") -> str:
    return object_of("kuadrant.io/v1", "RateLimitPolicy", name, f"spec: {{targetRef: {target}, {rest}}}", namespace)


FIVE = "limits: {all: {rates: [{limit: 5, window: 10s}]}}"


def envoy_filter(
    namespace: str, selector: str, context: str = "GATEWAY", enforced: int = 100, bucket: bool = True
) -> str:
    tokens = "token_bucket: {max_tokens: 100, tokens_per_fill: 100, fill_interval: 60s}" if bucket else "stat_prefix: x"
    return object_of(
        "networking.istio.io/v1alpha3",
        "EnvoyFilter",
        "calm",
        f"""spec:
  {selector}
  configPatches:
  - applyTo: HTTP_FILTER
    match: {{context: {context}}}
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          "@type": type.googleapis.com/udpa.type.v1.TypedStruct
          type_url: type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
          value:
            stat_prefix: http
            {tokens}
            filter_enabled: {{default_value: {{numerator: 100, denominator: HUNDRED}}}}
            filter_enforced: {{default_value: {{numerator: {enforced}, denominator: HUNDRED}}}}
""",
        namespace,
    )


INGRESS_GATEWAY = "workloadSelector: {labels: {istio: ingressgateway}}"
VIRTUAL_SERVICE = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {selector: {istio: ingressgateway}, servers: []}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: [a.example], gateways: [edge, mesh], http: [{route: [{destination: {host: web}}]}]}
"""


def proxy(name: str, spec: str, namespace: str = "shop") -> str:
    return object_of("projectcontour.io/v1", "HTTPProxy", name, f"spec: {spec}", namespace)


CALM_HOST = "{virtualhost: {fqdn: a.example, rateLimitPolicy: {local: {requests: 5, unit: second}}}, "
PLAIN_HOST = "{virtualhost: {fqdn: a.example}, "
ROUTES = "routes: [{services: [{name: web, port: 80}]}]}"


def apisix_route(rest: str) -> str:
    spec = f"spec: {{http: [{{name: all, match: {{paths: [/*]}}, backends: [{{serviceName: web}}], {rest}}}]}}"
    return object_of("apisix.apache.org/v2", "ApisixRoute", "web", spec)


COUNT = "plugins: [{name: limit-count, enable: true, config: {count: 10, time_window: 1}}]"


def cilium(rest: str, services: str = "[{name: web, namespace: shop}]") -> str:
    limit = f"""{{
      "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit,
      filter_enabled: {{default_value: {{numerator: 100}}}}, filter_enforced: {{default_value: {{numerator: 100}}}},
      {rest}}}"""
    chain = f"[{{name: envoy.filters.http.local_ratelimit, typed_config: {limit}}}]"
    spec = f"""spec:
  services: {services}
  resources:
  - "@type": type.googleapis.com/envoy.config.listener.v3.Listener
    filter_chains: [{{filters: [{{name: http, typed_config: {{http_filters: {chain}}}}}]}}]
"""
    return object_of("cilium.io/v2", "CiliumEnvoyConfig", "calm", spec)


BUCKET = "token_bucket: {max_tokens: 10, tokens_per_fill: 10, fill_interval: 1s}"


def nginx_policy(rest: str) -> str:
    return object_of("k8s.nginx.org/v1", "Policy", "calm", f"spec: {{rateLimit: {{{rest}}}}}")


def openshift_route(annotations: str = "{}", rest: str = "") -> str:
    return f"""
apiVersion: route.openshift.io/v1
kind: Route
metadata: {{name: web, namespace: shop, annotations: {annotations}}}
spec: {{host: a.example, to: {{kind: Service, name: web}}{rest}}}
"""


OPENSHIFT = "haproxy.router.openshift.io/rate-limit-connections"
OPENSHIFT_200 = f'{{{OPENSHIFT}: "true", {OPENSHIFT}.rate-http: "200"}}'


def virtual_server(server: str, route: str) -> str:
    spec = f"spec: {{host: a.example, {server}, routes: [{{path: /, {route}}}]}}"
    return object_of("k8s.nginx.org/v1", "VirtualServer", "web", spec)


def together(*documents: str) -> str:
    return "---".join(documents)


KONG = "ingress-controllers.konghq.com/kong"
KONG_ROUTE = "konghq.com/kic-gateway-controller"
ALB = "ingress.k8s.aws/alb"
NAMED = '{konghq.com/plugins: "calm"}'
HAPROXY_ORG = "haproxy.org/ingress-controller"
HAPROXY_IO = "haproxy-ingress.github.io/controller"
FABRIC = "gateway.nginx.org/nginx-gateway-controller"
ISTIO_ROUTE = "istio.io/gateway-controller"
CILIUM_ROUTE = "io.cilium/gateway-controller"
GKE_ROUTE = "networking.gke.io/gateway"

OPEN = [
    ("ingress-nginx", ingress("k8s.io/ingress-nginx"), "ingress-nginx needs annotation nginx.ingress"),
    (
        "bandwidth is no rate of requests",
        ingress("k8s.io/ingress-nginx", '{nginx.ingress.kubernetes.io/limit-rate: "100"}'),
        "ingress-nginx needs",
    ),
    (
        "a limit that exempts everybody",
        ingress(
            "k8s.io/ingress-nginx",
            '{nginx.ingress.kubernetes.io/limit-rps: "5", nginx.ingress.kubernetes.io/limit-whitelist: "0.0.0.0/0"}',
        ),
        "ingress-nginx needs",
    ),
    ("kong", ingress(KONG), "Kong needs a KongPlugin rate-limiting"),
    ("kong, another plugin", together(ingress(KONG, NAMED), kong("calm", "plugin: cors")), "Kong needs"),
    ("kong, disabled", together(ingress(KONG, NAMED), kong("calm", f"disabled: true\n{MINUTE}")), "Kong needs"),
    ("kong, not global", together(ingress(KONG), kong("calm", MINUTE, cluster=True)), "Kong needs"),
    ("haproxytech", ingress(HAPROXY_ORG), "HAProxy Technologies' controller needs annotation haproxy.org/rate"),
    ("haproxytech, other prefix", ingress(HAPROXY_ORG, '{haproxy-ingress.github.io/limit-rps: "5"}'), "Technologies"),
    ("haproxy ingress", ingress(HAPROXY_IO, '{haproxy.org/rate-limit-requests: "5"}'), "HAProxy Ingress needs"),
    ("contour ingress", ingress("projectcontour.io/ingress-controller"), "Contour needs rateLimitPolicy"),
    ("contour", proxy("web", PLAIN_HOST + ROUTES), "route 0 has no rate limit: Contour needs rateLimitPolicy"),
    (
        "contour, included by a host without",
        together(
            proxy("web", PLAIN_HOST + "includes: [{name: part}]}"),
            proxy("part", "{" + ROUTES),
        ),
        "Contour needs",
    ),
    ("istio", VIRTUAL_SERVICE, "its way through Gateway shop/edge has no rate limit: Istio needs an EnvoyFilter"),
    (
        "istio, not enforced",
        together(VIRTUAL_SERVICE, envoy_filter("istio-system", INGRESS_GATEWAY, enforced=0)),
        "Istio",
    ),
    (
        "istio, no bucket",
        together(VIRTUAL_SERVICE, envoy_filter("istio-system", INGRESS_GATEWAY, bucket=False)),
        "Istio",
    ),
    (
        "istio, at the sidecars",
        together(VIRTUAL_SERVICE, envoy_filter("istio-system", INGRESS_GATEWAY, context="SIDECAR_INBOUND")),
        "Istio",
    ),
    ("istio gateway api", routed(ISTIO_ROUTE), "by Gateway infra/edge: Istio needs"),
    ("envoy gateway", routed(ENVOY), "by Gateway infra/edge: Envoy Gateway needs a BackendTrafficPolicy"),
    (
        "envoy gateway, the route's policy replaces its Gateway's",
        together(
            routed(ENVOY),
            traffic_policy("wide", TO_GATEWAY, TEN, "infra"),
            traffic_policy("own", TO_ROUTE, "timeout: {}"),
        ),
        "Envoy Gateway needs",
    ),
    (
        "envoy gateway, another namespace",
        together(routed(ENVOY), traffic_policy("wide", TO_GATEWAY, TEN, "shop")),
        "Envoy Gateway needs",
    ),
    (
        "envoy gateway, another listener",
        together(routed(ENVOY), traffic_policy("wide", TO_GATEWAY.replace("}", ", sectionName: other}"), TEN, "infra")),
        "Envoy Gateway needs",
    ),
    (
        "envoy gateway, shadow mode",
        together(
            routed(ENVOY),
            traffic_policy(
                "own",
                TO_ROUTE,
                "rateLimit: {global: {rules: [{shadowMode: true, limit: {requests: 1, unit: Hour}}]}}",
            ),
        ),
        "Envoy Gateway needs",
    ),
    (
        "envoy gateway, one rule of two",
        together(
            routed(ENVOY, "[{name: a}, {name: b}]"),
            traffic_policy("own", TO_ROUTE.replace("}", ", sectionName: a}"), TEN),
        ),
        "rule b has no rate limit by Gateway infra/edge",
    ),
    ("nginx fabric", routed(FABRIC), "NGINX Gateway Fabric needs a RateLimitPolicy"),
    (
        "nginx fabric, dry run",
        together(routed(FABRIC), fabric(TO_ROUTE, "dryRun: true, local: {rules: [{rate: 5r/s}]}")),
        "NGINX Gateway Fabric needs",
    ),
    ("nginx inc", ingress("nginx.org/ingress-controller"), "NGINX Inc.'s controller needs annotation nginx.org/"),
    (
        "nginx inc, dry run",
        ingress(
            "nginx.org/ingress-controller", '{nginx.org/limit-req-rate: 5r/s, nginx.org/limit-req-dry-run: "true"}'
        ),
        "NGINX Inc.'s controller needs",
    ),
    (
        "nginx inc, server",
        together(virtual_server("policies: []", "policies: []"), nginx_policy("rate: 5r/s")),
        "route / has no rate limit: NGINX Inc.'s",
    ),
    ("apisix", apisix_route("plugins: []"), "route all has no rate limit: APISIX needs plugin limit-req"),
    ("apisix, switched off", apisix_route(COUNT.replace("true", "false")), "APISIX needs"),
    ("apisix ingress", ingress("apisix.apache.org/apisix-ingress-controller"), "APISIX needs"),
    ("cilium", ingress("cilium.io/ingress-controller"), "Cilium needs a CiliumEnvoyConfig"),
    ("cilium, no bucket", together(routed(CILIUM_ROUTE), cilium("stat_prefix: x")), "Cilium needs"),
    (
        "cilium, another service",
        together(routed(CILIUM_ROUTE), cilium(BUCKET, "[{name: x, namespace: shop}]")),
        "Cilium",
    ),
    ("openshift", openshift_route(), "OpenShift's router needs annotations haproxy.router.openshift.io/rate-limit"),
    ("openshift, not switched on", openshift_route(f'{{{OPENSHIFT}.rate-http: "200"}}'), "OpenShift's router needs"),
    (
        "openshift, requests that pass through",
        openshift_route(OPENSHIFT_200, ", tls: {termination: passthrough}"),
        "OpenShift's router needs",
    ),
    ("openshift ingress", ingress("openshift.io/ingress-to-route"), "OpenShift's router needs"),
    ("alb", ingress(ALB), "AWS Load Balancer Controller needs annotation alb.ingress.kubernetes.io/wafv2-acl-arn"),
    ("alb, none", ingress(ALB, "{alb.ingress.kubernetes.io/wafv2-acl-arn: none}"), "AWS Load Balancer Controller"),
    (
        "gke",
        ingress("example.com/x").replace("ingressClassName: edge", "ingressClassName: gce"),
        "GKE needs a Cloud Armor policy",
    ),
    ("gke route", routed(GKE_ROUTE), "GKE needs a Cloud Armor policy"),
    (
        "kuadrant, opted out of the defaults",
        together(
            routed(ISTIO_ROUTE),
            kuadrant(TO_GATEWAY, f"defaults: {{{FIVE}}}", "infra", "wide"),
            kuadrant(TO_ROUTE, "limits: {own: {rates: []}}"),
        ),
        "Istio needs",
    ),
]
CANARY = (
    ingress("k8s.io/ingress-nginx", '{nginx.ingress.kubernetes.io/canary: "true"}')
    .replace("name: web, namespace: shop, annotations", "name: canary, namespace: shop, annotations")
    .partition("---")[2]
    .rpartition("---")[0]
)
CALM = '{nginx.ingress.kubernetes.io/limit-rps: "5"}'
LIMITED = [
    ("openshift", openshift_route(OPENSHIFT_200)),
    (
        "openshift, connections that pass through",
        openshift_route(f'{{{OPENSHIFT}: "true", {OPENSHIFT}.rate-tcp: "60"}}', ", tls: {termination: passthrough}"),
    ),
    ("openshift, connections", openshift_route(f'{{{OPENSHIFT}: "t", {OPENSHIFT}.concurrent-tcp: "60"}}')),
    ("openshift ingress", ingress("openshift.io/ingress-to-route", OPENSHIFT_200)),
    ("ingress-nginx, a canary", together(ingress("k8s.io/ingress-nginx", CALM), CANARY)),
    ("ingress-nginx", ingress("k8s.io/ingress-nginx", '{nginx.ingress.kubernetes.io/limit-connections: "5"}')),
    ("kong", together(ingress(KONG, NAMED), kong("calm", MINUTE))),
    ("kong, of the cluster", together(ingress(KONG, NAMED), kong("calm", MINUTE, cluster=True))),
    ("kong, global", together(ingress(KONG), kong("calm", MINUTE, cluster=True, labels='{global: "true"}'))),
    (
        "kong, on the service",
        together(
            ingress(KONG).replace(
                "{name: web, namespace: shop}\nspec: {ports",
                f"{{name: web, namespace: shop, annotations: {NAMED}}}\nspec: {{ports",
            ),
            kong("calm", "plugin: rate-limiting-advanced\nconfig: {limit: [5], window_size: [1]}"),
        ),
    ),
    (
        "kong, extension",
        together(
            routed(
                KONG_ROUTE,
                "[{filters: [{type: ExtensionRef, extensionRef: "
                "{group: configuration.konghq.com, kind: KongPlugin, name: calm}}]}]",
            ),
            kong("calm", "plugin: response-ratelimiting\nconfig: {limits: {video: {minute: 10}}}"),
        ),
    ),
    ("haproxytech", ingress(HAPROXY_ORG, '{haproxy.org/rate-limit-requests: "60", haproxy.org/rate-limit-period: 1m}')),
    ("haproxytech, suffix", ingress(HAPROXY_ORG + "/inner", '{haproxy.org/rate-limit-requests: "60"}')),
    ("haproxy ingress", ingress(HAPROXY_IO, '{haproxy-ingress.github.io/limit-rps: "5"}')),
    ("contour, route", proxy("web", PLAIN_HOST + "routes: [{rateLimitPolicy: {local: {requests: 5, unit: second}}}]}")),
    ("contour, host", proxy("web", CALM_HOST + ROUTES)),
    ("contour, included", together(proxy("web", CALM_HOST + "includes: [{name: part}]}"), proxy("part", "{" + ROUTES))),
    (
        "contour, default",
        together(
            proxy("web", PLAIN_HOST + ROUTES),
            object_of(
                "projectcontour.io/v1alpha1",
                "ContourConfiguration",
                "contour",
                "spec: {rateLimitService: {defaultGlobalRateLimitPolicy: {descriptors: [{entries: []}]}}}",
            ),
        ),
    ),
    ("istio", together(VIRTUAL_SERVICE, envoy_filter("istio-system", INGRESS_GATEWAY))),
    ("istio, everywhere", together(VIRTUAL_SERVICE, envoy_filter("istio-system", "priority: 1", "ANY"))),
    (
        "istio gateway api",
        together(
            routed(ISTIO_ROUTE),
            envoy_filter("infra", "workloadSelector: {labels: {gateway.networking.k8s.io/gateway-name: edge}}"),
        ),
    ),
    ("istio target", together(routed(ISTIO_ROUTE), envoy_filter("infra", f"targetRefs: [{TO_GATEWAY}]"))),
    ("envoy gateway, route", together(routed(ENVOY), traffic_policy("own", TO_ROUTE, TEN))),
    ("envoy gateway, gateway", together(routed(ENVOY), traffic_policy("wide", TO_GATEWAY, TEN, "infra"))),
    (
        "envoy gateway, merged",
        together(
            routed(ENVOY),
            traffic_policy("wide", TO_GATEWAY, TEN, "infra"),
            traffic_policy("own", TO_ROUTE, "mergeType: StrategicMerge, timeout: {}"),
        ),
    ),
    (
        "envoy gateway, selector",
        together(
            routed(ENVOY),
            object_of(
                "gateway.envoyproxy.io/v1alpha1",
                "BackendTrafficPolicy",
                "some",
                f"spec: {{targetSelectors: [{{kind: HTTPRoute, matchLabels: {{app: web}}}}], {TEN}}}",
            ),
        ),
    ),
    (
        "envoy gateway, listener",
        together(routed(ENVOY), traffic_policy("wide", TO_GATEWAY.replace("}", ", sectionName: http}"), TEN, "infra")),
    ),
    ("nginx fabric", together(routed(FABRIC), fabric(TO_GATEWAY, "local: {rules: [{rate: 5r/s}]}", "infra"))),
    ("nginx inc", together(virtual_server("policies: [{name: calm}]", "x: y"), nginx_policy("rate: 5r/s, key: k"))),
    ("nginx inc, route", together(virtual_server("x: y", "policies: [{name: calm}]"), nginx_policy("rate: 5r/m"))),
    (
        "nginx inc, ingress",
        together(
            ingress("nginx.org/ingress-controller", "{nginx.org/policies: shop/calm}"), nginx_policy("rate: 5r/s")
        ),
    ),
    ("apisix", apisix_route(COUNT)),
    (
        "apisix, config",
        together(
            apisix_route("plugin_config_name: calm"),
            object_of("apisix.apache.org/v2", "ApisixPluginConfig", "calm", f"spec: {{{COUNT}}}"),
        ),
    ),
    (
        "apisix, global",
        together(
            apisix_route("plugins: []"),
            object_of("apisix.apache.org/v2", "ApisixGlobalRule", "calm", f"spec: {{{COUNT}}}"),
        ),
    ),
    (
        "apisix, gateway api",
        together(
            routed(
                "apisix.apache.org/apisix-ingress-controller",
                "[{filters: [{type: ExtensionRef, extensionRef: "
                "{group: apisix.apache.org, kind: PluginConfig, name: calm}}]}]",
            ),
            object_of("apisix.apache.org/v1alpha1", "PluginConfig", "calm", f"spec: {{{COUNT}}}"),
        ),
    ),
    ("cilium", together(ingress("cilium.io/ingress-controller"), cilium(BUCKET))),
    ("cilium, gateway api", together(routed(CILIUM_ROUTE), cilium(BUCKET))),
    ("kuadrant, route", together(routed(ISTIO_ROUTE), kuadrant(TO_ROUTE, FIVE))),
    ("kuadrant, defaults", together(routed(ENVOY), kuadrant(TO_GATEWAY, f"defaults: {{{FIVE}}}", "infra"))),
    (
        "unknown controller, but limited whoever serves it",
        together(routed("example.com/x").partition("---")[2], traffic_policy("own", TO_ROUTE, TEN)),
    ),
]
SKIPPED = [
    ("alb, a firewall", ingress(ALB, "{alb.ingress.kubernetes.io/wafv2-acl-arn: 'arn:x'}"), "web ACL arn:x has a rule"),
    (
        "alb, by its class",
        together(
            ingress(ALB, extra=", parameters: {apiGroup: elbv2.k8s.aws, kind: IngressClassParams, name: alb}"),
            object_of("elbv2.k8s.aws/v1beta1", "IngressClassParams", "alb", "spec: {wafv2AclArn: 'arn:y'}", None),
        ),
        "web ACL arn:y",
    ),
    (
        "gke, a firewall",
        together(
            routed(GKE_ROUTE),
            object_of(
                "networking.gke.io/v1",
                "GCPBackendPolicy",
                "armor",
                "spec: {default: {securityPolicy: armor}, targetRef: {group: '', kind: Service, name: web}}",
            ),
        ),
        "Cloud Armor policy armor",
    ),
    (
        "another controller, and a limit of Cilium on its Service",
        together(routed("example.com/x"), cilium(BUCKET)),
        "unknown controller: GatewayClass edge belongs to example.com/x",
    ),
    ("another controller", routed("example.com/x"), "unknown controller: GatewayClass edge belongs to example.com/x"),
    (
        "istio, may select",
        together(
            VIRTUAL_SERVICE.replace("{istio: ingressgateway}", "{istio: own}"),
            envoy_filter("istio-system", "workloadSelector: {labels: {istio: own, app: x}}"),
        ),
        "EnvoyFilter calm may select the gateway's pods or not",
    ),
    (
        "unknown controller with a filter of its own",
        routed(
            "x", "[{filters: [{type: ExtensionRef, extensionRef: {group: example.com, kind: Brake, name: b}}]}]"
        ).partition("---")[2],
        "its filter Brake.example.com b may be one",
    ),
]


@pytest.mark.parametrize(
    ("selector", "rest"),
    [
        ("{kind: HTTPRoute}", TEN),
        ("{kind: HTTPRoute, namespaces: {from: Same}}", TEN),
        ("{kind: HTTPRoute, namespaces: {from: All}, matchLabels: {app: other}}", TEN),
        ("{kind: GRPCRoute, namespaces: {from: All}}", TEN),
        ("{kind: HTTPRoute, namespaces: {from: All}}", "timeout: {}"),
    ],
)
def test_a_selector_of_another_namespace_that_changes_nothing(selector: str, rest: str) -> None:
    spec = f"spec: {{targetSelectors: [{selector}], {rest}}}"
    policy = object_of("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", "all", spec, "platform")
    (message,) = messages("no-rate-limit", together(routed(ENVOY), policy))
    assert "Envoy Gateway needs a BackendTrafficPolicy" in message
    assert not message.startswith("skipped")


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        ("gateway.envoyproxy.io", "HTTPRouteFilter"),
        ("configuration.konghq.com", "KongPlugin"),
        ("traefik.io", "Middleware"),
        ("apisix.apache.org", "PluginConfig"),
    ],
)
def test_a_filter_that_is_known_not_to_limit_leaves_no_doubt(group: str, kind: str) -> None:
    rule = f"[{{filters: [{{type: ExtensionRef, extensionRef: {{group: {group}, kind: {kind}, name: b}}}}]}}]"
    (message,) = messages("no-rate-limit", routed("x", rule).partition("---")[2])
    assert "no policy or filter of any gateway limits it" in message


@pytest.mark.parametrize(("text", "said"), [row[1:] for row in OPEN], ids=[row[0] for row in OPEN])
def test_an_open_route_is_said_with_what_is_missing(text: str, said: str) -> None:
    (message,) = messages("no-rate-limit", text)
    assert said in message
    assert not message.startswith("skipped")


@pytest.mark.parametrize("text", [row[1] for row in LIMITED], ids=[row[0] for row in LIMITED])
def test_a_limited_route_is_quiet(text: str) -> None:
    assert messages("no-rate-limit", text) == []
    assert messages("ineffective-rate-limit", text) == []


@pytest.mark.parametrize(("text", "said"), [row[1:] for row in SKIPPED], ids=[row[0] for row in SKIPPED])
def test_what_can_not_be_told_is_skipped(text: str, said: str) -> None:
    (message,) = messages("no-rate-limit", text)
    assert message.startswith("skipped: ")
    assert said in message


@pytest.mark.parametrize("text", [row[1] for row in OPEN if row[0] != "alb, none"], ids=lambda _: "")
def test_incomplete_kinds_never_give_a_hit_where_they_could_hold_the_limit(text: str) -> None:
    """With every policy kind unread, a hit is left only where the limit would stand in the route itself."""
    lookups = {kind: "forbidden" for gateway in GATEWAYS for kind in gateway.looks_up}
    for message in messages("no-rate-limit", text, incomplete=lookups):
        own = [
            "ingress-nginx needs",
            "HAProxy",
            "OpenShift",
            "NGINX Inc.",
            "AWS",
            "VirtualServer",
            "route ",
            "Kong needs",
        ]
        own += ["GKE"] if "gce" in text else []  # its Service, which names no BackendConfig, is there
        assert message.startswith("skipped: ") or any(name in message for name in own), message


INEFFECTIVE = [
    ("{nginx.ingress.kubernetes.io/limit-rps: '0'}", "limit-rps"),
    ("{nginx.ingress.kubernetes.io/limit-rps: 'many'}", "not a whole number"),
    ("{nginx.ingress.kubernetes.io/limit-rps: '0.5'}", "not a whole number"),
    ("{haproxy.com/rate-limit-requests: '0'}", "limits nothing"),
    ("{nginx.ingress.kubernetes.io/limit-rpm: '6000000'}", "more than 10000"),
    ("{haproxy.org/rate-limit-requests: '0'}", "limits nothing"),
    ("{haproxy-ingress.github.io/limit-rps: '999999'}", "more than 10000"),
    ("{nginx.org/limit-req-rate: 5r/s, nginx.org/limit-req-dry-run: 'true'}", "only logged"),
    ("{nginx.org/limit-req-rate: fast}", "limits nothing"),
    ("{nginx.org/policies: gone}", "names Policy gone"),
    ("{konghq.com/plugins: gone}", "names KongPlugin gone"),
    ("{k8s.apisix.apache.org/plugin-config-name: gone}", "names ApisixPluginConfig shop/gone"),
    (f'{{{OPENSHIFT}.rate-http: "200"}}', "is unset, so"),
    (f'{{{OPENSHIFT}: "yes", {OPENSHIFT}.rate-tcp: "5"}}', "is yes, so"),
    (f'{{{OPENSHIFT}: "true"}}', "without any number"),
    (f'{{{OPENSHIFT}: "TRUE", {OPENSHIFT}.rate-http: many}}', "not a whole number"),
    (f'{{{OPENSHIFT}: "true", {OPENSHIFT}.rate-http: "999999"}}', "more than 10000"),
]


@pytest.mark.parametrize(("annotations", "said"), INEFFECTIVE)
def test_annotations_that_limit_nothing(annotations: str, said: str) -> None:
    (message,) = messages("ineffective-rate-limit", ingress("example.com/x", annotations))
    assert said in message


OBJECTS = [
    (kong("calm", "plugin: rate-limiting\nconfig: {policy: local}"), "no limit above 0"),
    (kong("calm", f"disabled: true\n{MINUTE}"), "disabled"),
    (kong("calm", "plugin: rate-limiting\nconfig: {second: 99999}"), "more than 10000"),
    (kong("calm", "plugin: rate-limiting\nconfigFrom: {secretKeyRef: {name: x, key: y}}"), "skipped: "),
    (proxy("web", PLAIN_HOST + "routes: [{rateLimitPolicy: {local: {requests: 0}}}]}"), "local.requests"),
    (proxy("web", PLAIN_HOST + "routes: [{rateLimitPolicy: {global: {descriptors: []}}}]}"), "descriptors"),
    (envoy_filter("istio-system", INGRESS_GATEWAY, enforced=0), "filter_enforced"),
    (envoy_filter("istio-system", INGRESS_GATEWAY, bucket=False), "no token bucket"),
    (cilium("stat_prefix: x"), "no token bucket"),
    (traffic_policy("own", TO_ROUTE, TEN), "names HTTPRoute shop/web, which is not there"),
    (nginx_policy("rate: 0r/s"), "limits nothing"),
    (nginx_policy("rate: 5r/s, dryRun: true"), "only logged"),
    (virtual_server("policies: [{name: gone}]", "x: y"), "names Policy gone"),
    (apisix_route(COUNT.replace("true", "false")), "is false"),
    (apisix_route(COUNT.replace("count: 10", "count: 0")), "is not a number above 0"),
    (apisix_route("plugin_config_name: gone"), "names ApisixPluginConfig shop/gone"),
    (
        object_of(
            "policy.linkerd.io/v1alpha1",
            "HTTPLocalRateLimitPolicy",
            "calm",
            "spec: {targetRef: {group: policy.linkerd.io, kind: Server, name: gone}, total: {requestsPerSecond: 5}}",
        ),
        "names Server shop/gone",
    ),
]


@pytest.mark.parametrize(("text", "said"), OBJECTS)
def test_limits_that_do_nothing(text: str, said: str) -> None:
    found = [message for message in messages("ineffective-rate-limit", text) if said in message]
    assert len(found) == 1, messages("ineffective-rate-limit", text)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (fabric(TO_ROUTE, "dryRun: true, local: {rules: [{rate: 5r/s}]}"), "only logged"),
        (fabric(TO_ROUTE, "local: {rules: []}"), "is empty"),
        (kuadrant(TO_ROUTE, "limits: {all: {rates: []}}"), 'limits["all"].rates is empty'),
        (kuadrant(TO_ROUTE, "limits: {}"), "is empty"),
        (kuadrant(TO_ROUTE, FIVE + ", when: [{predicate: 'false'}]"), "never holds"),
        (traffic_policy("own", TO_ROUTE, "rateLimit: {global: {rules: []}}"), "has no rules"),
        (
            traffic_policy("own", TO_ROUTE, "rateLimit: {local: {rules: [{limit: {requests: 99999, unit: Second}}]}}"),
            "more than 10000",
        ),
    ],
)
def test_policies_that_do_nothing(policy: str, said: str) -> None:
    (message,) = messages("ineffective-rate-limit", together(routed(ENVOY), policy))
    assert said in message


def test_the_ceiling_is_a_parameter() -> None:
    text = ingress("example.com/x", "{nginx.ingress.kubernetes.io/limit-rps: '200'}")
    assert messages("ineffective-rate-limit", text) == []
    assert len(messages("ineffective-rate-limit", text, parameters={"maximumPerSecond": 100})) == 1


def test_a_selector_that_matches_nothing() -> None:
    selecting = object_of(
        "gateway.envoyproxy.io/v1alpha1",
        "BackendTrafficPolicy",
        "some",
        f"spec: {{targetSelectors: [{{kind: HTTPRoute, matchLabels: {{app: other}}}}], {TEN}}}",
    )
    (message,) = messages("ineffective-rate-limit", together(routed(ENVOY), selecting))
    assert "matches no HTTPRoute of namespace shop" in message
    (message,) = messages(
        "ineffective-rate-limit", selecting, incomplete={KINDS[("gateway.networking.k8s.io", "HTTPRoute")]: "forbidden"}
    )
    assert message.startswith("skipped: ")


def test_a_child_proxy_that_nothing_includes_is_not_served() -> None:
    assert messages("no-rate-limit", proxy("part", "{" + ROUTES)) == []


def test_a_service_in_the_mesh_alone_is_no_way_in() -> None:
    assert messages("no-rate-limit", VIRTUAL_SERVICE.replace("[edge, mesh]", "[mesh]")) == []


def test_overrides_of_a_gateway_beat_a_route_that_opts_out() -> None:
    text = together(
        routed(ENVOY),
        kuadrant(TO_GATEWAY, f"overrides: {{{FIVE}}}", "infra", "wide"),
        kuadrant(TO_ROUTE, "limits: {own: {rates: []}}"),
    )
    assert messages("no-rate-limit", text) == []
    (message,) = messages("ineffective-rate-limit", text)
    assert "RateLimitPolicy shop/calm" in message


def test_a_filter_without_tokens_is_right_where_a_route_has_them() -> None:
    """As Istio's own sample has it: the filter for all, the bucket in the configuration of one route."""
    whole = yaml.safe_load(envoy_filter("istio-system", INGRESS_GATEWAY, bucket=False))
    bucket = yaml.safe_load(envoy_filter("istio-system", INGRESS_GATEWAY))
    config = bucket["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]
    per_route = {"typed_per_filter_config": {"envoy.filters.http.local_ratelimit": config}}
    whole["spec"]["configPatches"].append(
        {"applyTo": "HTTP_ROUTE", "match": {"context": "GATEWAY"}, "patch": {"operation": "MERGE", "value": per_route}}
    )
    text = together(VIRTUAL_SERVICE, yaml.safe_dump(whole))
    assert messages("ineffective-rate-limit", text) == []
    assert messages("no-rate-limit", text) == []


def test_a_canary_is_as_open_as_the_ingress_beside_it() -> None:
    text = together(ingress("k8s.io/ingress-nginx"), CANARY)
    assert len(messages("no-rate-limit", text)) == 2
    own = CANARY.replace('canary: "true"', 'canary: "true", nginx.ingress.kubernetes.io/limit-rps: "5"')
    text = together(ingress("k8s.io/ingress-nginx"), own)
    assert len(messages("no-rate-limit", text)) == 2, "its own limit is ignored"
    (said,) = messages("ineffective-rate-limit", text)
    assert "is ignored: this is a canary" in said
    other = CANARY.replace("host: a.example", "host: b.example")
    assert len(messages("no-rate-limit", together(ingress("k8s.io/ingress-nginx", CALM), other))) == 1
