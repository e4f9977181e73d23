"""Brings our custom resources in line with what was found, with as few writes as possible."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Container, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

from iocaudit.cluster.api import Api
from iocaudit.cluster.errors import ApiError, ConflictError, NotFoundError
from iocaudit.cluster.writer import change, is_terminating, put
from iocaudit.core.kinds import Kind
from iocaudit.core.report import Finding
from iocaudit.core.shape import Json, mapping, text
from iocaudit.engine.catalogue import Catalogue
from iocaudit.live.waivers import Clock
from iocaudit.records.finding import POSTURE, WAIVED, finding_content
from iocaudit.records.kinds import (
    AUDIT_REPORT,
    CLUSTER_AUDIT_REPORT,
    CLUSTER_IOC_FINDING,
    IOC_FINDING,
    finding_kind,
)
from iocaudit.records.lifecycle import (
    RecordKey,
    StoredFinding,
    Write,
    WriteAction,
    reopened,
    resolved,
    stored,
    unwanted,
    wanted,
)
from iocaudit.records.report import NAME, report_write

_log = logging.getLogger(__name__)

CertaintyTest = Callable[[StoredFinding], bool]


class Publisher:
    """Knows of every finding's resource its digest and version, never its body.

    ``written`` and ``failed`` count writes by action; a write that fails is made again by the next sweep.
    """

    def __init__(
        self,
        client: Api,
        catalogue: Catalogue,
        *,
        retention: timedelta = timedelta(days=7),
        clock: Clock = lambda: datetime.now(UTC),
    ) -> None:
        self._client, self._retention, self._clock = client, retention, clock
        self.catalogue = catalogue
        """Where the titles of checks are."""
        self._stored: dict[RecordKey, StoredFinding] = {}
        self._scopes: dict[str | None, dict[RecordKey, None]] = {}
        self.written: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._rules: list[Json] | None = None

    def _title_of(self, name: str) -> str:
        check = self.catalogue.find(name)
        return check.title if check is not None else name

    def load(self) -> None:
        """Read our posture findings back; the others are evidence, which the ledger keeps.

        Where that fails in the middle, what was known before still holds.
        """
        fresh = {
            one.key: one
            for kind in (IOC_FINDING, CLUSTER_IOC_FINDING)
            for one in map(stored, self._client.each(kind))
            if one.type == POSTURE
        }
        self._stored.clear()
        self._scopes.clear()
        for one in fresh.values():
            self.remember(one)

    @property
    def stored(self) -> Iterable[StoredFinding]:
        return self._stored.values()

    def get(self, key: RecordKey) -> StoredFinding | None:
        return self._stored.get(key)

    @property
    def scopes(self) -> list[str | None]:
        """The namespaces (None: cluster scope) that stored findings are about."""
        return list(self._scopes)

    def remember(self, one: StoredFinding) -> None:
        self._stored[one.key] = one
        self._scopes.setdefault(one.scope, {})[one.key] = None

    def forget(self, key: RecordKey) -> None:
        one = self._stored.pop(key, None)
        if one is not None:
            keys = self._scopes[one.scope]
            keys.pop(key, None)
            if not keys:
                del self._scopes[one.scope]

    def publish(
        self,
        scope: str | None,
        findings: Iterable[Finding],
        sure: CertaintyTest,
        holding: Container[str] = (),
        implied: Container[tuple[str, str, str, str]] = (),
    ) -> None:
        """Make the posture findings on objects of a scope these.

        ``sure`` says of a stored one that is not among them whether its absence was really seen. One that is Waived
        and was not seen is so only as long as its waivers are among those ``holding``. One that is ``implied`` (by
        check, group, kind and name) is not resolved but told with another: it is removed at once.
        """
        now = self._clock()
        writes: list[Write] = []
        keys: set[RecordKey] = set()
        for finding in findings:
            key = (finding.home, finding.name)
            keys.add(key)
            content = finding_content(finding, self._title_of(finding.check))
            write = wanted(key, content, self._stored.get(key), now)
            if write is not None:
                writes.append(write)
        rest = [self._stored[key] for key in self._scopes.get(scope, {}) if key not in keys]
        told = {one.key for one in rest if one.type == POSTURE and (one.check, *one.place) in implied}
        writes += [Write(WriteAction.REMOVE, key) for key in told]
        rest = [one for one in rest if one.key not in told]
        seen = {one.key: sure(one) for one in rest}
        writes += unwanted((one for one in rest if seen[one.key]), now, self._retention)
        writes += [
            Write(WriteAction.REOPEN, one.key, None, one)
            for one in rest
            if one.state == WAIVED and not seen[one.key] and not all(name in holding for name in one.waivers)
        ]
        for one in writes:
            self.write(one)

    def write(self, write: Write) -> bool:
        """Make one write; whether it succeeded. Unreachable servers raise, refused writes are counted."""
        namespace, name = write.key
        kind = finding_kind(write.key[0])
        try:
            match write.action:
                case WriteAction.CREATE:
                    assert write.body is not None
                    self.remember(stored(self._create(kind, write.body)))
                case WriteAction.REPLACE:
                    assert write.body is not None
                    self.remember(stored(put(self._client, kind, write.body)))
                case WriteAction.RESOLVE | WriteAction.REOPEN:
                    now = self._clock()
                    edit = resolved if write.action is WriteAction.RESOLVE else reopened
                    after = change(self._client, kind, namespace, name, lambda body: edit(body, now))
                    if after is None:
                        self.forget(write.key)
                    else:
                        self.remember(stored(after))
                case WriteAction.REMOVE:
                    self._client.delete(kind, namespace, name)
                    self.forget(write.key)
        except NotFoundError:
            # Its namespace is gone, and everything in it.
            self.forget(write.key)
            return False
        except ApiError as error:
            if is_terminating(error):
                return False
            self.failed[write.action] += 1
            _log.error("could not write a finding: %s", error, extra={"finding": name})
            return False
        self.written[write.action] += 1
        return True

    def _create(self, kind: Kind, body: Json) -> Json:
        """Create a finding; where there is one already that we did not know of, keep since when it is open."""
        try:
            return self._client.create(kind, body)
        except ConflictError:
            metadata = mapping(body.get("metadata"))
            namespace, name = text(metadata.get("namespace")) or None, text(metadata.get("name"))
            found = self._client.get(kind, namespace, name)
            write = wanted((namespace, name), dict(mapping(body.get("finding"))), stored(found), self._clock())
            return found if write is None or write.body is None else put(self._client, kind, write.body)

    def publish_reports(self, contents: dict[str | None, Json]) -> None:
        """Make the reports these, and remove those of namespaces without any audited object."""
        now = self._clock()
        self._rules = contents.get(None, {}).get("rules", [])
        for kind in (AUDIT_REPORT, CLUSTER_AUDIT_REPORT):
            before = {_home(body): body for body in self._client.each(kind)}
            for home, content in contents.items():
                if (home is None) != (kind is CLUSTER_AUDIT_REPORT):
                    continue
                body = report_write(home, content, before.get(home), now)
                if body is not None:
                    self._report(partial(put, self._client, kind, body))
            for home in before.keys() - contents.keys():
                name = text(mapping(before[home].get("metadata")).get("name"))
                self._report(partial(self._client.delete, kind, home, name))

    def publish_rules(self, rules: list[Json]) -> None:
        """Have the cluster's report say this of the rules in ConfigMaps, where there is one: a sweep may be far off."""
        if rules == self._rules:
            return
        body = {"report": {"rules": rules or None}}
        self._report(partial(self._client.patch, CLUSTER_AUDIT_REPORT, None, NAME, body))
        self._rules = rules

    def _report(self, write: Callable[[], object]) -> None:
        try:
            write()
        except NotFoundError:
            return
        except ApiError as error:
            if is_terminating(error):
                return
            self.failed["report"] += 1
            _log.error("could not write a report: %s", error)
            return
        self.written["report"] += 1


def _home(body: Json) -> str | None:
    return text(mapping(body.get("metadata")).get("namespace")) or None
