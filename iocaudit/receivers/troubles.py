"""What is wrong at the moment with senders and with the receivers: counted as it begins, again while it lasts, and once
more when it is over, so the finding says so.

Kept through restarts, else what was mended meanwhile would never be called over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

import orjson

from iocaudit.core.moments import rfc3339
from iocaudit.core.severity import IoC
from iocaudit.core.shape import mappings, text
from iocaudit.evidence.key import RUNTIME, EvidenceKey, EvidenceTally
from iocaudit.evidence.post import LONGEST
from iocaudit.receivers.attribution import SENDER_KIND
from iocaudit.signals.detector_health import HEALTH_RULES, HealthRule

AGAIN: Final = 600.0
"""Seconds after which what still lasts is counted again."""
OVER_AFTER: Final = 600.0
"""Seconds without another one after which what comes in single events is over."""


class About(NamedTuple):
    """What a trouble is about, as the subject of its finding."""

    kind: str
    name: str


RECEIVERS: Final = About("Receivers", "iocaudit")


def of_sender(name: str) -> About:
    return About(SENDER_KIND, name)


@dataclass(slots=True)
class _TroubleTimes:
    """Unix seconds: when it began, was seen last, and was counted last."""

    began: float
    seen: float
    told: float
    iocs: tuple[IoC, ...]


class Troubles:
    """Used by one thread. ``count`` is the outbox's."""

    def __init__(self, count: Callable[[EvidenceKey, EvidenceTally], None]) -> None:
        self._count = count
        self._open: dict[tuple[str, About], _TroubleTimes] = {}
        self.told = 0
        """How often something was counted."""

    def tell(
        self, rule: HealthRule, about: About, message: str, now: float, iocs: tuple[IoC, ...] | None = None
    ) -> None:
        """It is so now. ``iocs`` are the indicators that may be missed, where they are not the rule's."""
        given = rule.iocs if iocs is None else iocs
        known = self._open.get((rule.id, about))
        if known is not None and known.iocs == given:
            known.seen = now
            if 0 <= now - known.told < AGAIN:
                return
            known.told = now
        else:
            self._open[rule.id, about] = _TroubleTimes(now if known is None else known.began, now, now, given)
        self._say(rule, about, message, now, given)

    def over(self, rule: HealthRule, about: About, message: str, now: float) -> None:
        """It is not so any more; nothing where it was not told of. ``message`` says what shows that."""
        known = self._open.pop((rule.id, about), None)
        if known is not None:
            self._say(rule, about, f"over (it lasted from {moment_of(known.began)}): {message}", now, known.iocs)

    def happened(self, rule: HealthRule, about: About, message: str, now: float, iocs: tuple[IoC, ...]) -> None:
        """It is over as it is told of."""
        self._say(rule, about, message, now, iocs)

    def end_quiet(self, rule: HealthRule, now: float) -> None:
        """End what was not seen again for `OVER_AFTER`, of a rule that is told of by each single event."""
        for (name, about), known in list(self._open.items()):
            if name == rule.id and now - known.seen > OVER_AFTER:
                self.over(rule, about, f"none since {moment_of(known.seen)}", now)

    def about(self, rule: HealthRule) -> list[About]:
        """Whom it was told of and lasts."""
        return [about for name, about in self._open if name == rule.id]

    def dump(self) -> bytes:
        """What lasts, to be kept."""
        return orjson.dumps(
            [
                {
                    "rule": name,
                    "kind": about.kind,
                    "name": about.name,
                    "times": [one.began, one.seen, one.told],
                    "iocs": [int(ioc) for ioc in one.iocs],
                }
                for (name, about), one in self._open.items()
            ]
        )

    def load(self, kept: bytes) -> None:
        """Take over what lasted, in place of what is known. Raises ValueError."""
        found: dict[tuple[str, About], _TroubleTimes] = {}
        for one in mappings(orjson.loads(kept)):
            times, iocs = one.get("times"), one.get("iocs")
            if one.get("rule") not in HEALTH_RULES or not isinstance(times, list) or not isinstance(iocs, list):
                raise ValueError("what was wrong with detectors is not readable")
            began, seen, told = (float(seconds) for seconds in times)
            about = About(text(one.get("kind")), text(one.get("name")))
            found[text(one.get("rule")), about] = _TroubleTimes(
                began, seen, told, tuple(IoC(number) for number in iocs)
            )
        self._open = found

    def _say(self, rule: HealthRule, about: About, message: str, now: float, iocs: tuple[IoC, ...]) -> None:
        self.told += 1
        self._count(
            EvidenceKey(rule.id, "", about.kind, None, about.name, "", RUNTIME),
            EvidenceTally(1, now, now, rule.severity, iocs, message[: LONGEST["message"]], ""),
        )


def moment_of(seconds: float) -> str:
    """A time of our clock, as findings write it."""
    return rfc3339(datetime.fromtimestamp(seconds, UTC))
