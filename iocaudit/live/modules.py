"""The ConfigMaps of our own namespace that hold modules of Rego: each key ``NAME.rego`` is a rule, or a library.

A broken module refuses its rule alone, of which the last good version stays in force.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from iocaudit.core import own_names
from iocaudit.core.shape import Json, mapping, text
from iocaudit.engine.languages.reader import said_by
from iocaudit.engine.languages.rule import Rule
from iocaudit.engine.languages.rule_fields import config_map_of, key_of, place_of
from iocaudit.knowledge.clipping import clip

SELECTOR: Final = f"{own_names.REGO_LABEL}=true"
"""The label selector of the ConfigMaps that are read."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of the texts of all ConfigMaps together: they are held, compiled and loaded whole."""
MOST_RULES: Final = 200
_LONGEST_REASON: Final = 1000


class ModuleProblem(NamedTuple):
    """What is wrong with a ConfigMap, or with one key of it. ``kept``: its last good version is in force."""

    config_map: str
    uid: str
    key: str
    reason: str
    kept: bool = False

    @property
    def message(self) -> str:
        """For people, with what follows from it."""
        where = f"data[{self.key!r}]: " if self.key else ""
        state = "its last good version stays in force" if self.kept else "it is not in force"
        return f"{where}{self.reason}; {state}"


class ModuleCompiler(Protocol):
    """What makes rules of modules."""

    def read_modules(self, texts: Mapping[str, str], where: str) -> tuple[list[Rule], dict[str, str]]:
        """The rules in modules by key, and why each that cannot be used is."""
        ...

    def compile(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        """By id, why each rule that is broken is."""
        ...


class ModuleStore:
    """What the ConfigMaps say. ``settle`` reads them as they are by now; one thread at a time may change it."""

    def __init__(self, engines: ModuleCompiler, *, log: logging.Logger | None = None) -> None:
        """``engines`` read the modules, and compile the rules."""
        self._engines, self._log = engines, log
        self._raws: dict[str, Json] = {}
        self._good: dict[str, Rule] = {}
        self._changed = False
        self._revisions: dict[str, str] = {}
        self.rules: tuple[Rule, ...] = ()
        """Those in force, by id; the same value while they are."""
        self.problems: tuple[ModuleProblem, ...] = ()

    @property
    def revisions(self) -> Mapping[str, str]:
        """By the id of a rule, the resourceVersion of its ConfigMap that is in force of it."""
        return self._revisions

    def replace(self, raws: Iterable[Json]) -> None:
        """Take these as all ConfigMaps that hold modules."""
        self._raws = {_name(raw): raw for raw in raws}
        self._changed = True

    def put(self, raw: Json) -> None:
        """Take one as it is now."""
        self._raws[_name(raw)] = raw
        self._changed = True

    def remove(self, name: str) -> None:
        """One is gone, or has the label no more."""
        self._raws.pop(name, None)
        self._changed = True

    def read_again(self) -> None:
        """Have all of them read by the next ``settle``."""
        self._changed = True

    def settle(self) -> None:
        """Read them, where any changed."""
        if self._changed:
            self._changed = False
            self._read()

    def _read(self) -> None:
        problems: list[ModuleProblem] = []
        found: dict[str, Rule] = {}
        size = 0
        for name, raw in sorted(self._raws.items()):
            uid = text(mapping(raw.get("metadata")).get("uid"))
            texts = {key: value for key, value in mapping(raw.get("data")).items() if isinstance(value, str)}
            size += sum(len(value.encode("utf-8", "replace")) for value in texts.values())
            if size > MOST_BYTES:
                reason = f"the modules of all ConfigMaps together may hold {MOST_BYTES} bytes"
                problems.append(ModuleProblem(name, uid, "", reason, kept=self._keep(name, found)))
                continue
            problems += self._take(name, uid, texts, found)
        for problem in problems:
            if self._log is not None and problem not in self.problems:
                extra = {"config_map": problem.config_map}
                self._log.error("modules refused: %s", problem.message, extra=extra)
        self.problems = tuple(problems)
        self._revisions = {name: self._revision(rule) for name, rule in found.items()}
        self._good = found
        rules = tuple(rule for _, rule in sorted(found.items()))
        if [said_by(rule) for rule in rules] != [said_by(rule) for rule in self.rules]:
            self.rules = rules

    def _revision(self, rule: Rule) -> str:
        """Of a rule that was read anew that of its ConfigMap; of one that is kept what it was."""
        if self._good.get(rule.id) is rule:
            return self._revisions.get(rule.id, "")
        name = config_map_of(rule.where)
        return text(mapping(mapping(self._raws.get(name)).get("metadata")).get("resourceVersion"))

    def _take(self, name: str, uid: str, texts: Mapping[str, str], found: dict[str, Rule]) -> Iterator[ModuleProblem]:
        """Add the rules of one ConfigMap; what is wrong with it."""
        where = f"ConfigMap {name}"
        rules, unread = self._engines.read_modules(texts, where)
        broken = self._engines.compile(rules)
        for key, reason in unread.items():
            kept = self._keep(name, found, key)
            yield ModuleProblem(name, uid, key, clip(reason, _LONGEST_REASON), kept=kept)
        for rule in rules:
            key = key_of(rule.where)
            taken = found.get(rule.id)
            if taken is not None:
                yield ModuleProblem(name, uid, key, f"{rule.id} is a rule of {taken.where} as well, which is first")
            elif rule.id in broken:
                kept = self._keep(name, found, key)
                yield ModuleProblem(name, uid, key, clip(broken[rule.id], _LONGEST_REASON), kept=kept)
            elif len(found) >= MOST_RULES:
                yield ModuleProblem(name, uid, key, f"there are {MOST_RULES} rules in ConfigMaps already")
            else:
                found[rule.id] = rule

    def _keep(self, name: str, found: dict[str, Rule], key: str = "") -> bool:
        """Leave in force what was read of a ConfigMap before: all, or of one key; whether there is anything."""
        place = place_of(name)
        kept = [
            rule
            for rule in self._good.values()
            if rule.where.startswith(place) and (not key or key_of(rule.where) == key) and rule.id not in found
        ]
        found.update((rule.id, rule) for rule in kept)
        return bool(kept)


def _name(raw: Json) -> str:
    return text(mapping(raw.get("metadata")).get("name"))
