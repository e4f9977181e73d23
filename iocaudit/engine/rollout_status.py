"""The arithmetic of stages: what a rollout's status becomes by what was counted, and by time.

Everything here is pure: a status, what is known, and a time in, a status out. Time is counted in whole seconds, and
only such in which all would-be denials are known (`RolloutCoverage`): ``counted`` is a clock that stands still
otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from iocaudit.core.moments import LATEST, rfc3339
from iocaudit.core.shape import Json, integer, mapping, mappings, strings, text
from iocaudit.core.wording import several
from iocaudit.core.would_be_denied import ELSEWHERE, RolloutOutcome, RolloutRequester, RolloutTally, latest
from iocaudit.engine.presets import Mode
from iocaudit.engine.rollout import CLUSTER_SCOPE, WHOLE, Rollout, RolloutProgress, RolloutStage, RolloutState, order_of

MOST_HOLDS = 128
"""Places with would-be denials that are distinguished; beyond them nothing is promoted until the time is clean."""
MOST_BACK = 32
"""Namespaces that are taken back at a time."""
MOST_REPLICAS = 32
BETWEEN_STEPS_BACK = timedelta(days=1)
_MOST_NAMES = 5
_REFRESHES = 20
"""How often, in the time that a promotion takes, the progress is written though nothing else changes."""
_FIRST_HEARTBEAT, _LAST_HEARTBEAT = 2.0, 30.0
_PATIENCE = 4


def heartbeat(after: timedelta) -> float:
    """Seconds within which each replica speaks for a rollout of such a time."""
    return min(_LAST_HEARTBEAT, max(_FIRST_HEARTBEAT, after.total_seconds() / 10))


def patience(after: timedelta) -> float:
    """Seconds after which a replica that said nothing counts as silent."""
    return _PATIENCE * heartbeat(after)


class RolloutCoverage(NamedTuple):
    """From when to when (Unix seconds) every would-be denial is known; ``lacking`` says why it ended, if it did."""

    since: float
    until: float
    lacking: str = ""
    replicas: frozenset[str] = frozenset()
    """The webhook replicas that count."""


@dataclass(frozen=True, slots=True)
class RolloutHold:
    """A place that is not promoted yet, or no more: ``at`` is what was counted at its last would-be denial."""

    at: int
    count: int = 0
    last: int = 0
    stepped_back: int = 0
    """When it was taken back, in Unix seconds; 0 where it was not."""
    who: tuple[tuple[RolloutRequester, float], ...] = ()


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """How far a rollout is. Times are Unix seconds; what ends in ``at`` was read from ``counted``."""

    fingerprint: str
    since: int
    counted_until: int
    stage: RolloutStage = RolloutStage.COUNTING
    cut: int = 0
    counted: int = 0
    stage_at: int = 0
    would_be_denied: int = 0
    elsewhere_at: int | None = None
    last_step_back: int = 0
    step_back_at: int | None = None
    holds: Mapping[str, RolloutHold] = field(default_factory=dict)
    replicas: Mapping[str, int] = field(default_factory=dict)
    """The last post of each that is in the counts."""
    counted_by: frozenset[str] = frozenset()
    """The replicas that counted, as of the last time."""
    lacking: str = ""
    reason: str = ""
    next_promotion: int | None = None

    @property
    def progress(self) -> RolloutProgress:
        """What of it the judging goes by."""
        if self.stage is RolloutStage.COUNTING:
            return RolloutProgress()
        back = frozenset(name for name, hold in self.holds.items() if hold.stepped_back)
        held = frozenset(self.holds) - back
        everywhere = self.stage is RolloutStage.PROMOTED
        return RolloutProgress(WHOLE if everywhere else self.cut, everywhere, held, back)

    def clean(self, at: int | None) -> float:
        """Seconds counted since; infinite where there was nothing."""
        return math.inf if at is None else self.counted - at

    def clock(self, moment: float) -> int:
        """What ``counted`` reads, or will read, at a moment; never earlier than it reads now."""
        return self.counted + max(0, math.ceil(moment) - self.counted_until)


class RolloutStepBack(NamedTuple):
    """A controller that is protected was denied something; ``refused`` says why nothing was taken back."""

    namespace: str
    requests: RolloutTally
    refused: str = ""


def begin(rollout: Rollout, now: float) -> RolloutStatus:
    """The status of a rollout that begins."""
    return RolloutStatus(rollout.fingerprint, math.floor(now), math.floor(now))


# -- what was counted ----------------------------------------------------------------------------------------


def count(
    status: RolloutStatus,
    policy: str,
    replica: str,
    number: int,
    requests: Mapping[tuple[str, RolloutOutcome], RolloutTally],
    now: float,
) -> tuple[RolloutStatus, list[RolloutStepBack]]:
    """Take what one post of a replica says about a policy, by place and outcome, each post at most once.

    In a place that is promoted by now nothing is held for what was counted before: only a step back undoes a
    promotion.
    """
    if number <= status.replicas.get(replica, 0):
        return status, []
    holds, elsewhere, total = dict(status.holds), status.elsewhere_at, status.would_be_denied
    steps: list[RolloutStepBack] = []
    progress = status.progress
    for (place, outcome), found in sorted(requests.items()):
        if outcome is RolloutOutcome.LOCKED_OUT:
            steps.append(RolloutStepBack(place, found))
            continue
        total += found.count
        at = status.clock(min(found.last, now))
        namespace = None if place == CLUSTER_SCOPE else place
        if place != ELSEWHERE and progress.standing(policy, namespace) is RolloutState.TO:
            continue
        if place == ELSEWHERE or (place not in holds and len(holds) >= MOST_HOLDS):
            elsewhere = at if elsewhere is None else max(elsewhere, at)
        else:
            holds[place] = _held(holds.get(place), found, at)
    marks = {**status.replicas}
    marks.pop(replica, None)
    marks[replica] = number
    status = replace(
        status,
        holds=holds,
        elsewhere_at=elsewhere,
        would_be_denied=total,
        replicas=dict(list(marks.items())[-MOST_REPLICAS:]),
    )
    done: list[RolloutStepBack] = []
    for step in steps:
        status, taken = _step_back(status, policy, step, now)
        done.append(taken)
    return status, done


def _held(known: RolloutHold | None, found: RolloutTally, at: int) -> RolloutHold:
    if known is None:
        return RolloutHold(at, found.count, int(found.last), 0, latest(found.who))
    return replace(
        known,
        at=max(known.at, at),
        count=known.count + found.count,
        last=max(known.last, int(found.last)),
        who=latest((*known.who, *found.who)),
    )


def _step_back(
    status: RolloutStatus, policy: str, step: RolloutStepBack, now: float
) -> tuple[RolloutStatus, RolloutStepBack]:
    """Take a namespace back, where the rules allow it."""
    place = step.namespace
    if place in (CLUSTER_SCOPE, ELSEWHERE):
        return status, step._replace(refused="no namespace is concerned")
    if status.progress.standing(policy, place) is not RolloutState.TO:
        return status, step._replace(refused="the namespace is not promoted any more")
    if status.last_step_back and now - status.last_step_back < BETWEEN_STEPS_BACK.total_seconds():
        return status, step._replace(refused="there was a step back within a day")
    if sum(bool(hold.stepped_back) for hold in status.holds.values()) >= MOST_BACK:
        return status, step._replace(refused=f"{MOST_BACK} namespaces are taken back already")
    at = status.clock(now)
    moment = math.floor(now)
    hold = replace(_held(status.holds.get(place), step.requests, at), stepped_back=moment)
    holds = {**status.holds, place: hold}
    return replace(status, holds=holds, last_step_back=moment, step_back_at=at), step


# -- time ----------------------------------------------------------------------------------------------------


def step(
    status: RolloutStatus,
    rollout: Rollout,
    policy: str,
    namespaces: Sequence[str] | None,
    *,
    cluster_scope: bool,
) -> RolloutStatus:
    """Promote what is clean, by what is counted.

    ``namespaces`` are those that the policy matches, ``cluster_scope`` whether it covers that; None while not known:
    then nothing is promoted.
    """
    after = math.ceil(rollout.after.total_seconds())
    holds = {name: hold for name, hold in status.holds.items() if status.counted - hold.at < after}
    if len(holds) < len(status.holds):
        status = replace(status, holds=holds)
    waiting = ""
    if namespaces is not None and status.stage is not RolloutStage.PROMOTED:
        status, waiting = _promoted(status, rollout, policy, after, namespaces, cluster_scope=cluster_scope)
    return _worded(status, rollout, after, waiting)


def advance(status: RolloutStatus, coverage: RolloutCoverage | None) -> RolloutStatus:
    """Let time pass as far as it is covered; None where it is too early to tell."""
    if coverage is None:
        return status
    begun, until = math.ceil(coverage.since), math.floor(coverage.until)
    counted = status.counted + max(0, until - max(begun, status.counted_until))
    counted_until = max(status.counted_until, until)

    def read(at: int) -> int:
        """What ``counted`` reads at a moment that lay ahead: less where not all of the time until then counts."""
        moment = status.counted_until + at - status.counted
        return min(at, counted + max(0, moment - counted_until))

    holds = {name: replace(hold, at=read(hold.at)) for name, hold in status.holds.items()}
    return replace(
        status,
        counted=counted,
        counted_until=counted_until,
        elsewhere_at=None if status.elsewhere_at is None else read(status.elsewhere_at),
        step_back_at=None if status.step_back_at is None else read(status.step_back_at),
        holds=holds,
        counted_by=status.counted_by if coverage.lacking else coverage.replicas,
        lacking=coverage.lacking,
    )


def _promoted(
    status: RolloutStatus,
    rollout: Rollout,
    policy: str,
    after: int,
    namespaces: Sequence[str],
    *,
    cluster_scope: bool,
) -> tuple[RolloutStatus, str]:
    """The status one stage on, where that is due; else what it waits for beside time."""
    if not namespaces and not cluster_scope:
        return status, "the policy matches nothing yet"
    clean = [name for name in namespaces if name not in status.holds]
    wide = cluster_scope and CLUSTER_SCOPE not in status.holds
    if status.stage is RolloutStage.COUNTING and rollout.by_shares and namespaces:
        waiting = "" if clean else "something would be denied in every namespace"
        cut = max(rollout.first, min((order_of(policy, name) + 1 for name in clean), default=0))
        onward = replace(status, stage=RolloutStage.FIRST, cut=cut)
    else:
        rest = [name for name in namespaces if order_of(policy, name) >= status.cut]
        some = wide or any(name not in status.holds for name in rest) or not (rest or cluster_scope)
        waiting = "" if some else "something would be denied in every place that is left"
        onward = replace(status, stage=RolloutStage.PROMOTED)
    if status.clean(status.step_back_at) < after:
        waiting = "a namespace was taken back"
    if status.clean(status.elsewhere_at) < after:
        waiting = "something would be denied, and no single namespace could be named for it"
    if waiting or status.counted - status.stage_at < after:
        return status, waiting
    return replace(onward, since=status.counted_until, stage_at=status.counted), ""


def _worded(status: RolloutStatus, rollout: Rollout, after: int, waiting: str) -> RolloutStatus:
    """The same, with what it waits for in words, and when it goes on."""
    left = [after - (status.counted - hold.at) for hold in status.holds.values()]
    if status.stage is not RolloutStage.PROMOTED:
        ages = [status.counted - status.stage_at, status.clean(status.step_back_at), status.clean(status.elsewhere_at)]
        wait = max(after - min(ages), 0)
        every = waiting.startswith("something would be denied in every")
        left = [int(max(wait, min(left)) if every and left else wait)]
    due = None if status.lacking or not left or waiting == "the policy matches nothing yet" else min(left)
    held = [name or "cluster scope" for name, hold in sorted(status.holds.items()) if not hold.stepped_back]
    back = [name for name, hold in sorted(status.holds.items()) if hold.stepped_back]
    words = {
        RolloutStage.COUNTING: f"{rollout.start} everywhere: what would be denied is counted",
        RolloutStage.FIRST: f"{rollout.end} in the first share of the namespaces",
        RolloutStage.PROMOTED: f"{rollout.end} in every place that is not held",
    }[status.stage]
    parts = [words]
    if rollout.end is Mode.WARN:
        parts[0] = words.replace("what would be denied is counted", "nothing is denied before or after")
    if waiting:
        parts.append(waiting)
    if held:
        parts.append(f"would be denied within the time: {several(held, _MOST_NAMES)}")
    if back:
        parts.append(f"taken back: {several(back, _MOST_NAMES)}")
    if status.lacking:
        parts.append(f"the time does not count: {status.lacking}")
    promotion = None if due is None else status.counted_until + due
    return replace(status, reason="; ".join(parts), next_promotion=promotion)


def is_worth_writing(before: RolloutStatus | None, after: RolloutStatus, rollout: Rollout) -> bool:
    """Whether a status says something else than the one that stands, or so much time that a crash should not cost."""
    if before is None:
        return True
    same = replace(after, counted=before.counted, counted_until=before.counted_until)
    steady = after.counted - before.counted == after.counted_until - before.counted_until
    if same != before and not (steady and same == replace(before, next_promotion=same.next_promotion)):
        return True
    refresh = max(1.0, rollout.after.total_seconds() / _REFRESHES)
    return after.counted_until - before.counted_until >= refresh and (
        after.stage is not RolloutStage.PROMOTED or bool(after.holds)
    )


# -- as it is stored -----------------------------------------------------------------------------------------


def to_json(status: RolloutStatus) -> Json:
    """``status.rollout`` of an AuditPolicy; None where a field is not to be there."""
    return {
        "fingerprint": status.fingerprint,
        "stage": status.stage.value,
        "since": _stamp(status.since),
        "cut": status.cut,
        "counted": status.counted,
        "countedUntil": _stamp(status.counted_until),
        "stageAt": status.stage_at,
        "wouldBeDenied": status.would_be_denied,
        "heldNamespaces": len(status.holds),
        "nextPromotion": None if status.next_promotion is None else _stamp(status.next_promotion),
        "reason": status.reason[:1024],
        "lacking": status.lacking[:256] or None,
        "lastStepBack": _stamp(status.last_step_back) if status.last_step_back else None,
        "stepBackAt": status.step_back_at,
        "elsewhereAt": status.elsewhere_at,
        "holds": [_hold_json(name, hold) for name, hold in sorted(status.holds.items())],
        "replicas": [{"name": name, "number": number} for name, number in status.replicas.items()],
        "countedBy": sorted(status.counted_by),
    }


def _hold_json(name: str, hold: RolloutHold) -> Json:
    found: Json = {"namespace": name, "at": hold.at, "count": hold.count}
    if hold.last:
        found["last"] = _stamp(hold.last)
    if hold.stepped_back:
        found["steppedBack"] = _stamp(hold.stepped_back)
    found["who"] = [
        {"check": who.check, "user": who.user, "target": who.target, "last": _stamp(last)} for who, last in hold.who
    ]
    return found


def from_json(status: Any, rollout: Rollout) -> RolloutStatus | None:
    """What stands in the status of a policy; None where it is that of another spec, or none can be read.

    Times are bounded, so none is taken that could not be written again.
    """
    found = mapping(mapping(status).get("rollout"))
    since, until = _moment(found.get("since")), _moment(found.get("countedUntil"))
    stage = text(found.get("stage"))
    if (
        text(found.get("fingerprint")) != rollout.fingerprint
        or stage not in list(RolloutStage)
        or not (since and until)
    ):
        return None
    counted = _clock(found.get("counted"))
    return RolloutStatus(
        fingerprint=rollout.fingerprint,
        since=since,
        counted_until=until,
        stage=RolloutStage(stage),
        cut=min(WHOLE, _natural(found.get("cut"))),
        counted=counted,
        stage_at=min(counted, _clock(found.get("stageAt"))),
        would_be_denied=_natural(found.get("wouldBeDenied")),
        elsewhere_at=_optional(found.get("elsewhereAt")),
        last_step_back=_moment(found.get("lastStepBack")),
        step_back_at=_optional(found.get("stepBackAt")),
        holds={text(one.get("namespace")): _hold(one) for one in mappings(found.get("holds"))},
        replicas={text(one.get("name")): _natural(one.get("number")) for one in mappings(found.get("replicas"))},
        counted_by=frozenset(strings(found.get("countedBy"))),
        lacking=text(found.get("lacking")),
        reason=text(found.get("reason")),
        next_promotion=_moment(found.get("nextPromotion")) or None,
    )


def _hold(found: Mapping[str, Any]) -> RolloutHold:
    who = tuple(
        (
            RolloutRequester(text(one.get("check")), text(one.get("user")), text(one.get("target"))),
            float(_moment(one["last"])),
        )
        for one in mappings(found.get("who"))
        if one.get("last")
    )
    return RolloutHold(
        _clock(found.get("at")),
        _natural(found.get("count")),
        _moment(found.get("last")),
        _moment(found.get("steppedBack")),
        who,
    )


def _stamp(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC))


def _moment(value: Any) -> int:
    try:
        found = math.floor(datetime.fromisoformat(text(value)).timestamp())
    except (ValueError, OverflowError):
        return 0
    return found if 0 < found < LATEST else 0


def _natural(value: Any) -> int:
    return max(0, integer(value) or 0)


def _clock(value: Any) -> int:
    """What ``counted`` read."""
    return min(LATEST, _natural(value))


def _optional(value: Any) -> int | None:
    return None if integer(value) is None else _clock(value)
