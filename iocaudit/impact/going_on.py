"""What would have been denied and should go on: as findings that waivers can be made for.

A waiver names an object and what it has; what controllers make is covered by the waiver of its owner.
"""

from __future__ import annotations

from collections.abc import Container

from iocaudit.core.report import home_of
from iocaudit.core.request import Operation
from iocaudit.core.shape import text
from iocaudit.core.wording import counted
from iocaudit.engine.audit import Auditor
from iocaudit.engine.causes import causes_of
from iocaudit.engine.posture import Verdict
from iocaudit.engine.standing import FindingKey, StandingFinding
from iocaudit.impact.history import JudgedRequest
from iocaudit.impact.trial import TriedObject

_COMPLETES = "completes "
"""Begins what is said of an object that another one means more by."""
MOST_FINDINGS = 5_000
"""How many findings are kept; a policy that would deny more than that is not one to be waived."""


class GoingOn:
    """Takes judged requests. ``left`` says for what no waiver can be made, and why."""

    def __init__(self, auditor: Auditor) -> None:
        self._auditor = auditor
        self._found: dict[FindingKey, StandingFinding] = {}
        self._left: dict[str, int] = {}
        self.beyond = 0

    def take(self, judged: JudgedRequest) -> None:
        """Note the hits that denied a request."""
        resource, verdict = judged.review.resource, judged.verdict
        if verdict.allowed or resource is None or not verdict.denials:
            return
        if judged.review.request.operation is Operation.CONNECT:
            self._leave("connections: exempt their users in the policy instead")
        elif resource.controller is not None:
            return  # its owner's waiver covers it
        elif text(resource.metadata.get("generateName")):
            self._leave(f"{resource.ref}: its name is made anew each time")
        else:
            report = self._auditor.audit(resource, request=judged.review.request)
            self._note(verdict, {found.fingerprint for found in report.found})

    def take_object(self, tried: TriedObject) -> None:
        """Note the hits for which an object would be denied if it were made anew."""
        own = (found for found in tried.verdict.denials if not found.hit.message.startswith(_COMPLETES))
        self._note(tried.verdict, {found.fingerprint for found in own})

    def _note(self, verdict: Verdict, own: Container[str]) -> None:
        """Note what denied an object; ``own`` are the fingerprints of the hits that it has by itself."""
        _, implied = causes_of(verdict.denials, self._auditor.catalogue)
        by = {one.found.fingerprint: one.by.fingerprint for one in implied}
        for found in verdict.denials:
            if found.fingerprint not in own:
                self._leave(f"{found.subject}: it completes another object: waive what that one has")
                continue
            ref = found.subject
            key = FindingKey(home_of(ref), found.check, ref.group, ref.kind, ref.name)
            standing = self._found.get(key)
            if standing is None:
                if len(self._found) >= MOST_FINDINGS:
                    self.beyond += 1
                    continue
                standing = self._found[key] = StandingFinding(key)
            standing.severity = max(standing.severity, found.severity)
            standing.hits[found.fingerprint] = by.get(found.fingerprint)

    def _leave(self, why: str) -> None:
        if why in self._left or len(self._left) < MOST_FINDINGS:
            self._left[why] = self._left.get(why, 0) + 1

    @property
    def findings(self) -> list[StandingFinding]:
        return list(self._found.values())

    @property
    def left(self) -> list[str]:
        found = [f"{why} ({counted(count, 'request')})" for why, count in self._left.items()]
        if self.beyond:
            found.append(f"{counted(self.beyond, 'more hit')}: a policy that denies so much is too strict to be waived")
        return found
