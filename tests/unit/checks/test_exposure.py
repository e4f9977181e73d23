"""Services and routes open to the outside: what hits, what does not, and what is said."""

import json
from typing import Any

import pytest

from iocaudit.core.kinds.gateway_api import HTTP_ROUTE
from tests.unit.checks.auditing import audited, messages


def service(spec: str, annotations: str = "{}", name: str = "web", labels: str = "{}") -> str:
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop, annotations: {annotations}, labels: {labels}}}
spec: {spec}
"""


def ingress(spec: str, annotations: str = "{}") -> str:
    return f"""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web, namespace: shop, annotations: {annotations}}}
spec: {spec}
"""


def rule(host: str | None, name: str = "web", path: str = "/") -> str:
    named = f'host: "{host}", ' if host is not None else ""
    backend = f"{{service: {{name: {name}, port: {{number: 80}}}}}}"
    return f"{{{named}http: {{paths: [{{path: {json.dumps(path)}, pathType: Prefix, backend: {backend}}}]}}}}"


# -- Services ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ips", "allowed", "hits"),
    [
        (["1.1.1.1"], [], 1),
        (["203.0.113.0"], ["203.0.113.0"], 0),
        (["203.0.113.7", "1.1.1.1"], ["203.0.113.0/24"], 1),
        (["2001:db8::1"], ["2001:DB8:0::/48"], 0),
        (["2001:db8::1"], ["0.0.0.0/0"], 1),
        (["203.0.113.70"], ["203.0.113.7"], 1),
        (["not an address", 7], ["0.0.0.0/0", "::/0"], 2),
        ([], [], 0),
    ],
)
def test_external_ips(ips: list[Any], allowed: list[str], hits: int) -> None:
    text = service(f"{{externalIPs: {json.dumps(ips)}}}")
    found = messages("service-external-ip", text, parameters={"allowed": allowed})
    assert len(found) == hits
    assert all("spec.externalIPs[" in one for one in found)


@pytest.mark.parametrize(
    ("kind", "hits"), [("NodePort", 1), ("ClusterIP", 0), ("LoadBalancer", 0), ("ExternalName", 0)]
)
def test_node_ports(kind: str, hits: int) -> None:
    assert len(messages("node-port-service", service(f"{{type: {kind}}}"))) == hits


@pytest.mark.parametrize(
    ("spec", "annotations", "severity"),
    [
        ("{type: LoadBalancer}", "{}", "medium"),
        ("{type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8]}", "{}", None),
        ("{type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8, 0.0.0.0/0]}", "{}", "medium"),
        ("{type: LoadBalancer, loadBalancerSourceRanges: ['::/0']}", "{}", "medium"),
        ("{type: LoadBalancer, loadBalancerSourceRanges: [128.0.0.0/1, ' 0.0.0.0/1 ']}", "{}", "medium"),
        ("{type: LoadBalancer, loadBalancerSourceRanges: [128.0.0.0/1]}", "{}", None),
        ("{type: LoadBalancer, loadBalancerSourceRanges: [0.0.0.0/1, 128.0.0.0/1]}", "{}", "medium"),
        ("{type: LoadBalancer, loadBalancerSourceRanges: [0.0.0.0/1, 128.0.0.0/2]}", "{}", None),
        ("{type: LoadBalancer, loadBalancerSourceRanges: ['::/1', '8000::/1']}", "{}", "medium"),
        ("{type: LoadBalancer}", "{service.beta.kubernetes.io/azure-allowed-ip-ranges: 10.0.0.0/8}", None),
        ("{type: LoadBalancer}", "{service.beta.kubernetes.io/load-balancer-source-ranges: 10.0.0.0/8}", None),
        ("{type: LoadBalancer}", "{service.beta.kubernetes.io/azure-load-balancer-internal: 'true'}", "low"),
        ("{type: LoadBalancer}", "{service.beta.kubernetes.io/azure-load-balancer-internal: 'false'}", "medium"),
        ("{type: LoadBalancer}", "{networking.gke.io/load-balancer-type: Internal}", "low"),
        ("{type: LoadBalancer}", "{service.beta.kubernetes.io/aws-load-balancer-internal: 0.0.0.0/0}", "low"),
        ("{type: LoadBalancer}", "{service.beta.kubernetes.io/aws-load-balancer-internal: 'false'}", "medium"),
        ("{type: LoadBalancer}", "{service.beta.kubernetes.io/aws-load-balancer-scheme: internet-facing}", "medium"),
        ("{type: LoadBalancer, loadBalancerClass: service.k8s.aws/nlb}", "{}", "low"),
        (
            "{type: LoadBalancer, loadBalancerClass: service.k8s.aws/nlb}",
            "{service.beta.kubernetes.io/aws-load-balancer-scheme: internet-facing}",
            "medium",
        ),
        ("{type: NodePort}", "{}", None),
    ],
)
def test_load_balancers(spec: str, annotations: str, severity: str | None) -> None:
    found = audited("load-balancer-open", service(spec, annotations)).found
    assert [one.severity.label for one in found] == ([severity] if severity else [])


# -- TLS and hosts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "annotations", "without", "host"),
    [
        (f"{{rules: [{rule('a.example')}]}}", "{}", 1, 0),
        (f"{{tls: [{{}}], rules: [{rule('a.example')}]}}", "{}", 0, 0),
        (f"{{tls: [{{hosts: [a.example]}}], rules: [{rule('A.example')}]}}", "{}", 0, 0),
        (f"{{tls: [{{hosts: [b.example]}}], rules: [{rule('a.example')}]}}", "{}", 0, 1),
        (f"{{tls: [{{hosts: ['*.example']}}], rules: [{rule('a.example')}]}}", "{}", 0, 0),
        (f"{{tls: [{{hosts: ['*.example']}}], rules: [{rule('a.b.example')}]}}", "{}", 0, 1),
        (f"{{tls: [{{hosts: [a.example]}}], rules: [{rule(None)}]}}", "{}", 0, 0),
        ("{defaultBackend: {service: {name: web, port: {number: 80}}}}", "{}", 1, 0),
        (f"{{rules: [{rule('a')}]}}", "{alb.ingress.kubernetes.io/certificate-arn: 'arn:x'}", 0, 0),
        (f"{{rules: [{rule('a')}]}}", "{nginx.ingress.kubernetes.io/ssl-passthrough: 'true'}", 0, 0),
        (f"{{rules: [{rule('a')}]}}", "{nginx.ingress.kubernetes.io/ssl-passthrough: 'false'}", 1, 0),
        (f"{{rules: [{rule('a')}]}}", "{kubernetes.io/ingress.allow-http: 'false'}", 1, 0),
    ],
)
def test_tls_of_an_ingress(spec: str, annotations: str, without: int, host: int) -> None:
    text = ingress(spec, annotations)
    assert len(messages("ingress-without-tls", text)) == without
    assert len(messages("ingress-host-without-tls", text)) == host


def test_the_annotation_suffices_where_a_policy_says_so() -> None:
    text = ingress(f"{{rules: [{rule('a')}]}}", "{kubernetes.io/ingress.allow-http: 'false'}")
    assert messages("ingress-without-tls", text, parameters={"tlsOptional": True}) == []
    assert len(messages("ingress-without-tls", ingress("{}"), parameters={"tlsOptional": True})) == 1


GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: infra}
spec:
  gatewayClassName: edge
  listeners:
  - {name: http, protocol: HTTP, port: 80}
  - {name: https, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}]}}
"""


