"""Waivers: what they cover, alone; what nobody inside a namespace can make of them; when they end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.report import Report
from iocaudit.core.resource import CLUSTER, Ref, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.waiver_reader import WaiverError, read_waiver
from iocaudit.engine.waivers import Context, Waiver, Waivers
from iocaudit.knowledge.pods.images import ImageIndex

PRIVILEGED = {"privileged": True}
CATALOGUE = builtin_catalogue()
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
Json = dict[str, Any]


def raw(name: str = "legacy", *, status: Json | None = None, **spec: Any) -> Json:
    base = {
        "checks": ["privileged-container"],
        "namespaces": ["shop"],
        "owner": "team-shop",
        "reason": "until v2 is out",
        "expires": "2026-12-24T00:00:00Z",
    }
    metadata = {"name": name, "creationTimestamp": "2026-11-20T00:00:00Z"}
    return {"metadata": metadata, "spec": {**base, **spec}, **({"status": status} if status else {})}


def waiver(name: str = "legacy", *, stored: bool = False, status: Json | None = None, **spec: Any) -> Waiver:
    return read_waiver(raw(name, status=status, **spec), CATALOGUE, stored=stored, now=NOW)


def pod(namespace: str = "shop", name: str = "web", image: str = "hooli.com/web:1", **metadata: Any) -> Resource:
    containers = [
        {"name": "app", "image": image, "securityContext": {"privileged": True}},
        {"name": "side", "image": "hooli.com/side:1", "securityContext": {"privileged": True}},
    ]
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {"hostPID": True, "containers": containers},
    }
    return Resource(body, CLUSTER)


def audit(resource: Resource, *waivers: Waiver, now: datetime = NOW, longest: timedelta | None = None) -> Report:
    accept = Waivers(waivers, longest).acceptor(lambda: now)
    catalogue = CATALOGUE.select({"privileged-container", "host-pid"})
    return Auditor(catalogue, PolicySet(catalogue), World(), accept).audit(resource)


def left(*args: Any, **kwargs: Any) -> list[str]:
    """The paths of the privileged containers that still count."""
    found = audit(*args, **kwargs).found
    return [one.hit.path.split('"')[1] for one in found if one.check == "privileged-container"]


def test_a_waived_hit_is_said_and_does_not_count() -> None:
    report = audit(pod(), waiver())
    assert [found.check for found in report.found] == ["host-pid"]
    assert {(w.found.check, w.waiver, w.reason, w.expires) for w in report.waived} == {
        ("privileged-container", "legacy", "until v2 is out", "2026-12-24T00:00:00Z")
    }


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"namespaces": ["shop-*"]}, ["app", "side"]),
        ({"namespaces": ["sh?p"]}, []),
        ({"namespaces": [], "clusterScope": True}, ["app", "side"]),
        ({"kinds": ["Pod"]}, []),
        ({"kinds": ["Deployment"]}, ["app", "side"]),
        ({"names": ["web*"]}, []),
        ({"names": ["db"]}, ["app", "side"]),
        ({"labels": {"matchLabels": {"tier": "old"}}}, ["app", "side"]),
        ({"labels": {"matchLabels": {"app": "web"}}}, []),
        ({"images": ["hooli.com/web"]}, ["side"]),
        ({"images": ["hooli.com/"]}, []),
        ({"images": ["hooli.com.evil.io/"]}, ["app", "side"]),
        ({"checks": ["host-pid"]}, ["app", "side"]),
    ],
)
def test_what_narrows_it(spec: Json, expected: list[str]) -> None:
    assert left(pod(labels={"app": "web"}), waiver(**spec)) == expected


def test_a_hit_of_the_whole_pod_needs_every_image() -> None:
    spec: Json = {"checks": ["host-pid"], "images": ["hooli.com/web"]}
    assert "host-pid" in {found.check for found in audit(pod(), waiver(**spec)).found}
    wider: Json = {**spec, "images": ["hooli.com/web", "hooli.com/side"]}
    assert "host-pid" not in {found.check for found in audit(pod(), waiver(**wider)).found}
    assert ImageIndex(pod()).at("spec.hostPID") == ("hooli.com/web:1", "hooli.com/side:1")


def test_many_containers_are_asked_for_their_images_one_by_one() -> None:
    """As of one of a few containers, and in a time that a large object cannot stretch."""
    names = [f"c{number}" for number in range(1500)]
    containers = [
        {"name": name, "image": f"{'evil.io' if number % 2 else 'hooli.com'}/{name}", "securityContext": PRIVILEGED}
        for number, name in enumerate(names)
    ]
    for count in (10, 1500):
        subject = pod()
        subject.raw["spec"]["containers"] = containers[:count]
        index = ImageIndex(subject)
        hits = [found.hit.path for found in audit(subject).found]
        assert len(hits) == count + 1
        images = [(c["image"],) for c in containers[:count]]
        assert sorted(index.at(path) for path in hits) == sorted(
            [*images, tuple(c["image"] for c in containers[:count])]
        )
        assert index.at("metadata.labels") == tuple(c["image"] for c in containers[:count])
        assert len(index.at("status.phase")) == count, "where nothing tells whose it is, it is everyone's"
        assert left(subject, waiver(images=["hooli.com/"])) == names[1:count:2]


def test_two_waivers_never_add_up() -> None:
    one = waiver("one", images=["hooli.com/web"], names=["other"])
    two = waiver("two", namespaces=["elsewhere"])
    three = waiver("three", checks=["host-pid"], images=["hooli.com/web"])
    four = waiver("four", checks=["host-pid"], images=["hooli.com/side"])
    report = audit(pod(), one, two, three, four)
    assert sorted(found.check for found in report.found) == ["host-pid", "privileged-container", "privileged-container"]


NAMES, IMAGES = ("web", "db"), ("hooli.com/web:1", "hooli.com/side:1", "evil.io/web:1")
SPECS = st.fixed_dictionaries(
    {
        "checks": st.lists(st.sampled_from(["privileged-container", "host-pid"]), min_size=1, max_size=2, unique=True),
        "namespaces": st.lists(st.sampled_from(["shop", "sh*", "elsewhere"]), max_size=2, unique=True),
        "clusterScope": st.just(True),
    },
    optional={
        "kinds": st.lists(st.sampled_from(["Pod", "Deployment.apps"]), max_size=2, unique=True),
        "names": st.lists(st.sampled_from(["web", "w*", "db"]), max_size=2, unique=True),
        "labels": st.sampled_from([{"matchLabels": {"app": "a"}}, {"matchLabels": {"tier": "b"}}]),
        "images": st.lists(st.sampled_from(["hooli.com/web", "hooli.com/side", "evil.io/"]), max_size=2, unique=True),
        "expires": st.sampled_from(["2026-11-24T11:59:59Z", "2026-11-24T12:00:00Z", "2026-11-24T12:00:01Z"]),
        "allowNew": st.booleans(),
    },
)
PODS = st.builds(
    pod,
    namespace=st.sampled_from(["shop", "elsewhere", "other"]),
    name=st.sampled_from(NAMES),
    image=st.sampled_from(IMAGES),
    labels=st.sampled_from([{}, {"app": "a"}, {"tier": "b"}, {"app": "a", "tier": "b"}]),
)


@given(st.lists(SPECS, max_size=5), PODS, st.data())
def test_no_set_of_waivers_covers_a_hit_that_none_covers_alone(specs: list[Json], subject: Resource, data: Any) -> None:
    every = [found.fingerprint for found in audit(subject).found]
    waivers = []
    for number, spec in enumerate(specs):
        known = data.draw(st.lists(st.sampled_from(every), max_size=len(every), unique=True))
        status = {"covered": {"count": len(known), "fingerprints": known}}
        waivers.append(waiver(f"w{number}", stored=True, status=status, **spec))
    together = {one.found.fingerprint: one.waiver for one in audit(subject, *waivers).waived}
    alone = {one.name: {w.found.fingerprint for w in audit(subject, one).waived} for one in waivers}
    assert set(together) == set().union(*alone.values())
    assert all(fingerprint in alone[name] for fingerprint, name in together.items()), "named is who covers it by itself"
    assert together == {w.found.fingerprint: w.waiver for w in audit(subject, *reversed(waivers)).waived}
    for one in waivers:
        if alone[one.name]:
            assert any(subject.namespace in (name, "shop" if name == "sh*" else "") for name in one.namespaces)
            assert one.expires > NOW
            assert one.covered is None or alone[one.name] <= one.covered


def test_a_stored_waiver_covers_what_was_recorded_and_nothing_new() -> None:
    fingerprints = [found.fingerprint for found in audit(pod()).found if "app" in found.hit.path]
    assert left(pod(), waiver(stored=True)) == ["app", "side"]
    status = {"covered": {"count": 1, "fingerprints": fingerprints}}
    assert left(pod(), waiver(stored=True, status=status)) == ["side"]
    assert left(pod(name="another"), waiver(stored=True, status=status)) == ["app", "side"]
    assert left(pod(name="another"), waiver(stored=True, status=status, allowNew=True)) == []


def test_what_was_recorded_under_the_scheme_before_is_refused() -> None:
    """64 bits can be made to collide: such a record would cover what it was not made for."""
    status = {"covered": {"count": 1, "fingerprints": ["0123456789abcdef"]}}
    for stored in (True, False):
        with pytest.raises(WaiverError, match=r"status\.covered\.fingerprints\[0\].*scheme v1.*make a new waiver"):
            waiver(stored=stored, status=status)


def test_a_file_without_a_status_is_its_own_record() -> None:
    assert left(pod(), waiver()) == []
    assert left(pod(), waiver(status={"covered": {"count": 0, "fingerprints": []}})) == ["app", "side"]


def test_it_ends_by_itself_at_the_second() -> None:
    end = datetime(2026, 12, 24, tzinfo=UTC)
    assert left(pod(), waiver(), now=end - timedelta(seconds=1)) == []
    assert left(pod(), waiver(), now=end) == ["app", "side"]
    assert Waivers([waiver()]).next_expiry(NOW) == end
    assert Waivers([waiver()]).next_expiry(end) is None


def test_longer_than_allowed_holds_nowhere() -> None:
    longest = timedelta(days=30)
    assert left(pod(), waiver(), longest=longest) == ["app", "side"]
    assert "34 days" in str(waiver().refusal(longest))
    assert left(pod(), waiver(expires="2026-12-20T00:00:00Z"), longest=longest) == []


def test_a_birthday_in_the_future_gives_no_longer_life() -> None:
    body = raw(expires="2030-01-01T00:00:00Z")
    body["metadata"]["creationTimestamp"] = "2029-12-31T00:00:00Z"
    assert read_waiver(body, CATALOGUE, stored=True, now=NOW).refusal(timedelta(days=90)) is not None


def test_a_clock_that_lags_behind_the_api_servers_refuses_nobody() -> None:
    body = raw(expires="2026-12-24T12:00:30Z")
    body["metadata"]["creationTimestamp"] = "2026-11-24T12:00:30Z"
    assert read_waiver(body, CATALOGUE, stored=True, now=NOW).refusal(timedelta(days=30)) is None


A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


@pytest.mark.parametrize(
    ("pattern", "image", "covered"),
    [
        (f"hooli.com/web@{A}", f"hooli.com/web@{A}", True),
        (f"hooli.com/web@{A}", f"hooli.com/web:1@{A}", True),
        (f"hooli.com/web@{A}", f"hooli.com/web@{B}", False),
        (f"hooli.com/web@{A}", "hooli.com/web:1", False),
        (f"hooli.com/web:1@{A}", f"hooli.com/web:2@{A}", True),
        (f"hooli.com/web@{A}", f"evil.io/web@{A}", False),
        ("hooli.com/web:1", "hooli.com/web:1", True),
        ("hooli.com/web:1", "hooli.com/web:10", False),
        ("hooli.com/web:1", "hooli.com/web", False),
        ("hooli.com/web:1", f"hooli.com/web:1@{B}", False),
        ("hooli.com/web:1", "hooli.com/web/evil:1", False),
        ("hooli.com/web", f"hooli.com/web:7@{B}", True),
        ("hooli.com/web", "hooli.com/webbed:1", False),
        ("hooli.com/web", "hooli.com:5000/web", False),
        ("hooli.com/web", "hooli.com@evil.io/web", False),
        ("hooli.com/", "", False),
    ],
)
def test_what_an_image_is_narrowed_to(pattern: str, image: str, covered: bool) -> None:
    """A digest is what runs, whatever tag stands beside it; a tag says nothing of an image by digest."""
    assert ("app" not in left(pod(image=image), waiver(images=[pattern]))) == covered


GLOBS = st.text("ab*?-[!]^\\.{}", min_size=1, max_size=6)


@given(GLOBS)
def test_no_single_glob_means_every_namespace(glob: str) -> None:
    try:
        read = waiver(namespaces=[glob])
    except WaiverError:
        return
    others = ("kite-system", "q", "9", "zz", "c-d")
    assert not any(left(pod(namespace=other), read) != ["app", "side"] for other in others), glob


@pytest.mark.parametrize(
    ("spec", "here", "there"),
    [
        ({"namespaces": ["shop"], "clusterScope": True}, True, True),
        ({"namespaces": ["shop"]}, True, False),
        ({"namespaces": [], "clusterScope": True}, False, True),
        ({"namespaces": ["shop-*"], "clusterScope": True}, False, True),
    ],
)
def test_cluster_scope_and_namespaces_are_told_apart(spec: Json, here: bool, there: bool) -> None:
    """A Namespace is at home in itself, not in cluster scope."""
    read = waiver(checks=["host-pid"], **spec)
    for home, wanted in (("shop", here), (None, there), ("elsewhere", False)):
        assert read.matches("host-pid", Ref("", "v1", "Thing", home, "shop"), home, Context()) == wanted


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"checks": []}, "spec.checks: name at least one check"),
        ({"checks": ["no-such"]}, "spec.checks[0]: there is no check 'no-such'"),
        ({"checks": ["*"]}, "spec.checks[0]"),
        ({"namespaces": []}, "spec.namespaces: name at least one namespace"),
        ({"namespaces": ["*"]}, "spec.namespaces[0]: '*' means everything"),
        ({"namespaces": ["?*-"]}, "means everything"),
        ({"names": ["**"]}, "spec.names[0]"),
        ({"namespaces": ["[!x]*"]}, "is not a name or a glob"),
        ({"namespaces": ["[a-z]*"]}, "is not a name or a glob"),
        ({"namespaces": ["shop", "?*"]}, "spec.namespaces[1]: '?*' means everything"),
        ({"namespaces": ["shop\n"]}, "is not a name or a glob"),
        ({"names": ["[!-]*x"]}, "spec.names[0]"),
        ({"kind": ["Pod"]}, "spec.kind: there is no such field"),
        ({"labels": {"matchlabels": {"app": "web"}}}, "spec.labels.matchlabels: there is no such field"),
        ({"owner": " "}, "spec.owner: must not be empty"),
        ({"reason": None}, "spec.reason"),
        ({"expires": None}, "spec.expires"),
        ({"expires": "tomorrow"}, "is not a time such as"),
        ({"expires": "2026-12-24T00:00:00"}, "is not a time such as"),
        ({"expires": "9999-12-31T23:59:59-01:00"}, "is not a time such as"),
        ({"expires": "0001-01-01T00:00:00+01:00"}, "is not a time such as"),
        ({"expires": "2026-12-24T23:59:60Z"}, "is not a time such as"),
        ({"labels": ["a"]}, "spec.labels: must be a map"),
        ({"images": ["/"]}, "spec.images"),
    ],
)
def test_what_is_refused_names_waiver_and_field(spec: Json, said: str) -> None:
    with pytest.raises(WaiverError) as refused:
        waiver(**spec)
    assert str(refused.value).startswith("IocWaiver legacy: ")
    assert said in str(refused.value)


@given(st.recursive(st.none() | st.booleans() | st.text(max_size=8) | st.integers(), lambda v: st.lists(v, max_size=3)))
def test_wrong_types_are_refused_or_mean_less(value: Any) -> None:
    """Whatever stands in a field that narrows: only nothing at all narrows nothing."""
    for field in ("kinds", "names", "images"):
        try:
            narrowed = waiver(**{field: value})
        except WaiverError:
            continue
        assert value in (None, []) or left(pod(), narrowed) == ["app", "side"]
    for field in ("checks", "namespaces", "owner", "reason"):
        try:
            read = waiver(**{field: value})
        except WaiverError:
            continue
        assert value, read


def test_notes_say_why_a_waiver_waives_nothing() -> None:
    late = waiver("late", expires="2028-01-01T00:00:00Z")
    waivers = Waivers([waiver("idle"), late, waiver("over", expires="2026-11-23T00:00:00Z"), waiver("used")])
    assert waivers.notes(["late", "used"], NOW) == [
        "waiver idle: covers nothing that was audited",
        "waiver late: ends in more than 90 days, which clusters refuse unless --waiver-max-days allows more",
        "waiver over: expired at 2026-11-23T00:00:00Z: what it covered counts again",
    ]
