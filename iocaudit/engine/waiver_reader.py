"""IocWaivers as they are written, in a cluster or in a file: read, or refused with every mistake in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from iocaudit.core.errors import IocauditError
from iocaudit.core.identity import FINGERPRINT, FINGERPRINT_FORM
from iocaudit.core.shape import mapping, strings, text
from iocaudit.engine.bounds import FieldBounds, bounds_of_labels, note_excess
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.fields import LIST, FieldProblems, Fields, KnownFields, PathWriter, begin, label_selector, nearest
from iocaudit.engine.languages.rule_fields import RULE_PREFIXES
from iocaudit.engine.waivers import Waiver
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.image import ImagePatterns

FIELDS: KnownFields = {
    "": frozenset({"apiVersion", "kind", "metadata", "spec", "status"}),
    "spec": frozenset(
        {"allowNew", "checks", "clusterScope", "expires", "images", "kinds", "labels"}
        | {"names", "namespaces", "owner", "reason", "ticket"}
    ),
    **label_selector("spec.labels"),
}
"""What an IocWaiver may hold, as its CRD has it."""
_NAMESPACE, _NAME = re.compile(r"[a-z0-9*?-]+"), re.compile(r"[A-Za-z0-9*?.:_-]+")
BOUNDS: FieldBounds = {
    "spec.checks": 64,
    "spec.checks[]": 63,
    "spec.namespaces": 64,
    "spec.namespaces[]": 63,
    "spec.kinds": 32,
    "spec.kinds[]": 253,
    "spec.names": 64,
    "spec.names[]": 253,
    **bounds_of_labels("spec.labels"),
    "spec.images": 64,
    "spec.images[]": 500,
    "spec.owner": 253,
    "spec.reason": 2048,
    "spec.ticket": 512,
}
"""How much of each an IocWaiver may hold, as its CRD has it."""
KIND_PATTERN = re.compile(r"[A-Z][A-Za-z0-9]*(\.[a-z0-9.-]+)?")
_SKEW = timedelta(minutes=5)


class WaiverError(IocauditError):
    """An IocWaiver cannot be used; names the waiver and, one a line, each field and what is wrong with it."""


def read_waiver(
    raw: Mapping[str, Any], catalogue: Catalogue, *, stored: bool, now: datetime, place: PathWriter | None = None
) -> Waiver:
    """Read an IocWaiver; raises WaiverError naming the waiver and, one a line, each field and what is wrong with it.

    ``stored``: it is in a cluster, so without a record in its status it covers nothing yet (but with
    ``allowNew``). In a file without a status it covers all that it matches: the file itself is the record.
    ``place`` says where in a file the fields stand.
    """
    name, problems = begin("IocWaiver", raw, place)
    note_excess(raw, BOUNDS, problems)
    spec = Fields(raw, FIELDS, problems).map("spec", required=True)
    checks = _checks(spec, catalogue)
    namespaces, cluster_scope = _globs(spec, "namespaces", _NAMESPACE), spec.flag("clusterScope")
    if not namespaces and not cluster_scope:
        spec.wrong("name at least one namespace, or set clusterScope: true", "namespaces")
    images = spec.strings("images") or ()
    try:
        ImagePatterns.of(images)
    except ValueError as error:
        spec.wrong(str(error), "images")
    since = now
    if created := text(mapping(raw.get("metadata")).get("creationTimestamp")):
        since = _born(_time(created, problems, "metadata.creationTimestamp") or now, now)
    waiver = Waiver(
        name=name,
        checks=checks,
        namespaces=namespaces,
        cluster_scope=cluster_scope,
        kinds=frozenset(spec.patterns("kinds", KIND_PATTERN, "a Kind or a Kind.group") or ()),
        names=_globs(spec, "names", _NAME),
        labels=spec.selector("labels")[0],
        images=images,
        owner=spec.text("owner", required=True),
        reason=spec.text("reason", required=True),
        ticket=spec.text("ticket"),
        expires=_time(spec.text("expires", required=True), problems, "spec.expires") or now,
        since=since,
        covered=_covered(raw, problems, everything=spec.flag("allowNew"), stored=stored),
        repositories=frozenset() if images else frozenset(strings(_recorded(raw).get("repositories"))),
    )
    problems.conclude(WaiverError)
    return waiver


def _checks(spec: Fields, catalogue: Catalogue) -> frozenset[str]:
    found = set()
    given = spec.strings("checks")
    for index, name in enumerate(given or ()):
        check = catalogue.whole.find(name)
        if check is not None or name.startswith(RULE_PREFIXES):
            # A rule may be declared by a policy that is not known here: the waiver then covers nothing.
            found.add(check.id if check is not None else name)
        else:
            hint = partial(nearest, name, catalogue.whole.names, otherwise=LIST)
            spec.wrong(f"there is no check {clip(repr(name))}", "checks", index, hint=hint)
    if not given:
        spec.wrong("name at least one check", "checks")
    return frozenset(found)


def _globs(spec: Fields, field: str, grammar: re.Pattern[str]) -> tuple[str, ...]:
    """Globs of which each names something: one that matches every name is refused.

    ``[!x]`` and its like, which match all but a few, are not globs here: the schema in a cluster refuses them too.
    """
    patterns = spec.patterns(field, grammar, "a name or a glob of * and ?") or ()
    for index, pattern in enumerate(patterns):
        if grammar.fullmatch(pattern) and not any(character.isalnum() for character in pattern):
            spec.wrong(f"{pattern!r} means everything: name what it is for", field, index)
    return patterns


def _covered(
    raw: Mapping[str, Any], problems: FieldProblems, *, everything: bool, stored: bool
) -> frozenset[str] | None:
    """The fingerprints that its status records; None where it covers whatever it matches."""
    known = _recorded(raw).get("fingerprints")
    fingerprints = strings(known)
    for index, given in enumerate(fingerprints):
        if not FINGERPRINT.fullmatch(given):
            reason = f"not {FINGERPRINT_FORM}: what was recorded under scheme v1 is no longer accepted"
            problems.add(f"status.covered.fingerprints[{index}]", f"{reason}; make a new waiver")
            break
    return None if everything or (not stored and known is None) else frozenset(fingerprints)


def _recorded(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """What its status records of what it was made for."""
    return mapping(mapping(raw.get("status")).get("covered"))


def _time(value: str, problems: FieldProblems, path: str) -> datetime | None:
    """The moment, None where it is not one; that is noted unless the value is absent, which is noted already."""
    # YAML's own timestamps never get here: the reader keeps them as text, as Kubernetes does.
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter: in UTC it is beyond the year 9999
        pass
    if value:
        problems.add(path, f"{clip(repr(value))} is not a time such as 2027-01-31T00:00:00Z")
    return None


def _born(created: datetime, now: datetime) -> datetime:
    """When it was made: a clock may lag behind the API server's, but nothing was made in a far future."""
    return created if created <= now + _SKEW else now
