"""IocWaivers as they are written, in a cluster or in a file: read, or refused with the reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from iocaudit.core.errors import IocauditError
from iocaudit.core.identity import FINGERPRINT, FINGERPRINT_FORM
from iocaudit.core.image import ImagePatterns
from iocaudit.core.shape import items, mapping, strings, text
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.waivers import Waiver

_FIELDS = frozenset(
    {"allowNew", "checks", "clusterScope", "expires", "images", "kinds", "labels"}
    | {"names", "namespaces", "owner", "reason", "ticket"}
)
_SELECTOR = frozenset({"matchExpressions", "matchLabels"})
_NAMESPACE, _NAME = re.compile(r"[a-z0-9*?-]+"), re.compile(r"[A-Za-z0-9*?.:_-]+")
_SKEW = timedelta(minutes=5)


class WaiverError(IocauditError):
    """An IocWaiver cannot be used; names the waiver, the field and the reason."""


def read_waiver(raw: Mapping[str, Any], catalogue: Catalogue, *, stored: bool, now: datetime) -> Waiver:
    """Read an IocWaiver; raises WaiverError naming the waiver, the field and what is wrong with it.

    ``stored``: it is in a cluster, so that without a record in its status it covers nothing yet (but with
    ``allowNew``). In a file without a status it covers all that it matches: the file itself is the record.
    """
    name = text(mapping(raw.get("metadata")).get("name")) or "(unnamed)"

    def bad(where: str, reason: str) -> WaiverError:
        return WaiverError(f"IocWaiver {name}: {where}: {reason}")

    spec = raw.get("spec")
    if not isinstance(spec, dict):
        raise bad("spec", "must be a map")
    _only(spec, _FIELDS, "spec", bad)
    checks = set()
    for index, given in enumerate(items(spec.get("checks"))):
        check = catalogue.whole.find(given) if isinstance(given, str) else None
        if check is None:
            raise bad(f"spec.checks[{index}]", f"there is no check {given!r}; `iocaudit checks` lists them")
        checks.add(check.id)
    if not checks:
        raise bad("spec.checks", "name at least one check")
    namespaces = _patterns(spec, "namespaces", _NAMESPACE, bad)
    cluster_scope = spec.get("clusterScope") is True
    if not namespaces and not cluster_scope:
        raise bad("spec.namespaces", "name at least one namespace, or set clusterScope: true")
    labels = spec.get("labels")
    if labels is not None and not isinstance(labels, dict):
        raise bad("spec.labels", "must be a label selector")
    _only(labels or {}, _SELECTOR, "spec.labels", bad)
    images = _list(spec, "images", bad)
    try:
        ImagePatterns.of(images)
    except ValueError as error:
        raise bad("spec.images", str(error)) from None
    status = mapping(raw.get("status"))
    known = mapping(status.get("covered")).get("fingerprints")
    for index, given in enumerate(strings(known)):
        if not FINGERPRINT.fullmatch(given):
            raise bad(
                f"status.covered.fingerprints[{index}]",
                f"not {FINGERPRINT_FORM}: what was recorded under scheme v1 is not taken any more; make a new waiver",
            )
    covered: frozenset[str] | None = frozenset(strings(known))
    if spec.get("allowNew") is True or (not stored and known is None):
        covered = None
    created = text(mapping(raw.get("metadata")).get("creationTimestamp"))
    return Waiver(
        name=name,
        checks=frozenset(checks),
        namespaces=namespaces,
        cluster_scope=cluster_scope,
        kinds=frozenset(_list(spec, "kinds", bad)),
        names=_patterns(spec, "names", _NAME, bad),
        labels=labels,
        images=images,
        owner=_required(spec, "owner", bad),
        reason=_required(spec, "reason", bad),
        ticket=text(spec.get("ticket")),
        expires=_time(spec.get("expires"), bad, "spec.expires"),
        since=_born(_time(created, bad, "metadata.creationTimestamp"), now) if created else now,
        covered=covered,
    )


def _only(value: Mapping[str, Any], known: frozenset[str], where: str, bad: Any) -> None:
    """Refuse a field that is none: a misspelled one would narrow nothing. In a cluster none gets here."""
    for field in value:
        if field not in known:
            raise bad(f"{where}.{field}", f"there is no such field (known: {', '.join(sorted(known))})")


def _patterns(spec: Mapping[str, Any], field: str, grammar: re.Pattern[str], bad: Any) -> tuple[str, ...]:
    """Globs of which each names something: one that matches every name is refused.

    ``[!x]`` and its like, which match all but a few, are none here: the schema in a cluster takes none either.
    """
    patterns = _list(spec, field, bad)
    for index, pattern in enumerate(patterns):
        if not any(character.isalnum() for character in pattern):
            raise bad(f"spec.{field}[{index}]", f"{pattern!r} means everything: name what it is for")
        if not grammar.fullmatch(pattern):
            raise bad(f"spec.{field}[{index}]", f"{pattern!r} is neither a name nor a glob of * and ?")
    return patterns


def _list(spec: Mapping[str, Any], field: str, bad: Any) -> tuple[str, ...]:
    """A list of strings; anything else is refused, since read as absent it would narrow nothing."""
    value = spec.get(field)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise bad(f"spec.{field}", "must be a list of strings")
    return tuple(value)


def _required(spec: Mapping[str, Any], field: str, bad: Any) -> str:
    value = text(spec.get(field)).strip()
    if not value:
        raise bad(f"spec.{field}", "must not be empty")
    return value


def _time(value: object, bad: Any, where: str) -> datetime:
    # YAML's own timestamps never get here: the reader keeps them as text, as Kubernetes does.
    try:
        moment = datetime.fromisoformat(text(value))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter: in UTC it is beyond the year 9999
        pass
    raise bad(where, f"{value!r} is no time such as 2027-01-31T00:00:00Z")


def _born(created: datetime, now: datetime) -> datetime:
    """When it was made: a clock may lag behind the API server's, but nothing was made in a far future."""
    return created if created <= now + _SKEW else now
