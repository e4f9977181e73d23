"""Rules as checks: what they look at, how bad their hits may be, and what their answers become."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core import paths
from iocaudit.core.check import NAMED
from iocaudit.core.errors import PathSyntaxError
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import CONFIG_MAP, CRON_JOB, DEPLOYMENT, INGRESS, POD
from iocaudit.core.request import Operation
from iocaudit.core.severity import Severity
from iocaudit.engine.languages.answer import Violation
from iocaudit.engine.languages.as_checks import MOST_VIOLATIONS, check_of, hits_of, named_path, on_templates, rule_of
from iocaudit.engine.languages.rule import RegoSource
from tests.support.auditing import container, pod
from tests.support.rules import cel, rego


def test_a_rule_for_pods_looks_at_what_makes_pods() -> None:
    check = check_of(rego("registry"))
    assert {POD, DEPLOYMENT, CRON_JOB} <= set(check.looks_at)
    assert check.group == "rego"
    assert check.id == "rego-registry"
    assert check.asks
    assert set(check_of(rego("registry", pod_templates=False)).looks_at) == {POD}


def test_a_rule_for_the_creation_of_pods_is_asked_when_a_template_changes() -> None:
    check = check_of(rego("registry", operations=(Operation.CREATE,)))
    assert set(check.operations) == {Operation.CREATE, Operation.UPDATE}


def test_a_rule_for_updates_alone_says_nothing_of_what_stands_or_of_templates() -> None:
    rule = cel("no-shrink", operations=(Operation.UPDATE,))
    assert check_of(rule).admission_only
    assert not on_templates(rule, DEPLOYMENT)


def test_a_rule_that_needs_pods_is_not_for_the_webhook() -> None:
    assert check_of(rego("unique", needs=(POD,))).audit_only
    assert not check_of(rego("unique", needs=(INGRESS,))).audit_only


def test_the_rule_is_found_from_its_check() -> None:
    rule = cel("x")
    assert rule_of(check_of(rule)) is rule


def test_a_named_rule_belongs_to_no_profile() -> None:
    assert check_of(cel("x"), named=True).profile == NAMED
    assert check_of(cel("x")).profile == "default"


def test_what_a_rule_says_of_itself_is_its_documentation() -> None:
    rule = rego("x", title="Images come from hooli.com.", description="Why.\nBad: no section", fix="Push  it there")
    doc = check_of(rule).doc
    assert doc.title == "Images come from hooli.com"
    assert doc.why == "Why.\nBad: no section"
    assert doc.fix == "Push it there"
    assert doc.bad == ""
    assert "rego-y" in check_of(rego("y")).title


def test_only_a_module_that_speaks_of_severity_may_raise_it() -> None:
    quiet, loud = RegoSource("# severity\npackage x"), RegoSource('package x\nd := {"severity": "critical"}')
    assert check_of(rego("x", source=quiet)).worst is Severity.HIGH
    assert check_of(rego("x", source=loud)).worst is Severity.CRITICAL
    assert check_of(rego("x", source=RegoSource("package x", (loud.module,)))).worst is Severity.CRITICAL


def _hits(*violations: Violation, worst: Severity = Severity.CRITICAL) -> list[Hit]:
    return list(hits_of(violations, pod(), worst))


def test_a_violation_becomes_a_hit_at_a_path_by_names() -> None:
    (hit,) = _hits(Violation("bad image", "spec.containers[0].image", "nginx:1", Severity.LOW, "push it"))
    assert hit == Hit('spec.containers["app"].image', "bad image", "nginx:1", Severity.LOW, fix="push it")


def test_a_violation_without_path_and_evidence_is_the_message_of_the_object() -> None:
    (hit,) = _hits(Violation("web has a bad image, and web-1 too"))
    assert hit.path == "spec"
    assert hit.evidence == "{name} has a bad image, and web-1 too"


def test_no_hit_is_worse_than_the_rule_can_be() -> None:
    (hit,) = _hits(Violation("x", severity=Severity.CRITICAL), worst=Severity.HIGH)
    assert hit.severity is Severity.HIGH


def test_of_very_many_violations_the_last_are_one_hit_that_tells_them_from_others() -> None:
    many = [Violation(f"{number}") for number in range(MOST_VIOLATIONS + 3)]
    *hits, last = _hits(*many)
    assert len(hits) == MOST_VIOLATIONS
    assert last.message == "has 3 violations more"
    *_, other = _hits(*many[:-1], Violation("x"))
    assert last.evidence != other.evidence
    *_, as_rule, worst = _hits(*many, Violation("x", severity=Severity.LOW), Violation("y", severity=Severity.HIGH))
    assert (as_rule, worst.severity) == (last, Severity.HIGH)


def test_a_path_that_is_none_is_refused() -> None:
    with pytest.raises(PathSyntaxError):
        _hits(Violation("x", "spec..image"))


_SEGMENTS = st.lists(
    st.one_of(st.sampled_from(["spec", "containers", "a-b", "", "über", 'q"']), st.integers(0, 3)), max_size=6
)


@given(
    _SEGMENTS, st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_a_path_stays_a_path_and_settles_at_once(segments: list[str | int], value: object) -> None:
    path = ""
    for segment in segments:
        path = paths.field(path, segment) if isinstance(segment, str) else f"{path}[{segment}]"
    judged = {**pod(container(), container(name="b")), "extra": value}
    once = named_path(path, judged)
    paths.parse(once)
    assert named_path(once, judged) == once


def test_kinds_without_a_spec_are_hit_at_their_metadata() -> None:
    (hit,) = list(hits_of([Violation("x")], {"kind": CONFIG_MAP.name, "metadata": {"name": "a"}}, Severity.HIGH))
    assert hit.path == "metadata"
