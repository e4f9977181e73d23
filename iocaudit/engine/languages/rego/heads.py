"""The heads of rules that OPA refuses with words about something else: the two syntaxes of Rego are easily mixed."""

from __future__ import annotations

import re
from typing import NamedTuple

_NO_IF = re.compile(r"^\s*(deny|violation)\s+contains\b(?!.*\bif\b).*\{\s*$")
_NOT_A_SET = re.compile(r"^\s*(deny|violation)\s*(if\b\s*)?\{")


class MisreadHead(NamedTuple):
    """The line of a head, and what to write there."""

    line: int
    message: str


def misread_head(text: str) -> MisreadHead | None:
    """The first head in a module that cannot be compiled which is in neither syntax."""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _NO_IF.match(line):
            return MisreadHead(number, f"`if` is missing before the body: `{found[1]} contains msg if {{ … }}`")
        if found := _NOT_A_SET.match(line):
            said = f"{found[1]} has to be a set of messages: `{found[1]} contains msg if {{ … }}`"
            return MisreadHead(number, said)
    return None
