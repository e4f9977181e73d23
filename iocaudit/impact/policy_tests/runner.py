"""Run the tests of a suite: each request is answered by the functions that the webhook answers by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from iocaudit.cluster.errors import NotFoundError
from iocaudit.core import own_names
from iocaudit.core.check import Check
from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.core.report import Fault, ReportedHit, Skipped
from iocaudit.core.resource import Ref
from iocaudit.core.shape import Json
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.fields import nearest
from iocaudit.engine.languages.asking import AnswerSource
from iocaudit.engine.posture import Verdict
from iocaudit.engine.presets import Mode
from iocaudit.engine.setting import Setting
from iocaudit.impact.policy_tests.coverage import RuleCoverage
from iocaudit.impact.policy_tests.expectations import CHECK_PARTS, ComparedAnswer, Mismatch, mismatches
from iocaudit.impact.policy_tests.model import PolicyTestCase, PolicyTestSuite, VerdictWord
from iocaudit.impact.policy_tests.requests import is_asked
from iocaudit.judging import wording
from iocaudit.judging.review import answer
from iocaudit.judging.warning_lines import warnings
from iocaudit.knowledge.rbac.bindings import ADMIN_NAMESPACE
from iocaudit.scanning.rules import RunRules
from iocaudit.sources.admission_review import Review

_SECONDS = 60.0
"""How long one request may take: longer than any webhook has, so no slow machine makes a test fail."""
_PartEntry = ReportedHit | Fault | Skipped


@dataclass(frozen=True, slots=True)
class PolicyTestResult:
    """How one request was answered, and what of it is not as expected."""

    suite: PolicyTestSuite
    case: PolicyTestCase
    subject: Ref | None
    request: str
    answer: ComparedAnswer
    mismatches: tuple[Mismatch, ...]

    @property
    def passed(self) -> bool:
        return not self.mismatches

    @property
    def name(self) -> str:
        """The name of the case; with that of the object where it has several."""
        return f"{self.case.name} / {self.subject}" if len(self.case.reviews) > 1 else self.case.name


def run_suite(
    suite: PolicyTestSuite,
    cases: Iterable[PolicyTestCase],
    catalogue: Catalogue,
    coverage: RuleCoverage,
    rules: RunRules | None = None,
) -> Iterator[PolicyTestResult]:
    """The results of some cases of a suite, in their order; ``coverage`` notes what they touched.

    ``rules`` evaluates rules in languages of their own. Raises EngineMissingError, EngineError where it cannot.
    """
    coverage.begin(suite)
    catalogue = catalogue.also(suite.policies.declared)
    answers = rules.begin(catalogue) if rules is not None else None
    for case in cases:
        for review in case.reviews:
            yield _Request(suite, case, review, catalogue, answers).result(coverage)


class _Request:
    """One request, and all that is there when it comes."""

    def __init__(
        self,
        suite: PolicyTestSuite,
        case: PolicyTestCase,
        review: Review,
        catalogue: Catalogue,
        answers: AnswerSource | None,
    ) -> None:
        self._suite, self._case, self._review = suite, case, review
        self._catalogue = catalogue
        subject = review.resource or review.old
        assert subject is not None, "a test names an object"
        self._subject = subject
        self._world = World(own_namespace=own_names.NAMESPACE)
        self._stored: dict[tuple[Kind, str | None, str], Json] = {}
        held = {NAMESPACE, *catalogue.admission_world_kinds}
        for resource in (*suite.world, *case.world, *([review.old] if review.old is not None else ())):
            if resource.kind is None:
                continue
            self._stored[resource.kind, self._world.namespace_of(resource), resource.name] = resource.raw
            if resource.kind in held:
                self._world.put(resource)
        self._auditor = Auditor(catalogue, suite.policies, self._world, suite.accept, answers)

    def result(self, coverage: RuleCoverage) -> PolicyTestResult:
        """Judge it, and compare the answer with what is expected."""
        self._asked = is_asked(self._review, self._catalogue)
        self._verdict = self._judged()
        self._settings = self._auditor.settings_for(self._subject, self._review.request)
        coverage.note(self._parts(), self._settings)
        given = _answer(self._verdict)
        wrong = mismatches(self._case.expected, given, self._explain)
        if not wrong and not any(is_asked(review, self._catalogue) for review in self._case.reviews):
            asked = "a request that the webhook is asked about"
            wrong = [Mismatch("request", asked, f"{self._unasked}: such a test cannot fail")]
        return PolicyTestResult(self._suite, self._case, self._subject.ref, self._described(), given, tuple(wrong))

    def _judged(self) -> Verdict:
        if not self._asked:
            return Verdict(allowed=True)
        deadline = Deadline.within(_SECONDS)
        return answer(self._review, self._auditor, deadline, get=self._get, never_denies=self._never_denies)

    @property
    def _never_denies(self) -> bool:
        """Where only the webhook that never denies is asked, unless more namespaces are left to it."""
        return self._subject.home in (ADMIN_NAMESPACE, self._world.own_namespace)

    def _get(self, kind: Kind, namespace: str | None, name: str) -> Json:
        found = self._stored.get((kind, namespace, name))
        if found is None:
            raise NotFoundError(f"GET {kind.plural}/{name}", 404, "NotFound", "the test does not have it in its world")
        return found

    def _described(self) -> str:
        request = self._review.request
        what = f"{request.operation}{f' {request.subresource}' if request.subresource else ''}"
        dry = " (dry run)" if request.dry_run else ""
        return f"{what} {self._subject.ref} by {request.username}{dry}"

    @property
    def _unasked(self) -> str:
        """Operation and kind of a request that goes past the webhook; of an unknown kind which one may be meant."""
        request, subject = self._review.request, self._subject
        known = () if subject.kind is not None else [kind.name for kind in self._catalogue.admission_rules]
        subresource = f" {request.subresource}" if request.subresource else ""
        of_group = f" of {subject.group}" if subject.group and subject.kind is None else ""
        hint = nearest(subject.kind_name, known) if subject.kind_name not in known else ""
        return f"{request.operation}{subresource} of {subject.kind_name}{of_group}{hint}"

    # -- why --------------------------------------------------------------------------------------------

    def _explain(self, check_id: str, part: str) -> Iterator[str]:
        """Why a check is in a part of the answer or not; without a check why nothing at all is denied."""
        if not self._asked:
            yield f"the webhook is not asked about {self._unasked}"
            return
        if not check_id:
            if self._verdict.allowed:
                yield "nothing has a hit that this request introduces, in a mode that tells or denies"
            return
        here = [
            (name, entry)
            for name, entries in self._parts().items()
            for entry in entries
            if (entry.check or wording.OBJECT) == check_id
        ]
        for name, entry in here:
            said = f"{name}: {check_id}: {_said(entry)}{self._decided_by(check_id) if name != 'skipped' else ''}"
            yield said + (self._why_not(part, name, check_id) if name != part else "")
        check = self._catalogue.find(check_id)
        if not here and check is not None:
            yield f"{check_id}: {self._why_absent(check)}"

    def _why_not(self, part: str, name: str, check_id: str) -> str:
        setting = self._settings.get(check_id)
        if part != "denied" or setting is None:
            return ""
        spared = [why for why, found in self._verdict.spared.items() if any(one.check == check_id for one in found)]
        if spared:
            return f"; not denied: {spared[0]}"
        if name == "recorded" and setting.can_deny and self._review.old is not None:
            return "; the old object has the same hit, so the request does not introduce it"
        return ""

    def _decided_by(self, check_id: str) -> str:
        setting = self._settings.get(check_id)
        return f" ({decided_by(self._suite, setting)})" if setting is not None else ""

    def _why_absent(self, check: Check) -> str:
        setting = self._settings.get(check.id)
        kind, operation = self._subject.kind, self._review.request.operation
        if (
            kind is not None
            and kind not in check.looks_at
            and check.id not in {one.id for one in self._catalogue.completed_by(kind) or ()}
        ):
            return f"it does not look at a {self._subject.kind_name}"
        if operation not in check.operations:
            return f"it does not look at {operation}"
        if setting is None:
            matching = [one.name for one in self._suite.policies.policies if _turns_off(one.rule_for(check))]
            by = f" ({', '.join(matching)} says mode: off)" if matching else ""
            return f"it is off here{by or f': profile {check.profile} is not on'}"
        if setting.missing:
            return f"it is not configured: a policy has to set its parameter {', '.join(setting.missing)}"
        return f"it has no hit ({decided_by(self._suite, setting)})"

    def _parts(self) -> Mapping[str, tuple[_PartEntry, ...]]:
        return parts_of(self._verdict)


def _turns_off(rule: object) -> bool:
    return getattr(rule, "mode", None) is Mode.OFF


def decided_by(suite: PolicyTestSuite, setting: Setting) -> str:
    """The rule of the policy, or the preset, that says what becomes of a check's hits."""
    worst = setting.mode_for(setting.severity or setting.check.severity)
    if setting.policy is None:
        chosen = f" of policy {setting.preset_by}" if setting.preset_by else ""
        return f"mode {worst} by preset {setting.preset}{chosen}"
    policy = next((one for one in suite.policies.policies if one.name == setting.policy), None)
    rule = policy.rule_for(setting.check) if policy is not None else None
    where = f", spec.{rule.at}" if rule is not None else ""
    return f"mode {worst} by policy {setting.policy}{where}"


