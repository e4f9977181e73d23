"""A day of a cluster in which detectors speak all the time, and attacks that are hidden in it.

33,070 alerts of Falco by 57 rules with a heavy tail, of workloads that restart and are deployed anew, as a team counted
them in one day. Ten attacks, each by an account and a pod of its own, speak through Falco and the audit log.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from iocaudit.signals.audit_event import LinePlace, read_event
from iocaudit.signals.falco import PRIORITIES, read_alert
from iocaudit.signals.falco_rules import RULES
from iocaudit.signals.signal import Signal, signal_of
from tests.support.audit_events import Json, event

ALERTS, NOISY_RULES, WORKLOADS, REPLICAS = 33_070, 57, 120, 3
BEGIN = datetime(2026, 11, 30, tzinfo=UTC)
DAY = timedelta(days=1)
_PLACE = LinePlace("day", 1)
_QUIET_RULES = (
    "reverse shell from web server",
    "drop and execute new binary in container",
    "fileless execution via memfd_create",
    "detect release_agent file container escapes",
    "netcat remote code execution in container",
    "create symlink over sensitive files",
    "execution from /dev/shm",
    "decoding payload in container",
    "linux kernel module injection detected",
    "find aws credentials",
    "exfiltrating artifacts via kubernetes control plane",
    "schedule cron jobs",
)
"""Rules that nothing ordinary sets off: what the attacks of the day set off."""


class HiddenAttack(NamedTuple):
    """Its signals, and the account and pod that they are about."""

    account: str
    pod: str
    signals: tuple[Signal, ...]


class NoisyDay:
    """One day, the same for the same seed."""

    def __init__(self, seed: int, tail: float = 1.5) -> None:
        self._random = random.Random(seed)
        rules = sorted(set(RULES) - set(_QUIET_RULES))
        self._rules = self._random.sample(rules, NOISY_RULES)
        self._weights = [1 / (rank + 1) ** tail for rank in range(NOISY_RULES)]
        self._priorities = {rule: self._random.choice(PRIORITIES[2:6]) for rule in self._rules}

    def noise(self) -> Iterator[Signal]:
        """What is heard on any day."""
        chosen = self._random.choices(self._rules, self._weights, k=ALERTS)
        for rule in chosen:
            when = BEGIN + DAY * self._random.random()
            workload = self._random.randrange(WORKLOADS)
            # Deployed anew at some hour of the day: its pods have other names then.
            template = f"{workload:03x}{int(when.hour >= workload % 24)}"
            pod = f"app-{workload}-{template}-{self._random.randrange(REPLICAS)}"
            yield alert(rule, f"team-{workload % 12}", pod, when, self._priorities[rule])

    def attacks(self) -> list[HiddenAttack]:
        """Ten, at times of their own."""
        return [self._attack(number) for number in range(10)]

    def _attack(self, number: int) -> HiddenAttack:
        when = BEGIN + DAY * self._random.uniform(0.05, 0.9)
        namespace, pod, account = f"team-{number}", f"victim-{number}", f"intruder-{number}"
        steps: list[Signal] = []

        def after() -> datetime:
            nonlocal when
            when += timedelta(minutes=self._random.uniform(0.5, 20))
            return when

        steps.append(session(account, namespace, pod, after()))
        for rule in self._random.sample(_QUIET_RULES, 2):
            steps.append(alert(rule, namespace, pod, after(), "critical"))
        steps.append(alert(self._rules[0], namespace, pod, after(), "warning"))
        if number % 2:
            steps.append(secrets_listed(account, after()))
        return HiddenAttack(account, f"Pod/{pod}", tuple(steps))


def alert(rule: str, namespace: str, pod: str, when: datetime, priority: str) -> Signal:
    raw: Json = {
        "hostname": "node-1",
        "output": "an alert",
        "priority": priority,
        "rule": rule,
        "source": "syscall",
        "time": when.isoformat(),
        "output_fields": {"k8s.ns.name": namespace, "k8s.pod.name": pod, "proc.name": "x"},
    }
    return signal_of(read_alert(raw, _PLACE))


def session(account: str, namespace: str, pod: str, when: datetime) -> Signal:
    """An account runs a command in a pod."""
    return _audit(
        account,
        when,
        verb="create",
        requestURI=f"/api/v1/namespaces/{namespace}/pods/{pod}/exec?command=sh&stdin=true",
        objectRef={"resource": "pods", "subresource": "exec", "namespace": namespace, "name": pod},
        responseStatus={"code": 101},
    )


def secrets_listed(account: str, when: datetime) -> Signal:
    """An account lists all Secrets."""
    return _audit(
        account, when, verb="list", objectRef={"resource": "secrets", "apiVersion": "v1"}, responseStatus={"code": 200}
    )


def _audit(account: str, when: datetime, **given: object) -> Signal:
    times = {"requestReceivedTimestamp": when.isoformat(), "stageTimestamp": when.isoformat()}
    raw = event(1, user={"username": account}, requestObject=None, responseObject=None, **times, **given)
    return signal_of(read_event(raw | {"auditID": f"{account}-{when.isoformat()}"}, _PLACE, "native"))
