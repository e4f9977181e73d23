"""What was denied already: the attempts that a cluster has on record, and whether policies would deny them still."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from iocaudit.core.kinds import kind_of
from iocaudit.core.request import Operation, Request, groups_of
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.severity import Severity
from iocaudit.core.shape import Json, integer, mapping, text
from iocaudit.engine.audit import Auditor
from iocaudit.engine.presets import Mode
from iocaudit.evidence.key import DENIED_ATTEMPT


class PastAttempt(NamedTuple):
    """An attempt as its finding has it. ``still``: whether a hit of that severity would be denied there
    on any operation that the check looks at."""

    check: str
    severity: Severity
    namespace: str | None
    group: str
    kind: str
    name: str
    user: str
    times: int
    first: str
    last: str
    message: str
    still: bool


def past_attempts(bodies: Iterable[Mapping[str, Any]], auditor: Auditor) -> list[PastAttempt]:
    """The denied attempts among stored findings, the most frequent first."""
    found = [
        _attempt(finding, auditor)
        for body in bodies
        if (finding := mapping(body.get("finding"))).get("type") == DENIED_ATTEMPT
    ]
    return sorted(found, key=lambda one: (-one.times, one.namespace or "", one.kind, one.name, one.check, one.user))


def _attempt(finding: Mapping[str, Any], auditor: Auditor) -> PastAttempt:
    subject = mapping(finding.get("subject"))
    group, kind, name = text(subject.get("group")), text(subject.get("kind")), text(subject.get("name"))
    namespace, user, check = text(subject.get("namespace")), text(finding.get("user")), text(finding.get("check"))
    try:
        severity = Severity.parse(text(finding.get("severity")))
    except ValueError:
        severity = Severity.LOW
    known = kind_of(group, kind)
    metadata: Json = {"name": name, **({"namespace": namespace} if namespace else {})}
    version = known.api_version if known is not None else "v1"
    resource = Resource({"apiVersion": version, "kind": kind, "metadata": metadata}, CLUSTER, kind=known)
    still = any(
        (setting := auditor.settings_for(resource, request).get(check)) is not None
        and setting.mode_for(severity) is Mode.DENY
        and not setting.exempts(request)
        for request in _requests(check, user, namespace, name, auditor)
    )
    return PastAttempt(
        check,
        severity,
        namespace or None,
        group,
        kind,
        name,
        user,
        integer(finding.get("count")) or 0,
        text(finding.get("firstSeen")),
        text(finding.get("lastSeen")),
        text(finding.get("message")),
        still,
    )


def _requests(check: str, user: str, namespace: str, name: str, auditor: Auditor) -> Iterator[Request]:
    """Every request that the attempt may have been: neither its operation nor the user's own groups are on record."""
    known = auditor.catalogue.find(check)
    for operation in sorted(known.operations) if known is not None else (Operation.CREATE,):
        yield Request(operation, user, groups_of(user), namespace=namespace or None, name=name)
