"""What the status of an AuditPolicy says of it: in force or not, where, with what escapes it and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from iocaudit.core.wording import counted, several
from iocaudit.engine.cautions import cautions, denies
from iocaudit.engine.escapes import escape_anywhere
from iocaudit.engine.name_globs import is_glob
from iocaudit.engine.places import LabelledNamespace
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.presets import Preset

MATCHES = "Matches"
"""The condition that says in how many namespaces it applies."""
_MOST_NAMES = 10


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a policy's status, without its times."""

    type: str
    status: bool
    reason: str
    message: str


def accepted(error: str | None, policy: Policy | None) -> Condition:
    """Whether a policy can be used; ``policy`` is what is in force of it, its last good state where it has an error."""
    if error is None:
        return Condition("Accepted", True, "Valid", "in force")
    kept = "; its last good state stays in force" if policy else "; it is not in force"
    return Condition("Accepted", False, "Invalid", error + kept)


def conflict(others: Sequence[str]) -> Condition:
    """Whether policies of the same priority decide the same."""
    if not others:
        return Condition("Conflict", False, "None", "no policy of the same priority decides the same")
    message = (
        f"same priority as {', '.join(others)}, and both decide the same in one place: the first by name decides; "
        "give them different priorities"
    )
    return Condition("Conflict", True, "SamePriority", message)


def of_policy(
    policy: Policy, policies: PolicySet, namespaces: Sequence[LabelledNamespace] | None
) -> Iterator[Condition]:
    """What is to be said of one in force. ``namespaces`` are those that there are; None while it is not known."""
    if found := list(cautions(policy, policies.catalogue)):
        yield Condition("Warning", True, found[0].reason, "; ".join(one.message for one in found))
    if policy.preset is not None:
        yield _preset(policy.preset, escape_anywhere(policy, policies, namespaces or ()))
    if denies(policy):
        yield _cost(policies.denying.namespaces())
    if namespaces is not None:
        yield _matches(policy, namespaces)


def _preset(preset: Preset, escaped: Mapping[str, Sequence[str]]) -> Condition:
    message = f"{preset}: {preset.summary}, where no policy names the check"
    if escaped:
        whole = sum(map(len, escaped.values()))
        named = "; ".join(f"{several(checks)} ({by})" for by, checks in escaped.items())
        message += f"; {counted(whole, 'check escapes', 'checks escape')} it: {named}"
    return Condition("Preset", True, preset.name.title(), message)


def _cost(names: frozenset[str] | None) -> Condition:
    """What is refused while no webhook answers."""
    if names is None:
        where = "in every namespace but kube-system and our own; policies with exact names narrow that"
        return Condition("FailsClosed", True, "Everywhere", f"{_AWAY} {where}")
    where = f"in {several(sorted(names), _MOST_NAMES)} alone" if names else "in cluster scope alone"
    return Condition("FailsClosed", True, "Named", f"{_AWAY} {where}")


_AWAY = "while no webhook answers, creating and changing the kinds in which something is denied is refused"


def _matches(policy: Policy, namespaces: Sequence[LabelledNamespace]) -> Condition:
    count = matched(policy, namespaces)
    message = f"matches {count} of {counted(len(namespaces), 'namespace')}"
    if policy.cluster_scoped:
        message += " and cluster scope"
    there = {place.namespace for place in namespaces}
    absent = sorted(name for name in policy.namespaces or () if not is_glob(name) and name not in there)
    if absent:
        message += f"; there is no namespace {several(absent, _MOST_NAMES)}"
    found = bool(count or policy.cluster_scoped)
    return Condition(MATCHES, found, "Matches" if found else "MatchesNothing", message)


def matched(policy: Policy, namespaces: Sequence[LabelledNamespace]) -> int:
    """How many of these namespaces it applies in."""
    return sum(policy.matches(*place) for place in namespaces)
