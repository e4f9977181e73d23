"""Modules of Rego as the program ``iocaudit-opa prepare`` reads them: checked, converted to v1, ready to be loaded.

Each rule gets a root of its own, the digest of its sources: packages of several rules never meet, and old and new
versions of a rule can be loaded at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from iocaudit.core.shape import Json, integer, items, mapping, mappings, strings, text
from iocaudit.engine.languages.evaluator import EngineError, EngineMissingError
from iocaudit.engine.languages.rego.heads import misread_head
from iocaudit.engine.languages.rule import RegoSource

MOST_BYTES: Final = 1 << 20
"""Of the texts of one rule together."""
_MEMORY = 512 << 20
_SECONDS = 30.0
"""For the modules of one process; a rule that needs more by itself is broken, unless it had little of the CPU."""
_BUSY_SHARE = 0.5
"""Of that time a rule has to have had the CPU to be the one to blame."""
_BATCH = 4 << 20
_KEPT = 4096
_LAYOUT = "1"
"""Of what is loaded: a part of each digest, so versions that differ in it do not share modules."""


class ModuleFault(NamedTuple):
    """A mistake in a module: ``source`` is 0 for the module, 1 for its first library; ``line`` 0 stands for none."""

    source: int
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"library {self.source}, " if self.source else ""
        return f"{place}line {self.line}, column {self.column}: {self.message}" if self.line else place + self.message


@dataclass(frozen=True)
class InspectedModule:
    """What a module is by itself: ``is_rule`` where it has deny or violation, ``uses`` what it refers to below data."""

    package: str = ""
    is_rule: bool = False
    uses: tuple[str, ...] = ()
    converted: str = ""
    metadata: Json = field(default_factory=dict)
    faults: tuple[ModuleFault, ...] = ()


@dataclass(frozen=True)
class LoadedModule:
    """A text to load, and by its lines those of the author's text where rules begin."""

    source: int
    text: str
    lines: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class PreparedRule:
    """A rule ready to be loaded: its modules in this order, below ``root``. Empty of modules where it has faults.

    ``converted`` has the text in Rego v1 of each source that was written in v0; an empty one for the others.
    """

    root: str
    modules: tuple[LoadedModule, ...] = ()
    converted: tuple[str, ...] = ()
    uses_inventory: bool = False
    metadata: Json = field(default_factory=dict)
    faults: tuple[ModuleFault, ...] = ()

    @property
    def problem(self) -> str:
        """Why it cannot be used; empty where it can."""
        return "; ".join(map(str, self.faults))


