"""What becomes of a hit where no policy names its check: the four presets, from recording alone to denying.

Each denies at least what the one before it denies. ``guard`` goes by what a check declares (``denied_by_guard``): it
denies what hands over a node or the cluster and has no use in the namespace of an application.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from iocaudit.core.check import Check
from iocaudit.core.severity import Severity


class Mode(StrEnum):
    """What posture does with a hit."""

    DENY = "deny"
    WARN = "warn"
    AUDIT = "audit"
    OFF = "off"

    @property
    def weight(self) -> int:
        """The stricter, the higher."""
        return _WEIGHTS[self]


_WEIGHTS = {Mode.OFF: -1, Mode.AUDIT: 0, Mode.WARN: 1, Mode.DENY: 2}


class Preset(StrEnum):
    """The modes that hold where no policy names a check; each is stricter than the one before it."""

    OBSERVE = "observe"
    WARN = "warn"
    GUARD = "guard"
    LOCKDOWN = "lockdown"

    def modes(self, check: Check) -> Mapping[Severity, Mode]:
        """The mode of a hit of a check, by the hit's severity."""
        if self is Preset.GUARD and check.denied_by_guard:
            return _MODES[Preset.LOCKDOWN]
        return _MODES[self]

    @property
    def strictness(self) -> int:
        """Of two presets the one with more of it denies whatever the other denies."""
        return list(Preset).index(self)

    @property
    def summary(self) -> str:
        """What it denies and warns about, in words."""
        return _SUMMARIES[self]


def denying(check: Check) -> list[Preset]:
    """The presets that deny the worst hits of a check."""
    return [] if check.audit_only else [preset for preset in Preset if preset.modes(check)[check.worst] is Mode.DENY]


_RECORDS = dict.fromkeys(Severity, Mode.AUDIT)
_WARNS = _RECORDS | {Severity.HIGH: Mode.WARN, Severity.CRITICAL: Mode.WARN}
_MODES: Mapping[Preset, Mapping[Severity, Mode]] = {
    Preset.OBSERVE: _RECORDS,
    Preset.WARN: _WARNS,
    Preset.GUARD: _WARNS,
    Preset.LOCKDOWN: _WARNS | {Severity.CRITICAL: Mode.DENY},
}
_SUMMARIES = {
    Preset.OBSERVE: "records every hit, and neither denies nor warns",
    Preset.WARN: "warns about critical and high hits, and denies nothing",
    Preset.GUARD: "denies what hands over a node or the cluster, and warns about other critical and high hits",
    Preset.LOCKDOWN: "denies critical hits, and warns about high ones",
}
