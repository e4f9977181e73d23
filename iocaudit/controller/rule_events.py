"""Kubernetes Events on ConfigMaps whose modules of Rego cannot be used: anyone who describes one sees why."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from iocaudit.cluster.api import Api
from iocaudit.cluster.errors import ApiError, ConflictError
from iocaudit.controller.policy_events import EVENT
from iocaudit.core.identity import name_suffix
from iocaudit.core.kinds import CONFIG_MAP
from iocaudit.core.moments import rfc3339
from iocaudit.core.own_names import OPERATOR
from iocaudit.core.shape import Json
from iocaudit.knowledge.clipping import clip
from iocaudit.live.modules import ModuleProblem
from iocaudit.sinks.escape import visible

REASON = "RuleRefused"
_log = logging.getLogger(__name__)


def tell_of_module(client: Api, namespace: str, problem: ModuleProblem) -> None:
    """Make the Event of one problem; within an hour the same problem makes the same one.

    It is a courtesy: what the API server refuses is logged, and a metric counts the problem.
    """
    try:
        client.create(EVENT, event_body(namespace, problem, datetime.now(UTC)))
    except ConflictError:
        return
    except ApiError as error:
        _log.warning("could not make an Event: %s", error, extra={"config_map": problem.config_map})


def event_body(namespace: str, problem: ModuleProblem, now: datetime) -> Json:
    """The Event, named after the ConfigMap, the problem and the hour."""
    hour = str(int(now.timestamp()) // 3600)
    which = name_suffix("module-event", problem.uid, problem.key, problem.reason, hour)
    about: Json = {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.name,
        "name": problem.config_map,
        "namespace": namespace,
    }
    moment = rfc3339(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{problem.config_map[:200].rstrip('.-')}.{which}", "namespace": namespace},
        "involvedObject": about | ({"uid": problem.uid} if problem.uid else {}),
        "type": "Warning",
        "reason": REASON,
        "message": clip(visible(problem.message), 1024),
        "source": {"component": OPERATOR},
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