class Preparer:
    """Runs the program, many modules at a time, and remembers what it said. Safe to use from several threads."""

    def __init__(self, program: Path | None, missing: str = "", *, seconds: float = _SECONDS) -> None:
        self._program, self._missing, self._seconds = program, missing, seconds
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Any] = OrderedDict()

    def inspect(self, modules: Sequence[str]) -> list[InspectedModule]:
        """What each of them is, one by one. Raises EngineMissingError, EngineError."""
        keys = [f"module {_digest(one)}" for one in modules]
        found: list[InspectedModule] = self._ask("modules", keys, list(modules), modules, _inspected)
        return [replace(one, faults=_clearer(one.faults, module)) for one, module in zip(found, modules, strict=True)]

    def prepare(self, sources: Sequence[RegoSource], owner: str = "") -> list[PreparedRule]:
        """Each rule made ready to be loaded; ``owner`` keeps those of one installation from those of others.

        Raises EngineMissingError, EngineError.
        """
        roots = [root_of(source, owner) for source in sources]
        questions = [
            {"root": root, "module": one.module, "libraries": list(one.libraries)}
            for root, one in zip(roots, sources, strict=True)
        ]
        sizes = ["".join((one.module, *one.libraries)) for one in sources]
        found = self._ask("rules", roots, questions, sizes, _prepared)
        made = (PreparedRule(root, *one) for root, one in zip(roots, found, strict=True))
        return [
            replace(one, faults=_clearer(one.faults, source.module, *source.libraries)) if one.faults else one
            for one, source in zip(made, sources, strict=True)
        ]

    def _ask(self, what: str, keys: list[str], questions: list[Any], texts: Sequence[str], read: Any) -> list[Any]:
        with self._lock:
            left: list[int] = []
            seen: set[str] = set()
            found: dict[str, Any] = {}
            for i, key in enumerate(keys):
                if key in self._known:
                    found[key] = self._known[key]
                    self._known.move_to_end(key)
                elif key not in seen:
                    seen.add(key)
                    if len(texts[i].encode("utf-8", "replace")) > MOST_BYTES:
                        fault = {"message": f"the texts of one rule may have {MOST_BYTES} bytes together"}
                        found[key] = read({"faults": [fault]})
                    else:
                        left.append(i)
            for batch in _batches(left, texts):
                for i, said in zip(batch, self._run(what, [questions[i] for i in batch]), strict=True):
                    found[keys[i]] = self._known[keys[i]] = read(said)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return [found[key] for key in keys]

    def _run(self, what: str, questions: list[Any]) -> list[Mapping[str, Any]]:
        try:
            said = mappings(self._call({what: questions}).get(what))
            if len(said) == len(questions):
                return list(said)
            reason = "it answered something else"
        except _TroubleError as error:
            reason = str(error)
        if len(questions) > 1:
            # One of them may be to blame, and is not to spoil the others.
            return [self._run(what, [one])[0] for one in questions]
        return [{"faults": [{"message": f"the module cannot be compiled: {reason}"}]}]

    def _call(self, question: Json) -> Mapping[str, Any]:
        if self._program is None:
            raise EngineMissingError(self._missing)
        begun = _cpu_of_children()
        try:
            ended = subprocess.run(
                [str(self._program), "prepare"],
                input=json.dumps(question).encode("utf-8", "backslashreplace"),
                capture_output=True,
                timeout=self._seconds,
                env={"GOMEMLIMIT": str(_MEMORY)},
                cwd="/",
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            if _cpu_of_children() - begun < self._seconds * _BUSY_SHARE:
                raise EngineError(f"{self._program} did not get to compile rules within {self._seconds:g} s") from error
            raise _TroubleError(f"it takes longer than {self._seconds:g} s") from error
        except OSError as error:
            raise EngineError(f"{self._program} cannot be run: {error.strerror or error}") from error
        if ended.returncode:
            raise _TroubleError(_complaint(ended.stderr, ended.returncode))
        try:
            return mapping(json.loads(ended.stdout))
        except ValueError as error:
            raise _TroubleError("the answer of the program is not JSON") from error


def _cpu_of_children() -> float:
    """Seconds of CPU that the children of this process have had that ended."""
    used = os.times()
    return used.children_user + used.children_system


class _TroubleError(Exception):
    """The program failed on a question, which may be the question's fault."""


def root_of(source: RegoSource, owner: str = "") -> str:
    """The name below which the packages of a rule stand: it changes with every letter of its sources."""
    return f"r{_digest(_LAYOUT, owner, source.module, *source.libraries)[:40]}"


def _digest(*texts: str) -> str:
    digest = hashlib.sha256()
    for one in texts:
        content = one.encode("utf-8", "surrogatepass")
        digest.update(b"%d\n" % len(content))
        digest.update(content)
    return digest.hexdigest()


def _batches(left: list[int], texts: Sequence[str]) -> list[list[int]]:
    batches: list[list[int]] = []
    size = 0
    for i in left:
        size += len(texts[i])
        if not batches or size > _BATCH:
            batches.append([])
            size = len(texts[i])
        batches[-1].append(i)
    return batches


def _complaint(stderr: bytes, code: int) -> str:
    said = stderr.decode("utf-8", "replace").strip()
    if "out of memory" in said or "cannot allocate memory" in said:
        return f"it needs more than {_MEMORY >> 20} MiB"
    lines = said.splitlines()
    return f"the program ended with exit code {code}" + (f": {lines[0][:200]}" if lines else "")


def _faults(said: Mapping[str, Any]) -> tuple[ModuleFault, ...]:
    return tuple(
        ModuleFault(
            integer(one.get("source")) or 0,
            integer(one.get("line")) or 0,
            integer(one.get("column")) or 0,
            text(one.get("message")),
        )
        for one in mappings(said.get("faults"))
    )


def _clearer(faults: tuple[ModuleFault, ...], *texts: str) -> tuple[ModuleFault, ...]:
    """The faults of these texts, or in their place the head of a rule in neither syntax, to which OPA's words lead
    nobody.
    """
    for number in dict.fromkeys(one.source for one in faults if one.source < len(texts)):
        if (head := misread_head(texts[number])) is not None:
            return (ModuleFault(number, head.line, 1, head.message),)
    return faults


def _inspected(said: Mapping[str, Any]) -> InspectedModule:
    return InspectedModule(
        text(said.get("package")),
        said.get("rule") is True,
        tuple(strings(said.get("uses"))),
        text(said.get("converted")),
        dict(mapping(said.get("metadata"))),
        _faults(said),
    )


def _prepared(said: Mapping[str, Any]) -> tuple[Any, ...]:
    """The fields of a PreparedRule after its root."""
    faults = _faults(said)
    modules = tuple(
        LoadedModule(
            integer(one.get("source")) or 0,
            text(one.get("text")),
            tuple((pair[0], pair[1]) for pair in items(one.get("lines"))),
        )
        for one in mappings(said.get("modules"))
    )
    converted = tuple(strings(said.get("converted")))
    metadata = dict(mapping(said.get("metadata")))
    return (() if faults else modules, converted, said.get("inventory") is True, metadata, faults)
