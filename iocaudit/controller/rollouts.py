"""Carries policies under rollout from stage to stage: counts what would be denied, and writes the status.

Everything that decides is in the status and in what the webhook's replicas post (`engine.rollout_status`), so a
leader that was told nothing by the one before goes on where that one ended. A post is acknowledged once it is counted
in the status of each policy that it speaks of, which remembers the posts of each replica: whatever comes twice counts
once. The spec is never written. One thread writes; posts come from any.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from iocaudit.cluster.api import Api
from iocaudit.cluster.errors import ApiError, ConflictError, NotFoundError
from iocaudit.controller.counting import CountingReplicas
from iocaudit.controller.policies import Policies
from iocaudit.controller.policy_events import tell_of_policy
from iocaudit.controller.rollout_metrics import RolloutMetrics
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.shape import Json, mapping, text
from iocaudit.core.would_be_denied import RolloutOutcome, RolloutTally
from iocaudit.engine.policy import Policy
from iocaudit.engine.rollout import Rollout, RolloutStage
from iocaudit.engine.rollout_status import (
    RolloutStatus,
    RolloutStepBack,
    advance,
    begin,
    count,
    from_json,
    heartbeat,
    is_worth_writing,
    step,
    to_json,
)
from iocaudit.evidence.post import Post
from iocaudit.live.world import older

_log = logging.getLogger(__name__)
MOST_REPLICAS = 64
_TRIES = 3
_QUIET = 3600.0
"""Seconds within which an Event about the same lock-out is not made again."""
_REFUSED = frozenset({400, 403, 413, 422})
"""Statuses that the same write would meet again."""
_TICKS = 2
"""How often a status is looked at in the time within which a replica speaks."""

Tallies = Mapping[tuple[str, RolloutOutcome], RolloutTally]
"""What a post says about one policy, by place and outcome."""


class _Delta(NamedTuple):
    """What a post says about one policy; ``fingerprint`` is that of the rollout it was counted for."""

    replica: str
    number: int
    fingerprint: str
    tallies: Tallies


@dataclass(slots=True)
class _Inbox:
    """The last post of a replica, and the policies in whose status it has to be counted."""

    number: int
    deltas: dict[str, list[_Delta]] = field(default_factory=dict)


class Rollouts:
    """``accept`` takes posts from any thread; ``turn`` is called by the one that writes.

    ``ready`` says how many replicas of the webhook there are to report, None where it is not known, ``registered``
    whether API servers are told to ask it.
    """

    def __init__(
        self,
        client: Api,
        policies: Policies,
        metrics: RolloutMetrics,
        *,
        ready: Callable[[], int | None] = lambda: None,
        registered: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._policies, self._metrics = client, policies, metrics
        self._ready, self._registered = ready, registered
        self._clock, self._monotonic = clock, monotonic
        self._counting = CountingReplicas(clock, monotonic)
        self._lock = threading.Lock()
        self._inboxes: dict[str, _Inbox] = {}
        self._written: dict[str, Json] = {}
        self._due: dict[tuple[str, str], float] = {}

    def accept(self, post: Post) -> bool:
        """Take what a post says of rollouts; whether all of it is counted."""
        with self._lock:
            known = self._inboxes.get(post.replica)
            if known is None or known.number < post.number:
                if known is None and len(self._inboxes) >= MOST_REPLICAS:
                    self._inboxes = {name: one for name, one in self._inboxes.items() if one.deltas}
                    if len(self._inboxes) >= MOST_REPLICAS:
                        return False
                known = self._inboxes[post.replica] = _Inbox(post.number, _by_policy(post))
            if known.number == post.number and known.deltas:
                return False
            if post.last:
                self._inboxes.pop(post.replica, None)
        self._counting.stored(post.replica, post.rollouts, last=post.last)
        return True

    def turn(self) -> None:
        """Count what was posted, and let time pass. Raises ClusterError."""
        now = self._monotonic()
        rolling = {
            policy.name: (policy, policy.rollout)
            for policy in self._policies.current.policies
            if policy.rollout is not None
        }
        with self._lock:
            waiting = {name for one in self._inboxes.values() for name in one.deltas}
        for name in sorted(waiting - rolling.keys()):
            self._done(name, self._pending(name))
        keys = {name: (name, rollout.fingerprint) for name, (_, rollout) in rolling.items()}
        due = [name for name in sorted(rolling) if name in waiting or now >= self._due.get(keys[name], 0.0)]
        if not due:
            return
        ready = self._ready()
        for name in due:
            policy, rollout = rolling[name]
            deltas = self._pending(name)
            try:
                self._carry_on(policy, rollout, deltas, ready)
            except NotFoundError:
                _log.info("a policy under rollout is gone", extra={"policy": name})
            self._done(name, deltas)
            self._due[keys[name]] = self._monotonic() + heartbeat(rollout.after) / _TICKS
        self._counting.keep(keys.values())
        self._written = {name: raw for name, raw in self._written.items() if name in rolling}
        self._due = {key: at for key, at in self._due.items() if key in keys.values()}
        statuses = (self._status(name, rollout) for name, (_, rollout) in rolling.items())
        self._metrics.update(status for status in statuses if status is not None)

    # -- one policy ----------------------------------------------------------------------------------------

    def _carry_on(self, policy: Policy, rollout: Rollout, deltas: list[_Delta], ready: int | None) -> None:
        raw = self._newest(policy.name)
        for _ in range(_TRIES):
            before = from_json(raw.get("status"), rollout)
            after, steps = self._next(policy, rollout, before, deltas, ready)
            if before is not None and not deltas and not is_worth_writing(before, after, rollout):
                return
            if before is not None and to_json(before) == to_json(after):
                return
            version = text(mapping(raw.get("metadata")).get("resourceVersion"))
            body = {"metadata": {"resourceVersion": version}, "status": {"rollout": to_json(after)}}
            try:
                written = self._client.patch(AUDIT_POLICY, None, policy.name, body, subresource="status")
            except ConflictError:
                raw = self._client.get(AUDIT_POLICY, None, policy.name)
                continue
            except ApiError as error:
                if error.status not in _REFUSED:
                    raise
                _log.error("the stage of a rollout could not be written: %s", error, extra={"policy": policy.name})
                if deltas:
                    self._counting.lost(policy.name, rollout.fingerprint)
                return
            self._written[policy.name] = written
            self._tell(policy.name, text(mapping(written.get("metadata")).get("uid")), before, after, steps)
            return
        raise ConflictError(
            f"PATCH {AUDIT_POLICY.plural} {policy.name}", 409, "Conflict", "it changes faster than it can be written"
        )

    def _next(
        self,
        policy: Policy,
        rollout: Rollout,
        before: RolloutStatus | None,
        deltas: Iterable[_Delta],
        ready: int | None,
    ) -> tuple[RolloutStatus, list[RolloutStepBack]]:
        """The status by what is known now, and the steps back that were asked for."""
        now = self._clock()
        status = before if before is not None else begin(rollout, now)
        coverage = self._counting.coverage(
            policy.name, rollout, status.counted_by, ready=ready, registered=self._registered()
        )
        status = advance(status, coverage)
        steps: list[RolloutStepBack] = []
        for delta in sorted(deltas, key=lambda one: (one.replica, one.number)):
            if delta.fingerprint == rollout.fingerprint:
                status, asked = count(status, policy.name, delta.replica, delta.number, delta.tallies, now)
                steps += asked
        namespaces = self._policies.places.get(policy.name)
        return step(status, rollout, policy.name, namespaces, cluster_scope=policy.cluster_scoped), steps

    def _newest(self, name: str) -> Json:
        """The policy as it was last seen."""
        seen, written = self._policies.raw(name), self._written.get(name)
        if seen is None or (written is not None and older(_version(seen), _version(written))):
            return written if written is not None else self._client.get(AUDIT_POLICY, None, name)
        return seen

    def _status(self, name: str, rollout: Rollout) -> RolloutStatus | None:
        seen = self._written.get(name) or self._policies.raw(name) or {}
        return from_json(seen.get("status"), rollout)

    def _tell(
        self, name: str, uid: str, before: RolloutStatus | None, after: RolloutStatus, steps: list[RolloutStepBack]
    ) -> None:
        now = self._clock()
        for number, one in enumerate(steps):
            who = "; ".join(f"{who.user} for {who.target} ({who.check})" for who, _ in one.requests.who)
            where = f"namespace {one.namespace}"
            self._metrics.locked_out.inc(one.requests.count)
            if one.refused:
                message = f"a protected controller is denied in {where}, which is not taken back: {one.refused}: {who}"
                reason, moment = "RolloutLockedOut", now - now % _QUIET
            else:
                self._metrics.step_backs.inc()
                message = f"{where} is taken back, as a protected controller was denied there: {who}"
                reason, moment = "RolloutSteppedBack", now
            _log.error("rollout: %s", message, extra={"policy": name})
            tell_of_policy(self._client, name, uid, reason, message, moment, warning=True, number=number)
        if before is not None and before.stage is not after.stage:
            self._metrics.promotions.inc()
            message = f"promoted to stage {after.stage}: {after.reason}"
            _log.info("rollout: %s", message, extra={"policy": name})
            tell_of_policy(self._client, name, uid, "RolloutPromoted", message, now, warning=False, number=0)
        if before is None and after.stage is RolloutStage.COUNTING:
            _log.info("rollout begun: %s", after.reason, extra={"policy": name})

    # -- what was posted -----------------------------------------------------------------------------------

    def _pending(self, name: str) -> list[_Delta]:
        with self._lock:
            return [delta for one in self._inboxes.values() for delta in one.deltas.get(name, ())]

    def _done(self, name: str, deltas: list[_Delta]) -> None:
        with self._lock:
            for delta in deltas:
                known = self._inboxes.get(delta.replica)
                if known is not None and known.number == delta.number:
                    known.deltas.pop(name, None)


def _by_policy(post: Post) -> dict[str, list[_Delta]]:
    found: dict[tuple[str, str], dict[tuple[str, RolloutOutcome], RolloutTally]] = {}
    for key, tally in post.rollouts.requests if post.rollouts is not None else ():
        found.setdefault((key.policy, key.fingerprint), {})[key.place, key.outcome] = tally
    deltas: dict[str, list[_Delta]] = {}
    for (policy, fingerprint), tallies in found.items():
        deltas.setdefault(policy, []).append(_Delta(post.replica, post.number, fingerprint, tallies))
    return deltas


def _version(raw: Json) -> str:
    return text(mapping(raw.get("metadata")).get("resourceVersion"))
