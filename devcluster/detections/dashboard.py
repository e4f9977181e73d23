"""The dashboard for Grafana: what the rules for Prometheus record, a row for each indicator that shows in figures."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from iocaudit.core.severity import IoC

VARIABLE = "$namespace"
_SELECTED = f'{{namespace=~"{VARIABLE}"}}'
_WORKLOAD = "{{namespace}}/{{workload}}"
_GATEWAY = "{{gateway}} {{namespace}} {{service}}"
_WIDTH, _HEIGHT = 12, 8


class Panel(NamedTuple):
    """A graph: an expression, what its lines are called, and the unit in Grafana's words. None: of all indicators."""

    ioc: IoC | None
    title: str
    expression: str
    legend: str
    unit: str


def _of_usual(name: str) -> str:
    return f"topk(10, {name}{_SELECTED} / ({name}:avg1d > 0))"


PANELS = (
    Panel(
        None,
        "Alerts that fire",
        'count by (ioc, alertname) (ALERTS{alertname=~"Iocaudit.+", alertstate="firing"})',
        "{{ioc}} {{alertname}}",
        "short",
    ),
    Panel(
        IoC.RESOURCE_SPIKE,
        "CPU of a workload's busiest pod, in its usual",
        _of_usual("iocaudit:workload_cpu_cores:max5m"),
        _WORKLOAD,
        "short",
    ),
    Panel(
        IoC.RESOURCE_SPIKE,
        "Share of its node's cores that a container uses",
        f"topk(10, iocaudit:container_cpu_of_node:share5m{_SELECTED})",
        "{{namespace}}/{{pod}}/{{container}}",
        "percentunit",
    ),
    Panel(
        IoC.OUTBOUND_TRAFFIC,
        "Sent by a workload's busiest pod",
        f"topk(10, iocaudit:workload_transmit_bytes:max5m{_SELECTED})",
        _WORKLOAD,
        "Bps",
    ),
    Panel(
        IoC.OUTBOUND_TRAFFIC,
        "Sent, in its usual",
        _of_usual("iocaudit:workload_transmit_bytes:max5m"),
        _WORKLOAD,
        "short",
    ),
    Panel(IoC.INBOUND_TRAFFIC, "Requests", "iocaudit:requests:rate5m", _GATEWAY, "reqps"),
    Panel(
        IoC.INBOUND_TRAFFIC,
        "Requests, in their usual",
        "iocaudit:requests:rate5m / (iocaudit:requests:rate5m:avg1d > 0)",
        _GATEWAY,
        "short",
    ),
    Panel(IoC.DNS_ANOMALY, "Questions of DNS", "iocaudit:dns_requests:rate5m", "questions", "reqps"),
    Panel(
        IoC.DNS_ANOMALY, "Share of names that do not exist", "iocaudit:dns_nxdomain:share5m", "NXDOMAIN", "percentunit"
    ),
    Panel(IoC.RESPONSE_SIZE, "Size of an answer", "iocaudit:response_bytes:mean5m", _GATEWAY, "bytes"),
    Panel(
        IoC.HTTP_ERRORS,
        "Share of requests that end with 403 or 404",
        "iocaudit:requests_refused:share5m",
        _GATEWAY,
        "percentunit",
    ),
)


def dashboard() -> str:
    """The text of manifests/detections/prometheus/dashboard.json, as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    row, column, last = 0, 0, object()
    for number, panel in enumerate(PANELS, start=1):
        if column and (panel.ioc is not last or column + _WIDTH > 2 * _WIDTH):
            row, column = row + _HEIGHT, 0
        panels.append(_panel(number, panel, column, row))
        column, last = column + _WIDTH, panel.ioc
    raw = {
        "title": "iocaudit: indicators in figures",
        "uid": "iocaudit-indicators",
        "tags": ["iocaudit"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_SOURCE, _NAMESPACE]},
        "panels": panels,
    }
    return json.dumps(raw, indent=2) + "\n"


_SOURCE = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_NAMESPACE = {
    "name": "namespace",
    "label": "Namespace",
    "type": "query",
    "datasource": _DATASOURCE,
    "query": {"query": "label_values(iocaudit:pod_owner, namespace)", "refId": "namespace"},
    "refresh": 2,
    "multi": True,
    "includeAll": True,
    "allValue": ".*",
    "current": {"text": "All", "value": "$__all"},
}


def _panel(number: int, panel: Panel, column: int, row: int) -> dict[str, Any]:
    title = panel.title if panel.ioc is None else f"{int(panel.ioc)}: {panel.title}"
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "datasource": _DATASOURCE,
        "gridPos": {"x": column, "y": row, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [{"refId": "A", "datasource": _DATASOURCE, "expr": panel.expression, "legendFormat": panel.legend}],
    }
