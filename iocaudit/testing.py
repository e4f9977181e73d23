"""For the tests of your own checks: what a check says of a manifest, as a scan would.

``assert_flags`` and ``assert_clean`` run one check on YAML, on an object or on several, in which it can look things up;
``assert_examples`` runs the manifests of its documentation. They raise AssertionError with what the check did say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import yaml

from iocaudit.core.check import Check
from iocaudit.core.report import Report, ReportedHit
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import Origin, Resource
from iocaudit.core.shape import Json, lookup, mapping, strings, text
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.check_index import indexed
from iocaudit.engine.policy_reader import read_policies
from iocaudit.sources.documents import Document, read_documents

Manifest = str | Json | Sequence[Json]
"""YAML of one or several documents, or objects as they are decoded."""


def assert_flags(
    check: Check,
    manifest: Manifest,
    *,
    times: int | None = None,
    path: str | None = None,
    message: str | None = None,
    world: Manifest = (),
    parameters: Mapping[str, Any] | None = None,
    user: str | None = None,
    operation: str = "CREATE",
) -> list[ReportedHit]:
    """The check has a hit on an object of the manifest; the hits, for further questions.

    ``times`` says how many, ``path`` and ``message`` what one of them has to say: the whole path, a part of the
    message. ``world`` are further objects that it can look up. With a ``user`` it is asked as at admission, as an
    ``admission_only`` check has to be.
    """
    report = _report(check, manifest, world, parameters, user, operation)
    found = report.found
    said = "\n".join(f"  {one.hit.path}: {one.message}" for one in found) or "  nothing"
    assert found, f"{check.id} does not flag the manifest"
    assert times is None or len(found) == times, f"{check.id} has {len(found)} hits, not {times}:\n{said}"
    assert path is None or any(one.hit.path == path for one in found), f"{check.id} has no hit at {path}:\n{said}"
    assert message is None or any(message in one.message for one in found), (
        f"{check.id} does not say {message!r}:\n{said}"
    )
    return found


def assert_clean(
    check: Check,
    manifest: Manifest,
    *,
    world: Manifest = (),
    parameters: Mapping[str, Any] | None = None,
    user: str | None = None,
    operation: str = "CREATE",
) -> None:
    """The check looks at an object of the manifest, and has no hit on any."""
    _assert_no_hit(check, _report(check, manifest, world, parameters, user, operation))


def assert_examples(check: Check) -> None:
    """The documentation is whole: a title, why, a fix, a bad manifest that is flagged and a good one that is not.

    The manifests of an ``admission_only`` check are AdmissionReviews.
    """
    doc = check.doc
    for name in ("title", "why", "bad", "good", "fix"):
        assert getattr(doc, name), f"the documentation of {check.id} has no {name}"
    parameters = yaml.safe_load(doc.policy) if doc.policy else None
    assert_flags(check, doc.bad, parameters=parameters)
    # What is good may be that there is no such object at all.
    _assert_no_hit(check, _report(check, doc.good, (), parameters, None, "CREATE", must_look=False))


def _assert_no_hit(check: Check, report: Report) -> None:
    said = "\n".join(f"  {one.hit.path}: {one.message}" for one in report.found)
    assert not report.found, f"{check.id} flags the manifest:\n{said}"


def _report(
    check: Check,
    manifest: Manifest,
    world: Manifest,
    parameters: Mapping[str, Any] | None,
    user: str | None,
    operation: str,
    *,
    must_look: bool = True,
) -> Report:
    """The audit of the manifest by the one check. Raises AssertionError where it could not judge it."""
    problems = check.problems()
    assert not problems, f"{check.id}: {'; '.join(problems)}"
    given = _objects(manifest)
    asked: Request | None = None
    if given and given[0].get("kind") == "AdmissionReview":
        asked = _request(mapping(given[0].get("request")))
        given = [dict(mapping(lookup(given[0], "request", "object")))]
    assert not check.admission_only or asked or user is not None, f"{check.id} runs at admission alone: give a user"
    others = (one for one in _shipped() if one.id != check.id)
    rule = {"ids": [check.id], "mode": "audit", **({"parameters": dict(parameters)} if parameters else {})}
    policies = read_policies([{"metadata": {"name": "test"}, "spec": {"checks": [rule]}}], Catalogue([check, *others]))
    origin = Origin("file", "test.yaml")
    resources = [Resource(raw, origin) for raw in given]
    known = World()
    for resource in (*resources, *(Resource(raw, origin) for raw in _objects(world))):
        known.add(resource)
    auditor = Auditor(Catalogue([check]), policies, known)
    report = Report()
    for resource in resources:
        request = asked
        if request is None and user is not None:
            request = Request(Operation(operation), user, namespace=resource.namespace, name=resource.name)
        report.extend(auditor.audit(resource, request=request))
    seen = sorted({resource.kind_name for resource in resources})
    assert not must_look or any(resource.kind in check.looks_at for resource in resources), (
        f"{check.id} does not look at {', '.join(seen) or 'anything there'}: it looks at "
        f"{', '.join(sorted(str(kind) for kind in check.looks_at))}"
    )
    assert not report.not_configured, f"{check.id} needs its parameters {', '.join(check.missing(parameters or {}))}"
    assert not report.faults, f"{check.id} failed: {_several(one.error for one in report.faults)}"
    assert not report.skipped, f"{check.id} could not be evaluated: {_several(one.reason for one in report.skipped)}"
    return report


@cache
def _shipped() -> tuple[Check, ...]:
    """The product's checks: some ask what the policies deny."""
    return tuple(indexed())


def _request(asked: Mapping[str, Any]) -> Request:
    user = mapping(asked.get("userInfo"))
    return Request(
        Operation(text(asked.get("operation"))),
        text(user.get("username")),
        tuple(strings(user.get("groups"))),
        text(asked.get("subResource")),
        text(asked.get("namespace")) or None,
        text(asked.get("name")),
    )


def _several(reasons: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(reasons))


def _objects(manifest: Manifest) -> list[Json]:
    if isinstance(manifest, str):
        found = list(read_documents(manifest.encode(), "test.yaml", lambda _version, _kind: True))
        wrong = [one for one in found if not isinstance(one, Document)]
        assert not wrong, f"not a Kubernetes object: {wrong[0]}"
        return [one.value for one in found if isinstance(one, Document)]
    return [manifest] if isinstance(manifest, dict) else list(manifest)
