"""Whatever the names, a finding fits the schema of its kind and still tells one object from another."""

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.hit import Hit
from iocaudit.core.kinds import KINDS
from iocaudit.core.report import ReportedHit, WaivedHit, findings_of
from iocaudit.core.resource import CLUSTER, Ref
from iocaudit.core.severity import IoC, Severity
from iocaudit.live.summary import Summary
from iocaudit.records.finding import finding_body, finding_content
from iocaudit.records.lifecycle import stored
from tests.support.crd_schemas import content_schema

FINDING = {plural: content_schema(plural, "finding") for plural in ("iocfindings", "clusteriocfindings")}
REPORT = content_schema("auditreports", "report")

TEXT = st.characters(codec="utf-8")
ANY = st.one_of(
    st.text(TEXT, max_size=30),
    st.builds(lambda part, times: part * times, st.text(TEXT, min_size=1), st.integers(1, 4096)),
).map(lambda text: text[:4096])
"""Text of up to 4 KB, mostly of repeated parts: beginnings alike are what a cut could mix up."""
NAMED = ANY.filter(bool)
KNOWN = st.sampled_from(sorted(KINDS.values(), key=str)).map(lambda kind: (kind.group, kind.version, kind.name))
CLAIMED = st.tuples(ANY, NAMED, NAMED)
"""What a pod says to be owned by: the API server takes any kind and any name there."""
REFS = st.builds(lambda kind, *rest: Ref(*kind, *rest), KNOWN | CLAIMED, st.none() | st.just("shop"), NAMED)
HITS = st.lists(
    st.builds(lambda path, message, evidence, fix: Hit(path, message, evidence, fix=fix), NAMED, ANY, ANY, ANY),
    min_size=1,
    max_size=3,
)


@given(REFS, HITS, ANY, st.booleans())
def test_fits_the_schema_whatever_it_is_about(ref: Ref, hits: list[Hit], text: str, waived: bool) -> None:
    found = [ReportedHit("host-pid", Severity.HIGH, (IoC.CLUSTER_ADMIN,), ref, CLUSTER, hit, text) for hit in hits]
    accepted = [WaivedHit(one, text or "w", text, "2027-01-31T00:00:00Z") for one in found[:1]] if waived else []
    (finding,) = findings_of([] if waived else found, accepted)
    content = finding_content(finding, text)
    namespace = finding.home
    body = finding_body(namespace, finding.name, content)
    FINDING["clusteriocfindings" if namespace is None else "iocfindings"].validate(body["finding"])
    assert stored(body).place == (ref.shown.group, ref.shown.kind, ref.shown.name)

    summary = Summary()
    summary.count(finding)
    REPORT.validate({**summary.content(["a"]), "lastSweep": "2027-01-31T00:00:00Z"})


@given(REFS, REFS)
def test_what_is_shown_of_two_objects_is_equal_only_where_they_are(one: Ref, other: Ref) -> None:
    assert (one.shown == other.shown) is (one == other)
    assert one.shown == one or one.shown.shown != one.shown, "what was cut is not taken for a name of its own"


def test_a_message_has_room_for_more_than_a_long_name() -> None:
    ref = Ref("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", None, "b" * 4096)
    found = ReportedHit(
        "cluster-admin-binding", Severity.HIGH, (IoC.CLUSTER_ADMIN,), ref, CLUSTER, Hit("roleRef", "is bad")
    )
    assert len(found.message) < 400
    assert found.message.endswith(": is bad (roleRef)")
