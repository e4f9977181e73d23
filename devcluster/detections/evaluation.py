"""Whether a rule of Falco holds for an event: enough of its engine to run each rule on a sample that fires.

An event is its fields by name, with their argument as a rule writes it (``proc.aname[2]``). A field that is absent
makes every comparison false, also ``!=``. Source: falcosecurity/libs 0.22.1, userspace/libsinsp/filter_compare.cpp.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import os.path
import re
from collections.abc import Callable, Mapping

from devcluster.detections.condition import Comparison, EventField, Junction, MacroName, RuleCondition
from devcluster.detections.rule_file import RuleFile

FalcoEvent = Mapping[str, object]
_NETWORKS = frozenset({"fd.net", "fd.cnet", "fd.snet", "fd.lnet", "fd.rnet"})
_ANCESTORS = ("proc.aname", "proc.aexe", "proc.aexepath", "proc.acmdline")


def holds(file: RuleFile, condition: RuleCondition, event: FalcoEvent) -> bool:
    """Whether a condition of the file is true of the event."""
    if isinstance(condition, MacroName):
        return holds(file, file.macros[condition.name], event)
    if isinstance(condition, Junction):
        if condition.operator == "not":
            return not holds(file, condition.parts[0], event)
        join = all if condition.operator == "and" else any
        return join(holds(file, part, event) for part in condition.parts)
    return _compares(file, condition, event)


def _compares(file: RuleFile, one: Comparison, event: FalcoEvent) -> bool:
    found = _values(one.field, event)
    if not found or one.operator == "exists":
        return bool(found)
    wanted = _values(one.other, event) if one.other else file.values(one.values)
    compare = _OPERATORS[one.operator]
    if one.field.name in _NETWORKS:
        compare = _in_network if one.operator != "!=" else lambda value, net: not _in_network(value, net)
    if one.operator == "in" and not one.field.name.startswith(_ANCESTORS):
        return all(any(compare(value, each) for each in wanted) for value in found)
    return any(compare(value, each) for value in found for each in wanted)


def _values(field: EventField, event: FalcoEvent) -> tuple[str, ...]:
    key = field.name if field.argument is None else f"{field.name}[{field.argument}]"
    raw = event.get(key)
    values = raw if isinstance(raw, list) else [] if raw is None else [raw]
    texts = [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    for transformer in reversed(field.transformers):
        texts = [_TRANSFORMERS[transformer](text) for text in texts]
    return tuple(texts)


def _in_network(value: str, network: str) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(network, strict=False)


def _is_below(path: str, prefix: str) -> bool:
    """As ``pmatch``: the path itself, or one below it, by whole names."""
    return prefix == "/" or path == prefix or path.startswith(prefix.rstrip("/") + "/")


_TRANSFORMERS: dict[str, Callable[[str], str]] = {
    "tolower": str.lower,
    "toupper": str.upper,
    "basename": os.path.basename,
    "len": lambda text: str(len(text)),
    "val": lambda text: text,
}
_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "=": str.__eq__,
    "==": str.__eq__,
    "!=": str.__ne__,
    "<": lambda value, bound: float(value) < float(bound),
    "<=": lambda value, bound: float(value) <= float(bound),
    ">": lambda value, bound: float(value) > float(bound),
    ">=": lambda value, bound: float(value) >= float(bound),
    "contains": lambda value, part: part in value,
    "icontains": lambda value, part: part.lower() in value.lower(),
    "startswith": str.startswith,
    "endswith": str.endswith,
    "glob": fnmatch.fnmatchcase,
    "iglob": lambda value, pattern: fnmatch.fnmatchcase(value.lower(), pattern.lower()),
    "regex": lambda value, pattern: re.fullmatch(pattern, value) is not None,
    "in": str.__eq__,
    "intersects": str.__eq__,
    "pmatch": _is_below,
}
