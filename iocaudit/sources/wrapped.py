"""What an object that wraps others makes of them before they are applied.

Source: the OpenShift documentation, "Using templates": ``${NAME}`` stands for a parameter's value inside a string,
``${{NAME}}`` for a whole value that need not be a string.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from iocaudit.core.shape import Json, mappings, text
from iocaudit.sources.yaml_scalars import ScalarError, plain

_PART = re.compile(r"\$\{([A-Za-z0-9_]+)\}")
_WHOLE = re.compile(r"\$\{\{([A-Za-z0-9_]+)\}\}")


def filled(inner: Json, outer: Json) -> Json:
    """An object of an OpenShift Template with the values that its parameters have by default; any other as it is.

    A parameter without a value stays what it is: a gap that anyone who processes the template has to fill.
    """
    if outer.get("kind") != "Template":
        return inner
    values = {
        text(one.get("name")): one["value"]
        for one in mappings(outer.get("parameters"))
        if isinstance(one.get("value"), str) and one["value"]
    }
    done = _ValueFiller(values).of(inner) if values else inner
    return done if isinstance(done, dict) else inner


class _ValueFiller:
    """Puts values in, as long as what comes out stays of a size that someone may have meant."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._left = _MOST_CHARACTERS

    def of(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self.of(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self.of(one) for one in value]
        if not isinstance(value, str) or "${" not in value:
            return value
        whole = _WHOLE.fullmatch(value)
        if whole is None:
            return _PART.sub(lambda found: self._value(found[1], found[0]), value)
        given = self._value(whole[1], value)
        try:
            return given if given is value else plain(given)
        except ScalarError:
            return given

    def _value(self, name: str, gap: str) -> str:
        given = self._values.get(name, gap)
        self._left -= len(given)
        return given if self._left >= 0 else gap


_MOST_CHARACTERS = 1_000_000
