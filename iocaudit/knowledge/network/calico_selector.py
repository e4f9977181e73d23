"""Calico's selector expressions, such as ``role == 'db' && !has(legacy)``.

    or  := and ("||" and)*
    and := op ("&&" op)*
    op  := "!"* ( has(L) | all() | global() | "(" or ")"
         | L ("==" | "!=" | contains | starts with | ends with) STR
         | L (in | not in) "{" [STR ("," STR)*] "}" )
    L   := [A-Za-z0-9_./-]{1,512}      STR := '…' or "…", without escapes

Only space and tab are white space; ``has(``, ``all(`` and ``global(`` are contiguous, the space in ``starts with``,
``ends with`` and ``not in`` may be left out; a list may end in a comma. ``!=`` and ``not in`` hold where the label is
absent. An empty expression means ``all()``. Text and program are walked without recursion, so no nesting is
too deep and the work is linear in the text.

Source: the reference documentation of GlobalNetworkPolicy, and libcalico-go's tokenizer, parser and their tests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from iocaudit.core.errors import IocauditError
from iocaudit.core.shape import Labels
from iocaudit.knowledge.network.selectors import Anchors

LONGEST = 1024
"""The longest expression the API accepts, in characters."""

_SPACE = re.compile(r"[ \t]*")
_CALL = re.compile(r"(has|all|global)\([ \t]*(?:([A-Za-z0-9_./-]{1,512})[ \t]*)?\)")
_CALL_HEAD = re.compile(r"(?:has|all|global)\(")
_LABEL = re.compile(r"[A-Za-z0-9_./-]+")
_MOST_LABEL = 512
_OPERATOR = re.compile(r"==|!=|contains|starts[ \t]*with|ends[ \t]*with|not[ \t]*in|in")
_STRING = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_BINDS = {"||": 1, "&&": 2, "!": 3}


class SelectorSyntaxError(IocauditError):
    """A selector expression does not follow the grammar; says where and what was expected."""


@dataclass(frozen=True, slots=True)
class SelectorStep:
    """One step of the program in postfix order.

    A predicate has a ``key`` and ``values`` (``all`` and ``global`` have neither); ``!``, ``&&`` and ``||`` take
    their operands from the stack.
    """

    operator: str
    key: str = ""
    values: tuple[str, ...] = ()

    def holds(self, labels: Labels) -> bool:
        """Whether the predicate holds."""
        value = labels.get(self.key)
        match self.operator:
            case "==":
                return value == self.values[0]
            case "!=":
                return value != self.values[0]
            case "in":
                return value is not None and value in self.values
            case "not in":
                return value not in self.values
            case "has":
                return value is not None
            case "contains":
                return value is not None and self.values[0] in value
            case "starts with":
                return value is not None and value.startswith(self.values[0])
            case "ends with":
                return value is not None and value.endswith(self.values[0])
            case _:
                return True

    def __str__(self) -> str:
        match self.operator:
            case "all" | "global":
                return f"{self.operator}()"
            case "has":
                return f"has({self.key})"
            case "in" | "not in":
                return f"{self.key} {self.operator} {{{', '.join(map(_quoted, self.values))}}}"
            case _:
                return f"{self.key} {self.operator} {_quoted(self.values[0])}"


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression. ``str()`` gives it back in one spelling, fully bracketed."""

    program: tuple[SelectorStep, ...]

    def matches(self, labels: Labels) -> bool:
        stack: list[bool] = []
        for step in self.program:
            match step.operator:
                case "!":
                    stack.append(not stack.pop())
                case "&&":
                    right, left = stack.pop(), stack.pop()
                    stack.append(left and right)
                case "||":
                    right, left = stack.pop(), stack.pop()
                    stack.append(left or right)
                case _:
                    stack.append(step.holds(labels))
        return stack.pop()

    def matches_all(self, known: Labels) -> bool:
        """Kleene's logic: a predicate on a label that is not known is neither true nor false."""
        stack: list[bool | None] = []
        for step in self.program:
            match step.operator:
                case "!":
                    operand = stack.pop()
                    stack.append(None if operand is None else not operand)
                case "&&" | "||" as operator:
                    decides = operator == "||"
                    pair = (stack.pop(), stack.pop())
                    if decides in pair:
                        stack.append(decides)
                    else:
                        stack.append(None if None in pair else not decides)
                case "all" | "global":
                    stack.append(True)
                case _:
                    stack.append(step.holds(known) if step.key in known else None)
        return stack.pop() is True

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(step.key for step in self.program if step.key)

    @property
    def anchors(self) -> Anchors:
        stack: list[Anchors] = []
        for step in self.program:
            match step.operator:
                case "!":
                    stack[-1] = None
                case "&&":
                    right, left = stack.pop(), stack.pop()
                    stack.append(_narrower(left, right))
                case "||":
                    right, left = stack.pop(), stack.pop()
                    stack.append(None if left is None or right is None else left + right)
                case "==" | "in":
                    stack.append(((step.key, frozenset(step.values)),))
                case "has" | "contains" | "starts with" | "ends with":
                    stack.append(((step.key, None),))
                case _:
                    stack.append(None)
        return stack.pop()

    def __str__(self) -> str:
        stack: list[str] = []
        for step in self.program:
            match step.operator:
                case "!":
                    stack.append("!" + stack.pop())
                case "&&" | "||" as operator:
                    right, left = stack.pop(), stack.pop()
                    stack.append(f"({left} {operator} {right})")
                case _:
                    stack.append(str(step))
        return stack.pop()


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression:
    """Read an expression; raises SelectorSyntaxError naming the position of the mistake."""
    if len(text) > LONGEST:
        raise SelectorSyntaxError(f"a selector of {len(text)} characters: at most {LONGEST} are accepted")
    program: list[SelectorStep] = []
    pending: list[str] = []
    at = _skip(text, 0)
    if at == len(text):
        return Expression((SelectorStep("all"),))
    wants_operand = True
    while at < len(text):
        token = text[at : at + 2] if text[at] in "&|" else text[at]
        if wants_operand:
            if token in ("!", "("):
                pending.append(token)
                at += 1
            else:
                step, at = _predicate(text, at)
                program.append(step)
                wants_operand = False
        elif token == ")":
            _reduce(program, pending, 0)
            if not pending:
                raise _expected(text, at, "no ')', as none is open")
            pending.pop()
            at += 1
        elif token in ("&&", "||"):
            _reduce(program, pending, _BINDS[token])
            pending.append(token)
            wants_operand = True
            at += 2
        else:
            raise _expected(text, at, "'&&', '||' or ')'")
        at = _skip(text, at)
    if wants_operand:
        raise _expected(text, at, "an operation")
    _reduce(program, pending, 0)
    if pending:
        raise _expected(text, at, "')'")
    return Expression(tuple(program))


