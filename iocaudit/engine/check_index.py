"""The declarations of the checks without their code: a scan imports only the checks that it calls.

Importing all of them is the dearest part of a short scan. ``checks/index.json`` is generated from the declarations by
``make gen``; a test holds the two equal. Processes that run for long take the declarations themselves.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

import orjson

from iocaudit.core.check import Check, CheckDoc, CheckFunction
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import CONNECTIONS, KINDS, Kind
from iocaudit.core.parameters import Parameter
from iocaudit.core.place import Place
from iocaudit.core.request import Operation
from iocaudit.core.severity import IoC, Severity

_KINDS: dict[str, Kind] = {f"{kind.group}/{kind.name}": kind for kind in (*KINDS.values(), *CONNECTIONS)}
_KIND_FIELDS = ("looks_at", "needs", "uses", "in_files", "in_audits")
_TUPLES = ("aliases", "fields", "takes")
_PLAIN = ("id", "group", "controls", "profile", "audit_only", "admission_only", "denied_by_guard")


class LazyCheck:
    """What judges for a check of the index: its module is imported when it is called or its documentation is read."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name
        self._function: CheckFunction | None = None

    def load(self) -> Check:
        """The check as it is declared."""
        declared: Check = getattr(importlib.import_module(self._module), self._name)
        return declared

    def text(self) -> str:
        return self.load().doc.text

    def __call__(self, *args: Any, **kwargs: Any) -> Iterator[Hit | Skip]:
        if self._function is None:
            self._function = self.load().evaluate
        return self._function(*args, **kwargs)


def indexed() -> Iterator[Check]:
    """Every check of the index, its module not yet imported."""
    data = pkgutil.get_data("checks", "index.json")
    assert data is not None, "the index is part of the package"
    for entry in orjson.loads(data):
        yield _check(entry)


def _check(entry: dict[str, Any]) -> Check:
    given: dict[str, Any] = {name: entry[name] for name in _PLAIN}
    given |= {name: tuple(entry[name]) for name in _TUPLES}
    given |= {name: tuple(_KINDS[kind] for kind in entry[name]) for name in _KIND_FIELDS}
    lazy = LazyCheck(*entry["function"])
    return Check(
        **given,
        evaluate=lazy,
        doc=CheckDoc(lazy.text),
        severity=Severity(entry["severity"]),
        worst=Severity(entry["worst"]),
        iocs=tuple(map(IoC, entry["iocs"])),
        operations=tuple(map(Operation, entry["operations"])),
        implies={Place[place]: tuple(ids) for place, ids in entry["implies"].items()},
        parameters=tuple(Parameter(**{**one, "unless": tuple(one["unless"])}) for one in entry["parameters"]),
    )


def index_of(checks: Iterable[Check]) -> bytes:
    """The text of the index. Raises TypeError for a declaration that JSON cannot hold."""
    entries = [_entry(check) for check in sorted(checks, key=lambda check: check.id)]
    return b"[\n" + b",\n".join(orjson.dumps(entry, option=orjson.OPT_SORT_KEYS) for entry in entries) + b"\n]\n"


def _entry(check: Check) -> dict[str, Any]:
    function = check.evaluate
    assert inspect.isfunction(function), "the index is of checks that are functions"
    entry = {
        **{name: getattr(check, name) for name in (*_PLAIN, *_TUPLES)},
        **{name: [f"{kind.group}/{kind.name}" for kind in getattr(check, name)] for name in _KIND_FIELDS},
        "severity": int(check.severity),
        "worst": int(check.worst),
        "iocs": [int(ioc) for ioc in check.iocs],
        "operations": check.operations,
        "implies": {place.name: ids for place, ids in check.implies.items()},
        "parameters": [
            {field.name: getattr(one, field.name) for field in fields(Parameter)} for one in check.parameters
        ],
        "function": [function.__module__, function.__name__],
    }
    kept = {field.name for field in fields(Check)} - {"evaluate", "doc"} | {"function"}
    assert entry.keys() == kept, "a field of Check that the index leaves out"
    return entry
