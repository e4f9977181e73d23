"""How detections name people and objects. Values come from logs: they are cut here and escaped by what prints them."""

from __future__ import annotations

from iocaudit.core.shape import lookup, text
from iocaudit.knowledge.clipping import clip
from iocaudit.signals.audit_event import AuditEvent

_SINGULAR = {"pods": "Pod", "nodes": "Node", "services": "Service", "secrets": "Secret", "configmaps": "ConfigMap"}


def who(event: AuditEvent) -> str:
    """The user, in whose name, and from where where that is on the Internet or the user is nobody."""
    name = clip(event.user.username) or "an unknown user"
    if event.impersonated is not None:
        name += f" (as {clip(event.impersonated.username or ', '.join(event.impersonated.groups))})"
    return name


def origin(event: AuditEvent) -> str:
    """``from ADDRESS``, with a space before it; empty where the log does not say."""
    return f" from {clip(event.source_ip, 45)}" if event.source_ip else ""


def name_of(event: AuditEvent) -> str:
    """The name of the object; one that the server made stands in its answer."""
    return (
        event.target.name
        or text(lookup(event.response_object, "metadata", "name"))
        or text(lookup(event.request_object, "metadata", "name"))
    )


def what(event: AuditEvent) -> str:
    """The object of a request: ``Pod shop/web``, ``secrets in namespace shop``, or the path."""
    target = event.target
    if not target.resource:
        return clip(event.uri.partition("?")[0]) or "an unknown path"
    name = name_of(event)
    if not name:
        return f"{clip(target.resource)} " + (
            f"in namespace {clip(target.namespace)}" if target.namespace else "in the whole cluster"
        )
    kind = _SINGULAR.get(target.resource, target.resource)
    return f"{clip(kind)} {clip(f'{target.namespace}/{name}' if target.namespace else name)}"


def account_of(event: AuditEvent) -> str:
    """The key under which steps are remembered: the authenticated user; of nobody, where the requests come from."""
    name = event.user.username
    return name if name and name != "system:anonymous" else f"{name}@{event.source_ip}"
