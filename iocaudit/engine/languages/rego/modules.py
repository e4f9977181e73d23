"""Files of Rego, or the keys of a ConfigMap, as rules: ``NAME.rego`` with deny or violation is rule ``rego-NAME``.

The others are libraries of those that refer to their packages. What a rule is called and how bad it is stands in OPA's
own annotations (``# METADATA``): ``title``, ``description``, and below ``custom`` ``name``, ``severity``, ``kinds``,
``iocs``, ``fix``, ``needs``, ``operations``, ``pod_templates`` and ``parameters``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, TypeVar

from iocaudit.core.errors import IocauditError
from iocaudit.core.kinds import CONNECTIONS, KINDS, SECRET, Kind
from iocaudit.core.kinds.ours import OURS
from iocaudit.core.request import Operation
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import mapping
from iocaudit.engine.fields import nearest
from iocaudit.engine.languages.rego.mistakes import mistakes
from iocaudit.engine.languages.rego.preparer import InspectedModule, ModuleFault, Preparer
from iocaudit.engine.languages.rule import Language, RegoSource, Rule
from iocaudit.engine.policy_kinds import KIND_GLOB, meant, names_of

SUFFIX: Final = ".rego"
_TESTS = "_test.rego"
_ID = re.compile(r"rego-[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST_ID = 46
_KIND = re.compile(r"[A-Z][A-Za-z0-9]*(\.[a-z0-9.-]+)?")
_MOST_FILES = 1000
_CUSTOM = ("name", "severity", "kinds", "iocs", "fix", "needs", "operations", "pod_templates", "parameters")
_Value = TypeVar("_Value")


class ModulesError(IocauditError):
    """A folder of modules cannot be used; names each file, the line and what is wrong, one a line."""


def read_folder(folder: Path, preparer: Preparer) -> list[Rule]:
    """The rules in the files of a folder and of those below it; tests (``*_test.rego``) are left out.

    Raises ModulesError, EngineMissingError, EngineError.
    """
    if not folder.is_dir():
        raise ModulesError(f"{folder}: there is no such folder")
    paths = [path for path in sorted(folder.rglob(f"*{SUFFIX}")) if path.is_file() and not path.name.endswith(_TESTS)]
    if not paths:
        raise ModulesError(f"{folder}: there are no files named *{SUFFIX} in it")
    if len(paths) > _MOST_FILES:
        raise ModulesError(f"{folder}: it holds more than {_MOST_FILES} files named *{SUFFIX}")
    texts: dict[str, str] = {}
    unread: dict[str, str] = {}
    for path in paths:
        try:
            texts[str(path)] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            unread[str(path)] = f"it cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
    rules, broken = _read(texts, preparer, lambda name: name)
    if problems := {**unread, **broken}:
        raise ModulesError("\n".join(_at_file(name, reason) for name, reason in sorted(problems.items())))
    if not rules:
        raise ModulesError(f"{folder}: no file in it is a rule: one has `deny contains msg if {{ … }}` (or violation)")
    return rules


def read_modules(texts: Mapping[str, str], where: str, preparer: Preparer) -> tuple[list[Rule], dict[str, str]]:
    """The rules in the data of a ConfigMap, whose keys end in ``.rego``; and by key why one cannot be used.

    ``where`` says where they stand, as ``ConfigMap registries``. A key that is a test (``*_test.rego``) is left out.
    Raises EngineMissingError, EngineError.
    """
    wrong = {key: f"a key of a module ends in {SUFFIX}" for key in texts if not key.endswith(SUFFIX)}
    modules = {key: one for key, one in sorted(texts.items()) if key not in wrong and not key.endswith(_TESTS)}
    rules, broken = _read(modules, preparer, lambda key: f"{where}, data[{key!r}]")
    return rules, {**wrong, **broken}


def _read(
    texts: Mapping[str, str], preparer: Preparer, place: Callable[[str], str]
) -> tuple[list[Rule], dict[str, str]]:
    names = list(texts)
    modules = dict(zip(names, preparer.inspect([texts[name] for name in names]), strict=True))
    problems = {name: _joined(one.faults) for name, one in modules.items() if one.faults}
    rules: dict[str, Rule] = {}
    libraries: dict[str, tuple[str, ...]] = {}
    for name, module in modules.items():
        if module.faults or not module.is_rule:
            continue
        used = _libraries(name, modules)
        try:
            rule = _rule(name, module, RegoSource(texts[name], tuple(texts[one] for one in used)), place(name))
            if rule.id in rules:
                raise _AnnotationError(f"{rule.id} is a rule of {rules[rule.id].where} as well: name one of them anew")
        except _AnnotationError as error:
            problems[name] = f"line {module.metadata.get('line', 1)}: {error}"
            continue
        rules[rule.id] = rule
        libraries[rule.id] = (name, *used)
    made = [(rule.id, rule.source) for rule in rules.values() if isinstance(rule.source, RegoSource)]
    for (rule_id, source), prepared in zip(made, preparer.prepare([one for _, one in made]), strict=True):
        sources = libraries[rule_id]
        faults = prepared.faults or tuple(mistakes(source))
        for fault in faults:
            name = sources[fault.source] if fault.source < len(sources) else sources[0]
            problems[name] = "; ".join(filter(None, (problems.get(name), str(fault._replace(source=0)))))
        if faults:
            problems.setdefault(sources[0], f"its library is broken: {'; '.join(map(str, faults))}")
            del rules[rule_id]
    return list(rules.values()), problems


def _libraries(name: str, modules: Mapping[str, InspectedModule]) -> list[str]:
    """The other modules of whose packages it makes use, directly or through others, and those of its own package."""
    found: list[str] = []
    left = [name]
    while left:
        one = modules[left.pop()]
        for other, module in modules.items():
            if other in found or other == name or not module.package or module.is_rule:
                continue
            if module.package == one.package or any(_meets(use, module.package) for use in one.uses):
                found.append(other)
                left.append(other)
    return sorted(found)


def _meets(use: str, package: str) -> bool:
    return use == package or use.startswith(f"{package}.") or package.startswith(f"{use}.")


class _AnnotationError(Exception):
    """What an annotation says is not usable."""


def _rule(name: str, module: InspectedModule, source: RegoSource, where: str) -> Rule:
    custom = mapping(module.metadata.get("custom"))
    for key in custom:
        if key not in _CUSTOM:
            hint = nearest(key, _CUSTOM, otherwise=f": known are {', '.join(_CUSTOM)}")
            raise _AnnotationError(f"custom.{key} is not known{hint}")
    title, description = _text(module.metadata, "title"), _text(module.metadata, "description")
    kinds = _list(custom, "kinds", _kinds_of)
    operations = _list(custom, "operations", _operation_of)
    asked = tuple(one for one in Rule.operations if one in operations)
    return Rule(
        id=_id(_text(custom, "name", "custom.") or Path(name).name.removesuffix(SUFFIX)),
        language=Language.REGO,
        source=source,
        kinds=_flat(kinds) or _judgeable(),
        severity=_severity(custom),
        where=where,
        title=title,
        description=description,
        fix=_text(custom, "fix", "custom."),
        iocs=tuple(_list(custom, "iocs", _ioc_of)),
        pod_templates=_flag(custom, "pod_templates", True),
        operations=asked or Rule.operations,
        needs=_flat(_list(custom, "needs", _kinds_of)),
        parameters=_parameters(custom),
    )


def _id(name: str) -> str:
    found = f"rego-{name.lower().replace('_', '-').replace('.', '-')}"
    if not _ID.fullmatch(found) or len(found) > _LONGEST_ID:
        raise _AnnotationError(
            f"{found} cannot be the id of a rule, which has lower-case words joined by '-', at most {_LONGEST_ID} "
            "characters: set custom.name"
        )
    return found


def _text(values: Mapping[str, Any], key: str, prefix: str = "") -> str:
    value = values.get(key)
    if value is not None and not isinstance(value, str):
        raise _AnnotationError(f"{prefix}{key} has to be text")
    return (value or "").strip()


def _flag(values: Mapping[str, Any], key: str, default: bool) -> bool:
    value = values.get(key, default)
    if not isinstance(value, bool):
        raise _AnnotationError(f"custom.{key} has to be true or false")
    return value


def _severity(custom: Mapping[str, Any]) -> Severity:
    value = custom.get("severity", Severity.HIGH.label)
    try:
        return Severity.parse(str(value))
    except ValueError as error:
        raise _AnnotationError(f"custom.severity: {error}") from error


def _list(custom: Mapping[str, Any], key: str, read: Callable[[Any], _Value]) -> list[_Value]:
    value = custom.get(key, [])
    if not isinstance(value, list):
        raise _AnnotationError(f"custom.{key} has to be a list")
    try:
        return [read(one) for one in value]
    except ValueError as error:
        raise _AnnotationError(f"custom.{key}: {error}") from error


def _judgeable() -> tuple[Kind, ...]:
    """The kinds that rules may be for: Secrets are never read."""
    return tuple(kind for kind in dict.fromkeys(KINDS.values()) if kind not in {*CONNECTIONS, *OURS, SECRET})


def _kinds_of(value: Any) -> list[Kind]:
    """``Deployment``, ``Deployment.apps`` or a glob; raises ValueError."""
    if not isinstance(value, str) or not KIND_GLOB.fullmatch(value):
        raise ValueError(f"{value!r} is not a kind: write Pod, Deployment.apps or a glob such as *")
    known = _judgeable()
    # Without what holds a template of it: pod_templates says whether the pods of templates are judged.
    if found := [kind for kind in known if any(fnmatchcase(name, value) for name in names_of([kind]))]:
        return found
    name, _, group = value.partition(".")
    if slip := meant(value, known):
        raise ValueError(f"{value!r} is not a kind (did you mean {slip}? else write it with its group: {value}.GROUP)")
    if name == SECRET.name or not _KIND.fullmatch(value):
        raise ValueError(f"{value!r} is not a kind that an auditor reads{nearest(value, names_of(known))}")
    return [Kind(group, "", name, f"{name.lower()}s")]


def _operation_of(value: Any) -> Operation:
    if value not in Rule.operations:
        raise ValueError(f"{value!r} is not one of {', '.join(Rule.operations)}")
    return Operation(value)


def _ioc_of(value: Any) -> IoC:
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return IoC(value)
    except ValueError:
        pass
    raise ValueError(f"{value!r} is not the number of an indicator (1 to {len(IoC)})")


def _parameters(custom: Mapping[str, Any]) -> Mapping[str, Any]:
    value = custom.get("parameters", {})
    if not isinstance(value, dict):
        raise _AnnotationError("custom.parameters has to be a map")
    return value


def _flat(kinds: Sequence[Sequence[Kind]]) -> tuple[Kind, ...]:
    return tuple(dict.fromkeys(kind for several in kinds for kind in several))


def _joined(faults: Sequence[ModuleFault]) -> str:
    return "; ".join(str(fault._replace(source=0)) for fault in faults)


_LINE = re.compile(r"line (\d+)(?:, column (\d+))?: ")


def _at_file(name: str, reason: str) -> str:
    """``file:line:column: reason`` where the reason begins with a line."""
    found = _LINE.match(reason)
    if not found:
        return f"{name}: {reason}"
    place = ":".join(filter(None, found.groups()))
    return f"{name}:{place}: {reason[found.end() :]}"
