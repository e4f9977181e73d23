"""What was seen happening and is kept as evidence: a denied attempt, a policy weakened, a sighting at run time.

It is counted, never repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from iocaudit.core.identity import name_suffix
from iocaudit.core.severity import IoC, Severity

MOST_KEYS = 4096
"""How many different keys are told apart at a time, in a webhook replica and in the cluster: of what was asked for, and
of what was seen at run time.
"""
OTHER_KIND, OTHER_NAME = "Other", "other"
DENIED_ATTEMPT, POLICY_CHANGE, RUNTIME = "denied-attempt", "policy-change", "runtime"
EVIDENCE = {DENIED_ATTEMPT: "denied", POLICY_CHANGE: "changed", RUNTIME: "seen"}
"""The types of what is counted, each with what the names of its findings say."""


class EvidenceKey(NamedTuple):
    """What makes two denied requests, two changes of a policy, or two sightings the same, to be counted together.

    ``check`` is the id of a check or, of a sighting, of a detection; ``user`` is who did it, empty where that is not
    known. ``namespace`` is None for cluster scope. The object of a sighting is the workload. That of a denied request
    is the owner of a pod that one of the cluster's controllers makes; else ``name`` is ``metadata.generateName`` where
    the name was made from it: a controller that tries again is one attempt.
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


def other(of: EvidenceKey) -> EvidenceKey:
    """What counts all of a check and type that there was no room to tell apart."""
    return EvidenceKey(of.check, "", OTHER_KIND, None, OTHER_NAME, "", of.type)


@dataclass(frozen=True, slots=True)
class EvidenceTally:
    """How often it was seen, from when to when, and what the last time said.

    Times are Unix seconds by the clock of the process that counted, never by what a sender claims: evidence ages by
    them.
    """

    count: int
    first: float
    last: float
    severity: Severity
    iocs: tuple[IoC, ...]
    message: str
    fix: str

    def plus(self, more: EvidenceTally) -> EvidenceTally:
        """Both together; the words of the later one, the worse severity."""
        late = more if more.last >= self.last else self
        return EvidenceTally(
            self.count + more.count,
            min(self.first, more.first),
            max(self.last, more.last),
            max(self.severity, more.severity),
            late.iocs,
            late.message,
            late.fix,
        )
