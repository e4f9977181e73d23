"""Warnings end: each names object, cause and the command that explains it, whatever the names and values are."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.hit import Hit
from iocaudit.core.report import Fault, Report, ReportedHit, Skipped
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import ADMISSION, Ref
from iocaudit.core.severity import Severity
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.posture import Verdict, judge
from iocaudit.judging import wording
from iocaudit.judging.warning_lines import LONGEST, MOST_OF_AN_OBJECT, MOST_TOGETHER, warnings

IDS = sorted(check.id for check in builtin_catalogue())
ENDS = re.compile(r"; see iocaudit explain ([a-z0-9-]+)( \(\d+ more checks?\))?\Z")
MORE = re.compile(r"and (\d+) more")

_names = st.one_of(
    st.text(min_size=1, max_size=400),
    st.text(alphabet="abc0-.", min_size=1, max_size=253),
    st.sampled_from(["web", "a" * 253, "x y\nz", "\x1b[31m", "é" * 300, ""]),
)
_ids = st.one_of(st.sampled_from(IDS), st.from_regex(r"[a-z][a-z0-9-]{0,61}[a-z0-9]", fullmatch=True))
_refs = st.builds(
    Ref,
    st.sampled_from(["", "apps", "g" * 300]),
    st.just("v1"),
    st.sampled_from(["Deployment", "Namespace", "ClusterRoleBinding", "K" * 80]),
    st.one_of(st.none(), st.sampled_from(["shop", "n" * 63])),
    _names,
)


@st.composite
def _found(draw: st.DrawFn, refs: st.SearchStrategy[Ref] = _refs) -> ReportedHit:
    message = draw(st.one_of(st.text(max_size=1500), st.lists(st.text(max_size=30), max_size=60).map(" ".join)))
    hit = Hit(draw(st.text(max_size=40)), message, evidence=draw(st.text(max_size=5)))
    return ReportedHit(draw(_ids), draw(st.sampled_from(Severity)), (), draw(refs), ADMISSION, hit)


def _verdict(*found: ReportedHit) -> Verdict:
    return Verdict(allowed=True, warnings=tuple(sorted(found, key=lambda one: -one.severity)))


def hit(
    message: str, check: str = "host-pid", name: str = "web", severity: Severity = Severity.HIGH, path: str = "p"
) -> ReportedHit:
    ref = Ref("apps", "v1", "Deployment", "shop", name)
    return ReportedHit(check, severity, (), ref, ADMISSION, Hit(path, message))


@given(st.lists(_found(), max_size=60), st.lists(st.text(max_size=900), max_size=6))
def test_each_is_whole_and_all_are_passed_on(found: list[ReportedHit], notes: list[str]) -> None:
    said = warnings(_verdict(*found)._replace(notes=tuple(notes)))
    assert all(len(line) <= LONGEST and line.isprintable() for line in said)
    assert sum(map(len, said)) <= MOST_TOGETHER
    assert len(set(said)) == len(said)


@given(st.lists(_found(), min_size=1, max_size=60))
def test_every_hit_is_told_or_counted_and_none_is_cut_off(found: list[ReportedHit]) -> None:
    said = warnings(_verdict(*found))
    told = [line for line in said if ENDS.search(line)]
    counted = [int(match[1]) for line in said if not ENDS.search(line) and (match := MORE.search(line))]
    assert len(told) + len(counted) == len(said), "a line is a hit with the command that explains it, or a count"
    assert len(told) + sum(counted) == len({(one.subject, one.same_hit) for one in found})
    for line in told:
        assert re.match(r"\[(critical|high|medium|low)\] .*: ", line)
        match = ENDS.search(line)
        assert match is not None
        assert match[1] in {one.check for one in found}
    if len(found) == 1:
        assert found[0].severity.label in told[0]


@given(st.lists(_found(st.just(Ref("apps", "v1", "Deployment", "shop", "web"))), min_size=1, max_size=20))
def test_an_object_has_three_and_the_worst_of_them(found: list[ReportedHit]) -> None:
    said = warnings(_verdict(*found))
    told = [line for line in said if ENDS.search(line)]
    assert len(told) <= MOST_OF_AN_OBJECT
    assert all("Deployment shop/web: " in line for line in said)
    assert told[0].startswith(f"[{max(one.severity for one in found).label}] ")
    if len(told) < len(said):
        assert said[-1].endswith(" more: kubectl get iocfindings -n shop")


@given(st.text(alphabet="abcdefgh-", min_size=1, max_size=60), st.text(alphabet="abc ", max_size=70))
def test_usual_names_and_causes_are_never_cut(name: str, message: str) -> None:
    (line,) = warnings(_verdict(hit(message, name=name)))
    assert line == f"[high] Deployment shop/{name}: {message}; see iocaudit explain host-pid"


def test_what_reads_alike_is_told_once_and_other_checks_come_first() -> None:
    found = [hit(f'container "c{n}" runs as root', "runs-as-root", path=f"containers[{n}]") for n in range(60)]
    found += [hit("shares the node's processes", "host-pid"), hit("is seen twice", "host-ipc")]
    found += [hit("is seen twice", "host-ipc", path="q")]
    assert warnings(_verdict(*found)) == [
        '[high] Deployment shop/web: container "c0" runs as root; see iocaudit explain runs-as-root',
        "[high] Deployment shop/web: shares the node's processes; see iocaudit explain host-pid",
        "[high] Deployment shop/web: is seen twice; see iocaudit explain host-ipc",
        "Deployment shop/web: and 60 more: kubectl get iocfindings -n shop",
    ]


def test_where_the_rest_is_listed() -> None:
    for ref, command in (
        (Ref("rbac.authorization.k8s.io", "v1", "ClusterRole", None, "zz"), "kubectl get clusteriocfindings"),
        (Ref("", "v1", "Namespace", None, "shop"), "kubectl get iocfindings -n shop"),
    ):
        found = [hit(f"m{n}")._replace(subject=ref) for n in range(5)]
        *_, last = warnings(_verdict(*(one._replace(hit=Hit(str(n), f"m{n}")) for n, one in enumerate(found))))
        assert last == f"{ref}: and 2 more: {command}"


def test_many_objects_are_counted_beyond_the_bound() -> None:
    found = [hit("x" * 300, name=f"web-{n}", path=str(n)) for n in range(50)]
    said = warnings(_verdict(*found))
    assert sum(map(len, said)) <= MOST_TOGETHER
    assert said[-1] == f"and {50 - len(said) + 1} more: kubectl get iocfindings,clusteriocfindings -A"


def test_a_long_note_is_said_whole() -> None:
    note = " ".join(f"word{n}" for n in range(150))
    said = warnings(Verdict(allowed=True, notes=(note,)))
    assert " ".join(said) == note
    assert len(said) > 1


@given(
    st.lists(st.tuples(_ids, st.one_of(st.none(), _refs), st.text(max_size=500)), max_size=40),
    st.booleans(),
)
def test_what_was_not_evaluated_is_said_once_for_each_object_and_reason(
    entries: list[tuple[str, Ref | None, str]], faults: bool
) -> None:
    verdict = Verdict(allowed=True)
    if faults:
        verdict = verdict._replace(faults=tuple(Fault(check, ref, reason) for check, ref, reason in entries))
    else:
        verdict = verdict._replace(skipped=tuple(Skipped(check, ref, reason) for check, ref, reason in entries))
    said = warnings(verdict)
    assert all(len(line) <= LONGEST and line.isprintable() for line in said)
    assert sum(map(len, said)) <= MOST_TOGETHER
    assert all(ENDS.search(line) or MORE.search(line) for line in said)
    most = Counter(ref for ref, _ in {(ref, reason) for _, ref, reason in entries})
    assert len(said) <= sum(min(count, MOST_OF_AN_OBJECT + 1) for count in most.values())


def test_hits_and_what_was_not_evaluated_share_the_lines_of_their_object() -> None:
    found = [hit(f"m{n}", path=str(n)) for n in range(5)]
    skipped = tuple(Skipped("host-pid", found[0].subject, f"r{n}") for n in range(5))
    assert warnings(_verdict(*found)._replace(skipped=skipped)) == [
        "[high] Deployment shop/web: m0; see iocaudit explain host-pid",
        "[high] Deployment shop/web: m1; see iocaudit explain host-pid",
        "Deployment shop/web: not evaluated: r0; see iocaudit explain host-pid",
        "Deployment shop/web: and 7 more: kubectl get iocfindings -n shop",
    ]
    assert warnings(Verdict(allowed=True, skipped=skipped))[3] == (
        "Deployment shop/web: and 2 more: kubectl get auditreports -n shop"
    )


def test_one_reason_of_many_checks_is_one_line() -> None:
    ref = Ref("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", None, "zz")
    entries = tuple(Skipped(check, ref, "ClusterRole zz does not exist") for check in IDS[:17])
    assert warnings(Verdict(allowed=True, skipped=entries)) == [
        "ClusterRoleBinding zz: not evaluated: ClusterRole zz does not exist; "
        f"see iocaudit explain {IDS[0]} (16 more checks)"
    ]
    (line,) = warnings(Verdict(allowed=True, skipped=(Skipped(None, ref, "it is too deep"),)))
    assert line == "ClusterRoleBinding zz: not evaluated: it is too deep"


@pytest.mark.parametrize(("mode", "said"), [("deny", 1), ("warn", 1), ("audit", 0)])
def test_of_checks_that_only_record_nobody_is_told_that_they_were_not_evaluated(mode: str, said: int) -> None:
    catalogue = builtin_catalogue()
    rules = [{"profiles": ["default", "strict"], "mode": mode}]
    policies = read_policies([{"metadata": {"name": "p"}, "spec": {"checks": rules}}], catalogue)
    ref = Ref("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", None, "zz")
    report = Report(skipped=[Skipped(check, ref, "ClusterRole zz does not exist") for check in IDS])
    verdict = judge(report, policies.settings(None), Request(Operation.CREATE, "alice"))
    assert len(warnings(verdict)) == said
    assert wording.annotations(verdict)["incomplete"].split(",") == IDS
