"""A check as data: what it looks at, what judges that and how it is documented; and how a function becomes one.

A check is a pure generator of Hits. The names of what it ``takes`` say what it is handed: the first is the subject
(``pod``: each PodSpec of the object; any other name: the Resource itself), then any of ``world``, ``params``,
``request`` and ``guard`` (what the policies in force deny).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property, partial
from typing import Any, Concatenate, ParamSpec

from iocaudit.core.check_doc import CheckDoc
from iocaudit.core.errors import CatalogueError
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import CONNECTIONS, DAEMON_SET, PODS, SECRET, Kind
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.parameters import EXEMPT_IMAGES, Parameter, Params, string_list
from iocaudit.core.place import Place
from iocaudit.core.request import Operation
from iocaudit.core.severity import IoC, Severity

OWN_PREFIX = "x-"
"""How the id of every check begins that does not come with the product, and of none that does: neither an upgrade nor
another package can take an id away."""
_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_HANDED = ("world", "params", "request", "guard")
PROFILES = ("default", "strict")
"""What a check can belong to: what runs by default, and what runs on request or under profile strict."""
NAMED = "named"
"""In place of a profile: what runs only where a policy names it."""
_CONNECTIONS = frozenset(CONNECTIONS)
_MANY = frozenset(PODS) - {DAEMON_SET}
"""The kinds on pods of which a webhook could not hold all."""
_IN_PODS = (Place.CONTAINERS, Place.VOLUME, Place.POD)

CheckFunction = Callable[..., Iterator[Hit | Skip]]
"""Judges one subject, with what its check takes beside it handed over by name. It may raise: the engine catches."""


@dataclass(frozen=True, eq=False)
class Check:
    """One entry of the catalogue, whatever language its rule is written in: all of it is data but ``evaluate``."""

    evaluate: CheckFunction
    takes: tuple[str, ...]
    """The name of the subject, then of what else ``evaluate`` is handed."""
    doc: CheckDoc
    id: str
    _: KW_ONLY
    severity: Severity
    iocs: tuple[IoC, ...]
    group: str
    looks_at: tuple[Kind, ...]
    needs: tuple[Kind, ...] = ()
    """Kinds it looks up in the World; where one is incomplete there, the engine says Skipped."""
    uses: tuple[Kind, ...] = ()
    """Kinds it looks up too, but whose absence costs only a part of it: it yields Skip itself."""
    in_files: tuple[Kind, ...] = ()
    """Kinds it looks up where files hold them, and never asks a cluster for (Secrets, say)."""
    in_audits: tuple[Kind, ...] = ()
    """Kinds it uses in an audit alone: a webhook, which could not hold all pods, judges without them."""
    controls: Mapping[str, str] = field(default_factory=dict)
    """What it is in the frameworks of ``iocaudit.knowledge.controls``, by their keys."""
    profile: str = "default"
    parameters: tuple[Parameter, ...] = ()
    """What a policy may set; a check on pods has ``EXEMPT_IMAGES`` without naming it."""
    operations: tuple[Operation, ...] = (Operation.CREATE, Operation.UPDATE)
    """Those for which the webhook calls it."""
    audit_only: bool = False
    """It never runs at admission."""
    admission_only: bool = False
    """It runs at admission alone: it may take the request."""
    aliases: tuple[str, ...] = ()
    """The ids that it had before."""
    worst: Severity = Severity.LOW
    """The highest severity a single hit may carry, where that is above ``severity``; never below it."""
    fields: tuple[str, ...] = ()
    """Of a check on pods, what its hits stand in: where none of these fields is set in a pod (see ``PodSpec.fields``)
    the engine leaves the check out, as most pods set few of the fields there are."""
    implies: Mapping[Place, tuple[str, ...]] = field(default_factory=dict)
    """Place by place, the checks whose hits have the same cause as one of this check's: anyone who mends that mends
    them by the same act, or there is no point in mending them while it stands."""
    denied_by_guard: bool = False
    """Its critical hits hand over a node or the cluster and have no use in the namespace of an application: preset
    ``guard`` denies them, as ``lockdown`` does, and warns about those of all other checks."""

    def __post_init__(self) -> None:
        if self.worst < self.severity:
            object.__setattr__(self, "worst", self.severity)
        if self.on_pods and EXEMPT_IMAGES not in self.parameters:
            object.__setattr__(self, "parameters", (*self.parameters, EXEMPT_IMAGES))

    def problems(self) -> list[str]:
        """What is wrong with the declaration, each in words its author can act on; empty where nothing is."""
        return [problem for problem, is_so in self._questions() if is_so]

    def _questions(self) -> Iterator[tuple[str, bool]]:
        yield (
            "the id must be lower-case words joined by '-', at most 46 characters",
            not _ID.fullmatch(self.id) or len(self.id) > 46,
        )
        yield "name at least one IoC", not self.iocs
        yield "name at least one kind in looks_at", not self.looks_at
        yield f"profile must be one of {', '.join(PROFILES)}", self.profile not in PROFILES
        yield "its documentation (the docstring of a function) must not be empty", not self.doc.title
        yield from self._questions_of_kinds()
        yield from self._questions_of_what_it_takes()
        implied = [one for ids in self.implies.values() for one in ids]
        yield "it implies itself, or another check twice", self.id in implied or len(implied) != len({*implied})
        yield (
            "preset guard denies critical hits at admission, and it has none: leave out denied_by_guard",
            self.denied_by_guard and (self.audit_only or self.worst < Severity.CRITICAL),
        )

    def _questions_of_kinds(self) -> Iterator[tuple[str, bool]]:
        looks_at, held = frozenset(self.looks_at), frozenset((*self.needs, *self.uses))
        yield (
            "needing Secrets is refused: no check may read them from a cluster",
            SECRET in looks_at or SECRET in held or SECRET in self.in_audits,
        )
        yield (
            "it needs Pods, so it must be declared audit_only, or they in_audits",
            not self.audit_only and not held.isdisjoint(_MANY),
        )
        yield "audit_only and admission_only exclude each other", self.audit_only and self.admission_only
        yield (
            "a CONNECT request exists at admission only: declare admission_only",
            not self.admission_only and not looks_at.isdisjoint(_CONNECTIONS),
        )

    def _questions_of_what_it_takes(self) -> Iterator[tuple[str, bool]]:
        yield "its first parameter must be the subject", not self.takes
        for name in self.handed:
            yield f"unknown parameter {name!r} (known: {', '.join(_HANDED)})", name not in _HANDED
        yield (
            "it takes the request, so it must be declared admission_only",
            "request" in self.handed and not self.admission_only,
        )
        looks_up = bool(self.needs or self.uses or self.in_files or self.in_audits)
        yield (
            "it declares needs but takes neither the world nor the guard",
            looks_up and {"world", "guard"}.isdisjoint(self.handed),
        )
        own = [one for one in self.parameters if one != EXEMPT_IMAGES]
        yield "it declares parameters but does not take params", bool(own) and "params" not in self.handed
        without = self.on_pods and not all(kind.pods for kind in self.looks_at)
        yield "it takes a pod but looks at kinds that hold none: take the resource", without
        yield "it names fields of a pod but takes no pod", bool(self.fields) and not self.on_pods

    @property
    def on_pods(self) -> bool:
        """Whether it is handed the pods of an object, one by one."""
        return self.takes[:1] == ("pod",)

    @property
    def handed(self) -> tuple[str, ...]:
        """What it is handed by name."""
        return self.takes[1:]

    @property
    def asks(self) -> bool:
        """Whether it is a rule in a language of its own, and handed what an Evaluator answers for it."""
        return "answer" in self.handed

    @cached_property
    def on_policies(self) -> bool:
        """Whether it judges AuditPolicies, so none may have it turned off."""
        return AUDIT_POLICY in self.looks_at

    @cached_property
    def severities(self) -> tuple[Severity, ...]:
        """Those that its hits have, unless a policy sets another."""
        return tuple(severity for severity in Severity if self.severity <= severity <= self.worst)

    @property
    def title(self) -> str:
        return self.doc.title

    @cached_property
    def defaults(self) -> Params:
        """The values of its parameters that no policy sets."""
        return {one.name: one.default for one in self.parameters if not one.required}

    @cached_property
    def strict_defaults(self) -> Params:
        """The same under profile strict."""
        strict = {one.name: one.strict for one in self.parameters if not one.required and one.strict is not None}
        return {**self.defaults, **strict}

    @cached_property
    def implied(self) -> Mapping[str, Place]:
        """``implies`` by the id of the other check."""
        return {one: place for place, ids in self.implies.items() for one in ids}

    @cached_property
    def implies_in_pods(self) -> bool:
        """Whether some of them have to be about the same parts of a pod."""
        return any(place in _IN_PODS for place in self.implies)

    def missing(self, params: Params) -> tuple[str, ...]:
        """The required parameters that are neither set nor replaced by another that is."""
        return tuple(
            p.name
            for p in self.parameters
            if p.required and not params.get(p.name) and not any(params.get(other) for other in p.unless)
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Iterator[Hit | Skip]:
        return self.evaluate(*args, **kwargs)


_Declaration = ParamSpec("_Declaration")


def _declares(
    build: Callable[Concatenate[CheckFunction, tuple[str, ...], CheckDoc, _Declaration], Check],
) -> Callable[_Declaration, Callable[[CheckFunction], Check]]:
    def check(*args: _Declaration.args, **kwargs: _Declaration.kwargs) -> Callable[[CheckFunction], Check]:
        """Declare a generator function as a check: its id, then the fields of ``Check`` by name.

        What it takes are its parameters, its docstring is its documentation. Raises CatalogueError on a broken
        declaration.
        """

        def declare(function: CheckFunction) -> Check:
            code = function.__code__
            takes = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            declared = build(function, takes, CheckDoc(partial(_docstring, function)), *args, **kwargs)
            problems = declared.problems()
            if not inspect.isgeneratorfunction(function):
                problems.append("it must be a generator of Hits")
            if problems:
                raise CatalogueError(f"check {declared.id!r} ({function.__module__}): {'; '.join(problems)}")
            return declared

        return declare

    return check


def _docstring(function: CheckFunction) -> str:
    return inspect.cleandoc(function.__doc__ or "")


check = _declares(Check)


__all__ = ["OWN_PREFIX", "Check", "CheckDoc", "CheckFunction", "Parameter", "Params", "check", "string_list"]
