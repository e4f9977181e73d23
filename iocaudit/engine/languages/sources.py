"""The Go sources of the programs that evaluate rules, as they are shipped, and the digest by which they are known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).with_name("go")
_SHARED = _FOLDER / "child"
"""What the programs have in common: a module that each of them names by its place beside it."""
_MODULE_FILES = ("go.mod", "go.sum")


class Engine(StrEnum):
    """A program that evaluates rules; its value is its name in commands."""

    OPA = "opa"
    CEL = "cel"

    @property
    def program(self) -> str:
        """The name of the program."""
        return f"iocaudit-{self.value}"

    @property
    def sources(self) -> Path:
        """The folder of its Go module."""
        return _FOLDER / self.value


def shipped() -> tuple[Engine, ...]:
    """The programs whose sources are there."""
    return tuple(engine for engine in Engine if (engine.sources / "go.mod").is_file())


@cache
def sources_digest(engine: Engine) -> str:
    """SHA-256 over names and contents of the files that a program is compiled from, as the program itself prints it.

    Each name and content is preceded by its length and a line break. The folder that the programs share comes first.
    """
    return digest_of(_SHARED, engine.sources)


def digest_of(*folders: Path) -> str:
    """The same of any folders: the name of a file begins with that of its folder."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in _files(folder):
            name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
            for part in (name.encode(), path.read_bytes()):
                digest.update(b"%d\n" % len(part))
                digest.update(part)
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    found = [path for path in folder.rglob("*") if path.suffix == ".go" or path.name in _MODULE_FILES]
    yield from sorted(found, key=lambda path: path.relative_to(folder).parts)
