"""Kubernetes Events on AuditPolicies that were weakened, beside the findings: whoever describes one sees who did it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ApiError, ConflictError, NotFoundError
from iocaudit.core.attempt import Attempt
from iocaudit.core.identity import name_suffix
from iocaudit.core.kinds import Kind
from iocaudit.core.kinds.ours import API_VERSION, AUDIT_POLICY
from iocaudit.core.moments import rfc3339
from iocaudit.core.own_names import OPERATOR
from iocaudit.core.shape import Json, mapping, text
from iocaudit.core.wording import clip
from iocaudit.sinks.attempt_findings import Delta
from iocaudit.sinks.escape import visible

EVENT = Kind("", "v1", "Event", "events")
NAMESPACE = "default"
"""Where Events about objects outside namespaces have to be. Source: Kubernetes, validation of Events."""
REASON = "GuardWeakened"
_log = logging.getLogger(__name__)


def tell(client: Client, attempt: Attempt, delta: Delta) -> None:
    """Make the Event of one post about one policy; the same post makes the same one.

    An Event is a courtesy that is gone within the hour: what the API server refuses is logged, and the finding stands.
    """
    try:
        client.create(EVENT, event_body(attempt, delta, _uid(client, attempt.name)))
    except ConflictError:
        return
    except ApiError as error:
        _log.warning("could not make an Event: %s", error, extra={"finding": attempt.finding})


def _uid(client: Client, name: str) -> str:
    """The policy's uid, by which ``kubectl describe`` asks for its Events; empty where it is gone."""
    try:
        return text(mapping(client.get(AUDIT_POLICY, None, name).get("metadata")).get("uid"))
    except NotFoundError:
        return ""


def event_body(attempt: Attempt, delta: Delta, uid: str) -> Json:
    """The Event, named after the policy and the post."""
    tally = delta.tally
    which = name_suffix("policy-event", *attempt[:-1], delta.replica, str(delta.number))
    first, last = (rfc3339(datetime.fromtimestamp(seconds, UTC)) for seconds in (tally.first, tally.last))
    about = {"apiVersion": API_VERSION, "kind": attempt.kind, "name": attempt.name}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{attempt.name[:200].rstrip('.-')}.{which}", "namespace": NAMESPACE},
        "involvedObject": about | ({"uid": uid} if uid else {}),
        "type": "Warning",
        "reason": REASON,
        "message": clip(visible(f"{attempt.user or 'somebody'}: {tally.message}"), 1024),
        "source": {"component": OPERATOR},
        "firstTimestamp": first,
        "lastTimestamp": last,
        "count": min(tally.count, 2**31 - 1),
    }
