"""What escapes a preset: the checks for which a policy that names them is milder than the preset in force."""

from __future__ import annotations

from collections.abc import Iterable

from iocaudit.core.check import Check
from iocaudit.core.severity import Severity
from iocaudit.engine.places import Applying, Place, places_of
from iocaudit.engine.policy import Policy, PolicySet, Setting


def is_milder(setting: Setting, preset: Setting) -> bool:
    """Whether some hit of the check comes off better by one setting than by the other, which a preset makes."""
    check = setting.check
    own = (severity for severity in Severity if check.severity <= severity <= check.worst)
    return any(
        setting.mode_for(setting.severity or severity).weight < preset.mode_for(severity).weight for severity in own
    )


def escapes(policies: PolicySet, matching: list[Policy], checks: Iterable[Check]) -> dict[Check, str]:
    """The checks that escape the preset in force where these policies apply, with the policy that names each."""
    choice = policies.chosen(matching)
    found: dict[Check, str] = {}
    for check in checks:
        setting = policies.setting(check, matching)
        if setting.policy is not None and is_milder(setting, policies.default(check, choice)):
            found[check] = setting.policy
    return found


def escape_anywhere(policy: Policy, policies: PolicySet, known: Iterable[Place] = ()) -> dict[str, list[str]]:
    """What escapes the preset that a policy chooses, in any place where it is in force: policy to ids of checks."""
    found: dict[str, dict[str, None]] = {}
    for place in places_of(policy, policies.policies, known):
        matching = list(place.policies)
        if policies.chosen(matching).policy != policy.name:
            continue
        for check, by in escapes(policies, matching, (c for c in policies.catalogue if _concerns(c, place))).items():
            found.setdefault(by, {})[check.id] = None
    return {by: sorted(checks) for by, checks in sorted(found.items())}


def _concerns(check: Check, place: Applying) -> bool:
    """Whether a check looks at anything there."""
    return any(kind.namespaced is (place.namespace is not None) for kind in check.looks_at)
