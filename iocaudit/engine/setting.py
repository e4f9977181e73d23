"""What holds for one check in one place, and which of two such settings is the stricter."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from iocaudit.core.check import Check
from iocaudit.core.request import Request
from iocaudit.core.severity import Severity
from iocaudit.engine.presets import Mode, Preset
from iocaudit.engine.subjects import ExemptSubject


class OnFault(StrEnum):
    """What becomes of a request when a check that could deny it fails."""

    DENY = "deny"
    ALLOW = "allow"


class OnIncomplete(StrEnum):
    """What becomes of a request when a check that could deny it could not be evaluated."""

    WARN = "warn"
    DENY = "deny"


class OnExisting(StrEnum):
    """What becomes of a controller's pod, all of whose hits are in its verified owner's stored template."""

    WARN = "warn"
    DENY = "deny"


class SameImage(StrEnum):
    """What of an image may not change where a container holds what was there before."""

    REPOSITORY = "repository"
    EXACT = "exact"


class PresetChoice(NamedTuple):
    """The preset in force for an object or a request. ``policy`` None: no policy chooses one there.

    ``ceiling`` and ``keeps_guard`` are those of the policy that chooses it.
    """

    preset: Preset
    policy: str | None = None
    ceiling: Mode = Mode.DENY
    keeps_guard: bool = False


class Setting(NamedTuple):
    """What holds for one check. ``mode`` None: it follows the hit's severity, as ``preset`` has it.

    ``policy`` names the check; ``preset`` is the one in force, chosen by ``preset_by``. No hit gets a stricter mode
    than ``ceiling``, as a policy under rollout is not promoted there; with ``keeps_guard`` what preset guard denies
    does. ``by_request``: the policy that decides holds for requests alone, so what is recorded may be another
    matter.
    """

    check: Check
    mode: Mode | None
    severity: Severity | None
    params: Mapping[str, Any]
    policy: str | None = None
    on_fault: OnFault = OnFault.DENY
    on_incomplete: OnIncomplete = OnIncomplete.WARN
    existing: OnExisting = OnExisting.WARN
    exempt: tuple[ExemptSubject, ...] = ()
    images: SameImage = SameImage.REPOSITORY
    preset: Preset = Preset.WARN
    preset_by: str | None = None
    ceiling: Mode = Mode.DENY
    keeps_guard: bool = False
    by_request: bool = False

    @property
    def exact_images(self) -> bool:
        """Whether a hit that was there before is new with another tag or digest, too."""
        return self.images is SameImage.EXACT

    @property
    def missing(self) -> tuple[str, ...]:
        """Parameters the check cannot do without and nobody has set."""
        return self.check.missing(self.params)

    def exempts(self, request: Request) -> bool:
        """Whether the user who makes the request is denied nothing by this check."""
        return any(subject.covers(request.username, request.groups) for subject in self.exempt)

    def mode_for(self, severity: Severity) -> Mode:
        """The mode for a hit of that severity."""
        mode = self.mode if self.mode is not None else self.preset.modes(self.check)[severity]
        if self.ceiling is Mode.DENY or mode.weight <= self.ceiling.weight:
            return mode
        return mode if self.keeps_guard and self._is_guards(severity) else self.ceiling

    def _is_guards(self, severity: Severity) -> bool:
        """Whether preset guard denies a hit; where the policy sets its severity, it is not known which it had."""
        if self.severity is not None:
            return self.check.denied_by_guard
        return Preset.GUARD.modes(self.check)[severity] is Mode.DENY

    @property
    def is_lowered(self) -> bool:
        """Whether the ceiling changes the mode of any hit of the check."""
        return self.ceiling is not Mode.DENY and is_stricter(self._replace(ceiling=Mode.DENY), self)

    @property
    def can_warn(self) -> bool:
        """Whether anybody would be told of the worst hit of the check when it is made."""
        return self.mode_for(self.severity or self.check.worst) in (Mode.DENY, Mode.WARN)

    @property
    def can_deny(self) -> bool:
        """Whether the worst hit of the check would be denied."""
        return self.mode_for(self.severity or self.check.worst) is Mode.DENY


def is_stricter(one: Setting, other: Setting) -> bool:
    """Whether some hit of a check comes off worse by one setting than by the other."""
    return any(
        one.mode_for(one.severity or severity).weight > other.mode_for(other.severity or severity).weight
        for severity in one.check.severities
    )
