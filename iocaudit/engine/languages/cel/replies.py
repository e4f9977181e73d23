"""What iocaudit-cel replies, as answers of rules and as what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from iocaudit.core.shape import Json, integer, items, lookup, mapping, mappings, text
from iocaudit.engine.languages.answer import RuleAnswer, RuleFailure, Violation
from iocaudit.engine.languages.evaluator import EngineError


def read_answers(reply: Json, ids: Sequence[str]) -> Mapping[str, RuleAnswer]:
    """The answers to a question for these rules, which are in the order of the question.

    Raises EngineError where it is something else than one answer a rule.
    """
    if failure := text(reply.get("failure")):
        raise EngineError(failure)
    answers = items(reply.get("answers"))
    if len(answers) != len(ids) or not all(isinstance(one, dict) for one in answers):
        raise EngineError(f"{len(answers)} answers came to {len(ids)} rules")
    return {rule: read_answer(one) for rule, one in zip(ids, answers, strict=True)}


def read_answer(answer: Json) -> RuleAnswer:
    """What one rule answered.

    An expression that cannot be evaluated is a failure, which ``onFault`` judges. Where others of the same rule are
    false, the object is bad all the same: then what failed stands among the violations, as it is denied with them by
    the API server.
    """
    if failure := text(answer.get("failure")):
        return RuleFailure(failure)
    violations = [Violation(text(one.get("message"))) for one in mappings(answer.get("violations"))]
    errors = [f"validations[{integer(one.get('validation'))}]: {text(one.get('message'))}" for one in _errors(answer)]
    if not violations and errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        return RuleFailure(errors[0] + more)
    return (*violations, *(Violation(f"cannot be evaluated: {one}") for one in errors))


def _errors(answer: Json) -> list[Json]:
    return mappings(answer.get("errors"))


def read_broken(reply: Json) -> Mapping[str, str]:
    """By id, why each rule that is broken is. Raises EngineError where nothing was compiled."""
    if failure := text(reply.get("failure")):
        raise EngineError(failure)
    return {
        rule: "; ".join(_fault(one) for one in mappings(faults)) or "it does not compile"
        for rule, faults in mapping(reply.get("broken")).items()
    }


def _fault(fault: Json) -> str:
    line, column = integer(lookup(fault, "line")) or 0, integer(lookup(fault, "column")) or 0
    place = f":{line}:{column}" if line > 0 else ""
    return f"{text(fault.get('field'))}{place}: {text(fault.get('message'))}"
