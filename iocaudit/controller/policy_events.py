"""Kubernetes Events on AuditPolicies, and ConfigMaps with rules, that were weakened, beside the findings: anyone who
describes one sees who did it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from iocaudit.cluster.api import Api
from iocaudit.cluster.errors import ApiError, ConflictError, NotFoundError
from iocaudit.core.identity import name_suffix
from iocaudit.core.kinds import CONFIG_MAP, Kind
from iocaudit.core.kinds.ours import API_VERSION, AUDIT_POLICY
from iocaudit.core.moments import rfc3339
from iocaudit.core.own_names import OPERATOR
from iocaudit.core.shape import Json, mapping, text
from iocaudit.evidence.finding import Delta
from iocaudit.evidence.key import EvidenceKey
from iocaudit.knowledge.clipping import clip
from iocaudit.sinks.escape import visible

EVENT = Kind("", "v1", "Event", "events")
NAMESPACE = "default"
"""Where Events about objects outside namespaces have to be. Source: Kubernetes, validation of Events."""
REASON = "GuardWeakened"
_log = logging.getLogger(__name__)


def tell(client: Api, attempt: EvidenceKey, delta: Delta) -> None:
    """Make the Event of one post about one policy or ConfigMap; the same post makes the same one.

    An Event is a courtesy that is gone within the hour: what the API server refuses is logged, and the finding stands.
    """
    try:
        client.create(EVENT, event_body(attempt, delta, _uid(client, attempt)))
    except ConflictError:
        return
    except ApiError as error:
        _log.warning("could not make an Event: %s", error, extra={"finding": attempt.finding})


def _uid(client: Api, attempt: EvidenceKey) -> str:
    """The uid of what was changed, by which ``kubectl describe`` asks for its Events; empty where it is gone."""
    try:
        return text(mapping(client.get(_kind(attempt), attempt.namespace, attempt.name).get("metadata")).get("uid"))
    except NotFoundError:
        return ""


def _kind(attempt: EvidenceKey) -> Kind:
    return CONFIG_MAP if (attempt.group, attempt.kind) == (CONFIG_MAP.group, CONFIG_MAP.name) else AUDIT_POLICY


def event_body(attempt: EvidenceKey, delta: Delta, uid: str) -> Json:
    """The Event, named after what was changed and the post."""
    tally = delta.tally
    which = name_suffix("policy-event", *attempt[:-1], delta.replica, str(delta.number))
    message = f"{attempt.user or 'an unknown user'}: {tally.message}"
    body = _body(attempt.name, uid, which, REASON, message, tally.first, tally.last)
    if attempt.namespace is not None:
        body["metadata"]["namespace"] = body["involvedObject"]["namespace"] = attempt.namespace
        body["involvedObject"] |= {"apiVersion": _kind(attempt).api_version, "kind": _kind(attempt).name}
    return body | {"count": min(tally.count, 2**31 - 1)}


def tell_of_policy(
    client: Api, name: str, uid: str, reason: str, message: str, moment: float, *, warning: bool, number: int
) -> None:
    """Make an Event about what became of a policy at a moment (Unix seconds), the same once; ``number`` tells several
    of one moment apart.
    """
    which = name_suffix("rollout-event", uid, reason, message, str(int(moment)), str(number))
    body = _body(name, uid, which, reason, message, moment, moment)
    try:
        client.create(EVENT, body | {"type": "Warning" if warning else "Normal", "count": 1})
    except ConflictError:
        return
    except ApiError as error:
        _log.warning("could not make an Event: %s", error, extra={"policy": name})


def _body(name: str, uid: str, which: str, reason: str, message: str, first: float, last: float) -> Json:
    about = {"apiVersion": API_VERSION, "kind": AUDIT_POLICY.name, "name": name}
    begun, ended = (rfc3339(datetime.fromtimestamp(seconds, UTC)) for seconds in (first, last))
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name[:200].rstrip('.-')}.{which}", "namespace": NAMESPACE},
        "involvedObject": about | ({"uid": uid} if uid else {}),
        "type": "Warning",
        "reason": reason,
        "message": clip(visible(message), 1024),
        "source": {"component": OPERATOR},
        "firstTimestamp": begun,
        "lastTimestamp": ended,
    }
