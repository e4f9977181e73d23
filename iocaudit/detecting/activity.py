"""What one account did, by an audit log: pods entered, Secrets read, tokens minted, what was changed and refused.

Everything is counted in a bounded number of rows, however long the log is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.credentials.credential import redacted
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.audit_log import AuditLog
from iocaudit.signals.session import session_of
from iocaudit.signals.timed_log import LogProgress, LogTally
from iocaudit.signals.wording import what

MOST_ROWS: Final = 2_000
"""Rows of each sort; what would be one more is counted."""
_ACCOUNT = "system:serviceaccount:"
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_SESSIONS = frozenset({"exec", "attach", "portforward", "proxy", "ephemeralcontainers"})
_LONGEST = 300
Key = TypeVar("Key", bound=tuple[str, ...])


class DeedKind(StrEnum):
    """Sorts of what an account does, in the order in which they are shown."""

    SESSION = "session"
    SECRET = "secret read"
    TOKEN = "token minted"
    RIGHTS = "rights changed"
    CHANGE = "change"
    REFUSED = "refused"


class DeedKey(NamedTuple):
    """One row: what was done to what. ``detail`` is the command of a session, or in whose name it was done."""

    kind: DeedKind
    verb: str
    target: str
    detail: str


@dataclass(slots=True)
class DeedSpan:
    """How often, and when first and last, as far as the log says."""

    count: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def take(self, when: datetime | None) -> None:
        self.count += 1
        if when is not None:
            self.first = when if self.first is None else min(self.first, when)
            self.last = when if self.last is None else max(self.last, when)


@dataclass(slots=True)
class AccountActivity:
    """``deeds`` and ``places`` (address and client) by what they are; ``reads`` counts all other reads."""

    account: str
    tally: LogTally
    deeds: dict[DeedKey, DeedSpan] = field(default_factory=dict)
    places: dict[tuple[str, str], DeedSpan] = field(default_factory=dict)
    whole: DeedSpan = field(default_factory=DeedSpan)
    reads: int = 0
    beyond: int = 0

    def take(self, event: AuditEvent) -> None:
        """Count an event of the account."""
        self.whole.take(event.when)
        self._note(self.places, (clip(event.source_ip, 45), clip(event.user_agent, _LONGEST)), event)
        key = _deed(event)
        if key is None:
            self.reads += 1
        else:
            self._note(self.deeds, key, event)

    def _note(self, rows: dict[Key, DeedSpan], key: Key, event: AuditEvent) -> None:
        span = rows.get(key)
        if span is None:
            if len(rows) >= MOST_ROWS:
                self.beyond += 1
                return
            span = rows[key] = DeedSpan()
        span.take(event.when)

    def of(self, kind: DeedKind) -> list[tuple[DeedKey, DeedSpan]]:
        """The rows of a sort, by their first time."""
        found = [(key, span) for key, span in self.deeds.items() if key.kind is kind]
        return sorted(found, key=lambda row: (row[1].first is None, row[1].first, row[0]))


def username_of(account: str) -> str:
    """The user that someone means: ``NAMESPACE/NAME`` is a ServiceAccount, anything else a username as it is."""
    namespace, slash, name = account.partition("/")
    is_short = bool(slash) and bool(namespace) and bool(name) and ":" not in account and "/" not in name
    return f"{_ACCOUNT}{namespace}:{name}" if is_short and "@" not in account else account


def account_activity(account: str, paths: Sequence[str], progress: LogProgress | None = None) -> AccountActivity:
    """What an account did by the logs, itself or in another's name, and others in its name. Raises LogError."""
    log = AuditLog(paths, lambda _verb, _group, _resource: True, progress)
    username = username_of(account)
    found = AccountActivity(username, log.tally)
    for event in log:
        if not event.is_dry_run and (event.user.username == username or event.requester.username == username):
            found.take(event)
    return found


def _deed(event: AuditEvent) -> DeedKey | None:
    """The row that an event belongs to; None for a read of anything but Secrets."""
    kind = _kind(event)
    if kind is None:
        return None
    target = event.target
    shown = clip(what(event), _LONGEST)
    if target.subresource and target.subresource not in ("status", "scale"):
        shown += f" ({clip(target.subresource, 63)})"
    detail = []
    if kind is DeedKind.SESSION and (command := session_of(event).command):
        detail.append(clip(redacted(" ".join(command)), _LONGEST))
    if event.impersonated is not None:
        detail.append(f"{clip(event.user.username)} as {clip(event.impersonated.username)}")
    return DeedKey(kind, event.verb, shown, "; ".join(detail))


def _kind(event: AuditEvent) -> DeedKind | None:
    target = event.target
    if event.is_refused:
        return DeedKind.REFUSED
    if not event.went_on:
        return None
    if target.subresource in _SESSIONS:
        return DeedKind.SESSION
    if target.whole == "secrets" and event.verb in ("get", "list", "watch"):
        return DeedKind.SECRET
    if target.whole == "serviceaccounts/token":
        return DeedKind.TOKEN
    if event.verb in _WRITES:
        return DeedKind.RIGHTS if target.group == "rbac.authorization.k8s.io" else DeedKind.CHANGE
    return None
