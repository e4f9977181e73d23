"""TLS of what leads into the cluster, and hosts that stand for whole domains."""

import json

import pytest

from iocaudit.core.kinds.gateway_api import HTTP_ROUTE
from tests.support.auditing import Json, audited, evidence, judge, messages, places


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
    assert said.endswith("(spec.listeners[0])")
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


def _route(name: str = "web", annotations: Json | None = None, **spec: object) -> Json:
    return {
        "apiVersion": "route.openshift.io/v1",
        "kind": "Route",
        "metadata": {"name": "web", "namespace": "shop", "annotations": annotations or {}},
        "spec": {"host": "www.shop.example", "to": {"kind": "Service", "name": name}, **spec},
    }


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        (None, ["spec.tls"]),
        ({}, ["spec.tls"]),
        ({"termination": "edge"}, []),
        ({"termination": "reencrypt"}, []),
        ({"termination": "passthrough"}, []),
        ({"termination": "edge", "insecureEdgeTerminationPolicy": "None"}, []),
        ({"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"}, []),
        (
            {"termination": "edge", "insecureEdgeTerminationPolicy": "Allow"},
            ["spec.tls.insecureEdgeTerminationPolicy"],
        ),
        (
            {"termination": "reencrypt", "insecureEdgeTerminationPolicy": "Allow"},
            ["spec.tls.insecureEdgeTerminationPolicy"],
        ),
    ],
)
def test_tls_of_a_route(tls: Json | None, expected: list[str]) -> None:
    subject = _route(tls=tls) if tls is not None else _route()
    assert places(judge("ingress-without-tls", subject)) == expected


def test_a_route_for_a_whole_subdomain() -> None:
    subject = _route(wildcardPolicy="Subdomain")
    assert evidence(judge("ingress-wildcard-host", subject)) == ["*.shop.example"]
    assert judge("ingress-wildcard-host", subject, parameters={"allowed": ["*.shop.example"]}) == []
    assert judge("ingress-wildcard-host", _route(wildcardPolicy="None")) == []
