"""Routes of OpenShift: TLS by its kinds of termination, hosts, and what they open."""

import pytest

from tests.unit.checks.auditing import Json, evidence, judge, places


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


def test_an_admin_surface_behind_a_route() -> None:
    assert evidence(judge("exposed-dashboard", _route("argo-server")))
    assert evidence(judge("exposed-dashboard", _route("web", alternateBackends=[{"name": "argo-server"}])))
    assert judge("exposed-dashboard", _route("argo-server", port={"targetPort": "oauth-proxy"})) == []
    assert judge("exposed-dashboard", _route("web")) == []
