"""A rule file of Falco: read, with its macros and lists, and held to the schema and to the fields of Falco 0.42."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from devcluster.detections.condition import ConditionError, EventField, MacroName, RuleCondition, read_condition, walk

_FOLDER = Path(__file__).parent
_OUTPUT_FIELD = re.compile(r"%([a-zA-Z][a-zA-Z0-9_]*(?:\.[a-zA-Z][a-zA-Z0-9_]*)+)(?:\[([^\]]*)\])?")
_NAMED_ARGUMENT = re.compile(r"(evt\.(?:arg|rawarg))\.[a-z_]+")
_EVENT_TYPE = "evt.type"


class RuleFileError(ValueError):
    """A rule file that cannot be read; names the file, and the place in it."""


@dataclass(frozen=True, slots=True)
class FalcoRule:
    """A rule, as it stands in the file, and its condition."""

    name: str
    condition: RuleCondition
    output: str
    priority: str
    source: str
    is_enabled: bool
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuleFile:
    """What a file declares. ``engine`` is the version it asks for, ``plugins`` the versions of each by name."""

    name: str
    engine: str
    plugins: dict[str, str]
    lists: dict[str, tuple[str, ...]]
    macros: dict[str, RuleCondition]
    rules: tuple[FalcoRule, ...]

    def values(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Values with the items of a list in the place of its name."""
        return tuple(
            value for name in names for value in (self.values(self.lists[name]) if name in self.lists else (name,))
        )


def read_rules(path: Path) -> RuleFile:
    """The file. Raises RuleFileError where the schema or the grammar of conditions is not kept."""
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RuleFileError(f"{path.name}: not valid YAML: {error}") from error
    for number, entry in enumerate(entries if isinstance(entries, list) else [], start=1):
        for wrong in _schema("rule" if isinstance(entry, dict) and "rule" in entry else "").iter_errors(entry):
            raise RuleFileError(f"{path.name}: entry {number}: {wrong.message}")
    if not isinstance(entries, list) or not entries:
        raise RuleFileError(f"{path.name}: a rule file is a list")
    return _file(path.name, entries)


@cache
def _schema(definition: str) -> Draft202012Validator:
    """For one entry; of a rule alone, the message says what is wrong with it."""
    schema = json.loads((_FOLDER / "falco_rules.schema.json").read_text(encoding="utf-8"))
    asked = schema["$defs"][definition] if definition else schema["items"]
    return Draft202012Validator({"$defs": schema["$defs"], **asked})


def _file(name: str, entries: list[dict[str, Any]]) -> RuleFile:
    seen: set[tuple[str, str]] = set()
    found = RuleFile(name, "", {}, {}, {}, ())
    rules: list[FalcoRule] = []
    engine = ""
    for entry in entries:
        kind = next(iter(entry))
        if kind == "required_engine_version":
            engine = entry[kind]
        elif kind == "required_plugin_versions":
            found.plugins.update({one["name"]: one["version"] for one in entry[kind]})
        else:
            if (kind, entry[kind]) in seen:
                raise RuleFileError(f"{name}: {kind} {entry[kind]!r} stands there twice")
            seen.add((kind, entry[kind]))
        if kind == "list":
            found.lists[entry[kind]] = tuple(str(item).strip("\"'") for item in entry["items"])
        elif kind == "macro":
            found.macros[entry[kind]] = _condition(name, entry, kind)
        elif kind == "rule":
            rules.append(_rule(name, entry))
    return RuleFile(name, engine, found.plugins, found.lists, found.macros, tuple(rules))


def _rule(name: str, entry: dict[str, Any]) -> FalcoRule:
    return FalcoRule(
        entry["rule"],
        _condition(name, entry, "rule"),
        entry["output"],
        entry["priority"],
        entry["source"],
        entry.get("enabled", True),
        tuple(entry["tags"]),
    )


def _condition(name: str, entry: dict[str, Any], kind: str) -> RuleCondition:
    try:
        return read_condition(entry["condition"])
    except ConditionError as error:
        raise RuleFileError(f"{name}: {kind} {entry[kind]!r}: condition, {error}") from error


@cache
def known_fields() -> dict[str, Any]:
    """What Falco 0.42 and its plugins give: for each field whether it takes an argument (``required``, ``allowed``)."""
    found: dict[str, Any] = json.loads((_FOLDER / "falco_fields.json").read_text(encoding="utf-8"))
    return found


def problems(file: RuleFile) -> list[str]:
    """What Falco 0.42 would refuse or warn of when it loads the file, and names that nothing uses."""
    found = list(_of_requirements(file))
    used: set[str] = set()
    for rule in file.rules:
        found += [f"rule {rule.name!r}: {one}" for one in _of_rule(file, rule, used)]
    unused = sorted((set(file.macros) | set(file.lists)) - used)
    return found + [f"{name} is not used" for name in unused]


def _of_requirements(file: RuleFile) -> Iterator[str]:
    fields = known_fields()
    if not file.engine or _numbers(file.engine) > _numbers(fields["engine"]):
        yield f"required_engine_version must be given, and at most {fields['engine']}"
    for name, version in file.plugins.items():
        if name not in fields["plugins"] or _numbers(version) > _numbers(fields["plugins"][name]["version"]):
            yield f"plugin {name} {version} is not one whose fields are known"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _of_rule(file: RuleFile, rule: FalcoRule, used: set[str]) -> Iterator[str]:
    fields: list[EventField] = []
    yield from _of_condition(file, rule.condition, fields, used, ())
    if rule.source == "syscall" and _EVENT_TYPE not in {one.name for one in fields}:
        yield "no evt.type in the condition: Falco would try every event"
    fields += [EventField(name, argument or None) for name, argument in _OUTPUT_FIELD.findall(rule.output)]
    for field in fields:
        yield from _of_field(file, rule.source, field)


def _of_condition(
    file: RuleFile, condition: RuleCondition, fields: list[EventField], used: set[str], inside: tuple[str, ...]
) -> Iterator[str]:
    for one in walk(condition):
        if isinstance(one, MacroName):
            used.add(one.name)
            if one.name in inside:
                yield f"macro {one.name} calls itself"
            elif one.name not in file.macros:
                yield f"macro {one.name} is not declared in the file"
            else:
                yield from _of_condition(file, file.macros[one.name], fields, used, (*inside, one.name))
            continue
        fields += [one.field, *([one.other] if one.other else [])]
        if one.named and one.values[0] not in file.lists:
            yield f"list {one.values[0]} is not declared in the file"
        _use_lists(file, one.values, used)


def _use_lists(file: RuleFile, values: tuple[str, ...], used: set[str]) -> None:
    for name in values:
        if name in file.lists and name not in used:
            used.add(name)
            _use_lists(file, file.lists[name], used)


def _of_field(file: RuleFile, source: str, field: EventField) -> Iterator[str]:
    known = known_fields()
    named = _NAMED_ARGUMENT.fullmatch(field.name)
    name = named[1] if named else field.name
    if name in known["deprecated"]:
        yield f"field {name} says nothing since Falco {known['falco']}"
    places = [
        known["sources"][source],
        *(known["plugins"][one]["fields"] for one in file.plugins if one in known["plugins"]),
    ]
    argument = next((place[name] for place in places if name in place), None)
    if argument is None:
        yield f"field {name} is not one of Falco {known['falco']} or of the plugins that the file requires"
    elif argument == "required" and field.argument is None and not named:
        yield f"field {name} needs an argument"
    elif not argument and field.argument is not None:
        yield f"field {name} takes no argument"
