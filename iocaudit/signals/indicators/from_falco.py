"""What Falco's alerts show: one detection for each indicator that it can see."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from iocaudit.core.severity import IoC, Severity
from iocaudit.knowledge.clipping import clip
from iocaudit.signals.falco import FalcoAlert
from iocaudit.signals.falco_rules import indicator_of, message_of, severity_of
from iocaudit.signals.indicators import binaries, dns, escalation, files, inbound, mining, outbound, user_activity
from iocaudit.signals.indicators.declaration import Indicator, Observation
from iocaudit.signals.signal import SignalSource

_LONGEST = 300


class _Declaration(NamedTuple):
    """What differs between them: what is seen, why it matters, and Falco's rule of the sample with its fields."""

    indicator: Indicator
    id: str
    technique: str
    related: tuple[str, ...]
    title: str
    why: str
    rule: str
    fields: str


class _LastIndicator:
    """The indicator of the alert that was asked of last: each detection below asks of the same one in turn."""

    def __init__(self) -> None:
        self._last: tuple[FalcoAlert, IoC | None] | None = None

    def __call__(self, alert: FalcoAlert) -> IoC | None:
        last = self._last
        if last is None or last[0] is not alert:
            last = self._last = (alert, indicator_of(alert))
        return last[1]


_indicator_of = _LastIndicator()

_DECLARATIONS = (
    _Declaration(
        mining.INDICATOR,
        "falco-miner",
        "T1496.001",
        ("cpu-unlimited", "memory-unlimited", "no-egress-policy"),
        "Falco sees a miner",
        "A program that mines runs, or talks to a mining pool: by its name, its protocol or the pool's port.",
        "Known Cryptominer Process Executed",
        "{proc.name: xmrig, proc.cmdline: xmrig -o pool.example.com:3333}",
    ),
    _Declaration(
        outbound.INDICATOR,
        "falco-outbound",
        "T1071",
        ("no-egress-policy", "metadata-service-reachable", "namespace-without-default-deny"),
        "Falco sees a connection that is not expected",
        "A pod talks to a place that it has no reason to talk to: outside its network, the metadata service, by a tool "
        "that its image is not for.",
        "Contact cloud metadata service from container",
        "{proc.name: curl, fd.rip: 169.254.169.254, fd.rport: 80}",
    ),
    _Declaration(
        escalation.INDICATOR,
        "falco-escalation",
        "T1611",
        ("privileged-container", "dangerous-capability", "privilege-escalation-allowed", "sensitive-host-path"),
        "Falco sees a step towards more rights",
        "A privileged container is started, a namespace or a device of the node is entered, a right is widened.",
        "Detect release_agent File Container Escapes",
        "{proc.name: sh, proc.cmdline: sh -c echo}",
    ),
    _Declaration(
        user_activity.INDICATOR,
        "falco-user-activity",
        "T1059",
        ("exec-permission", "exec-session", "runs-as-root"),
        "Falco sees someone at work in a container",
        "A shell with a terminal, a look for keys, a tool for Kubernetes: what a person does, not an application.",
        "Terminal shell in container",
        "{proc.name: bash, proc.tty: 34816, user.name: root}",
    ),
    _Declaration(
        inbound.INDICATOR,
        "falco-inbound",
        "T1499",
        ("no-ingress-policy", "node-port-service"),
        "Falco sees a connection from a place that is not expected",
        "A pod is reached from outside of what it serves, or by a port of the node.",
        "Unexpected inbound connection source",
        "{proc.name: nginx, fd.name: 198.51.100.7:4431->10.0.0.4:80}",
    ),
    _Declaration(
        files.INDICATOR,
        "falco-file",
        "T1222",
        ("sensitive-host-path", "writable-host-path", "writable-root-filesystem"),
        "Falco sees a file that changes, or is read, and should not be",
        "System directories, devices, cron, shells' own files, keys. A path that holds the node is high.",
        "Write below etc",
        "{evt.type: openat, proc.name: sh, fd.name: /etc/cron.d/x}",
    ),
    _Declaration(
        binaries.INDICATOR,
        "falco-binary",
        "T1204.003",
        ("writable-root-filesystem", "runs-as-root", "untrusted-registry"),
        "Falco sees a program that the image does not have",
        "It was written at run time, runs from memory, or was started by a program that starts none.",
        "Drop and execute new binary in container",
        "{proc.name: x, proc.exepath: /tmp/x, proc.cmdline: /tmp/x}",
    ),
)


def _judge(ioc: IoC) -> Callable[[FalcoAlert], Observation | None]:
    def judge(alert: FalcoAlert) -> Observation | None:
        if _indicator_of(alert) is not ioc:
            return None
        return Observation(clip(message_of(alert), _LONGEST), severity_of(alert))

    return judge


def _declare(one: _Declaration) -> None:
    judge = _judge(one.indicator.ioc)
    judge.__doc__ = f"""{one.title}.

{one.why} The severity follows from Falco's priority, and from the fields where they say that it is worse. Rules that are
not known are told by their tags.

Fires:

    rule: {one.rule}
    priority: Warning
    source: syscall
    time: "2026-11-30T10:00:00.000000000Z"
    hostname: worker-1
    output_fields: {one.fields}

Quiet:

    rule: A rule of the team's own
    priority: Notice
    source: syscall
    time: "2026-11-30T10:00:00.000000000Z"
    output_fields: {{proc.name: app}}

Sources: falcosecurity/rules, {one.rule}.
"""
    one.indicator.detects(
        one.id, severity=Severity.MEDIUM, technique=one.technique, feeds=SignalSource.FALCO, related=one.related
    )(judge)


for _one in _DECLARATIONS:
    _declare(_one)


@dns.INDICATOR.detects(
    "falco-dns",
    severity=Severity.MEDIUM,
    technique="T1071.004",
    feeds=SignalSource.FALCO,
    related=("no-egress-policy",),
)
def falco_dns(alert: FalcoAlert) -> Observation | None:
    """Falco sees a question of DNS that is not expected.

    Falco has no rule of its own for it: a rule of yours says so by the tag `ioc-7`.

    Fires:

        rule: Long name asked for
        priority: Warning
        tags: [ioc-7, network]
        time: "2026-11-30T10:00:00.000000000Z"
        output_fields: {proc.name: app}

    Quiet:

        rule: Long name asked for
        priority: Warning
        tags: [network]
        time: "2026-11-30T10:00:00.000000000Z"
        output_fields: {proc.name: app}

    Sources: MITRE ATT&CK T1071.004, DNS.
    """
    if _indicator_of(alert) is not IoC.DNS_ANOMALY:
        return None
    return Observation(clip(message_of(alert), _LONGEST), severity_of(alert))
