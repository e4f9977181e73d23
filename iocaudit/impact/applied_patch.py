"""What a patch made of an object, where the log holds the patch alone: only where every way to read it says the same.

A log does not tell the sort of a patch. A list is a JSON Patch. A map may be a merge patch, a strategic one or the
configuration of an apply: without lists, directives and an identity of its own the first two are the same.
Sources: RFC 6902, RFC 7386; the Kubernetes documentation, Update API objects in place using kubectl patch.
"""

from __future__ import annotations

from typing import Any

from iocaudit.core import json_patch
from iocaudit.core.partial import lacking, lacks_of
from iocaudit.core.repair import UnfixableError
from iocaudit.core.shape import Json, mapping

_OPERATIONS = frozenset({"test", "add", "replace", "remove"})
_IDENTITY = frozenset({"apiVersion", "kind"})
_DEEPEST = 64


def applied(before: Json, patch: Json | list[Any]) -> Json | None:
    """The object after the patch; None where it is not known.

    A change of a spec counts up the generation. Source: k8s.io/apiserver, pkg/registry/rest, update.go.
    """
    found = _listed(before, patch) if isinstance(patch, list) else _merged(before, patch)
    if found is None:
        return None
    metadata = dict(mapping(found.get("metadata")))
    if isinstance(generation := metadata.get("generation"), int) and found.get("spec") != before.get("spec"):
        metadata["generation"] = generation + 1
    return lacking({**found, "metadata": metadata}, lacks_of(before))


def _listed(before: Json, patch: list[Any]) -> Json | None:
    if not all(isinstance(one, dict) and one.get("op") in _OPERATIONS for one in patch):
        return None
    try:
        found = json_patch.apply(before, patch)
    except (UnfixableError, LookupError, TypeError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _merged(before: Json, patch: Json) -> Json | None:
    if patch.keys() >= _IDENTITY or not _is_plain(patch, 0):
        return None
    found = _merge(before, patch)
    return found if isinstance(found, dict) else None


def _is_plain(value: Any, depth: int) -> bool:
    """Whether a patch has neither lists nor directives."""
    if isinstance(value, list) or depth > _DEEPEST:
        return False
    if not isinstance(value, dict):
        return True
    return all(not name.startswith("$") and _is_plain(one, depth + 1) for name, one in value.items())


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = _merge(found.get(name), value)
    return found