def _reduce(program: list[SelectorStep], pending: list[str], binds: int) -> None:
    """Emit the operators that bind at least so tightly, back to the nearest open bracket."""
    while pending and pending[-1] != "(" and _BINDS[pending[-1]] >= binds:
        program.append(SelectorStep(pending.pop()))


def _predicate(text: str, at: int) -> tuple[SelectorStep, int]:
    if _CALL_HEAD.match(text, at):
        call = _CALL.match(text, at)
        if call is None or (call[1] == "has") != (call[2] is not None):
            raise _expected(text, at, "has(label), all() or global()")
        return SelectorStep(call[1], call[2] or ""), call.end()
    label = _LABEL.match(text, at)
    if label is None or len(label[0]) > _MOST_LABEL:
        raise _expected(text, at, f"a label of at most {_MOST_LABEL} characters, '!', '(' or an operation")
    key, at = label[0], _skip(text, label.end())
    found = _OPERATOR.match(text, at)
    if found is None:
        raise _expected(text, at, "an operator after the label")
    operator, at = _OPERATORS[found[0].replace(" ", "").replace("\t", "")], _skip(text, found.end())
    if operator in ("in", "not in"):
        values, at = _set(text, at)
    else:
        value, at = _string(text, at)
        values = (value,)
    return SelectorStep(operator, key, values), at


_OPERATORS = {
    "==": "==",
    "!=": "!=",
    "contains": "contains",
    "startswith": "starts with",
    "endswith": "ends with",
    "in": "in",
    "notin": "not in",
}


def _set(text: str, at: int) -> tuple[tuple[str, ...], int]:
    if text[at : at + 1] != "{":
        raise _expected(text, at, "'{'")
    values: list[str] = []
    at = _skip(text, at + 1)
    while text[at : at + 1] in ("'", '"'):
        value, at = _string(text, at)
        values.append(value)
        at = _skip(text, at)
        if text[at : at + 1] != ",":
            break
        at = _skip(text, at + 1)
    if text[at : at + 1] != "}":
        raise _expected(text, at, "a quoted text or '}'")
    return tuple(sorted(set(values))), at + 1


def _string(text: str, at: int) -> tuple[str, int]:
    found = _STRING.match(text, at)
    if found is None:
        raise _expected(text, at, "a quoted text")
    return found[1] if found[1] is not None else found[2], found.end()


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _expected(text: str, at: int, what: str) -> SelectorSyntaxError:
    return SelectorSyntaxError(f"at {at} of {text!r}: expected {what}")


def _quoted(value: str) -> str:
    return f"'{value}'" if '"' in value else f'"{value}"'


def _narrower(one: Anchors, other: Anchors) -> Anchors:
    """Of two conditions that both hold, the one that fewer labels meet."""
    if one is None or other is None:
        return one if other is None else other
    return min(one, other, key=_width)


def _width(anchors: Anchors) -> float:
    return sum(float("inf") if values is None else len(values) for _, values in anchors or ())
