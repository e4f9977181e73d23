"""Names of findings, hits and attempts: no two lists of parts share one, whatever the parts hold."""

import json
import re

from hypothesis import example, given
from hypothesis import strategies as st

from iocaudit.core.hit import Hit
from iocaudit.core.identity import FINGERPRINT, SCHEME, bounded, fingerprint, name_suffix, preimage
from iocaudit.core.report import ReportedHit, finding_fingerprint, finding_name
from iocaudit.core.resource import CLUSTER, Ref
from iocaudit.core.severity import IoC, Severity
from iocaudit.evidence.key import EvidenceKey

_NASTY = st.text(st.sampled_from('|",\\[]\n\x00\x1f\x7f\u2028é\ud83d\ude00😀n'), max_size=6)
PART = st.one_of(st.none(), _NASTY, st.text(max_size=8), st.just("null"))
PARTS = st.lists(PART, max_size=5).map(tuple)
# RFC 1123 subdomain, as the API server asks of a resource's name.
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
CHECK_ID = st.from_regex(r"[a-z][a-z0-9]{0,20}(-[a-z0-9]{1,20}){0,2}", fullmatch=True)
_BASE = "b" * 226 + "…"


@given(PARTS, PARTS)
@example(("a|b",), ("a", "b"))
@example(('a","b',), ("a", "b"))
@example((None,), ("null",))
@example(("\ud83d\ude00",), ("😀",))
@example(("a",), ("a", None))
@example((), ("",))
def test_different_parts_have_different_preimages(one: tuple[str | None, ...], other: tuple[str | None, ...]) -> None:
    assert (preimage("hit", *one) == preimage("hit", *other)) is (one == other)
    assert preimage("hit", *one) != preimage("finding", *other), "what is named is part of it"


@given(st.lists(st.one_of(st.none(), st.text(st.characters(codec="utf-8"))), max_size=5))
def test_the_preimage_is_the_json_array_of_its_parts(parts: list[str | None]) -> None:
    assert json.loads(preimage("hit", *parts)) == [SCHEME, "hit", *parts]


@given(PARTS)
def test_both_forms_have_128_bits(parts: tuple[str | None, ...]) -> None:
    assert FINGERPRINT.fullmatch(fingerprint("hit", *parts))
    assert re.fullmatch("[a-z2-7]{26}", name_suffix("hit", *parts))


def test_a_name_that_imitates_the_join_of_two_parts_is_another() -> None:
    """RBAC names may hold anything, also what once separated the parts."""
    one, other = (Ref("", "v1", "Pod", *parts) for parts in (("a", "b|c"), ("a|b", "c")))
    assert finding_fingerprint("host-pid", one) != finding_fingerprint("host-pid", other)
    hits = (
        ReportedHit("host-pid", Severity.HIGH, (IoC.CLUSTER_ADMIN,), one, CLUSTER, Hit(path, "", evidence=evidence))
        for path, evidence in (("p", "x|y"), ("p|x", "y"))
    )
    assert len({hit.fingerprint for hit in hits}) == 2


@given(CHECK_ID, st.text(max_size=300), st.text(max_size=300))
def test_names_of_resources_are_subdomains(check: str, namespace: str, name: str) -> None:
    posture = finding_name(check, Ref("", "v1", "Pod", namespace, name))
    denied = EvidenceKey(check, "", "Pod", namespace, name, "mallory").finding
    for found in (posture, denied):
        assert SUBDOMAIN.fullmatch(found)
        assert len(found) <= 253
    assert posture != denied


@given(st.text(max_size=600), st.text(max_size=600), st.sampled_from([63, 253]))
@example("b" * 254, "b" * 255, 253)
@example("b" * 300, bounded("b" * 300, 253), 253)
@example(bounded("b" * 300, 253), bounded(bounded("b" * 300, 253), 253), 253)
@example(_BASE + "a" * 26, _BASE + "a" * 26 + "b", 253)
def test_a_bounded_value_is_short_and_still_names_one_thing(one: str, other: str, most: int) -> None:
    assert len(bounded(one, most)) <= most
    assert (bounded(one, most) == bounded(other, most)) is (one == other)
    if len(one) < most:
        assert bounded(one, most) == one
