"""``.iocaudit.yaml``: what a repository sets for its own scans, and what of it lowers the gate.

A change under review may bring such a file along. So it is searched from the working folder up to the root of the
repository and no further, links are not followed, a file of another user is not taken, and nothing in it writes a file,
runs a program or talks to a cluster. What it lowers is told with every report.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from iocaudit.cli.params import SEVERITIES
from iocaudit.cli.scan_options import NEVER, SETTINGS
from iocaudit.core.errors import IocauditError
from iocaudit.core.severity import Severity
from iocaudit.sinks.summary import SettingsInForce

_LARGEST = 65_536
_DEEPEST = 2
"""How deep collections stand in each other: the mapping of settings, and lists in it."""
_PATHS = frozenset({"paths", "policy", "baseline"})
"""Settings that name files, as seen from the folder of the settings file."""
_LISTS = frozenset({"paths", "policy", "exclude", "check", "skip"})
_FLAGS = frozenset({"require-complete", "allow-empty"})
_WORDS = {"fail-on": (*SEVERITIES, NEVER), "severity": SEVERITIES, "profile": ("default", "strict")}
KEYS = (*sorted(_LISTS), *sorted(_FLAGS), "baseline", "fail-on", "namespace", "profile", "severity")
_NEVER_FROM_A_FILE = frozenset(
    {
        "cluster",
        "color",
        "config",
        "context",
        "diff",
        "fix",
        "generate",
        "kubeconfig",
        "output",
        "output-file",
        "prune",
        "render",
        "unsafe-fixes",
        "values",
        "write-baseline",
    }
)


class SettingsError(IocauditError):
    """The settings file cannot be used; names file, line and what to do."""


class FileSetting(NamedTuple):
    """A key of the file with its value, and the line it stands on."""

    value: Any
    line: int


class SettingsFile(NamedTuple):
    """A settings file as it is written."""

    path: Path
    settings: dict[str, FileSetting]


def find_settings(folder: Path) -> tuple[Path | None, list[str]]:
    """The file that counts for scans started in a folder, and what is to be said of one that is not taken.

    The search goes up to the folder that holds ``.git``; outside a repository it does not leave the folder.
    """
    folders = [folder, *folder.parents]
    root = next((number for number, one in enumerate(folders) if os.path.lexists(one / ".git")), 0)
    for one in folders[: root + 1]:
        path = one / SETTINGS
        try:
            status = path.lstat()
        except OSError:
            continue
        if stat.S_ISLNK(status.st_mode) or not stat.S_ISREG(status.st_mode):
            return None, [f"{path} is not used: it is not a regular file; --config names one by itself"]
        if status.st_uid != os.geteuid():
            return None, [f"{path} is not used: it belongs to another user; --config {path} uses it"]
        return path, []
    return None, []


def read_settings(path: Path, *, named: bool) -> SettingsFile:
    """Read a file; ``named`` on the command line, it may be a link and belong to anybody.

    Raises SettingsError with all that is wrong in it, a line each.
    """
    import yaml  # late: few repositories have such a file

    from iocaudit.engine.fields import nearest

    text = _text(path, named=named)
    try:
        _refuse_odd(text, path)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise SettingsError(
            f"{place}: is not YAML: {getattr(error, 'problem', None) or str(error).splitlines()[0]}"
        ) from error
    if node is None:
        return SettingsFile(path, {})
    if not isinstance(node, yaml.MappingNode):
        raise SettingsError(f"{path}:{node.start_mark.line + 1}: is not a mapping of settings, such as fail-on: high")
    loader = yaml.CSafeLoader("")
    found: dict[str, FileSetting] = {}
    wrong: list[str] = []
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = str(key_node.value)
        if not isinstance(key_node, yaml.ScalarNode):
            wrong.append(f"{path}:{line}: the name of a setting is not a string")
        elif key in found:
            wrong.append(f"{path}:{line}: {key} is set a second time")
        elif key in KEYS:
            try:
                value = loader.construct_object(value_node, deep=True)
            except (yaml.YAMLError, ValueError, ArithmeticError) as error:
                wrong.append(f"{path}:{line}: {key}: {str(error).splitlines()[0]}")
                continue
            wrong += (f"{path}:{line}: {key}: {reason}" for reason in _wrong(key, value))
            found[key] = FileSetting(value, line)
        elif key in _NEVER_FROM_A_FILE:
            wrong.append(f"{path}:{line}: {key} can only be given on the command line, as --{key}")
        else:
            wrong.append(f"{path}:{line}: there is no setting {key!r}{nearest(key, KEYS)} (known: {', '.join(KEYS)})")
    if wrong:
        raise SettingsError("\n".join(wrong))
    return SettingsFile(path, found)


def _refuse_odd(text: str, path: Path) -> None:
    """Refuse what no settings file needs and what makes reading it go wrong, before anything is built of it."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        place = f"{path}:{event.start_mark.line + 1}" if event.start_mark else str(path)
        if isinstance(event, yaml.AliasEvent):
            raise SettingsError(f"{place}: aliases (*name) are not supported in a settings file: write the value out")
        if getattr(event, "tag", None):
            raise SettingsError(f"{place}: tags (!name) are not supported in a settings file: remove it")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise SettingsError(f"{place}: a setting is a string, true, false or a list of strings")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _text(path: Path, *, named: bool) -> str:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if named else os.O_NOFOLLOW)), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not named and (not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid()):
                raise SettingsError(f"{path}: was replaced while it was read")
            data = stream.read(_LARGEST + 1)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise SettingsError(f"{path}: is larger than {_LARGEST} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: is not UTF-8") from error


