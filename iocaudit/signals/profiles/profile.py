"""A profile as data, and the question of what lies outside all profiles of a namespace.

A profile speaks for its own namespace alone. What any profile of the namespace expects is expected; a sort of activity
that none of them speaks of is not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from iocaudit.signals.profiles.activity import AccountRequest, Activity, OutboundConnection, RunningProgram
from iocaudit.signals.profiles.patterns import (
    ANY,
    HostPattern,
    PortRange,
    ResourcePattern,
    SegmentGlob,
    image_segments,
    path_segments,
)


class ProfileMode(StrEnum):
    """What becomes of activity outside: it is counted, or a finding of low severity, or one of the usual severity."""

    LEARN = "learn"
    WARN = "warn"
    ENFORCE = "enforce"


_STRICTNESS = list(ProfileMode)


class ProfileEntry(NamedTuple):
    """The least that a profile says: one program of an image, one destination, one verb on one resource."""

    profile: str
    path: str
    shown: str


class ExpectedProgram(NamedTuple):
    """One program of an image."""

    entry: ProfileEntry
    image: SegmentGlob
    path: SegmentGlob


class ExpectedDestination(NamedTuple):
    """One destination; without ``ports`` any port."""

    entry: ProfileEntry
    host: HostPattern
    ports: tuple[PortRange, ...]


class ExpectedRequest(NamedTuple):
    """One verb (or ``*``) on one resource, by one account."""

    entry: ProfileEntry
    account: str
    verb: str
    resource: ResourcePattern


class NamespaceProfile(NamedTuple):
    """An ActivityProfile that has been read. A sort of activity of which it says nothing is None."""

    name: str
    namespace: str
    mode: ProfileMode
    programs: tuple[ExpectedProgram, ...] | None
    destinations: tuple[ExpectedDestination, ...] | None
    requests: tuple[ExpectedRequest, ...] | None

    @property
    def title(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def entries(self) -> Iterator[ProfileEntry]:
        """All that it says, in the order of the file."""
        yield from (one.entry for one in self.programs or ())
        yield from (one.entry for one in self.destinations or ())
        yield from (one.entry for one in self.requests or ())


class ProfileVerdict(NamedTuple):
    """``by`` are the entries that expect it. ``mode`` is the strictest of the profiles that speak of such activity."""

    mode: ProfileMode
    by: tuple[ProfileEntry, ...]

    @property
    def is_outside(self) -> bool:
        return not self.by


class ProfileSet:
    """All profiles together."""

    def __init__(self, profiles: Iterable[NamespaceProfile]) -> None:
        self.profiles = tuple(sorted(profiles, key=lambda one: (one.namespace, one.name)))
        self._by_namespace: dict[str, list[NamespaceProfile]] = {}
        for one in self.profiles:
            self._by_namespace.setdefault(one.namespace, []).append(one)

    def judge(self, activity: Activity) -> ProfileVerdict | None:
        """What the profiles of its namespace say of an activity; None where none of them speaks of its sort."""
        speaking, by = [], []
        for profile in self._by_namespace.get(activity.namespace, ()):
            found = _entries_for(profile, activity)
            if found is not None:
                speaking.append(profile.mode)
                by += found
        return ProfileVerdict(max(speaking, key=_STRICTNESS.index), tuple(by)) if speaking else None


def _entries_for(profile: NamespaceProfile, activity: Activity) -> list[ProfileEntry] | None:
    """The entries that expect it; None where the profile says nothing of such activity."""
    if isinstance(activity, RunningProgram):
        return None if profile.programs is None else list(_of_program(profile.programs, activity))
    if isinstance(activity, OutboundConnection):
        return None if profile.destinations is None else list(_of_connection(profile.destinations, activity))
    return None if profile.requests is None else list(_of_request(profile.requests, activity))


def _of_program(expected: tuple[ExpectedProgram, ...], activity: RunningProgram) -> Iterator[ProfileEntry]:
    path, image = path_segments(activity.path), image_segments(activity.image)
    if path is None or (image is None and activity.image):
        return
    for one in expected:
        # Where the alert does not say the image, the program may be of any: its path is what is known.
        if one.path.match(path) and (image is None or one.image.match(image)):
            yield one.entry


def _of_connection(expected: tuple[ExpectedDestination, ...], activity: OutboundConnection) -> Iterator[ProfileEntry]:
    for one in expected:
        is_port = not one.ports or any(ports.match(activity.port) for ports in one.ports)
        if is_port and one.host.match(activity.address, activity.names):
            yield one.entry


def _of_request(expected: tuple[ExpectedRequest, ...], activity: AccountRequest) -> Iterator[ProfileEntry]:
    for one in expected:
        if (
            one.account == activity.account
            and one.verb in (ANY, activity.verb)
            and one.resource.match(activity.resource, activity.group, activity.subresource)
        ):
            yield one.entry
