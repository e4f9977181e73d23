"""Annotations that write into the configuration of the ingress controller."""

import re
from collections.abc import Iterator

from iocaudit.core import paths
from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import INGRESS
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, mappings, text
from iocaudit.core.wording import counted
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.credentials.credential import told_apart

_NGINX = "nginx.ingress.kubernetes.io/"
_NGINX_INC = ("nginx.org/", "nginx.com/")
_SNIPPETS = re.compile(
    r"nginx\.ingress\.kubernetes\.io/[a-z0-9-]*snippet"
    r"|nginx\.(org|com)/[a-z0-9-]*snippets"
    r"|haproxy\.(org|com)/[a-z0-9-]*config-snippet"
    r"|(haproxy-ingress\.github\.io|ingress\.kubernetes\.io)/config-(backend|backend-late|backend-early|frontend|global|"
    r"defaults|tcp|tcp-service|sections|peers|proxy|http-late|http-early|frontend-late|frontend-early)"
)
# Braces that belong to a variable (${name}) or to a repetition in a regular expression ({2,3}) do not open a block.
_HARMLESS_BRACES = re.compile(r"\$\{[A-Za-z0-9_]+\}|\{[0-9]+(,[0-9]*)?\}")
_BREAKS_OUT = re.compile(r"[\r\n;{}\"'`\x00]|\\n")
# A line break alone only parts arguments: lists of addresses, hosts and headers are written over several lines.
_LIST = re.compile(r"[\w\s.,:/*@-]+")
# NGINX Inc. parts services by semicolons, so only a block tells.
_BLOCK = re.compile(r"[{}\x00]")
_DIRECTIVE = re.compile(r"(?i)\b(load_module|lua_package|ssl_engine|[a-z_]+_by_lua\w*|serviceaccount)\b")
# A path is a regular expression of its own; quotes and a statement's end are what closes the location.
_PATH_BREAKS_OUT = re.compile(r"[\r\n{}\"\x00]|;\s|;$")


@check(
    "ingress-snippet",
    severity=Severity.HIGH,
    iocs=(IoC.UNKNOWN_BINARY,),
    group="network",
    looks_at=(INGRESS,),
    controls={"attack": "T1190", "owasp": "K07", "nsa": "Control plane hardening"},
)
def ingress_snippet(resource: Resource) -> Iterator[Hit]:
    """An Ingress writes raw configuration into the controller.

    A snippet is configuration of the controller itself: anyone who may write it reads the controller's token and with
    it every Secret of the cluster (CVE-2021-25742). Values of other annotations that close their directive and open
    another do the same without the name (CVE-2025-1974 and its siblings: auth-url, auth-tls-match-cn, mirror-target).
    What is written there is never shown, as it often holds a password.

    Bad:

        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata:
          name: web
          namespace: shop
          annotations:
            nginx.ingress.kubernetes.io/configuration-snippet: "more_set_headers 'X-Env: test';"
        spec:
          ingressClassName: nginx
          defaultBackend: {service: {name: web, port: {number: 80}}}

    Good:

        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata:
          name: web
          namespace: shop
          annotations:
            nginx.ingress.kubernetes.io/custom-headers: shop/headers
        spec:
          ingressClassName: nginx
          defaultBackend: {service: {name: web, port: {number: 80}}}

    Fix: Use the annotation or the ConfigMap that is made for it, and switch snippets off in the controller.

    Sources: CVE-2021-25742, CVE-2025-1974, CVE-2025-1097, CVE-2025-1098, CVE-2025-24514; ingress-nginx documentation
    (annotation-value-word-blocklist, allow-snippet-annotations).
    """
    for name, value in resource.annotations.items():
        if not isinstance(value, str):
            continue
        path = "metadata.annotations" + paths.key(name)
        if _SNIPPETS.fullmatch(name):
            if value.strip():
                message = f"writes raw configuration of {counted(len(value), 'character')} into the ingress controller"
                yield Hit(path, message, told_apart(value))
        elif name.startswith((_NGINX, *_NGINX_INC)):
            strict = name.startswith(_NGINX) and not _LIST.fullmatch(value)
            found = _injected(value, _BREAKS_OUT if strict else _BLOCK)
            if found:
                yield Hit(path, f"holds {clip(found)}, which breaks out of its directive", told_apart(value))
    for at, rule in enumerate(mappings(lookup(resource.raw, "spec", "rules"))):
        for index, entry in enumerate(mappings(lookup(rule, "http", "paths"))):
            route = text(entry.get("path"))
            found = _injected(route, _PATH_BREAKS_OUT)
            if found:
                message = f"a path holds {clip(found)}, which breaks out of its location"
                place = f"spec.rules[{at}].http.paths[{index}].path"
                yield Hit("spec.rules", message, told_apart(route), at=place)


def _injected(value: str, breaks_out: re.Pattern[str]) -> str:
    """What in a value is configuration rather than data; empty where nothing is."""
    if match := _DIRECTIVE.search(value):
        return match[0]
    match = breaks_out.search(_HARMLESS_BRACES.sub("", value.strip()))
    if match is None:
        return ""
    return {"\n": "a line break", "\r": "a line break", "\\n": "a line break", "\x00": "a NUL"}.get(match[0], match[0])
