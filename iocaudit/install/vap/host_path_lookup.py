"""Conditions on host paths: which are sensitive, which hold a control socket, which are allowed.

What is known of a path is looked up by its first segments, so the cost does not grow with what is known.

A path is normalised first, in CEL (``normalised``), as far as an API server lets it be written: it takes no ``..``.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import NamedTuple

from iocaudit.core.severity import Severity
from iocaudit.install.vap.cel import any_of, either_of, exactly, keys, let, pattern
from iocaudit.install.vap.prefix_lookup import prefix_lookup
from iocaudit.install.vap.rule import NotExpressibleError
from iocaudit.knowledge.host_path import (
    CLOUDS,
    CONTAINING,
    CREDENTIALS,
    HOLDING,
    RAW_DISK,
    SOCKET_NAMES,
    danger,
    normalise,
)
from iocaudit.knowledge.host_places import SENSITIVE

_ROOT_OF_A_PROCESS = r"^(?:proc/(?:[0-9]+|self|thread-self)(?:/task/[^/]+)?/root(?:/|$))+"
_RUN, _LOCK, _USR = r"^/var/run(?:/|$)", r"^/var/lock(?:/|$)", r"^/(?:s?bin|lib(?:64)?)(?:/|$)"
_NOT_PLAIN = r"^(?:[^/]|$)|/\.?(?:/|$)|^/(?:proc/|var/(?:run|lock)|s?bin|lib)"
"""What has another spelling, or may have."""
_LIKE_WINDOWS = r"^(?:\\|//[.?]|[a-zA-Z]:)"
_SEPARATORS = r"[\\/]+(?:\.[\\/]+)*"
_DEVICE = r"(?:\\[\\/]|//)[.?][\\/]"
_DRIVE_START = rf"(?:(?:{_DEVICE})?c:(?:[\\/]|\.[\\/])*|\\(?:[\\/][.?][\\/])?(?:[\\/]|\.[\\/])*)"
_PIPE_START = r"(?:\\[\\/][.?][\\/]pipe|//[.?]/pipe)"
_PIPES = "//./pipe/"


class PathCondition(NamedTuple):
    """``condition`` is that of ``it`` of the maps that `normalised` makes; it uses the ``constants``."""

    condition: str
    constants: tuple[tuple[str, str], ...] = ()


def normalised(volumes: str) -> str:
    """The hostPath volumes of a list, each as a map: ``name``, ``path`` as written, ``at`` in one spelling."""
    path = "v.hostPath.path.trim()"
    followed = (
        f"[{path}.split('/').filter(part, part != '' && part != '.').join('/')]"
        f".map(at, '/' + at.substring(at.startsWith('proc/') ? size(at.find({pattern(_ROOT_OF_A_PROCESS)})) : 0))"
        f".map(at, at.matches({pattern(_RUN)}) ? at.substring(4) : at.matches({pattern(_LOCK)}) ? "
        f"'/run' + at.substring(4) : at.matches({pattern(_USR)}) ? '/usr' + at : at)[0]"
    )
    at = f"{path}.matches({pattern(_NOT_PLAIN)}) ? {followed} : {path}"
    return f"{volumes}.filter(v, has(v.hostPath)).map(v, {{'name': string(v.name), 'path': {path}, 'at': {at}}})"


def is_sensitive(severities: Set[Severity]) -> PathCondition:
    """That a path is sensitive with one of these severities."""
    if Severity.HIGH in severities and Severity.CRITICAL not in severities:
        raise NotExpressibleError("only its milder hits are denied")
    posix = _posix()
    inside = [path for path in SENSITIVE if path in posix and SENSITIVE[path][1] in severities and path != "/"]
    below = prefix_lookup(inside, "sensitiveBelow", below=True)
    constants = (("sensitivePaths", keys(path for path in posix if _is_denied(path, severities))), *below.constants)
    parts = ["it.at in variables.sensitivePaths", let("parts", "it.at.split('/')", either_of(below.conditions))]
    if Severity.CRITICAL in severities:
        parts.append(f"it.at.startsWith('/dev/') && it.at.matches({pattern(f'^{RAW_DISK.pattern}$')})")
    whole = either_of(parts)
    if spared := harmless(severities):
        whole += f" && !it.at.matches({pattern(spared)})"
    found = [f"({whole})"]
    windows = [f"^{_DRIVE_START}{one}$" for one in _windows(severities)] + [f"^{one}$" for one in _pipes(SENSITIVE)]
    if Severity.HIGH in severities:
        found.append(f"it.at.contains('/.') && it.at.matches({pattern(CREDENTIALS.pattern)})")
        credentials = CREDENTIALS.pattern.replace("/", r"[\\/]")
        windows.append(rf"^(?:[a-z]:|\\).*{credentials}")
    found.append(_of_windows(windows))
    return PathCondition(either_of(found), constants)


def holds_socket() -> PathCondition:
    """That a path is a control socket or holds one."""
    exact = [path for path in HOLDING if path.startswith("/") and not path.startswith("//")]
    names = any_of(sorted(map(exactly, SOCKET_NAMES)))
    found = [
        "it.at in variables.holdingSockets",
        f"it.at.endsWith('.sock') && it.at.matches({pattern(f'/{names}$')})",
        _of_windows([f"^{one}$" for one in _pipes(HOLDING)]),
    ]
    return PathCondition(either_of(found), (("holdingSockets", keys(exact)),))


def holds_cloud_credentials() -> str:
    """The condition that a path is of the credentials of a cloud."""
    regexes = [regex.pattern for regex, _ in CLOUDS]
    found = pattern(any_of(regexes))
    return f"(it.at.contains('/.') || it.at.startsWith('/etc/') || it.at.startsWith('/var/')) && it.at.matches({found})"


def _of_windows(regexes: Iterable[str]) -> str:
    """That a path fits one of these: a short expression tells first what no path of Linux looks like."""
    return f"it.path.matches({pattern(_LIKE_WINDOWS)}) && it.path.lowerAscii().matches({pattern(any_of(regexes))})"


def below(prefixes: Iterable[str], name: str) -> PathCondition:
    """That a path is one of these or lies below it. ``name`` begins the names of the constants."""
    found = []
    for prefix in prefixes:
        path = normalise(prefix)
        if not path.startswith("/") or path.startswith("//"):
            raise NotExpressibleError("it allows a path of Windows")
        if path == "/":
            return PathCondition("true")
        found.append(path)
    if not found:
        return PathCondition("false")
    lookup = prefix_lookup(found, name)
    return PathCondition(let("parts", "it.at.split('/')", either_of(lookup.conditions)), lookup.constants)


def harmless(severities: Set[Severity]) -> str:
    """The regular expression of what lies below a sensitive path and is not; empty where there is none."""
    inside = [path for path in SENSITIVE if path in _posix() and SENSITIVE[path][1] in severities]
    found = []
    for path in _posix():
        if not any(_is_inside(path, parent) for parent in inside):
            continue
        if not _is_denied(path, severities):
            found.append(exactly(path))
        if path in SENSITIVE and SENSITIVE[path][1] not in severities:
            found.append(f"{exactly(path)}/.*")
    return f"^{any_of(found)}$" if found else ""


def _posix() -> list[str]:
    return [path for path in dict.fromkeys((*SENSITIVE, *CONTAINING)) if path.startswith("/") and path[1:2] != "/"]


def _is_denied(path: str, severities: Set[Severity]) -> bool:
    found = danger(path)
    return found is not None and found.severity in severities


def _is_inside(path: str, parent: str) -> bool:
    return path != parent and path.startswith(parent.rstrip("/") + "/")


def _windows(severities: Set[Severity]) -> list[str]:
    """What follows the drive."""
    found = []
    for path in dict.fromkeys((*SENSITIVE, *CONTAINING)):
        if not path.startswith("c:"):
            continue
        parts = [exactly(part) for part in path.removeprefix("c:/").split("/") if part]
        written = _SEPARATORS.join(parts)
        if _is_denied(path, severities):
            found.append(rf"{written}(?:{_SEPARATORS}\.?)?" if written else "")
        if path in SENSITIVE and SENSITIVE[path][1] in severities and written:
            found.append(rf"{written}{_SEPARATORS}[^.\\/].*")
    return found


def _pipes(paths: Iterable[str]) -> list[str]:
    found = []
    for path in paths:
        if path.startswith(_PIPES):
            name = path.removeprefix(_PIPES)
            found.append(rf"{_PIPE_START}[\\/]+{exactly(name)}[\\/]*" if name else rf"{_PIPE_START}[\\/]*")
    return found
