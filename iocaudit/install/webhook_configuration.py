"""The ValidatingWebhookConfiguration: what the API server sends to the webhook, and what if it is away.

It is written only once the webhook answers under the very bundle about to be written: a webhook that is
registered and never comes up would stop all work in a cluster.
"""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from iocaudit.core.guard import NOT_THE_API_SERVERS_OWN
from iocaudit.core.kinds import CONFIG_MAP, Kind
from iocaudit.core.kinds.ours import AUDIT_POLICY, IOC_WAIVER
from iocaudit.core.namespaces import NAME_LABEL
from iocaudit.core.own_names import LABELS, NEVER_DENIES_PATH, VALIDATE_PATH, WEBHOOK_CONFIGURATION
from iocaudit.core.request import Operation
from iocaudit.core.shape import Json
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.denied_rules import Rules, denied_rules
from iocaudit.engine.policy_kinds import is_wide
from iocaudit.engine.policy_set import PolicySet
from iocaudit.knowledge.rbac.bindings import ADMIN_NAMESPACE

_WRITES = frozenset({Operation.CREATE, Operation.UPDATE})
OWN_KINDS: Rules = {AUDIT_POLICY: _WRITES | {Operation.DELETE}, IOC_WAIVER: _WRITES}
"""Fails open: the operator refuses the same policies and waivers, and neither may be shut out by our absence."""
# ConfigMaps of our namespace hold rules, and go with them: that is recorded, as the removal of a policy is.
_NOT_THE_API_SERVER: Json = {"name": "not-the-api-servers-own", "expression": NOT_THE_API_SERVERS_OWN}


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """Where the webhook answers: by Service in a cluster, else by URL (no path)."""

    namespace: str
    service: str
    port: int = 443
    url: str | None = None

    def client_config(self, path: str, bundle: bytes) -> Json:
        ca = base64.b64encode(bundle).decode("ascii")
        if self.url is not None:
            return {"url": self.url.rstrip("/") + path, "caBundle": ca}
        service = {"namespace": self.namespace, "name": self.service, "path": path, "port": self.port}
        return {"service": service, "caBundle": ca}

    @property
    def address(self) -> tuple[str, int]:
        """Host and port as the API server would call them."""
        if self.url is None:
            return (f"{self.service}.{self.namespace}.svc", self.port)
        parts = urlsplit(self.url)
        return (parts.hostname or "", parts.port or 443)


def answers(target: WebhookTarget, bundle: bytes, timeout: float = 3.0) -> str | None:
    """Why the webhook does not answer under this bundle; None where it does."""
    host, port = target.address
    context = ssl.create_default_context(cadata=bundle.decode("ascii"))
    request = f"GET {VALIDATE_PATH} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("ascii")
    try:
        with (
            socket.create_connection((host, port), timeout) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            secure.sendall(request)
            if not secure.recv(16).startswith(b"HTTP/1."):
                return f"{host}:{port} does not speak HTTP"
    except ssl.SSLError as error:
        # It verified under the bundle, and wants the API server's certificate, which we don't have.
        if "CERTIFICATE_REQUIRED" in str(error):
            return None
        return f"{host}:{port}: {error}"
    except OSError as error:
        return f"{host}:{port}: {error}"
    return None


def configuration(
    catalogue: Catalogue,
    policies: PolicySet,
    target: WebhookTarget,
    bundle: bytes,
    *,
    exclude: Iterable[str] = (),
    owner: Json | None = None,
) -> Json:
    """The whole configuration: ``deny`` fails closed, ``observe`` and ``system`` fail open.

    ``deny`` holds only the kinds and operations of checks that can deny under the policies in force, and is not there
    where none can. Where exact names say in which namespaces those deny, it selects no others, so its absence
    stops nobody else; cluster scope is covered where something is denied in it. Namespace kube-system, our own and
    those of ``exclude`` (the network plugin's) are left to ``system``, which never denies. ``owner`` is an
    ownerReference, so deleting our manifests removes the configuration.
    """
    catalogue = catalogue.also(policies.declared)
    everything = catalogue.admission_rules
    # Ours is spared too, so nothing stops anyone who mends the auditor; what happens in it is still seen.
    spared = sorted({ADMIN_NAMESPACE, *exclude, target.namespace})
    names = policies.denying.namespaces()
    names = None if names is None else names - {*spared}
    deny = denied_rules(catalogue, policies, names)
    outside, inside = _by_name("NotIn", spared), _by_name("NotIn", spared)
    conditions = [_NOT_THE_API_SERVER]
    if names is None:
        rest = _without(everything, deny)
    else:
        named = sorted(names)
        inside = _by_name("In", named) if named else outside
        rest = {kind: left for kind, left in everything.items() if not is_wide(kind)}
        rest |= _without({kind: one for kind, one in everything.items() if is_wide(kind)}, deny)
        conditions += [_not_denied(named, deny)] if named else []
    rest |= OWN_KINDS
    system = {kind: operations for kind, operations in everything.items() if kind.namespaced}
    system[CONFIG_MAP] = _WRITES | {Operation.DELETE}
    validate, never = (target.client_config(path, bundle) for path in (VALIDATE_PATH, NEVER_DENIES_PATH))
    webhooks = [
        _webhook("deny", "Fail", 3, deny, inside, validate, [_NOT_THE_API_SERVER]),
        _webhook("observe", "Ignore", 2, rest, outside, validate, conditions),
        _webhook("system", "Ignore", 2, system, _by_name("In", spared), never, [_NOT_THE_API_SERVER]),
    ]
    metadata: Json = {
        "name": WEBHOOK_CONFIGURATION,
        "labels": LABELS,
    }
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": metadata,
        "webhooks": [webhook for webhook in webhooks if webhook["rules"]],
    }


