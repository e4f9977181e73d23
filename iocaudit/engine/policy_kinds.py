"""The kinds that a policy is for: ``Kind`` in any group, or ``Kind.group``, each of them a name or a glob.

What pods are made of is judged where it is written: a policy that is for Pods is for every kind that holds a template
of them as well. Otherwise a Deployment would bring in what the policy denies, and its pods would count as existing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from iocaudit.core.kinds import NAMESPACE, POD, Kind
from iocaudit.engine.name_globs import name_globs

_NEAR = 0.9
"""How alike a slip is to what was meant: a letter more or less in ten."""
KIND_GLOB = re.compile(r"[A-Z*?][A-Za-z0-9*?]*(\.[a-z0-9.*?-]+)?")
"""What the schema of AuditPolicies accepts."""


def is_wide(kind: Kind) -> bool:
    """Whether a webhook's namespaceSelector says nothing of the kind: it is applied to Namespaces themselves, too."""
    return not kind.namespaced and kind is not NAMESPACE


def selects_kind(patterns: tuple[str, ...], kind: Kind) -> bool:
    """Whether a policy for these kinds is for one of them."""
    return _selects(patterns, kind.group, kind.name) or (bool(kind.pods) and _selects(patterns, POD.group, POD.name))


@lru_cache(maxsize=65_536)
def _selects(patterns: tuple[str, ...], group: str, name: str) -> bool:
    plain = tuple(pattern for pattern in patterns if "." not in pattern)
    grouped = tuple(pattern for pattern in patterns if "." in pattern)
    return name_globs(plain).match(name) or name_globs(grouped).match(f"{name}.{group}")


def selected(pattern: str, kinds: Iterable[Kind]) -> list[Kind]:
    """Those of the kinds that a pattern is for."""
    return [kind for kind in kinds if selects_kind((pattern,), kind)]


def names_of(kinds: Iterable[Kind]) -> Sequence[str]:
    """The kinds as policies name them."""
    return list(dict.fromkeys(name for kind in kinds for name in (kind.name, str(kind))))


def meant(given: str, known: Iterable[Kind]) -> str:
    """The kind that a name without a group seems to be a slip of: its resource, another case, a letter; else empty."""
    if "." in given:
        return ""
    names: dict[str, str] = {}
    for kind in known:
        names |= {kind.plural: kind.name, kind.name.lower(): kind.name}
    import difflib  # late: only what is not known needs it

    near = difflib.get_close_matches(given.lower(), names, n=1, cutoff=_NEAR)
    return names[near[0]] if near else ""
