"""A sighting: what a detection, or a check of an object in a request, makes of one signal."""

from __future__ import annotations

from typing import NamedTuple

from iocaudit.core.severity import IoC, Severity
from iocaudit.signals.signal import Signal


class Sighting(NamedTuple):
    """``rule`` is the id of the detection, or of the check where ``is_check``; ``related`` are posture checks that
    find the weakness behind it. ``message`` names who did what to what."""

    rule: str
    title: str
    iocs: tuple[IoC, ...]
    severity: Severity
    message: str
    signal: Signal
    technique: str = ""
    related: tuple[str, ...] = ()
    is_check: bool = False
    is_sequence: bool = False
