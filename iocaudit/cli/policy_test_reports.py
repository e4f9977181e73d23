"""What ``iocaudit policy test`` prints: a table for people, JSON, and JUnit for CI servers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from iocaudit.core.resource import Origin
from iocaudit.core.shape import Json
from iocaudit.core.wording import counted, several
from iocaudit.impact.policy_tests.coverage import CoveredRule
from iocaudit.impact.policy_tests.expectations import CHECK_PARTS, Mismatch
from iocaudit.impact.policy_tests.runner import PolicyTestResult
from iocaudit.sinks.escape import json_text, visible, xml_text
from iocaudit.sinks.json_report import subject_json
from iocaudit.sinks.junit import JunitCases, child
from iocaudit.sinks.look import Look

_GOOD, _BAD, _BOLD, _DIM = "32", "1;31", "1", "2"
_MOST_CHECKS = 4


@dataclass(slots=True)
class PolicyTestRun:
    """All that one run found out. ``unusable`` says why a file or a document was not run."""

    __test__ = False  # no test of ours, for all its name

    results: list[PolicyTestResult]
    rules: list[CoveredRule]
    unusable: list[str] = field(default_factory=list)
    left_out: int = 0
    """How many tests ``--run`` left out: what they would have touched is not known."""

    @property
    def failed(self) -> list[PolicyTestResult]:
        return [one for one in self.results if not one.passed]

    @property
    def uncovered(self) -> list[CoveredRule]:
        return [] if self.left_out else [one for one in self.rules if not one.covered or one.checks]


def table(tested: PolicyTestRun, look: Look, *, verbose: bool) -> str:
    """The tests by file: those that failed with what was expected and what came; all of them where that is asked."""
    lines: list[str] = []
    for file, results in groupby(tested.results, key=lambda one: one.case.place.file):
        of_file = list(results)
        failed = [one for one in of_file if not one.passed]
        said = f"{counted(len(of_file), 'test')}, {len(failed)} failed" if failed else counted(len(of_file), "test")
        lines.append(f"{look.paint(visible(file), _BOLD)}: {said}")
        for one in of_file if verbose else failed:
            lines += _result(one, look)
    lines += [f"{look.paint('unusable', _BAD)}: {visible(line)}" for line in tested.unusable]
    lines += _uncovered(tested)
    lines.append(look.paint(summary(tested), _BAD if tested.failed or tested.unusable else _GOOD))
    return "".join(line + "\n" for line in lines)


def summary(tested: PolicyTestRun) -> str:
    """One line: how many tests passed and failed, and how many rules of the policies they touch."""
    total, failed = len(tested.results), len(tested.failed)
    parts = [f"{counted(total, 'test')}: {total - failed} passed, {failed} failed"]
    if tested.unusable:
        parts.append(f"{counted(len(tested.unusable), 'mistake')} in files that cannot be used")
    if tested.left_out:
        parts.append(f"{counted(tested.left_out, 'test')} left out by --run")
    elif tested.rules:
        covered = sum(one.covered for one in tested.rules)
        parts.append(f"{covered} of {counted(len(tested.rules), 'rule')} of the policies covered")
    return "; ".join(parts)


def _result(one: PolicyTestResult, look: Look) -> Iterator[str]:
    word = look.paint("ok", _GOOD) if one.passed else look.paint("FAILED", _BAD)
    yield f"  {word}  {visible(one.name)} ({visible(str(one.case.place))})"
    if not one.passed:
        yield f"    {visible(one.request)}"
        for line in _differences(one.mismatches):
            yield f"    {visible(line)}"


def _differences(mismatches: Iterable[Mismatch]) -> Iterator[str]:
    for one in mismatches:
        first, *rest = one.got.splitlines() or [""]
        yield f"{one.part}: expected {one.expected}"
        yield f"{' ' * len(one.part)}  got      {first}"
        yield from (f"{' ' * len(one.part)}           {line}" for line in rest)
        yield from (f"{' ' * len(one.part)}  - {line}" for line in one.why)


def _uncovered(tested: PolicyTestRun) -> Iterator[str]:
    for one in tested.uncovered:
        what = f" ({one.names})" if not one.covered else f": no hit of {several(one.checks, _MOST_CHECKS)}"
        yield visible(f"not covered: {one.policy}, {one.path}{what} ({one.place})")


def json_report(tested: PolicyTestRun) -> str:
    """The results as JSON."""
    found = {
        "tests": [_test_json(one) for one in tested.results],
        "unusable": tested.unusable,
        "rules": [
            {
                "policy": one.policy,
                "place": one.place,
                "rule": one.path,
                "names": one.names,
                "covered": None if tested.left_out else one.covered,
                "checksWithoutHit": None if tested.left_out else list(one.checks),
            }
            for one in tested.rules
        ],
        "summary": {
            "tests": len(tested.results),
            "passed": len(tested.results) - len(tested.failed),
            "failed": len(tested.failed),
            "unusable": len(tested.unusable),
            "leftOut": tested.left_out,
        },
    }
    return json_text(json.dumps(found, indent=2, ensure_ascii=False)) + "\n"


def _test_json(one: PolicyTestResult) -> Json:
    return {
        "suite": one.suite.name,
        "name": one.name,
        "file": one.case.place.file,
        "line": one.case.place.line,
        "passed": one.passed,
        "request": one.request,
        "subject": subject_json(one.subject) if one.subject is not None else None,
        "verdict": one.answer.outcome.value,
        "message": one.answer.message,
        "warnings": list(one.answer.warnings),
        **{part: sorted(one.answer.checks[part]) for part in CHECK_PARTS},
        "mismatches": [
            {"part": wrong.part, "expected": wrong.expected, "got": wrong.got, "why": list(wrong.why)}
            for wrong in one.mismatches
        ],
    }


def junit(tested: PolicyTestRun) -> str:
    """The results as JUnit XML: a case a test, an error for each mistake in a file that cannot be used."""
    suite = JunitCases()
    for one in tested.results:
        place = one.case.place
        case = suite.case(one.suite.name, one.name, Origin("file", place.file, place.line))
        if not one.passed:
            first = one.mismatches[0]
            failure = child(case, "failure", f"{first.part}: expected {first.expected}", type="expectation")
            failure.text = _xml_lines([one.request, *_differences(one.mismatches)])
    for line in tested.unusable:
        child(suite.case("usable", line, None), "error", line, type="unusable")
    counts = {
        "tests": str(len(suite.element)),
        "failures": str(len(tested.failed)),
        "errors": str(len(tested.unusable)),
        "skipped": "0",
    }
    return suite.document(counts, [*_uncovered(tested), summary(tested)])


def _xml_lines(lines: Sequence[str]) -> str:
    """Lines as the text of an element: what XML cannot carry is spelled out, the ends of lines stay."""
    return "\n".join(map(xml_text, lines))
