"""Waivers for what stands cover it, and nothing else, whatever the report holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from iocaudit.core.identity import fingerprint
from iocaudit.core.report import home_of
from iocaudit.core.resource import Ref
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.standing import FindingCriteria, ReportError, choose, standing
from iocaudit.engine.waiver_reader import read_waiver
from iocaudit.engine.waivers import MOST_COVERED, Context
from iocaudit.engine.waiving import MOST_NAMES, Acceptance, NewWaivers, waivers_for

Json = dict[str, Any]
CATALOGUE = builtin_catalogue()
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
WHY = Acceptance("team", "until v2", NOW + timedelta(days=30))
CHECKS = ["privileged-container", "host-pid", "may-run-as-root", "secret-access", "cluster-admin-binding"]
SUBJECTS = [
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("serving.knative.dev/v1", "Service"),
    ("v1", "Namespace"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
]
NAMES = ["a", "b", "c", "system:x", "odd/name", "star*", "[x]", "é", "?"]


def entry(
    check: str,
    severity: str,
    kind: tuple[str, str],
    namespace: str | None,
    name: str,
    place: str,
    by: str | None = None,
) -> Json:
    subject = {"apiVersion": kind[0], "kind": kind[1], "namespace": namespace, "name": name}
    known = fingerprint("hit", check, *kind, namespace, name, place)
    implied = {"impliedBy": by} if by else {}
    return {"check": check, "severity": severity, "subject": subject, "fingerprint": known, **implied}


@st.composite
def reports(draw: st.DrawFn) -> Json:
    """Hits of a few checks on a few objects, some implied by others in the same place."""
    entries: list[Json] = []
    for _ in range(draw(st.integers(1, 25))):
        kind = draw(st.sampled_from(SUBJECTS))
        cluster = kind[1] in ("Namespace", "ClusterRoleBinding")
        namespace = None if cluster else draw(st.sampled_from(["shop", "bank", None]))
        severity = draw(st.sampled_from(["critical", "high", "medium", "low"]))
        made = entry(
            draw(st.sampled_from(CHECKS)),
            severity,
            kind,
            namespace,
            draw(st.sampled_from(NAMES)),
            draw(st.sampled_from(["p", "q"])),
        )
        candidates = [one for one in entries if one["subject"]["namespace"] == namespace]
        implied: bool = draw(st.booleans())
        if candidates and implied:
            made["impliedBy"] = draw(st.sampled_from(candidates))["fingerprint"]
        if made["fingerprint"] not in {one["fingerprint"] for one in entries}:
            entries.append(made)
    return {"findings": entries, "summary": {}}


_wanted = st.builds(
    FindingCriteria,
    homes=st.frozensets(st.sampled_from(["shop", "bank", "default", None, "a"]), max_size=2),
    checks=st.frozensets(st.sampled_from(CHECKS), max_size=2),
    is_object=st.just(lambda _: True),
    critical=st.booleans(),
)


def covered_by(new: NewWaivers, report: Json) -> dict[str, list[str]]:
    """By waiver the fingerprints that it would cover as the operator reads it, before anything is recorded."""
    found: dict[str, list[str]] = {}
    for one in new.waivers:
        body = one.body(WHY, NOW)
        assert "allowNew" not in body["spec"]
        assert len(body["spec"].get("namespaces", ())) + bool(body["spec"].get("clusterScope")) == 1
        assert not any(wild in part for part in body["spec"]["names"] for wild in "*?[")
        assert not any(wild in part for part in body["spec"].get("namespaces", ()) for wild in "*?[")
        waiver = read_waiver({**body, "status": {}}, CATALOGUE, stored=False, now=NOW)
        matched = [
            raw["fingerprint"]
            for raw in report["findings"]
            if waiver.matches(raw["check"], *_place(raw["subject"]), Context())
        ]
        assert sorted(matched) == body["status"]["covered"]["fingerprints"]
        assert waiver.refusal(timedelta(days=90)) is None
        assert body["metadata"]["name"] not in found
        found[body["metadata"]["name"]] = matched
    return found


def _place(subject: Json) -> tuple[Ref, str | None]:
    group, _, version = subject["apiVersion"].rpartition("/")
    ref = Ref(group, version, subject["kind"], subject["namespace"], subject["name"])
    home = home_of(ref)
    return ref, "default" if home is None and subject["kind"] not in ("ClusterRoleBinding",) else home


@given(reports(), _wanted)
def test_they_cover_what_is_asked_for_and_nothing_else(report: Json, wanted: FindingCriteria) -> None:
    found = standing(report)
    chosen = choose(found, wanted)
    new = waivers_for(chosen, found)
    covered = [one for matched in covered_by(new, report).values() for one in matched]
    assert len(covered) == len(set(covered)), "nothing is accepted twice"
    by_fingerprint = {raw["fingerprint"]: raw for raw in report["findings"]}
    finding_of = {hit: one for one in found for hit in one.hits}
    for one in covered:
        finding = finding_of[one]
        asked = wanted.asks_for(finding.key) and (finding.stands_by_itself or finding.key.check in wanted.checks)
        implied = by_fingerprint[one].get("impliedBy") in covered
        assert asked or implied, "it was asked for, or its cause is accepted"
    # All that is asked for is covered, or it is told why it is not.
    told = " ".join([*chosen.left, *new.left]) + " ".join(str(one.key) for one in chosen.critical)
    for finding in found:
        if wanted.asks_for(finding.key) and finding.stands_by_itself:
            assert set(finding.hits) <= set(covered) or str(finding.key) in told


@given(reports(), _wanted)
def test_a_critical_has_a_waiver_of_its_own_and_only_where_it_is_asked_for(
    report: Json, wanted: FindingCriteria
) -> None:
    found = standing(report)
    new = waivers_for(choose(found, wanted), found)
    for waiver in new.waivers:
        critical = [one for one in waiver.findings if one.severity.label == "critical"]
        if critical:
            assert wanted.critical
            cause, *parts = waiver.findings
            assert cause in critical
            assert all(one.causes and not one.stands_by_itself for one in parts), "what it implies, and nothing else"


@given(reports(), _wanted)
def test_accepting_a_cause_does_not_raise_its_parts(report: Json, wanted: FindingCriteria) -> None:
    """Whatever still stands had another cause, or none, or is told to be left out."""
    assume(any(raw.get("impliedBy") for raw in report["findings"]))
    found = standing(report)
    chosen = choose(found, wanted)
    new = waivers_for(chosen, found)
    covered = {one for matched in covered_by(new, report).values() for one in matched}
    finding_of = {hit: one for one in found for hit in one.hits}
    told = " ".join([*chosen.left, *new.left])
    for raw in report["findings"]:
        if raw.get("impliedBy") in covered and raw["fingerprint"] not in covered:
            assert str(finding_of[raw["fingerprint"]].key) in told or finding_of[raw["fingerprint"]] in chosen.critical


def test_many_are_split_within_the_bounds_of_the_schema_and_the_record() -> None:
    many = [
        entry("host-pid", "low", ("v1", "Pod"), "shop", f"p{n}", f"{place}")
        for n in range(3 * MOST_NAMES)
        for place in range(20)
    ]
    found = standing({"findings": many, "summary": {}})
    new = waivers_for(choose(found, FindingCriteria()), found)
    assert new.left == []
    assert sum(one.count for one in new.waivers) == len(many)
    assert all(one.count <= MOST_COVERED and len(one.names) <= MOST_NAMES for one in new.waivers)
    assert len(new.waivers) <= 4


def test_a_namespace_is_at_home_in_itself_and_an_unset_one_where_it_is_told() -> None:
    raws = [
        entry("namespace-without-default-deny", "low", ("v1", "Namespace"), None, "shop", ""),
        entry("host-pid", "low", ("v1", "Pod"), None, "p", ""),
        entry("secret-access", "low", ("rbac.authorization.k8s.io/v1", "ClusterRole"), None, "r", ""),
    ]
    assert [one.key.home for one in standing({"findings": raws, "summary": {}}, "here")] == ["shop", "here", None]


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"findings": {}, "summary": {}},
        {"findings": [5], "summary": {}},
        {"findings": [{"check": "x", "subject": {"kind": "Pod"}, "fingerprint": "no"}], "summary": {}},
        {"findings": [{**entry("x", "huge", ("v1", "Pod"), "a", "b", "")}], "summary": {}},
    ],
)
def test_what_is_not_a_report_is_refused(report: Json) -> None:
    with pytest.raises(ReportError):
        standing(report)
