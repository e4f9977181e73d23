"""How a check is declared, and what follows from the declaration.

A check is a pure generator of Hits. Its parameters say what it is handed, by name: the first is the subject
(``pod``: each PodSpec of the object; any other name: the Resource itself), then any of ``world``, ``params``,
``request`` and ``guard`` (what the policies in force deny).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from iocaudit.core.errors import CatalogueError
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import CONNECTIONS, DAEMON_SET, PODS, SECRET, Kind
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.place import Place
from iocaudit.core.request import Operation, Request
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World

_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_HANDED = ("world", "params", "request", "guard")
PROFILES = ("default", "strict")
"""What a check can belong to: what runs by default, and what runs on request or under profile strict."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter a policy may set for a check.

    ``schema`` is a JSON schema of its value, ``default`` what holds when no policy sets it, ``strict`` what
    holds instead under profile strict where it differs. A ``required`` parameter has no default: without it
    the check is notConfigured, unless one of the parameters that ``unless`` names is set. ``exempts`` says of a list
    that each value in it is something that the check leaves out.
    """

    name: str
    schema: Mapping[str, Any]
    description: str
    default: Any = None
    required: bool = False
    strict: Any = None
    unless: tuple[str, ...] = ()
    exempts: bool = False


def string_list(
    name: str, description: str, *, default: Iterable[str] = (), required: bool = False, exempts: bool = False
) -> Parameter:
    """A parameter that is a list of strings."""
    schema = {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 1000}
    return Parameter(name, schema, description, None if required else list(default), required, exempts=exempts)


EXEMPT_IMAGES = Parameter(
    "exemptImages",
    {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 500}, "maxItems": 1000},
    "images whose containers this check leaves out: hosts, path prefixes, images and globs, as in untrusted-registry",
    default=[],
    exempts=True,
)
"""Every check on pods has it: the engine hands such a check its pods without these containers."""

Params = Mapping[str, Any]


_IN_PODS = (Place.CONTAINERS, Place.VOLUME, Place.POD)


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """One entry of the catalogue. ``run`` yields the hits on one resource; it may raise, the engine catches."""

    id: str
    severity: Severity
    iocs: tuple[IoC, ...]
    group: str
    looks_at: tuple[Kind, ...]
    needs: tuple[Kind, ...]
    uses: tuple[Kind, ...]
    in_files: tuple[Kind, ...]
    in_audits: tuple[Kind, ...]
    controls: Mapping[str, str]
    profile: str
    parameters: tuple[Parameter, ...]
    operations: frozenset[Operation]
    audit_only: bool
    admission_only: bool
    aliases: tuple[str, ...]
    function: Callable[..., Iterator[Hit | Skip]]
    fields: frozenset[str]
    on_pods: bool
    handed: tuple[str, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    strict_defaults: Mapping[str, Any] = field(default_factory=dict)
    worst: Severity = Severity.LOW
    implies: Mapping[str, Place] = field(default_factory=dict)
    """The checks whose hits are pointless to tell beside one of this check's, and where they have to be for that."""
    implies_in_pods: bool = False
    """Whether some of them have to be about the same parts of a pod."""
    denied_by_guard: bool = False

    @property
    def may_reach_critical(self) -> bool:
        """Whether one of its hits can be critical, its own severity or a hit's."""
        return self.worst >= Severity.CRITICAL

    @property
    def on_policies(self) -> bool:
        """Whether it judges AuditPolicies, so that none may have it turned off."""
        return AUDIT_POLICY in self.looks_at

    @property
    def documentation(self) -> str:
        return inspect.cleandoc(self.function.__doc__ or "")

    @property
    def title(self) -> str:
        return self.documentation.partition("\n")[0].rstrip(".")

    def missing(self, params: Params) -> tuple[str, ...]:
        """The required parameters that are neither set nor replaced by another that is."""
        return tuple(
            p.name
            for p in self.parameters
            if p.required and not params.get(p.name) and not any(params.get(other) for other in p.unless)
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Iterator[Hit | Skip]:
        return self.function(*args, **kwargs)


def check(
    check_id: str,
    *,
    severity: Severity,
    iocs: tuple[IoC, ...],
    group: str,
    looks_at: tuple[Kind, ...],
    needs: tuple[Kind, ...] = (),
    uses: tuple[Kind, ...] = (),
    in_files: tuple[Kind, ...] = (),
    in_audits: tuple[Kind, ...] = (),
    controls: Mapping[str, str] | None = None,
    profile: str = "default",
    parameters: tuple[Parameter, ...] = (),
    operations: tuple[Operation, ...] = (Operation.CREATE, Operation.UPDATE),
    audit_only: bool = False,
    admission_only: bool = False,
    aliases: tuple[str, ...] = (),
    worst: Severity | None = None,
    fields: tuple[str, ...] = (),
    implies: Mapping[Place, tuple[str, ...]] | None = None,
    denied_by_guard: bool = False,
) -> Callable[[Callable[..., Iterator[Hit | Skip]]], Check]:
    """Declare a check.

    ``needs`` are kinds it looks up in the World; where one is incomplete there, the engine says Skipped.
    ``uses`` are kinds it looks up too, but whose absence costs only a part of it: it yields Skip itself.
    ``in_files`` are kinds it looks up where files hold them, and never asks a cluster for (Secrets, say).
    ``in_audits`` are kinds it uses in an audit alone: a webhook, which could not hold all pods, judges without them.
    ``audit_only`` checks never run at admission, ``admission_only`` ones only there (they get the request).
    ``worst`` is the highest severity a single hit may carry where that is above ``severity``.
    ``operations`` are those for which the webhook calls it.
    ``fields``, of a check on pods, names what its hits stand in: where none of these fields is set in a pod (see
    ``PodSpec.fields``) the engine leaves the check out, as most pods set few of the fields there are.
    ``implies`` names, place by place, the checks whose hits have the same cause as one of this check's: whoever mends
    that mends them by the same act, or there is no point in mending them while it stands.
    ``denied_by_guard`` says that its critical hits hand over a node or the cluster and have no use in the namespace of
    an application: preset ``guard`` denies them, as ``lockdown`` does, and warns about those of all other checks.
    Raises CatalogueError on a broken declaration.
    """

    def declare(function: Callable[..., Iterator[Hit | Skip]]) -> Check:
        def broken(reason: str) -> CatalogueError:
            return CatalogueError(f"check {check_id!r} ({function.__module__}): {reason}")

        if not _ID.fullmatch(check_id) or len(check_id) > 46:
            raise broken("the id must be lower-case words joined by '-', at most 46 characters")
        if not iocs:
            raise broken("name at least one IoC")
        if not looks_at:
            raise broken("name at least one kind in looks_at")
        if profile not in PROFILES:
            raise broken(f"profile must be one of {', '.join(PROFILES)}")
        if SECRET in (*needs, *uses, *in_audits, *looks_at):
            raise broken("needing Secrets is refused: no check may read them from a cluster")
        # DaemonSets are few; of the others a webhook could not hold all.
        if not audit_only and any(kind in PODS and kind is not DAEMON_SET for kind in (*needs, *uses)):
            raise broken("it needs Pods, so it must be declared audit_only, or they in_audits")
        if audit_only and admission_only:
            raise broken("audit_only and admission_only exclude each other")
        if any(kind in CONNECTIONS for kind in looks_at) and not admission_only:
            raise broken("a CONNECT request exists at admission only: declare admission_only")
        if not (function.__doc__ or "").strip():
            raise broken("the docstring is its documentation and must not be empty")
        if not inspect.isgeneratorfunction(function):
            raise broken("it must be a generator of Hits")
        code = function.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if not names:
            raise broken("its first parameter must be the subject")
        handed = tuple(names[1:])
        for name in handed:
            if name not in _HANDED:
                raise broken(f"unknown parameter {name!r} (known: {', '.join(_HANDED)})")
        if "request" in handed and not admission_only:
            raise broken("it takes the request, so it must be declared admission_only")
        if (needs or uses or in_files or in_audits) and not {"world", "guard"} & {*handed}:
            raise broken("it declares needs but takes neither the world nor the guard")
        if parameters and "params" not in handed:
            raise broken("it declares parameters but does not take params")
        implied = {one: place for place, ids in (implies or {}).items() for one in ids}
        if check_id in implied or len(implied) != sum(map(len, (implies or {}).values())):
            raise broken("it implies itself, or another check twice")
        on_pods = names[0] == "pod"
        if on_pods and not all(kind.pods for kind in looks_at):
            raise broken("it takes a pod but looks at kinds that hold none: take the resource")
        if fields and not on_pods:
            raise broken("it names fields of a pod but takes no pod")
        if denied_by_guard and (audit_only or max(severity, worst or severity) < Severity.CRITICAL):
            raise broken("preset guard denies critical hits at admission, and it has none: leave out denied_by_guard")
        parameters_of = (*parameters, EXEMPT_IMAGES) if on_pods else parameters
        return Check(
            id=check_id,
            severity=severity,
            iocs=iocs,
            group=group,
            looks_at=looks_at,
            needs=needs,
            uses=uses,
            in_files=in_files,
            in_audits=in_audits,
            controls=dict(controls or {}),
            profile=profile,
            parameters=parameters_of,
            operations=frozenset(operations),
            audit_only=audit_only,
            admission_only=admission_only,
            aliases=aliases,
            function=function,
            fields=frozenset(fields),
            on_pods=on_pods,
            handed=handed,
            worst=max(severity, worst or severity),
            implies=implied,
            implies_in_pods=any(place in _IN_PODS for place in implied.values()),
            denied_by_guard=denied_by_guard,
            defaults={p.name: p.default for p in parameters_of if not p.required},
            strict_defaults={
                p.name: p.default if p.strict is None else p.strict for p in parameters_of if not p.required
            },
        )

    return declare


__all__ = ["Check", "Parameter", "Params", "Request", "World", "check", "string_list"]
