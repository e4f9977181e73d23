"""The part of a replica's post that is about rollouts, as JSON.

An operator of a version before leaves it alone, and knows no rollouts. The replica's clock need not be right: it says
when it sends, and its times are moved by as much as that differs from when the post arrives.
"""

from __future__ import annotations

from typing import Any

from iocaudit.core.identity import BOUNDS
from iocaudit.core.shape import Json
from iocaudit.core.would_be_denied import (
    LONGEST_WHO,
    MOST_PLACES,
    MOST_ROLLOUTS,
    MOST_WHO,
    RolloutKey,
    RolloutOutcome,
    RolloutPost,
    RolloutRequester,
    RolloutTally,
)
from iocaudit.evidence.post_fields import PostError, post_integer, post_map, post_seconds, post_text

MOST_REQUESTS = MOST_PLACES + 2 * MOST_ROLLOUTS
"""Entries of one post: the places, and ELSEWHERE of each rollout."""
_LONGEST = {"policy": 253, "fingerprint": 64, "place": BOUNDS["namespace"], "outcome": 32, **LONGEST_WHO}


def rollouts_json(post: RolloutPost, sent: float | None) -> Json:
    """The part, as it is sent at a moment."""
    return {
        "until": post.until,
        "sent": sent,
        "missed": post.missed,
        "counting": dict(post.counting),
        "requests": [
            {
                **key._asdict(),
                "count": found.count,
                "last": found.last,
                "who": [{**who._asdict(), "last": last} for who, last in found.who],
            }
            for key, found in post.requests
        ],
    }


def read_rollouts(raw: Any, now: float | None) -> RolloutPost | None:
    """Read the part that arrives at ``now``; None where there is none. Raises PostError."""
    if raw is None:
        return None
    part = post_map(raw, "rollouts")
    shift = 0.0
    if now is not None and part.get("sent") is not None:
        shift = now - post_seconds(part, "sent", "rollouts")
    counting = post_map(part.get("counting"), "rollouts.counting")
    if len(counting) > MOST_ROLLOUTS:
        raise PostError(f"rollouts.counting: must hold at most {MOST_ROLLOUTS}")
    for policy, fingerprint in counting.items():
        if len(policy) > _LONGEST["policy"] or not isinstance(fingerprint, str) or len(fingerprint) > 64:
            raise PostError("rollouts.counting: must map names of policies to fingerprints")
    entries = part.get("requests")
    if not isinstance(entries, list) or len(entries) > MOST_REQUESTS:
        raise PostError(f"rollouts.requests: must be a list of at most {MOST_REQUESTS}")
    found: dict[RolloutKey, RolloutTally] = {}
    for place, entry in enumerate(entries):
        where = f"rollouts.requests[{place}]"
        key, requests = _entry(post_map(entry, where), where, shift)
        if key in found:
            raise PostError(f"{where}: stands there twice")
        found[key] = requests
    return RolloutPost(
        post_seconds(part, "until", "rollouts") + shift,
        tuple(sorted(counting.items())),
        tuple(found.items()),
        post_integer(part, "missed", "rollouts.missed", 0),
    )


def _entry(entry: Json, where: str, shift: float) -> tuple[RolloutKey, RolloutTally]:
    outcome = entry.get("outcome")
    if outcome not in list(RolloutOutcome):
        raise PostError(f"{where}.outcome: must be one of {', '.join(RolloutOutcome)}")
    policy, fingerprint, place = (
        post_text(entry, field, where, _LONGEST) for field in ("policy", "fingerprint", "place")
    )
    who = entry.get("who")
    if not isinstance(who, list) or len(who) > MOST_WHO:
        raise PostError(f"{where}.who: must be a list of at most {MOST_WHO}")
    named = tuple(
        _requester(post_map(one, f"{where}.who[{at}]"), f"{where}.who[{at}]", shift) for at, one in enumerate(who)
    )
    key = RolloutKey(policy, fingerprint, place, RolloutOutcome(outcome))
    requests = RolloutTally(
        post_integer(entry, "count", f"{where}.count"), post_seconds(entry, "last", where) + shift, named
    )
    return key, requests


def _requester(one: Json, where: str, shift: float) -> tuple[RolloutRequester, float]:
    check, user, target = (post_text(one, field, where, _LONGEST) for field in ("check", "user", "target"))
    return RolloutRequester(check, user, target), post_seconds(one, "last", where) + shift
