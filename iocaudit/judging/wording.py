"""What the user is told of a denial: one message with every reason, as the API server shows only the first denial.

Source: k8s.io/apiserver, pkg/admission/plugin/webhook/validating/dispatcher.go.
"""

from collections.abc import Sequence

from iocaudit.core.report import Fault, ReportedHit, Skipped
from iocaudit.engine.posture import Verdict
from iocaudit.knowledge.clipping import clip

_MOST_DENIALS = 20
_LONGEST_LINE = 600
OBJECT = "object"
"""Stands in an annotation where a part of the object could not be read, so no check could judge it."""

_MOST_NAMES = 64

_Entry = ReportedHit | Fault | Skipped


def _clip(text: str, limit: int) -> str:
    return clip("".join(c if c.isprintable() else " " for c in text), limit)


def denial(verdict: Verdict) -> str:
    """The message of ``status``: each reason names object, field and value, and how to mend it."""
    lines = [_clip(line, _LONGEST_LINE) for line in verdict.refusal.splitlines()]
    causes = verdict.causes.denials
    lines += [_line(found, verdict.bound_by.get(found.check)) for found in causes[:_MOST_DENIALS]]
    if len(causes) > _MOST_DENIALS:
        lines.append(f"and {len(causes) - _MOST_DENIALS} more")
    lines += [_clip(f"[fault] {line}", _LONGEST_LINE) for line in _faults(verdict.fault_denials)[:_MOST_DENIALS]]
    for skipped in verdict.incomplete_denials[:_MOST_DENIALS]:
        lines.append(_clip(f"[incomplete] {_reason(skipped)}", _LONGEST_LINE))
    if len(lines) == 1:
        return lines[0]
    return f"{len(lines)} reasons:\n" + "\n".join(f"- {line}" for line in lines)


def _line(found: ReportedHit, policy: str | None) -> str:
    """``policy`` is one for some requests alone, where it is such a policy that denies."""
    line = f"[{found.severity.label}] {found.check}: {found.message}"
    line += f" (by policy {policy}, for requests like this one)" if policy is not None else ""
    return _clip(f"{line}. Fix: {found.fix}" if found.fix else line, _LONGEST_LINE)


def _faults(faults: Sequence[Fault]) -> list[str]:
    """One line for each cause: what could not be read of an object is the fault of every check on it."""
    checks: dict[str, list[str]] = {}
    for fault in faults:
        checks.setdefault(fault.error, []).append(fault.check)
    return [
        f"{ids[0]}{f' and {len(ids) - 1} more' if ids[1:] else ''} could not be evaluated: {error}"
        for error, ids in checks.items()
    ]


def _reason(entry: Skipped) -> str:
    return f"{entry.check}: {entry.reason}" if entry.check else entry.reason


def annotations(verdict: Verdict) -> dict[str, str]:
    """Audit annotations: which checks said what, and which waivers; keys are qualified names without a slash."""
    said: dict[str, Sequence[_Entry]] = {
        "denied": verdict.denials,
        "warned": verdict.warnings,
        "observed": verdict.observed,
        "recorded": verdict.recorded,
        "faults": (*verdict.faults, *verdict.fault_denials),
        "incomplete": (*verdict.skipped, *verdict.incomplete_denials, *verdict.unsaid),
        "waived": [waived.found for waived in verdict.waived],
        **verdict.spared,
    }
    found = {key: _ids(entries) for key, entries in said.items() if entries}
    if verdict.waived:
        found["waivers"] = ",".join(sorted({waived.waiver for waived in verdict.waived})[:_MOST_NAMES])
    if verdict.bound_by:
        found["bound-by"] = ",".join(sorted({*verdict.bound_by.values()})[:_MOST_NAMES])
    if verdict.refusal:
        found["refused"] = _clip(verdict.refusal, _LONGEST_LINE)
    return found


def _ids(entries: Sequence[_Entry]) -> str:
    return ",".join(sorted({entry.check or OBJECT for entry in entries}))
