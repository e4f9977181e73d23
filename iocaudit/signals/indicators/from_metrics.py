"""What alerts of Prometheus show: one detection for each indicator that metrics can see."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from iocaudit.core.severity import IoC, Severity
from iocaudit.knowledge.clipping import clip
from iocaudit.signals.alerts import MetricAlert
from iocaudit.signals.indicators import dns, http_errors, inbound, mining, outbound, responses
from iocaudit.signals.indicators.declaration import Indicator, Observation
from iocaudit.signals.metric_rules import indicator_of_metric, severity_of_metric
from iocaudit.signals.signal import SignalSource

_LONGEST = 300


class _Declaration(NamedTuple):
    """What differs between them: what is seen, and why it matters."""

    indicator: Indicator
    id: str
    technique: str
    related: tuple[str, ...]
    title: str
    why: str


_DECLARATIONS = (
    _Declaration(
        mining.INDICATOR,
        "metric-resource-spike",
        "T1496.001",
        ("cpu-unlimited", "memory-unlimited", "limits-above-maximum"),
        "A workload uses far more than it did",
        "CPU or memory beyond the workload's own baseline or close to its limits: a miner looks like this, and a busy day.",
    ),
    _Declaration(
        outbound.INDICATOR,
        "metric-outbound-traffic",
        "T1048",
        ("no-egress-policy", "namespace-without-default-deny"),
        "A workload sends far more than it did",
        "Traffic beyond the workload's own baseline, or that a policy drops.",
    ),
    _Declaration(
        inbound.INDICATOR,
        "metric-inbound-traffic",
        "T1499",
        ("no-rate-limit", "apiserver-flow-exempt", "autoscaling-unbounded"),
        "The API server or a gateway takes far more requests than it did",
        "Requests beyond the baseline, queues that fill, requests that are turned away.",
    ),
    _Declaration(
        dns.INDICATOR,
        "metric-dns-anomaly",
        "T1071.004",
        ("no-egress-policy",),
        "Questions of DNS are not the usual ones",
        "Names that do not exist, rare types, long questions: tunnels and generated names look like this.",
    ),
    _Declaration(
        responses.INDICATOR,
        "metric-response-size",
        "T1030",
        ("secret-access", "exposed-dashboard", "no-ingress-policy"),
        "Answers are far larger than they were",
        "A gateway or the API server hands out more at a time than a workload usually does: data that leaves.",
    ),
    _Declaration(
        http_errors.INDICATOR,
        "metric-http-errors",
        "T1595.003",
        ("no-rate-limit", "no-workload-rate-limit"),
        "Many requests are refused or find nothing",
        "The share of 403 and 404 is far above the usual one: someone tries paths and rights.",
    ),
)


def _judge(ioc: IoC) -> Callable[[MetricAlert], Observation | None]:
    def judge(alert: MetricAlert) -> Observation | None:
        if not alert.is_firing or indicator_of_metric(alert) is not ioc:
            return None
        return Observation(_message(alert), severity_of_metric(alert))

    return judge


def _message(alert: MetricAlert) -> str:
    said = alert.annotations.get("summary") or alert.annotations.get("message") or alert.annotations.get("description")
    where = "/".join(filter(None, (alert.labels.get("namespace", ""), alert.labels.get("pod", "") or alert.workload)))
    text = f"{alert.name or 'an alert without a name'}{f' on {where}' if where else ''}"
    return clip(f"{text}: {said}" if said else text, _LONGEST)


def _declare(one: _Declaration) -> None:
    judge = _judge(one.indicator.ioc)
    number = int(one.indicator.ioc)
    judge.__doc__ = f"""{one.title}.

{one.why} An alert counts by its label `ioc: "{number}"`, or by its name where it is a well-known one; its severity is that
of its label `severity` (critical is high, warning is medium). An alert that is resolved says that it is over.

Fires:

    version: "4"
    status: firing
    receiver: iocaudit
    alerts:
      - status: firing
        labels: {{alertname: MyAlert, ioc: "{number}", severity: warning, namespace: shop, pod: web-0}}
        annotations: {{summary: far above the baseline}}
        startsAt: "2026-11-30T10:00:00Z"

Quiet:

    version: "4"
    status: resolved
    receiver: iocaudit
    alerts:
      - status: resolved
        labels: {{alertname: MyAlert, ioc: "{number}", severity: warning, namespace: shop, pod: web-0}}
        startsAt: "2026-11-30T10:00:00Z"
        endsAt: "2026-11-30T10:20:00Z"

Sources: Prometheus documentation, Alertmanager webhook; MITRE ATT&CK {one.technique}.
"""
    one.indicator.detects(
        one.id, severity=Severity.MEDIUM, technique=one.technique, feeds=SignalSource.ALERTMANAGER, related=one.related
    )(judge)


for _one in _DECLARATIONS:
    _declare(_one)
