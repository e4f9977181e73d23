"""What escapes a preset: the checks for which a policy that names them is milder than the preset in force."""

from __future__ import annotations

from collections.abc import Iterable

from iocaudit.core.check import Check
from iocaudit.engine.places import LabelledNamespace, places_of
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.setting import is_stricter
from iocaudit.engine.situations import Situations


def escapes(policies: PolicySet, matching: list[Policy], checks: Iterable[Check]) -> dict[Check, str]:
    """The checks that escape the preset in force where these policies apply, with the policy that names each."""
    choice = policies.chosen(matching)
    found: dict[Check, str] = {}
    for check in checks:
        setting = policies.setting(check, matching)
        if setting.policy is not None and is_stricter(policies.default(check, choice), setting):
            found[check] = setting.policy
    return found


def escape_anywhere(
    policy: Policy, policies: PolicySet, known: Iterable[LabelledNamespace] = ()
) -> dict[str, list[str]]:
    """What escapes the preset that a policy chooses, in any place where it is in force: policy to ids of checks."""
    found: dict[str, dict[str, None]] = {}
    places = places_of(policy, policies.policies, known)
    situations = Situations(one for place in places for one in place.policies)
    for place in (part for whole in places for part in situations.of(policy, whole)):
        matching = policies.staged(place.policies, place.namespace)
        if policies.chosen(matching).policy != policy.name:
            continue
        for check, by in escapes(policies, matching, filter(place.concerns, policies.catalogue)).items():
            found.setdefault(by, {})[check.id] = None
    return {by: sorted(checks) for by, checks in sorted(found.items())}
