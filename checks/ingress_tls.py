"""Ways into the cluster without TLS, and hosts that catch everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from iocaudit.core import paths
from iocaudit.core.check import Parameter, Params, check, string_list
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import INGRESS, Kind
from iocaudit.core.kinds.gateway_api import GATEWAY, GROUP, GRPC_ROUTE, HTTP_ROUTE
from iocaudit.core.kinds.gateways import (
    HTTP_PROXY,
    ISTIO_GATEWAY,
    LEGACY_TRAEFIK_INGRESS_ROUTE,
    NGINX_VIRTUAL_SERVER,
    OPENSHIFT_ROUTE,
    TRAEFIK_INGRESS_ROUTE,
)
from iocaudit.core.repair import put
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import items, lookup, mapping, mappings, strings, text
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip

_IOCS = (IoC.INBOUND_TRAFFIC, IoC.HTTP_ERRORS)
_CONTROLS = {"attack": "T1040", "owasp": "K05", "nsa": "Encryption"}
_ALLOW_HTTP = "kubernetes.io/ingress.allow-http"
_PASSTHROUGH = "nginx.ingress.kubernetes.io/ssl-passthrough"
# Certificates and TLS that a controller takes from elsewhere than spec.tls: any value, or these.
_TLS_ANNOTATIONS: dict[str, tuple[str, ...]] = {
    "alb.ingress.kubernetes.io/certificate-arn": (),
    "ingress.gcp.kubernetes.io/pre-shared-cert": (),
    "networking.gke.io/managed-certificates": (),
    "networking.gke.io/certmap": (),
    "appgw.ingress.kubernetes.io/appgw-ssl-certificate": (),
    "traefik.ingress.kubernetes.io/router.tls": ("true",),
    "route.openshift.io/termination": ("edge", "reencrypt", "passthrough"),
    _PASSTHROUGH: ("true",),
    "haproxy-ingress.github.io/ssl-passthrough": ("true",),
    "haproxy.org/ssl-passthrough": ("true",),
}
_LISTEN_PORTS = "alb.ingress.kubernetes.io/listen-ports"


@check(
    "ingress-without-tls",
    severity=Severity.MEDIUM,
    iocs=_IOCS,
    group="network",
    looks_at=(
        INGRESS,
        GATEWAY,
        TRAEFIK_INGRESS_ROUTE,
        LEGACY_TRAEFIK_INGRESS_ROUTE,
        ISTIO_GATEWAY,
        HTTP_PROXY,
        NGINX_VIRTUAL_SERVER,
        OPENSHIFT_ROUTE,
    ),
    uses=(HTTP_ROUTE, GRPC_ROUTE),
    controls=_CONTROLS,
    parameters=(
        Parameter(
            "tlsOptional",
            {"type": "boolean"},
            f'whether annotation `{_ALLOW_HTTP}: "false"` is enough for an Ingress without a tls section',
            default=False,
            exempts=True,
        ),
    ),
)
def ingress_without_tls(resource: Resource, world: World, params: Params) -> Iterator[Hit | Skip]:
    """A way into the cluster has no TLS.

    What passes is readable and changeable on the way: passwords, cookies, tokens. A listener that only redirects to
    HTTPS is fine. A Route of OpenShift whose TLS ends at the router serves plain HTTP beside it where its
    `insecureEdgeTerminationPolicy` is Allow.

    Bad:

        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata: {name: web, namespace: shop}
        spec:
          rules:
          - host: shop.example
            http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}

    Good:

        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata: {name: web, namespace: shop}
        spec:
          tls: [{hosts: [shop.example], secretName: shop-tls}]
          rules:
          - host: shop.example
            http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}

    Fix: Give it a certificate (spec.tls of an Ingress, an HTTPS listener of a Gateway) and redirect HTTP to HTTPS.

    Sources: Kubernetes reference of Ingress; Gateway API, Gateway; CRDs of Traefik, Istio, Contour and NGINX Inc.;
    OpenShift documentation, Route configuration.
    """
    if resource.kind is INGRESS:
        yield from _ingress(resource, params)
    elif resource.kind is GATEWAY:
        yield from _gateway(resource, world)
    elif resource.kind is not None and resource.kind in _OTHERS:
        yield from _OTHERS[resource.kind](resource)


def _ingress(resource: Resource, params: Params) -> Iterator[Hit]:
    if items(lookup(resource.raw, "spec", "tls")) or _tls_by_annotation(resource.annotations):
        return
    if params["tlsOptional"] is True and resource.annotations.get(_ALLOW_HTTP) == "false":
        return
    yield Hit("spec.tls", "has no TLS: all traffic is unencrypted", "unset")


def _tls_by_annotation(annotations: Mapping[str, Any]) -> bool:
    for name, values in _TLS_ANNOTATIONS.items():
        value = text(annotations.get(name)).strip()
        if value and (not values or value.lower() in values):
            return True
    return '"HTTPS"' in text(annotations.get(_LISTEN_PORTS))


def _gateway(gateway: Resource, world: World) -> Iterator[Hit | Skip]:
    for index, listener in enumerate(mappings(lookup(gateway.raw, "spec", "listeners"))):
        if listener.get("protocol") != "HTTP":
            continue
        name = text(listener.get("name"))
        routes = _attached(gateway, name, listener.get("port"), world)
        only_redirects = all(_only_redirects(route) for route in routes)
        reason = world.incomplete(HTTP_ROUTE) or world.incomplete(GRPC_ROUTE)
        if routes and only_redirects and reason is None:
            continue
        if reason is not None and only_redirects:
            yield Skip(f"whether listener {clip(name)} only redirects to HTTPS cannot be determined: {reason}")
            continue
        path = "spec.listeners" + paths.key(name)
        yield Hit(
            path, f"listener {clip(name)} has no TLS and does not merely redirect", name, at=f"spec.listeners[{index}]"
        )


def _attached(gateway: Resource, listener: str, port: object, world: World) -> list[Resource]:
    """The routes that enter by one listener of a Gateway."""

    def build() -> dict[tuple[str, str], list[tuple[Resource, dict[str, Any]]]]:
        found: dict[tuple[str, str], list[tuple[Resource, dict[str, Any]]]] = {}
        for kind in (HTTP_ROUTE, GRPC_ROUTE):
            for route in world.all(kind, near=gateway):
                for ref in mappings(lookup(route.raw, "spec", "parentRefs")):
                    if text(ref.get("kind")) not in ("", "Gateway") or text(ref.get("group")) not in ("", GROUP):
                        continue
                    home = text(ref.get("namespace")) or world.namespace_of(route) or ""
                    found.setdefault((home, text(ref.get("name"))), []).append((route, ref))
        return found

    index = world.memo("routes of gateways", (HTTP_ROUTE, GRPC_ROUTE), build, near=gateway)
    return [
        route
        for route, ref in index.get((world.namespace_of(gateway) or "", gateway.name), ())
        if text(ref.get("sectionName")) in ("", listener) and ref.get("port") in (None, port)
    ]


def _only_redirects(route: Resource) -> bool:
    rules = mappings(lookup(route.raw, "spec", "rules"))
    return bool(rules) and all(
        any(
            entry.get("type") == "RequestRedirect" and lookup(entry, "requestRedirect", "scheme") == "https"
            for entry in mappings(rule.get("filters"))
        )
        for rule in rules
    )


def _ingress_route(route: Resource) -> Iterator[Hit | Skip]:
    spec = mapping(route.raw.get("spec"))
    if isinstance(spec.get("tls"), dict) or not mappings(spec.get("routes")):
        return
    if all(_redirects(entry) for entry in mappings(spec.get("routes"))):
        return
    entry_points = strings(spec.get("entryPoints"))
    if entry_points and "web" not in entry_points:
        names = ", ".join(entry_points)
        yield Skip(f"whether entry point {clip(names)} has TLS is set in Traefik's static configuration")
        return
    yield Hit("spec.tls", "has no TLS: all traffic is unencrypted", "unset")


def _redirects(route: Mapping[str, Any]) -> bool:
    """Whether nothing is behind a route, as where its middlewares redirect: it then leads to noop@internal."""
    services = mappings(route.get("services"))
    return bool(services) and all(text(service.get("name")) == "noop@internal" for service in services)


def _istio(gateway: Resource) -> Iterator[Hit]:
    for index, server in enumerate(mappings(lookup(gateway.raw, "spec", "servers"))):
        protocol = text(lookup(server, "port", "protocol")).upper()
        if protocol not in ("HTTP", "HTTP2", "GRPC", "GRPC-WEB") or lookup(server, "tls", "httpsRedirect") is True:
            continue
        name = text(lookup(server, "port", "name"))
        at = f"spec.servers[{index}]"
        yield Hit("spec.servers", f"server {clip(name) or index} has no TLS (protocol {protocol})", name, at=at)


def _http_proxy(proxy: Resource) -> Iterator[Hit]:
    host = lookup(proxy.raw, "spec", "virtualhost")
    if isinstance(host, dict) and not isinstance(host.get("tls"), dict):
        yield Hit("spec.virtualhost.tls", f"host {clip(text(host.get('fqdn')))} has no TLS", "unset")


def _virtual_server(server: Resource) -> Iterator[Hit]:
    if not isinstance(lookup(server.raw, "spec", "tls"), dict):
        host = text(lookup(server.raw, "spec", "host"))
        yield Hit("spec.tls", f"host {clip(host)} has no TLS", "unset")


def _route(route: Resource) -> Iterator[Hit]:
    tls = mapping(lookup(route.raw, "spec", "tls"))
    # One without a host gets it from the router.
    host = text(lookup(route.raw, "spec", "host"))
    whose = f"host {clip(host)}" if host else "its host"
    if not text(tls.get("termination")):
        yield Hit("spec.tls", f"{whose} has no TLS: all traffic is unencrypted", "unset")
    elif tls.get("insecureEdgeTerminationPolicy") == "Allow":
        path = "spec.tls.insecureEdgeTerminationPolicy"
        fix = "Set `spec.tls.insecureEdgeTerminationPolicy: Redirect`."
        repair = put("Redirect")
        yield Hit(path, f"{whose} serves plain HTTP beside TLS (Allow)", "Allow", fix=fix, repair=repair)


_OTHERS: dict[Kind, Callable[[Resource], Iterator[Hit | Skip]]] = {
    TRAEFIK_INGRESS_ROUTE: _ingress_route,
    LEGACY_TRAEFIK_INGRESS_ROUTE: _ingress_route,
    ISTIO_GATEWAY: _istio,
    HTTP_PROXY: _http_proxy,
    NGINX_VIRTUAL_SERVER: _virtual_server,
    OPENSHIFT_ROUTE: _route,
}


@check(
    "ingress-host-without-tls",
    severity=Severity.MEDIUM,
    iocs=_IOCS,
    group="network",
    looks_at=(INGRESS,),
    controls=_CONTROLS,
)
def ingress_host_without_tls(resource: Resource) -> Iterator[Hit]:
    """A host of an Ingress is in none of its TLS sections.

    The Ingress has a certificate, for other hosts; this one is served in the clear, or with a certificate that
    does not match, which users learn to click away.

    Bad:

        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata: {name: web, namespace: shop}
        spec:
          tls: [{hosts: [shop.example], secretName: shop-tls}]
          rules:
          - host: admin.shop.example
            http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}

    Good:

        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata: {name: web, namespace: shop}
        spec:
          tls: [{hosts: ["*.shop.example"], secretName: shop-tls}]
          rules:
          - host: admin.shop.example
            http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}

    Fix: Add the host to spec.tls[].hosts.

    Sources: Kubernetes reference of Ingress (tls: absent hosts mean all hosts, a wildcard covers one label).
    """
    sections = items(lookup(resource.raw, "spec", "tls"))
    if not sections or _tls_by_annotation(resource.annotations):
        return
    hosts: set[str] = set()
    for section in mappings(sections):
        named = strings(section.get("hosts"))
        if not named:
            return
        hosts.update(name.lower() for name in named)
    for index, rule in enumerate(mappings(lookup(resource.raw, "spec", "rules"))):
        host = text(rule.get("host"))
        if host and not _covered(host.lower(), hosts):
            yield Hit(
                "spec.rules", f"host {clip(host)} is in no section of spec.tls", host, at=f"spec.rules[{index}].host"
            )


def _covered(host: str, hosts: set[str]) -> bool:
    return host in hosts or "*" in hosts or "*." + host.partition(".")[2] in hosts


@check(
    "ingress-wildcard-host",
    severity=Severity.MEDIUM,
    iocs=_IOCS,
    group="network",
    looks_at=(INGRESS, HTTP_ROUTE, GRPC_ROUTE, OPENSHIFT_ROUTE),
    controls={"attack": "T1557", "owasp": "K05", "nsa": "Network policies"},
    parameters=(string_list("allowed", "wildcard hosts that may be used, such as `*.preview.example`", exempts=True),),
)
def ingress_wildcard_host(resource: Resource, params: Params) -> Iterator[Hit]:
    """A route answers for every host, or for all below a domain.

    It catches requests for names that belong to others: anyone who may create one in any namespace can answer for a
    host that is not served yet, or whose own route is gone. An absent host means every host.

    Bad:

        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata: {name: web, namespace: shop}
        spec:
          rules:
          - host: "*.example.com"
            http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}

    Good:

        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata: {name: web, namespace: shop}
        spec:
          rules:
          - host: shop.example.com
            http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}

    Fix: Name the hosts that it is for (`spec.rules[].host` of an Ingress, `spec.hostnames` of a route; no
    `wildcardPolicy` of a Route).

    Sources: Kubernetes reference of Ingress (wildcard hosts); Gateway API, HTTPRoute (hostnames); OpenShift
    documentation, Route (wildcardPolicy).
    """
    allowed = {name.lower() for name in params["allowed"]}
    spec = mapping(resource.raw.get("spec"))
    if resource.kind is OPENSHIFT_ROUTE:
        host = "*." + text(spec.get("host")).partition(".")[2]
        if spec.get("wildcardPolicy") == "Subdomain" and host.lower() not in allowed:
            said = f"answers for every host of {clip(host)} (wildcardPolicy: Subdomain)"
            yield Hit("spec.wildcardPolicy", said, host, repair=put("None"))
        return
    if resource.kind is not INGRESS:
        for index, host in enumerate(strings(spec.get("hostnames"))):
            if "*" in host and host.lower() not in allowed:
                yield Hit(
                    "spec.hostnames", f"answers for every host of {clip(host)}", host, at=f"spec.hostnames[{index}]"
                )
        return
    rules = mappings(spec.get("rules"))
    for index, rule in enumerate(rules):
        host = text(rule.get("host"))
        if host and ("*" not in host or host.lower() in allowed):
            continue
        said = (
            f"answers for every host of {clip(host)}"
            if host
            else "has a rule without a host: it answers for every host"
        )
        yield Hit("spec.rules", said, host or "*", at=f"spec.rules[{index}]" + (".host" if host else ""))
    if not rules and ("defaultBackend" in spec or "backend" in spec) and "*" not in allowed:
        yield Hit("spec.defaultBackend", "has no rules: it answers for every host", "*")
