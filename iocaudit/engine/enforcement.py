"""Where the policies in force deny anything, in one line: anyone who believes to be guarded should not have to
search."""

from __future__ import annotations

from iocaudit.core.wording import several
from iocaudit.engine.policy_set import PolicySet

NOTHING = "nothing is denied anywhere"
_MOST_NAMES = 10


def enforcement(policies: PolicySet) -> str:
    """The line: nothing at all, with the presets in force, or where something is."""
    if not policies.denies:
        chosen = dict.fromkeys(policy.preset for policy in policies.policies if policy.preset is not None)
        presets = sorted(chosen or [policies.preset], key=lambda preset: preset.strictness)
        return f"{NOTHING} (preset{'s' if len(presets) != 1 else ''} {', '.join(presets)})"
    names = policies.denying.namespaces()
    places = ["every namespace that a policy for it matches"] if names is None else []
    if names:
        places.append(f"namespace{'s' if len(names) != 1 else ''} {several(sorted(names), _MOST_NAMES)}")
    if any(map(policies.denying.in_cluster_scope, policies.catalogue)):
        places.append("cluster scope")
    return f"something is denied in {' and in '.join(places)}"
