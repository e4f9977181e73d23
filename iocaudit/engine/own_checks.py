"""Checks of other packages that are installed beside us: those behind the entry points of group ``iocaudit.checks``.

They are in the catalogue like the product's own, so documentation, SARIF rules, privileges and watches follow from
their declarations. A broken one stops the start: a guard that is thought to stand and does not is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from iocaudit.core.check import OWN_PREFIX, Check
from iocaudit.core.errors import CatalogueError
from iocaudit.core.kinds import CONNECTIONS, KINDS
from iocaudit.core.severity import IoC, Severity
from iocaudit.engine.check_packages import GROUP

_GROUP_NAME = re.compile(r"[a-z][a-z0-9]{0,29}(-[a-z0-9]{1,15}){0,2}")


class OwnCheckError(CatalogueError):
    """A package's checks cannot be used; names the package, the entry point and what to do. Stops the start."""


def own_checks(taken: Collection[str]) -> list[Check]:
    """The checks of installed packages; ``taken`` are the ids and aliases that they may not have.

    Raises OwnCheckError, with a line for each mistake.
    """
    found: list[Check] = []
    wrong: list[str] = []
    owners = dict.fromkeys(taken, "the product")
    for point in sorted(entry_points(group=GROUP), key=lambda one: (one.name, one.value)):
        source = _source(point)
        try:
            loaded = list(_loaded(point))
        except OwnCheckError as error:
            wrong.append(f"{source}: {error}")
            continue
        for check in loaded:
            problems = _all_problems(check, owners)
            wrong += (f"{source}: check {check.id!r}: {problem}" for problem in problems)
            if not problems:
                owners |= dict.fromkeys((check.id, *check.aliases), source)
                found.append(check)
    if not wrong:
        wrong = [
            f"{owners[check.id]}: check {check.id!r}: it implies {other!r}, which is not the id of a check"
            for check in found
            for other in sorted(set(check.implied) - set(owners))
        ]
    if wrong:
        raise OwnCheckError("\n".join([*wrong, "mend these packages, or uninstall them"]))
    return found


def _source(point: EntryPoint) -> str:
    package = f"package {point.dist.name} {point.dist.version}" if point.dist is not None else "a package"
    return f"{package}, entry point {point.name} = {point.value}"


def _loaded(point: EntryPoint) -> Iterator[Check]:
    """The checks that an entry point names: a module's own, a list's, or the one check."""
    try:
        value = point.load()
    except CatalogueError as error:
        raise OwnCheckError(str(error)) from error
    except (Exception, SystemExit) as error:
        raise OwnCheckError(f"cannot be imported: {type(error).__name__}: {error}") from error
    if isinstance(value, Check):
        yield value
        return
    listed = isinstance(value, list | tuple)
    values = value if listed else vars(value).values() if hasattr(value, "__dict__") else ()
    checks = [one for one in values if isinstance(one, Check)]
    if listed and len(checks) != len(value):
        raise OwnCheckError("names a list in which not all is a check")
    if not checks:
        raise OwnCheckError("holds no check: name a module with functions under @check, or a list of them")
    yield from {id(one): one for one in checks}.values()


def _all_problems(check: Check, owners: Mapping[str, str]) -> list[str]:
    try:
        return [*_problems(check), *_clashes(check, owners)]
    except Exception as error:  # noqa: BLE001  a declaration may hold values of any type
        return [f"its declaration cannot be read: {type(error).__name__}: {error}"]


def _problems(check: Check) -> Iterator[str]:
    """What is wrong with a declaration that is not one of the product's."""
    for name in (check.id, *check.aliases):
        if not name.startswith(OWN_PREFIX):
            yield f"{name!r} has to begin with {OWN_PREFIX}: all other ids are the product's, now and later"
    yield from check.problems()
    if not _GROUP_NAME.fullmatch(check.group):
        yield f"its group {check.group!r} is not lower-case words joined by '-'"
    if not all(isinstance(ioc, IoC) for ioc in check.iocs) or not isinstance(check.severity, Severity):
        yield "severity is a Severity, and iocs are of IoC"
    kinds = {*check.looks_at, *check.needs, *check.uses, *check.in_files, *check.in_audits}
    unread = sorted(str(kind) for kind in kinds if KINDS.get(kind.key) != kind and kind not in CONNECTIONS)
    if unread:
        yield f"{', '.join(unread)} is not a kind that iocaudit reads: take those of iocaudit.core.kinds"
    yield from _problems_of_controls(check)
    for parameter in check.parameters:
        if (problem := _problem_of_schema(parameter.schema)) is not None:
            yield f"parameter {parameter.name!r}: its schema is not a JSON schema: {problem}"


def _problems_of_controls(check: Check) -> Iterator[str]:
    from iocaudit.knowledge.controls import controls_of

    try:
        list(controls_of(check.controls))
    except KeyError as error:
        yield f"controls: {error.args[0]!r} is not a framework or a control that iocaudit knows"


def _problem_of_schema(schema: Mapping[str, Any]) -> str | None:
    import jsonschema

    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        return error.message
    return None


def _clashes(check: Check, owners: Mapping[str, str]) -> Iterator[str]:
    for name in dict.fromkeys((check.id, *check.aliases)):
        if name in owners:
            yield f"the id {name!r} is taken by {owners[name]}"
    if len({check.id, *check.aliases}) != 1 + len(check.aliases):
        yield "one of its aliases is its id, or stands there twice"
