"""What OPA takes and the author of a rule cannot mean: the rule would find nothing, without a word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from iocaudit.engine.languages.rego.additions import tokens
from iocaudit.engine.languages.rego.preparer import ModuleFault
from iocaudit.engine.languages.rule import RegoSource

INPUT: Final = ("request", "review", "object", "parameters")
"""What a rule is handed."""
_FIELD = re.compile(r"(?<![\w.])input\.([A-Za-z_]\w*)")
_REPLACED = re.compile(r"\bwith\s+input\b")


def mistakes(source: RegoSource) -> Iterator[ModuleFault]:
    """The fields of ``input`` that are never there, in a rule or a library of it."""
    texts = (source.module, *source.libraries)
    if any(_REPLACED.search(text) for text in texts):
        return
    for number, text in enumerate(texts):
        for line, name in dict.fromkeys(_fields(text)):
            if name not in INPUT:
                message = (
                    f"input.{name} is never there: a rule is handed input.request (what it judges is "
                    "input.request.object), input.review and input.parameters"
                )
                column = text.splitlines()[line - 1].find(f"input.{name}") + 1
                yield ModuleFault(number, line, max(column, 1), message)


def _fields(text: str) -> Iterator[tuple[int, str]]:
    """The fields of ``input`` that a module reads by name, each with its line."""
    line = 1
    for token in tokens(text):
        if token[0] not in '"`':
            yield from ((line, name) for name in _FIELD.findall(token))
        line += token.count("\n")
