"""The IocWaivers of the cluster: what they cover now, what they were made for, and what each one's status says.

Who is covered depends on the time, so it is asked when findings are published, not when objects are audited.
A waiver fails closed: one that cannot be read, that would hold too long, or of which nothing was recorded yet
covers nothing.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from iocaudit.cluster.api import Api
from iocaudit.cluster.errors import ApiError, NotFoundError
from iocaudit.controller.waiver_tally import Count, Numbers, WaiverTally
from iocaudit.core.kinds import Kind
from iocaudit.core.moments import is_past, rfc3339
from iocaudit.core.shape import Json, mapping, text
from iocaudit.core.wording import counted
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.in_force import WaiversInForce
from iocaudit.engine.waivers import (
    LONGEST,
    MOST_COVERED,
    MOST_REPOSITORIES,
    Waiver,
    Waivers,
    WaiverState,
)
from iocaudit.knowledge.clipping import clip
from iocaudit.live.inventory import Scope
from iocaudit.live.waivers import Clock, WaiverStore, utc_now
from iocaudit.records.kinds import IOC_WAIVER

_log = logging.getLogger(__name__)
_FOREVER = datetime.max.replace(tzinfo=UTC)
_A_DAY = timedelta(days=1)
_LONG = 2048


class StoredWaivers:
    """The waivers of the cluster, and their statuses: what they speak of, and what they were made for."""

    def __init__(self, catalogue: Catalogue, longest: timedelta = LONGEST, clock: Clock = utc_now) -> None:
        self._catalogue, self.longest, self.clock = catalogue, longest, clock
        self._store = WaiverStore(catalogue, longest, clock, log=_log)
        self._raw: dict[str, Json] = {}
        self._tallies: dict[str, WaiverTally] = {}
        self._blind: dict[str, set[Kind]] = {}
        """By name, the kinds that could not be listed, so nothing was recorded."""
        self._changes_at = _FOREVER
        """When the next of them ends, as of the last time that all findings were published by them."""

    @property
    def current(self) -> Waivers:
        """Those that can be read."""
        return self._store.current

    def load(self, raws: Iterable[Json]) -> bool:
        """Take these as all waivers; whether what they cover, or what is to be said of them, may have changed."""
        self._raw = {text(mapping(raw.get("metadata")).get("name")): raw for raw in raws}
        refused = self._store.refused
        changed = self._store.replace(self._raw.values()) or refused != self._store.refused
        if changed:
            self._tallies = {name: tally for name, tally in self._tallies.items() if name in self._raw}
        return changed

    def in_force(self) -> WaiversInForce | None:
        """What to publish findings by, as of now; None where there is no waiver."""
        return WaiversInForce(self.current, self.clock()) if self.current else None

    def holding(self) -> frozenset[str]:
        """The names of those that hold now, whatever they cover."""
        now = self.clock()
        return frozenset(waiver.name for waiver in self.current.all if waiver.holds(now, self.longest))

    def begin(self) -> None:
        """All findings are about to be published: whatever ends from now on makes it necessary again."""
        self._changes_at = self.current.next_expiry(self.clock()) or _FOREVER

    @property
    def expires_in(self) -> float:
        """Seconds until findings have to be published anew because a waiver ended; infinite where none will."""
        if self._changes_at is _FOREVER:
            return float("inf")
        return max(0.0, (self._changes_at - self.clock()).total_seconds())

    # -- what it was made for ------------------------------------------------------------------------------

    @property
    def unrecorded(self) -> frozenset[str]:
        """The uids of those that hold and wait for a complete sweep to record what they were made for."""
        return frozenset(self._uid(waiver.name) for waiver in self.current.all if self._waits(waiver))

    def _waits(self, waiver: Waiver) -> bool:
        return (
            waiver.covered is not None
            and "covered" not in mapping(self._raw[waiver.name].get("status"))
            and waiver.holds(self.clock(), self.longest)
        )

    def _uid(self, name: str) -> str:
        return text(mapping(self._raw[name].get("metadata")).get("uid"))

    def count(self, since: frozenset[str], lacking: Iterable[Kind]) -> Count | None:
        """What to ask of every hit at the end of a complete sweep; None where there is no waiver.

        ``since``: the uids of those that waited for a record when the sweep began: only these get one, and only
        if none of the ``lacking`` kinds concerns their checks, or hits that were not seen would never be covered.
        """
        if not self.current:
            return None
        blind = set(lacking)
        waiting = [waiver for waiver in self.current.all if self._waits(waiver)]
        self._blind = {waiver.name: found for waiver in waiting if (found := self._concerns(waiver) & blind)}
        to_record = [w.name for w in waiting if self._uid(w.name) in since and w.name not in self._blind]
        return self._counting(to_record)

    def _counting(self, to_record: Iterable[str]) -> Count:
        return Count(self.current, to_record, WaiversInForce(self.current, self.clock()))

    def count_again(self, scope: Scope) -> Count | None:
        """What to ask of every hit in one place that was published again; None where no waiver speaks of it."""
        if not any(waiver.may_speak_of(scope) for waiver in self.current.all):
            return None
        counted = self._counting(())
        counted.scope = scope
        return counted

    def take(self, counted: Count) -> None:
        """Take what was counted in one place. ``write_status`` says it."""
        for name, tally in counted.tallies.items():
            known = self._tallies.setdefault(name, WaiverTally())
            known.places[counted.scope] = tally.places.get(counted.scope, Numbers())

    def _concerns(self, waiver: Waiver) -> set[Kind]:
        """The kinds without which its hits cannot be known whole."""
        checks = [check for name in waiver.checks if (check := self._catalogue.find(name)) is not None]
        needed = {kind for check in checks for kind in check.needs}
        return needed | {
            kind for check in checks for kind in check.looks_at if waiver.names_kind(kind.group, kind.name)
        }

    def record(self, client: Api, counted: Count | None) -> None:
        """Take what was counted, and write the status of each waiver whose status says something else."""
        self._tallies = counted.tallies if counted is not None else {}
        self.write_status(client)

    # -- status --------------------------------------------------------------------------------------------

    def write_status(self, client: Api) -> int:
        """Write the status of each waiver whose status says something else; returns how many.

        By version: what was recorded is recorded once, no matter who else writes. What fails is done by a later sweep.
        """
        written = 0
        now = self.clock()
        for name, raw in sorted(self._raw.items()):
            status = self._status(name, raw, now)
            if status == mapping(raw.get("status")):
                continue
            try:
                self._raw[name] = client.replace(IOC_WAIVER, {**raw, "status": status}, subresource="status")
            except NotFoundError:
                continue
            except ApiError as error:
                _log.warning("could not write a waiver's status: %s", error, extra={"waiver": name})
                continue
            written += 1
        if written:
            self.load(list(self._raw.values()))
        return written

    def _status(self, name: str, raw: Json, now: datetime) -> Json:
        before = mapping(raw.get("status"))
        status: Json = {key: before[key] for key in ("covered", "lastMatch") if key in before}
        tally = self._tallies.get(name)
        if tally is not None:
            if tally.fingerprints is not None and "covered" not in status:
                status["covered"] = {
                    "count": len(tally.fingerprints),
                    "recordedAt": rfc3339(now),
                    "fingerprints": tally.recorded(MOST_COVERED),
                }
                if tally.repositories:
                    status["covered"]["repositories"] = sorted(tally.repositories)[:MOST_REPOSITORIES]
            status["matching"] = tally.matching
            status["uncovered"] = tally.matching - tally.covered
        state, message = self.verdict(name, now, tally, recorded="covered" in status)
        if state is WaiverState.ACTIVE and is_past(text(status.get("lastMatch")), _A_DAY, now) is not False:
            status["lastMatch"] = rfc3339(now)
        generation = mapping(raw.get("metadata")).get("generation", 0)
        return status | {"observedGeneration": generation, "state": str(state), "message": clip(message, _LONG)}

    def verdict(
        self, name: str, now: datetime, tally: WaiverTally | None, *, recorded: bool
    ) -> tuple[WaiverState, str]:
        """State and reason. ``tally`` None: it cannot be read, so nothing could be counted."""
        waiver = self._store.get(name)
        if waiver is None:
            return WaiverState.REFUSED, self._store.refused.get(name, "it cannot be read")
        if reason := waiver.refusal(self.longest):
            return WaiverState.REFUSED, reason
        if now >= waiver.expires:
            return WaiverState.EXPIRED, f"it ended at {rfc3339(waiver.expires)}: what it covered is open again"
        if waiver.covered is not None and not recorded:
            kinds = ", ".join(sorted(str(kind) for kind in self._blind.get(name, ())))
            return (
                WaiverState.INERT,
                "it covers nothing until a complete sweep has recorded what it was made for"
                + (f"; that waits for kinds that cannot be listed: {kinds}" if kinds else ""),
            )
        if tally is None or not tally.matching:
            return WaiverState.INERT, "no hit matches it now"
        more = tally.matching - tally.covered
        if not tally.covered:
            return (
                WaiverState.INERT,
                f"it matches {counted(more, 'hit')}, but was made for other hits: make a new waiver",
            )
        if more:
            return (
                WaiverState.ACTIVE,
                f"it matches {counted(tally.matching, 'hit')} and does not cover {more}: those came after it "
                f"was made, or beyond the {MOST_COVERED} that are recorded",
            )
        return WaiverState.ACTIVE, "it covers every hit that matches it"

    @property
    def states(self) -> Mapping[WaiverState, int]:
        """How many of them are in each state, as their status says."""
        said = Counter(text(mapping(raw.get("status")).get("state")) for raw in self._raw.values())
        return {state: said[state.value] for state in WaiverState}
