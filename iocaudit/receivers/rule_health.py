"""Looks whether the rules that we ship are loaded where signals come from, for senders that are to show it.

Prometheus: each file of our rules has an alert that always fires. Falco: its metrics snapshot, an alert of its own that
comes at an interval, has a digest of each file of rules that it loaded.
Source: falcosecurity/falco, stats_writer.cpp.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from iocaudit.receivers.senders import Sender, Senders
from iocaudit.receivers.troubles import Troubles, moment_of, of_sender
from iocaudit.signals.alerts import MetricAlert
from iocaudit.signals.detector_health import FALCO_RULES, HEARTBEAT_ALERT, NOT_LOADED, RULE_GROUPS, seen_by
from iocaudit.signals.falco import FalcoAlert
from iocaudit.signals.signal import Signal, SignalSource

SNAPSHOT: Final = "Falco internal: metrics snapshot"
_DIGEST = "falco.sha256_rules_file."
_MOST_NODES = 10_000
_NEVER = float("-inf")


class RuleHealth:
    """All of it is the reader's. A heartbeat counts by when it was received."""

    def __init__(
        self, senders: Callable[[], Senders], troubles: Troubles, clock: Callable[[], float] = time.time
    ) -> None:
        self._senders, self._troubles = senders, troubles
        self._begun = clock()
        self._beats: dict[tuple[str, str], float] = {}
        self._lacking: dict[str, dict[str, float]] = {}
        """Of a sender, the nodes whose Falco has not loaded our rules, and when it said so."""

    def see(self, signal: Signal, sender: Sender, received: float) -> None:
        """Take a heartbeat, if it is one."""
        if sender.heartbeat_within is None:
            return
        report = signal.report
        if isinstance(report, MetricAlert) and report.name == HEARTBEAT_ALERT:
            # Prometheus ends the alert of a rule that is taken away.
            beat = received if report.is_firing else _NEVER
            if (rules := report.labels.get("rules", "")) in RULE_GROUPS:
                self._beats[sender.name, rules] = beat
        elif isinstance(report, FalcoAlert) and report.rule == SNAPSHOT:
            self._beats[sender.name, FALCO_RULES] = received
            lacking = self._lacking.setdefault(sender.name, {})
            if any(name.startswith(_DIGEST + FALCO_RULES) for name in report.fields):
                lacking.pop(report.hostname, None)
            elif len(lacking) < _MOST_NODES:
                lacking[report.hostname] = received

    def look(self, now: float) -> None:
        """Tell what is missed. ``now`` is when what was read last had been received: what waits is not missed."""
        lasting = set()
        for sender in self._senders():
            if sender.heartbeat_within is None:
                continue
            about, said = of_sender(sender.name), self._missed(sender, now)
            if said:
                lasting.add(about)
                message = f"{sender.name}: {'; '.join(said)}"
                self._troubles.tell(NOT_LOADED, about, message, now, seen_by(sender.sources))
            elif any((sender.name, rules) not in self._beats for rules in _expected(sender)):
                lasting.add(about)  # after a restart nothing shows yet that they are loaded
        for about in self._troubles.about(NOT_LOADED):
            if about not in lasting:
                said_now = f"{about.name} shows that they are loaded, or is not to show it any more"
                self._troubles.over(NOT_LOADED, about, said_now, now)

    def _missed(self, sender: Sender, now: float) -> list[str]:
        within = sender.heartbeat_within
        assert within is not None
        absent = []
        for rules in _expected(sender):
            beat = self._beats.get((sender.name, rules), self._begun)
            if now - beat > within:
                absent.append(rules)
        said = []
        if prometheus := [rules for rules in absent if rules != FALCO_RULES]:
            said.append(
                f"{HEARTBEAT_ALERT} does not fire for the rules {', '.join(prometheus)}: Prometheus has not loaded "
                "them, or Alertmanager does not pass it on"
            )
        if FALCO_RULES in absent:
            known = self._beats.get((sender.name, FALCO_RULES))
            since = f"since {moment_of(known)}" if known is not None else "so far"
            said.append(f"no metrics snapshot of Falco {since}: set metrics.enabled and metrics.output_rule")
        lacking = self._lacking.get(sender.name, {})
        for node in [node for node, told in lacking.items() if now - told > within]:
            del lacking[node]  # it is gone, or has no Falco any more
        if lacking:
            nodes = sorted(lacking)
            more = f" and {len(nodes) - 3} more nodes" if len(nodes) > 3 else ""
            said.append(f"Falco on {', '.join(nodes[:3])}{more} has not loaded {FALCO_RULES}.yaml")
        return said


def _expected(sender: Sender) -> tuple[str, ...]:
    return (
        *(RULE_GROUPS if SignalSource.ALERTMANAGER in sender.sources else ()),
        *((FALCO_RULES,) if SignalSource.FALCO in sender.sources else ()),
    )