def route(section: str, filters: str = "[]", hostnames: str = "[]") -> str:
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web-{section}, namespace: shop}}
spec:
  parentRefs: [{{name: edge, namespace: infra, sectionName: {section}}}]
  hostnames: {hostnames}
  rules: [{{filters: {filters}}}]
"""


REDIRECT = "[{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]"


def test_a_plain_listener_hits_unless_it_merely_redirects() -> None:
    (said,) = messages("ingress-without-tls", GATEWAY)
    assert 'spec.listeners["http"]' in said or "spec.listeners[0]" in said
    redirecting = f"{GATEWAY}---{route('http', REDIRECT)}---{route('https')}"
    assert messages("ingress-without-tls", redirecting) == []
    assert len(messages("ingress-without-tls", f"{GATEWAY}---{route('http')}")) == 1
    (said,) = messages("ingress-without-tls", GATEWAY, incomplete={HTTP_ROUTE: "forbidden"})
    assert said.startswith("skipped: ")
    (said,) = messages("ingress-without-tls", redirecting, incomplete={HTTP_ROUTE: "forbidden"})
    assert said.startswith("skipped: ")


@pytest.mark.parametrize(
    ("text", "hits", "skips"),
    [
        ("traefik.io/v1alpha1 IngressRoute {routes: [{match: x, services: [{name: web}]}]}", 1, 0),
        ("traefik.containo.us/v1alpha1 IngressRoute {routes: [{match: x, services: [{name: web}]}]}", 1, 0),
        ("traefik.io/v1alpha1 IngressRoute {routes: [{match: x, services: [{name: web}]}], tls: {}}", 0, 0),
        ("traefik.io/v1alpha1 IngressRoute {routes: [{match: x, services: [{name: noop@internal}]}]}", 0, 0),
        ("traefik.io/v1alpha1 IngressRoute {entryPoints: [websecure], routes: [{match: x, services: [{}]}]}", 0, 1),
        ("networking.istio.io/v1 Gateway {servers: [{port: {name: http, number: 80, protocol: HTTP}}]}", 1, 0),
        ("networking.istio.io/v1 Gateway {servers: [{port: {protocol: HTTP}, tls: {httpsRedirect: true}}]}", 0, 0),
        ("networking.istio.io/v1 Gateway {servers: [{port: {protocol: HTTPS}, tls: {mode: SIMPLE}}]}", 0, 0),
        ("projectcontour.io/v1 HTTPProxy {virtualhost: {fqdn: a.example}}", 1, 0),
        ("projectcontour.io/v1 HTTPProxy {virtualhost: {fqdn: a.example, tls: {secretName: x}}}", 0, 0),
        ("projectcontour.io/v1 HTTPProxy {routes: []}", 0, 0),
        ("k8s.nginx.org/v1 VirtualServer {host: a.example}", 1, 0),
        ("k8s.nginx.org/v1 VirtualServer {host: a.example, tls: {secret: x}}", 0, 0),
    ],
)
def test_tls_of_other_routes(text: str, hits: int, skips: int) -> None:
    api, kind, spec = text.split(" ", 2)
    report = audited("ingress-without-tls", f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n")
    assert (len(report.found), len(report.skipped)) == (hits, skips)


@pytest.mark.parametrize(
    ("spec", "hits"),
    [
        (f"{{rules: [{rule('*.example.com')}, {rule('a.example.com')}]}}", 1),
        (f"{{rules: [{rule('')}]}}", 1),
        (f"{{rules: [{rule(None)}]}}", 1),
        (f"{{rules: [{rule('a.example.com')}]}}", 0),
        (f"{{rules: [{rule('*.ok.example')}]}}", 0),
        ("{defaultBackend: {service: {name: web, port: {number: 80}}}}", 1),
        (f"{{defaultBackend: {{service: {{name: web}}}}, rules: [{rule('a.example')}]}}", 0),
    ],
)
def test_wildcard_hosts(spec: str, hits: int) -> None:
    assert len(messages("ingress-wildcard-host", ingress(spec), parameters={"allowed": ["*.OK.example"]})) == hits


def test_wildcard_hostnames_of_routes() -> None:
    (said,) = messages("ingress-wildcard-host", route("http", hostnames="['*.example.com', a.example.com]"))
    assert "*.example.com" in said


# -- snippets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "hit"),
    [
        ("nginx.ingress.kubernetes.io/configuration-snippet", "return 200;", True),
        ("nginx.ingress.kubernetes.io/server-snippet", "return 200;", True),
        ("nginx.ingress.kubernetes.io/auth-snippet", "x y;", True),
        ("nginx.ingress.kubernetes.io/stream-snippet", "x y;", True),
        ("nginx.ingress.kubernetes.io/modsecurity-snippet", "SecRuleEngine On", True),
        ("nginx.ingress.kubernetes.io/configuration-snippet", "", False),
        ("nginx.org/location-snippets", "add_header a b;", True),
        ("haproxy.org/backend-config-snippet", "http-request deny", True),
        ("haproxy-ingress.github.io/config-backend", "http-request deny", True),
        ("nginx.ingress.kubernetes.io/auth-url", "https://auth.example/check?rd=$escaped_request_uri", False),
        ("nginx.ingress.kubernetes.io/auth-url", "http://example.com/#;}}}\n\nssl_engine ../../../x", True),
        ("nginx.ingress.kubernetes.io/auth-url", "http://example.com/#\\n", True),
        ("nginx.ingress.kubernetes.io/auth-url", "http://example.com/#\nx", True),
        ("nginx.ingress.kubernetes.io/whitelist-source-range", "10.0.0.0/8,\n172.16.0.0/12", False),
        ("nginx.ingress.kubernetes.io/server-alias", "a.example,\nload_module /tmp/x.so", True),
        ("nginx.org/lb-method", "round_robin; } location /x {", True),
        ("nginx.org/rewrites", "serviceName=a rewrite=/;serviceName=b rewrite=/b/", False),
        ("nginx.ingress.kubernetes.io/auth-url", 'http://example.com/"', True),
        ("nginx.ingress.kubernetes.io/mirror-target", "https://m.example/$request_uri", False),
        ("nginx.ingress.kubernetes.io/mirror-target", "https://m.example/;", True),
        ("nginx.ingress.kubernetes.io/auth-tls-match-cn", "CN=abc #(\n){}\n }}\nssl_engine x", True),
        ("nginx.ingress.kubernetes.io/upstream-hash-by", "${request_uri}-text", False),
        ("nginx.ingress.kubernetes.io/rewrite-target", "/$2", False),
        ("nginx.ingress.kubernetes.io/server-alias", "~^app-[0-9]{1,3}\\.example$", False),
        ("nginx.ingress.kubernetes.io/server-alias", "a.example content_by_lua_block", True),
        ("nginx.ingress.kubernetes.io/auth-realm", "Authentication Required", False),
        ("nginx.ingress.kubernetes.io/cors-allow-origin", "https://a.example, https://b.example", False),
        ("example.com/anything", "a;{}\n", False),
    ],
)
def test_snippets_and_injected_values(name: str, value: str, hit: bool) -> None:
    text = ingress(f"{{rules: [{rule('a.example')}]}}", json.dumps({name: value}))
    assert bool(messages("ingress-snippet", text)) is hit


def test_a_credential_in_a_value_is_not_repeated() -> None:
    value = "http://shop:hunter22@auth.example/;"
    for name in ("auth-url", "auth-snippet"):
        report = audited("ingress-snippet", ingress("{}", json.dumps({f"nginx.ingress.kubernetes.io/{name}": value})))
        (found,) = report.found
        assert "hunter22" not in found.message + found.hit.evidence


@pytest.mark.parametrize(
    ("path", "hit"),
    [
        ("/", False),
        ("/api(/|$)(.*)", False),
        ("/[a-z]{2,3}/x", False),
        ("/;jsessionid=1", False),
        ('/a" { } location /x', True),
        ("/x {\nalias /;", True),
    ],
)
def test_paths_that_break_out(path: str, hit: bool) -> None:
    text = ingress(f"{{rules: [{rule('a.example', path=path)}]}}")
    assert bool(messages("ingress-snippet", text)) is hit


# -- dashboards -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (service("{type: LoadBalancer}", name="kubernetes-dashboard"), "Kubernetes dashboard"),
        (service("{type: NodePort}", name="monitoring-kube-prometheus-prometheus"), "Prometheus"),
        (service("{type: NodePort, selector: {app: argo-server}}", name="ui"), "Argo Workflows"),
        (service("{type: NodePort}", name="ui", labels="{app.kubernetes.io/name: alertmanager}"), "Alertmanager"),
        (service("{type: LoadBalancer, ports: [{port: 2379}]}", name="store"), "etcd"),
        (service("{type: LoadBalancer, ports: [{port: 80, targetPort: 10250}]}", name="x"), "kubelet"),
        (service("{type: LoadBalancer}", name="prometheus-adapter"), None),
        (service("{type: LoadBalancer}", name="prometheus-operator"), None),
        (service("{type: LoadBalancer}", name="registry"), "Docker registry"),
        (service("{type: LoadBalancer}", name="ci-docker-registry"), "Docker registry"),
        (service("{type: LoadBalancer}", name="schema-registry"), None),
        (service("{}", name="kubernetes-dashboard"), None),
        (service("{type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8]}", name="prometheus"), None),
        (
            service("{type: LoadBalancer, loadBalancerSourceRanges: [0.0.0.0/1, 128.0.0.0/1]}", name="prometheus"),
            "Prometheus",
        ),
        (service("{type: LoadBalancer}", "{networking.gke.io/load-balancer-type: Internal}", "prometheus"), None),
        (service("{type: LoadBalancer, ports: [{port: 443}]}"), None),
    ],
)
def test_services_of_admin_surfaces(text: str, said: str | None) -> None:
    found = messages("exposed-dashboard", text)
    assert len(found) == (1 if said else 0)
    assert all(said in one for one in found if said)


MIDDLEWARE = """
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: login, namespace: shop}
spec: {basicAuth: {secret: users}}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: outer, namespace: shop}
spec: {chain: {middlewares: [{name: login}, {name: outer}]}}
"""


@pytest.mark.parametrize(
    ("annotations", "outcome"),
    [
        ("{}", "hit"),
        ("{nginx.ingress.kubernetes.io/auth-url: 'https://a.example'}", "quiet"),
        ("{nginx.ingress.kubernetes.io/auth-type: basic}", "quiet"),
        ("{nginx.ingress.kubernetes.io/whitelist-source-range: 10.0.0.0/8}", "quiet"),
        ("{nginx.ingress.kubernetes.io/whitelist-source-range: '10.0.0.0/8,0.0.0.0/0'}", "hit"),
        ("{alb.ingress.kubernetes.io/auth-type: none}", "hit"),
        ("{alb.ingress.kubernetes.io/auth-type: oidc}", "quiet"),
        ("{traefik.ingress.kubernetes.io/router.middlewares: shop-outer@kubernetescrd}", "quiet"),
        ("{traefik.ingress.kubernetes.io/router.middlewares: shop-none@kubernetescrd}", "hit"),
        ("{traefik.ingress.kubernetes.io/router.middlewares: login@file}", "skip"),
    ],
)
def test_ingresses_of_admin_surfaces(annotations: str, outcome: str) -> None:
    text = ingress(f"{{rules: [{rule('a.example', 'argo-server')}]}}", annotations) + "---" + MIDDLEWARE
    report = audited("exposed-dashboard", text)
    assert (len(report.found), len(report.skipped)) == {"hit": (1, 0), "quiet": (0, 0), "skip": (0, 1)}[outcome]


@pytest.mark.parametrize(("middlewares", "hits"), [("[]", 1), ("[{name: outer}]", 0)])
def test_the_dashboard_of_traefik(middlewares: str, hits: int) -> None:
    text = f"""
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {{name: dashboard, namespace: shop}}
spec:
  routes:
  - match: Host(`a.example`)
    middlewares: {middlewares}
    services: [{{name: api@internal, kind: TraefikService}}]
---{MIDDLEWARE}"""
    assert len(messages("exposed-dashboard", text)) == hits