def _wrong(key: str, value: object) -> Iterator[str]:
    if key in _FLAGS:
        if not isinstance(value, bool):
            yield "is not true or false"
    elif key in _LISTS:
        if not isinstance(value, str) and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            yield "is not a string or a list of strings"
        else:
            yield from filter(None, map(_unusable, [value] if isinstance(value, str) else value))
    elif not isinstance(value, str):
        yield "is not a string" + (": quote it" if isinstance(value, bool | int | float) else "")
    elif key in _WORDS and value.lower() not in _WORDS[key]:
        yield f"{value!r} is not one of {', '.join(_WORDS[key])}"
    elif why := _unusable(value):
        yield why


def _unusable(text: str) -> str:
    """Why a text cannot be a value; nothing where it can. What a file lowers must be seen where it is told."""
    if not text.strip():
        return "is empty"
    return "" if text.isprintable() else f"{text!a} holds a character that is not printable"


def apply_settings(given: dict[str, Any], file: SettingsFile, context: click.Context) -> SettingsInForce:
    """Put the settings where the command line says nothing else. Raises SettingsError for values it would refuse."""
    parameters = {
        option.removeprefix("--"): parameter
        for parameter in context.command.params
        for option in (parameter.opts if isinstance(parameter, click.Option) else ("paths",))
    }
    wrong: list[str] = []
    lowers: list[str] = []
    for key, (value, line) in file.settings.items():
        parameter = parameters[key]
        name = parameter.name or key
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT and (key != "paths" or given["paths"]):
            continue
        if key == "paths" and given.get("cluster"):
            continue
        values: Any = [value] if key in _LISTS and isinstance(value, str) else value
        if key in _PATHS:
            folder = file.path.parent
            values = [_beside(folder, one) for one in values] if key in _LISTS else _beside(folder, value)
        try:
            given[name] = parameter.process_value(context, tuple(values) if isinstance(values, list) else values)
        except click.UsageError as error:
            wrong.append(f"{file.path}:{line}: {key}: {error.format_message()}")
            continue
        if said := _lowers(key, values) if key != "paths" else _narrows(file.path.parent, value):
            lowers.append(said)
    if wrong:
        raise SettingsError("\n".join(wrong))
    return SettingsInForce(_shown(file.path), tuple(lowers))


def _beside(folder: Path, path: str) -> str:
    return path if os.path.isabs(path) or path == "-" else _shown(folder / path)


def _shown(path: Path) -> str:
    """A path as seen from the working folder."""
    return os.path.relpath(path)


def _narrows(folder: Path, paths: str | list[str]) -> str:
    """Which paths alone are looked at; nothing where that is the whole folder of the settings file."""
    every = [paths] if isinstance(paths, str) else paths
    whole = os.path.realpath(folder) in {os.path.realpath(folder / one) for one in every}
    return "" if whole or not every else f"only {', '.join(every)}"


def _lowers(key: str, value: Any) -> str:
    """How a setting makes the gate milder than without it, or may; nothing where it cannot."""
    if key == "namespace":  # a policy may treat it more mildly
        return f"namespace {value}" if value != "default" else ""
    if key == "fail-on":
        milder = value.lower() == "never" or Severity.parse(value.lower()) > Severity.HIGH
        return f"fail-on {value.lower()}" if milder else ""
    if key == "severity":
        return f"severity {value.lower()}" if Severity.parse(value.lower()) > Severity.LOW else ""
    if key == "allow-empty":
        return key if value else ""
    if key in ("baseline", "policy", "check", "skip", "exclude"):
        return f"{key} {value if isinstance(value, str) else ', '.join(value)}" if value else ""
    return ""
