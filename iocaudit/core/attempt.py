"""What somebody asked for and is kept as evidence: a denied attempt, a policy weakened. Counted, never repeated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from iocaudit.core.identity import name_suffix
from iocaudit.core.severity import IoC, Severity

MOST_KEYS = 4096
"""How many different attempts are told apart at a time, in a webhook replica and in the cluster."""
OTHER_KIND, OTHER_NAME = "Other", "other"
DENIED_ATTEMPT, POLICY_CHANGE = "denied-attempt", "policy-change"
EVIDENCE = {DENIED_ATTEMPT: "denied", POLICY_CHANGE: "changed"}
"""The types of what is counted, each with what the names of its findings say."""


class Attempt(NamedTuple):
    """What makes two denied requests, or two changes of a policy, the same attempt.

    ``namespace`` is None for cluster scope. ``name`` is the owner's for a pod that one of the cluster's
    controllers makes (``group`` and ``kind`` are the owner's then), else ``metadata.generateName`` where the
    name was made from it, else the name: a controller that tries again is one attempt.
    """

    check: str
    group: str
    kind: str
    namespace: str | None
    name: str
    user: str
    type: str = DENIED_ATTEMPT

    @property
    def finding(self) -> str:
        """The name of its finding's custom resource; never that of a posture finding."""
        return f"{self.check}-{EVIDENCE[self.type]}-{name_suffix(self.type, *self[:-1])}"

    @property
    def is_other(self) -> bool:
        return (self.group, self.kind, self.namespace, self.name) == ("", OTHER_KIND, None, OTHER_NAME)


def other(of: Attempt) -> Attempt:
    """What counts all the attempts of a check and type that there was no room to tell apart."""
    return Attempt(of.check, "", OTHER_KIND, None, OTHER_NAME, "", of.type)


@dataclass(frozen=True, slots=True)
class Tally:
    """How often an attempt was denied, from when to when (Unix seconds), and what the last denial said."""

    count: int
    first: float
    last: float
    severity: Severity
    iocs: tuple[IoC, ...]
    message: str
    fix: str

    def plus(self, more: Tally) -> Tally:
        """Both together; the words of the later one, the worse severity."""
        late = more if more.last >= self.last else self
        return Tally(
            self.count + more.count,
            min(self.first, more.first),
            max(self.last, more.last),
            max(self.severity, more.severity),
            late.iocs,
            late.message,
            late.fix,
        )
