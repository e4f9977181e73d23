"""How much of profiles was ever used by recorded signals, and what lies outside of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from iocaudit.knowledge.clipping import clip
from iocaudit.signals.profiles.activity import Activity, OutboundConnection, RunningProgram, activities_of
from iocaudit.signals.profiles.profile import NamespaceProfile, ProfileEntry, ProfileMode, ProfileSet
from iocaudit.signals.signal_log import SignalLog
from iocaudit.signals.timed_log import LogProgress, LogTally

MOST_ROWS = 10_000
"""Rows of what lies outside; what would be one more is counted."""
_LONGEST = 512


@dataclass(slots=True)
class ActivitySpan:
    """How often something was seen, and when first and last, as far as signals say."""

    count: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def take(self, when: datetime | None) -> None:
        self.count += 1
        if when is not None:
            self.first = when if self.first is None else min(self.first, when)
            self.last = when if self.last is None else max(self.last, when)


class OutsideKey(NamedTuple):
    """What lies outside: its namespace, of which sort it is, by whom or of which image, and what it is."""

    namespace: str
    sort: str
    actor: str
    what: str


@dataclass(slots=True)
class ProfileUse:
    """``used`` has the entries that expected something, ``outside`` what no profile of its namespace expects.

    ``modes`` are those in which what lies outside is judged. ``inside`` counts activities that were expected.
    """

    profiles: ProfileSet
    tally: LogTally
    used: dict[ProfileEntry, ActivitySpan] = field(default_factory=dict)
    outside: dict[OutsideKey, ActivitySpan] = field(default_factory=dict)
    modes: dict[OutsideKey, ProfileMode] = field(default_factory=dict)
    inside: int = 0
    beyond: int = 0

    def take(self, activity: Activity, when: datetime | None) -> None:
        """Count an activity for the entries that expect it, or as outside."""
        verdict = self.profiles.judge(activity)
        if verdict is None:
            return
        for entry in verdict.by:
            self.used.setdefault(entry, ActivitySpan()).take(when)
        if not verdict.is_outside:
            self.inside += 1
            return
        key = outside_key(activity)
        if key not in self.outside and len(self.outside) >= MOST_ROWS:
            self.beyond += 1
            return
        self.outside.setdefault(key, ActivitySpan()).take(when)
        self.modes[key] = verdict.mode

    def used_of(self, profile: NamespaceProfile) -> int:
        """How many of its entries were used."""
        return sum(entry in self.used for entry in profile.entries)

    def unused(self, profile: NamespaceProfile) -> list[ProfileEntry]:
        """Its entries that nothing used."""
        return [entry for entry in profile.entries if entry not in self.used]

    @property
    def rows(self) -> list[tuple[OutsideKey, ActivitySpan]]:
        """What lies outside, by namespace and sort, most often first."""
        return sorted(self.outside.items(), key=lambda one: (*one[0][:2], -one[1].count, one[0]))

    @property
    def is_broken(self) -> bool:
        """Whether something lies outside a profile that does not only learn."""
        return any(mode is not ProfileMode.LEARN for mode in self.modes.values()) or bool(self.beyond)


def outside_key(activity: Activity) -> OutsideKey:
    """What an activity is counted under."""
    if isinstance(activity, RunningProgram):
        row = ("process", activity.image, activity.path)
    elif isinstance(activity, OutboundConnection):
        port = f" port {activity.port}" if activity.port is not None else ""
        row = ("destination", "", f"{activity.host}{port}")
    else:
        row = ("account", activity.account, f"{activity.verb} {activity.whole}")
    sort, actor, what = row
    return OutsideKey(clip(activity.namespace, 253), sort, clip(actor, _LONGEST), clip(what, _LONGEST))


def check_profiles(profiles: ProfileSet, paths: Sequence[str], progress: LogProgress | None = None) -> ProfileUse:
    """Show the signals of the logs to the profiles. Raises LogError for a path that cannot be read."""
    log = SignalLog(paths, progress)
    found = ProfileUse(profiles, log.tally)
    for signal in log:
        for activity in activities_of(signal.report):
            found.take(activity, signal.when)
    return found
