"""Text of users that ends up in the configuration of an ingress controller."""

import json

import pytest

from tests.support.auditing import audited, messages


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
