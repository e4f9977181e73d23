"""What checks of our own guard are told: how API servers call our webhook, and what the policies in force deny."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from iocaudit.core.severity import Severity
from iocaudit.core.shape import integer, mapping, text

if TYPE_CHECKING:
    from iocaudit.core.kinds import Kind
    from iocaudit.core.resource import Resource

DENY = "deny.iocaudit.io"
"""The webhook that denies; its name is its mark, whatever its configuration is called."""
NOT_THE_API_SERVERS_OWN = (
    'request.userInfo.username != "system:apiserver" || !('
    'request.resource.group == "flowcontrol.apiserver.k8s.io" || has(request.name) && ('
    'request.resource.group == "rbac.authorization.k8s.io" && (request.name.startsWith("system:")'
    ' || request.name in ["cluster-admin", "admin", "edit", "view"])'
    ' && (!has(request.namespace) || request.namespace in ["", "kube-system", "kube-public"])'
    " && (!has(object.roleRef) || object.roleRef.name == request.name"
    " && (!has(object.subjects) || object.subjects.all(subject,"
    ' has(subject.namespace) ? subject.namespace == "kube-system"'
    ' : subject.name.startsWith("system:") && !subject.name.startsWith("system:serviceaccount:")'
    " || oldObject != null && has(oldObject.subjects) && subject in oldObject.subjects)))"
    ' || request.resource.group == "" && request.resource.resource == "namespaces"'
    ' && request.operation == "CREATE" && request.name in ["default", "kube-system", "kube-public", "kube-node-lease"]'
    ' || request.resource.group == "" && request.resource.resource == "services"'
    ' && has(request.namespace) && request.namespace == "default" && request.name == "kubernetes"))'
)
"""The condition of our webhooks: an API server that starts writes these by itself, and has to while we are away.

Of bindings only those that give a role of the system to the system under the role's own name, as all of its own are,
and those that already had who else is in them, which it leaves there; which roles there are, and what they hold, every
release decides anew. Anyone who impersonates it, or gets a certificate of that name, is left out of nothing else.
Sources: Kubernetes, bootstrapping of RBAC (bootstrappolicy, where NewClusterBinding takes the name of the role, and
reconciliation, which never takes anything away), of priority and fairness, of the system's namespaces and of Service
kubernetes.
"""
WEAKENS = "policy-weakens-guard"
"""The check of AuditPolicies, by which changes of them are recorded too."""
TAMPERING = "guard-tampering"
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")


class WebhookClient(NamedTuple):
    """Where a webhook is called, and under which CA bundle (base64 of PEM); an empty host where nothing says so."""

    host: str
    port: int
    bundle: str


def client_of(webhook: Mapping[str, Any]) -> WebhookClient:
    """The clientConfig of one webhook of a configuration."""
    client = mapping(webhook.get("clientConfig"))
    bundle = "".join(text(client.get("caBundle")).split())
    if text(client.get("url")):
        from urllib.parse import urlsplit  # late: few webhooks have one, and every scan would pay

        try:
            parts = urlsplit(text(client["url"]))
            return WebhookClient(parts.hostname or "", parts.port or 443, bundle)
        except ValueError:
            return WebhookClient("", 443, bundle)
    service = mapping(client.get("service"))
    name, namespace = text(service.get("name")), text(service.get("namespace"))
    host = f"{name}.{namespace}.svc" if name and namespace else ""
    return WebhookClient(host, integer(service.get("port")) or 443, bundle)


def certificates(bundle: str) -> list[bytes]:
    """The certificates of a CA bundle in DER, as far as can be told from their frame alone."""
    try:
        pem = base64.b64decode(bundle, validate=True)
        found = [base64.b64decode(b"".join(match[1].split()), validate=True) for match in _PEM.finditer(pem)]
    except (binascii.Error, ValueError):
        return []
    return [der for der in found if _is_sequence(der)]


def _is_sequence(der: bytes) -> bool:
    """Whether it is one ASN.1 SEQUENCE from its first byte to its last."""
    if len(der) < 2 or der[0] != 0x30:
        return False
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        if start == 2 or start > 6:
            return False
        length = int.from_bytes(der[2:start])
    return len(der) == start + length


class Weakening(NamedTuple):
    """One way in which an AuditPolicy takes away from what is denied. ``path`` and ``at`` are those of a hit."""

    path: str
    at: str
    message: str
    evidence: str
    severity: Severity


class Denials(Protocol):
    """What the policies in force deny, as far as the guard's own checks ask."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds that a check which may deny looks at on CREATE and UPDATE."""

    @property
    def namespaces(self) -> frozenset[str] | None:
        """The only namespaces in which anything of a namespace is denied; None where it may be any."""

    @property
    def supposed(self) -> Denials:
        """These; where they deny nothing, those under preset lockdown, unless a policy chooses another: a webhook that
        denies is there to deny, and not every policy is known.
        """

    def taken_by(self, policy: Resource) -> list[Weakening]:
        """What an AuditPolicy takes away of what would be denied if no policy said anything.

        Raises PolicyError where it cannot be used.
        """