def _without(rules: Rules, others: Rules) -> dict[Kind, frozenset[Operation]]:
    return {kind: left for kind, wanted in rules.items() if (left := wanted - others.get(kind, frozenset()))}


def _not_denied(names: list[str], deny: Rules) -> Json:
    """What ``deny`` is asked about is not asked a second time. Source: a Namespace is selected by its own name."""
    asked = sorted(
        f"{operation} {kind.group}/{kind.plural}"
        for kind, operations in deny.items()
        if not is_wide(kind)
        for operation in operations
    )
    what = "request.operation + ' ' + request.resource.group + '/' + request.resource.resource"
    where = (
        "(request.resource.group == '' && request.resource.resource == 'namespaces' "
        "? (has(request.name) ? request.name : '') : (has(request.namespace) ? request.namespace : ''))"
    )
    return {"name": "not-asked-already", "expression": f"!({where} in {_cel(names)} && ({what}) in {_cel(asked)})"}


def _cel(values: list[str]) -> str:
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"


def _webhook(
    name: str, failure: str, timeout: int, rules: Rules, selector: Json, client: Json, conditions: list[Json]
) -> Json:
    return {
        "name": f"{name}.iocaudit.io",
        "admissionReviewVersions": ["v1"],
        "clientConfig": client,
        "failurePolicy": failure,
        "matchPolicy": "Equivalent",
        "sideEffects": "NoneOnDryRun",
        "timeoutSeconds": timeout,
        "namespaceSelector": selector,
        "objectSelector": {},
        "matchConditions": conditions,
        "rules": resource_rules(rules),
    }


def _by_name(operator: str, names: list[str]) -> Json:
    return {"matchExpressions": [{"key": NAME_LABEL, "operator": operator, "values": sorted(set(names))}]}


def resource_rules(rules: Rules) -> list[Json]:
    """One rule for all resources of a group, version, scope and set of operations; sorted."""
    grouped: dict[tuple[str, str, str, tuple[str, ...]], set[str]] = {}
    for kind, operations in rules.items():
        scope = "Namespaced" if kind.namespaced else "Cluster"
        key = (kind.group, kind.version, scope, tuple(sorted(operations)))
        resources = grouped.setdefault(key, set())
        resources.add(kind.plural)
        resources.update(f"{kind.plural}/{subresource}" for subresource in kind.subresources)
    return [
        {
            "apiGroups": [group],
            "apiVersions": [version],
            "operations": list(operations),
            "resources": sorted(resources),
            "scope": scope,
        }
        for (group, version, scope, operations), resources in sorted(grouped.items())
    ]