def _said(entry: _PartEntry) -> str:
    if isinstance(entry, ReportedHit):
        return f"{entry.message} [{entry.severity.label}]"
    return entry.error if isinstance(entry, Fault) else entry.reason


def parts_of(verdict: Verdict) -> Mapping[str, tuple[_PartEntry, ...]]:
    """The parts of a verdict that name checks, as tests name those parts."""
    return {
        "denied": verdict.denials,
        "warned": verdict.warnings,
        "recorded": (*verdict.observed, *verdict.recorded),
        "waived": tuple(waived.found for waived in verdict.waived),
        "spared": tuple(found for every in verdict.spared.values() for found in every),
        "skipped": (*verdict.skipped, *verdict.incomplete_denials),
        "faults": (*verdict.faults, *verdict.fault_denials),
    }


def _answer(verdict: Verdict) -> ComparedAnswer:
    lines = tuple(warnings(verdict))
    outcome = VerdictWord.DENY if not verdict.allowed else VerdictWord.WARN if lines else VerdictWord.ALLOW
    checks = {part: _ids(entries) for part, entries in parts_of(verdict).items()}
    named = verdict.causes
    told = {**checks, "denied": _ids(named.denials), "warned": _ids(named.warnings)}
    assert set(checks) == set(CHECK_PARTS)
    return ComparedAnswer(outcome, wording.denial(verdict) if not verdict.allowed else "", lines, checks, told)


def _ids(entries: Iterable[_PartEntry]) -> frozenset[str]:
    return frozenset(entry.check or wording.OBJECT for entry in entries)
