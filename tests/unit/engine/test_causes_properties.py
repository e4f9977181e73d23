"""One cause is one finding, under any policies, waivers, baselines and filters: nothing gets lost, no verdict moves."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.cli.baseline import Baseline
from iocaudit.core.report import Report, ReportedHit, home_of
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.severity import Severity
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue, builtin_catalogue
from iocaudit.engine.causes import causes_of, with_causes
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.posture import join, judge
from iocaudit.engine.presets import Mode
from iocaudit.engine.waiver_reader import read_waiver
from iocaudit.engine.waivers import Waivers
from iocaudit.judging.told import with_told

CATALOGUE = builtin_catalogue()
TIED = sorted({name for check in CATALOGUE for name in (*check.implied, *([check.id] if check.implied else []))})
"""The checks that imply or are implied."""
RBAC = "rbac.authorization.k8s.io"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOMES = ("shop", "mail")
PATHS = ("/etc", "/srv/data", "/var/run/docker.sock", "/root/.aws", "/")
Json = dict[str, Any]

names = st.sampled_from(["a", "b"])
homes = st.sampled_from(HOMES)


def thing(version: str, kind: str, name: str, home: str | None, **body: Any) -> Json:
    metadata = {"name": name, **({"namespace": home} if home else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}


@st.composite
def pods(draw: st.DrawFn) -> Json:
    volumes = draw(st.lists(st.sampled_from(PATHS), max_size=3, unique=True))
    containers = []
    for number in range(draw(st.integers(1, 3))):
        context = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "privileged": st.booleans(),
                    "runAsUser": st.sampled_from([0, 1000]),
                    "allowPrivilegeEscalation": st.booleans(),
                    "capabilities": st.just({"add": ["SYS_ADMIN", "CHOWN2"]}),
                },
            )
        )
        mounts = [
            {"name": f"v{number}", "mountPath": f"/m{number}", "readOnly": draw(st.booleans())}
            for number in range(len(volumes))
            if draw(st.booleans())
        ]
        image = draw(st.sampled_from(["hooli.com/a", "hooli.com/a:1"]))
        one = {"name": f"c{number}", "image": image, "securityContext": context, "volumeMounts": mounts}
        containers.append(one)
    spec = {
        "containers": containers,
        "volumes": [{"name": f"v{number}", "hostPath": {"path": path}} for number, path in enumerate(volumes)],
        **draw(st.fixed_dictionaries({}, optional={"securityContext": st.just({"runAsUser": 0})})),
    }
    return thing("v1", "Pod", draw(names), draw(homes), spec=spec)


rules = st.fixed_dictionaries(
    {
        "apiGroups": st.sampled_from([[""], ["*"]]),
        "resources": st.sampled_from([["secrets"], ["pods"], ["pods/exec", "configmaps"], ["*"]]),
        "verbs": st.sampled_from([["get"], ["create"], ["*"]]),
    }
)


@st.composite
def roles(draw: st.DrawFn) -> Json:
    home = draw(st.sampled_from([None, *HOMES]))
    listed = draw(st.lists(rules, max_size=2))
    return thing(f"{RBAC}/v1", "Role" if home else "ClusterRole", draw(names), home, rules=listed)


@st.composite
def bindings(draw: st.DrawFn) -> Json:
    home = draw(st.sampled_from([None, *HOMES]))
    kind = draw(st.sampled_from(["ClusterRole", *(["Role"] if home else [])]))
    role = draw(st.sampled_from(["a", "b", "cluster-admin", "edit", "unknown"]))
    known = st.sampled_from(["alice", "bob", "system:anonymous", "system:authenticated"])
    subjects = draw(st.lists(known, min_size=1, max_size=2, unique=True))
    named = [{"kind": "Group" if ":" in one else "User", "apiGroup": RBAC, "name": one} for one in subjects]
    reference = {"apiGroup": RBAC, "kind": kind, "name": role}
    return thing(
        f"{RBAC}/v1",
        "RoleBinding" if home else "ClusterRoleBinding",
        draw(names),
        home,
        roleRef=reference,
        subjects=named,
    )


namespaces = homes.map(lambda home: thing("v1", "Namespace", home, None))
objects = st.lists(st.one_of(pods(), roles(), bindings(), namespaces), min_size=1, max_size=7)
checks = st.lists(st.sampled_from(TIED), min_size=1, max_size=3, unique=True)


@st.composite
def policies(draw: st.DrawFn) -> Json:
    severity = st.sampled_from([severity.label for severity in Severity])
    mode = st.sampled_from(["deny", "warn", "audit", "off"])
    rule = st.fixed_dictionaries({"ids": checks}, optional={"mode": mode, "severity": severity})
    spec: Json = {"priority": draw(st.integers(1, 9)), "checks": draw(st.lists(rule, min_size=1, max_size=2))}
    if draw(st.booleans()):
        spec["match"] = {"namespaces": [draw(homes)], "clusterScoped": draw(st.booleans())}
    return spec


@st.composite
def waivers(draw: st.DrawFn) -> Json:
    clusters = draw(st.booleans())
    place = {"clusterScope": True} if clusters else {"namespaces": [draw(homes)]}
    more = draw(st.fixed_dictionaries({}, optional={"names": st.just(["a"])}))
    spec = {"checks": draw(checks), "owner": "o", "reason": "r" * 10, "expires": "2026-12-24T00:00:00Z"}
    return {"allowNew": True, **spec, **place, **more}


class Setting:
    """Objects judged under policies and waivers, less a baseline and what filters leave out."""

    def __init__(self, raws: list[Json], policy: list[Json], waiver: list[Json], catalogue: Catalogue) -> None:
        known = {(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]): one for one in raws}
        self.resources = [Resource(one, CLUSTER) for one in known.values()]
        world = World()
        for resource in self.resources:
            world.add(resource)
        read = tuple(
            read_policy({"metadata": {"name": f"p{n}"}, "spec": spec}, catalogue) for n, spec in enumerate(policy)
        )
        self.policies = PolicySet(catalogue, read)
        accepted = [
            read_waiver({"metadata": {"name": f"w{n}"}, "spec": spec}, CATALOGUE, stored=False, now=NOW)
            for n, spec in enumerate(waiver)
        ]
        self.auditor = Auditor(catalogue, self.policies, world, Waivers(accepted, None).acceptor(lambda: NOW))
        self.reports = [self.auditor.audit(resource) for resource in self.resources]

    def mode(self, found: ReportedHit) -> Mode:
        return self.policies.settings(home_of(found.subject))[found.check].mode_for(found.severity)


def identity(found: ReportedHit) -> tuple[object, ...]:
    return (*found.group, *found.same_hit)


def told(found: Iterable[ReportedHit]) -> list[str]:
    return sorted(str(identity(one)) for one in found)


@settings(max_examples=150)
@given(
    objects,
    st.lists(policies(), max_size=2),
    st.lists(waivers(), max_size=2),
    st.sets(st.sampled_from(TIED), max_size=6),
    st.sampled_from(list(Severity)),
    st.randoms(use_true_random=False),
)
def test_every_hit_is_shown_or_implied_by_one_that_is_as_bad(
    raws: list[Json], policy: list[Json], waiver: list[Json], skipped: set[str], lowest: Severity, random: Random
) -> None:
    catalogue = CATALOGUE.select({check.id for check in CATALOGUE} - skipped)
    policy = [kept for spec in policy if (kept := _without(spec, skipped))]
    world = Setting(raws, policy, waiver, catalogue)
    report = Report()
    for each in world.reports:
        report.extend(each)
    known = Baseline(tuple(entry for entry in Baseline.of(report).entries if random.random() < 0.2))
    listed = {entry["fingerprint"] for entry in known.entries}
    left = [one for one in report.found if one.fingerprint not in listed and one.severity >= lowest]
    before = Report(left, waived=report.waived).sorted()
    after = with_causes(before, catalogue)

    hits = {identity(one): one for one in before.found}
    assert told(after.hits) == told(before.found), "nothing is lost, or twice there"
    shown = {id(one) for one in after.found}
    for found, by in after.implied:
        original = hits[identity(found)]
        assert id(by) in shown, "what is implied is so by something that is shown"
        assert by.severity >= max(original.severity, found.severity)
        assert world.mode(by).weight >= world.mode(original).weight
        assert home_of(by.subject) == home_of(original.subject)
        assert identity(by) in hits, "what a waiver, the baseline or a filter takes away implies nothing"
    for severity in Severity:
        assert any(one.severity >= severity for one in before.found) == any(
            one.severity >= severity for one in after.found
        ), "the exit code is the same"
    shuffled = list(before.found)
    random.shuffle(shuffled)
    assert told(causes_of(shuffled, catalogue)[0]) == told(after.found), "the order of objects decides nothing"


@settings(max_examples=100)
@given(objects, st.lists(policies(), max_size=2), st.lists(waivers(), max_size=2))
def test_no_verdict_moves(raws: list[Json], policy: list[Json], waiver: list[Json]) -> None:
    world = Setting(raws, policy, waiver, CATALOGUE)
    request = Request(Operation.CREATE, "alice")
    each = [
        judge(world.auditor.audit(resource, request=request), world.auditor.settings_for(resource), request)
        for resource in world.resources
    ]
    verdict = join(each)
    told = with_told(verdict, CATALOGUE)
    assert told._replace(told=None) == verdict
    assert bool(told.causes.denials) == bool(verdict.denials)
    names = {identity(one) for one in verdict.denials}
    assert all(identity(one) in names for one in told.causes.denials)
    every = {identity(one) for one in (*told.causes.denials, *told.causes.warnings)}
    _, implied = causes_of(verdict.denials, CATALOGUE)
    _, more = causes_of([*verdict.denials, *verdict.warnings], CATALOGUE)
    parts = {identity(one.found) for one in (*implied, *more)}
    assert all(identity(one) in every | parts for one in (*verdict.denials, *verdict.warnings))


def _without(spec: Json, skipped: set[str]) -> Json | None:
    """A policy does not name a check that was left out."""
    rules = [{**rule, "ids": ids} for rule in spec["checks"] if (ids := [i for i in rule["ids"] if i not in skipped])]
    return {**spec, "checks": rules} if rules else None
