"""Indicator 8: abnormal sizes of HTTP responses. Only metrics show them: the audit log holds no sizes."""

from __future__ import annotations

from iocaudit.core.severity import IoC
from iocaudit.signals.indicators.declaration import Indicator

INDICATOR = Indicator(
    IoC.RESPONSE_SIZE,
    "response-sizes",
    "From metrics, answers of gateways and of the API server that are larger than a workload's usual ones.",
    "The audit log holds no sizes, and Falco has no rule: metrics alone see it. What a session takes out is indicator 2.",
)
