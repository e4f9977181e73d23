"""``native.toml``: which native programs there are, in which versions, and where each comes from."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from devcluster.errors import ManifestError
from iocaudit.engine.languages.toolchain.version import Version

MANIFEST = Path(__file__).with_name("native.toml")
GO_MODULE = Path(__file__).with_name("go")

_SOURCES = ("go", "pypi")


@dataclass(frozen=True)
class Tool:
    """One native program as ``native.toml`` declares it."""

    name: str
    version: Version
    minimum: Version
    source: str
    package: str
    module: str
    probe: tuple[str, ...]
    ldflags: tuple[str, ...]

    def linker_flags(self) -> str:
        """The value of ``go build -ldflags`` with the version filled in."""
        version = self.version
        return " ".join(self.ldflags).format(version=version, major=version.major, minor=version.minor)


def parse(text: str, where: str = MANIFEST.name) -> dict[str, Tool]:
    """Tools by name. Raises ManifestError naming the tool and the field that is missing or malformed."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{where}: not valid TOML: {error}") from error
    tools: dict[str, Tool] = {}
    for index, entry in enumerate(document.get("tool", [])):
        tool = _tool(entry, f"{where}: tool {entry.get('name', f'number {index + 1}')}")
        if tool.name in tools:
            raise ManifestError(f"{where}: tool {tool.name} is listed twice")
        tools[tool.name] = tool
    return tools


@cache
def load() -> dict[str, Tool]:
    """The tools of the committed manifest, by name."""
    return parse(MANIFEST.read_text(encoding="utf-8"), str(MANIFEST))


def _tool(entry: dict[str, Any], where: str) -> Tool:
    def text(field: str, default: str | None = None) -> str:
        value = entry.get(field, default)
        if not isinstance(value, str) or (not value and default is None):
            raise ManifestError(f"{where}: {field} must be a string")
        return value

    def texts(field: str) -> tuple[str, ...]:
        value = entry.get(field, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ManifestError(f"{where}: {field} must be a list of strings")
        return tuple(value)

    def version(field: str) -> Version:
        found = Version.find(text(field))
        if found is None or str(found) != text(field):
            raise ManifestError(f"{where}: {field} must be three numbers such as 1.36.3, not {text(field)!r}")
        return found

    source = text("from")
    if source not in _SOURCES:
        raise ManifestError(f"{where}: from must be one of {', '.join(_SOURCES)}, not {source!r}")
    tool = Tool(
        name=text("name"),
        version=version("version"),
        minimum=version("minimum"),
        source=source,
        package=text("package"),
        module=text("module", None if source == "go" else ""),
        probe=texts("probe"),
        ldflags=texts("ldflags"),
    )
    if tool.version < tool.minimum:
        raise ManifestError(f"{where}: version {tool.version} is below minimum {tool.minimum}")
    return tool
