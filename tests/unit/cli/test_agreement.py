"""Every door says the same of the same: webhook, operator, scan, explain, try and impact, over random policies,
waivers and objects.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from admission.state import State
from iocaudit.controller.policies import Policies
from iocaudit.controller.publisher import Publisher
from iocaudit.controller.sweep import ClusterAuditor
from iocaudit.core.kinds import DEPLOYMENT, NAMESPACE, POD
from iocaudit.core.kinds.ours import AUDIT_POLICY, IOC_WAIVER
from iocaudit.core.request import groups_of
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.posture import Verdict
from iocaudit.engine.setting import Setting
from iocaudit.impact.asked import AskedRequests
from iocaudit.impact.history import History
from iocaudit.judging.review import answer
from iocaudit.scanning.scan import Scan, ScanOptions, scan_files
from tests.support.api import FakeApi
from tests.support.logged import Log
from tests.support.plain_reviews import review
from tests.support.running import run

CATALOGUE = builtin_catalogue()
ASKED = AskedRequests(CATALOGUE)
Json = dict[str, Any]
KINDS = {"Pod": POD, "Deployment": DEPLOYMENT}
USERS = (
    ("alice", ()),
    ("eve", ("contractors",)),
    ("bob", ("contractors", "staff")),
    ("system:serviceaccount:ci:deployer", ()),
)
SUBJECTS = (
    {"kind": "User", "name": "a*"},
    {"kind": "Group", "name": "contractors"},
    {"kind": "ServiceAccount", "name": "*", "namespace": "ci"},
    {"kind": "Group", "name": "system:authenticated"},
)
NAMED = ("privileged-container", "host-pid", "untrusted-registry", "mutable-image-tag")
Hits = set[tuple[str, str, str]]


class Case(NamedTuple):
    """What every door is asked."""

    policies: list[Json]
    waivers: list[Json]
    thing: Json
    labels: dict[str, str]
    user: str
    groups: tuple[str, ...]

    @property
    def namespace(self) -> str:
        return str(self.thing["metadata"]["namespace"])

    @property
    def space(self) -> Json:
        metadata = {"name": self.namespace, "labels": {"kubernetes.io/metadata.name": self.namespace, **self.labels}}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def ours(kind: str, name: str, spec: Json) -> Json:
    metadata = {"name": name, "creationTimestamp": "2026-11-20T00:00:00Z"}
    return {"apiVersion": "iocaudit.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


@st.composite
def rules(draw: st.DrawFn) -> Json:
    named = draw(
        st.sampled_from([{"ids": [check]} for check in NAMED] + [{"groups": ["pods"]}, {"profiles": ["strict"]}])
    )
    rule: Json = {**named}
    if draw(st.integers(0, 3)):
        rule["mode"] = draw(st.sampled_from(["deny", "deny", "warn", "audit", "off"]))
    if draw(st.integers(0, 3)) == 0:
        rule["severity"] = draw(st.sampled_from(["critical", "high", "low"]))
    if named == {"ids": ["untrusted-registry"]}:
        rule["parameters"] = {"trusted": draw(st.sampled_from([["hooli.com/"], ["hooli.com/", "docker.io/"]]))}
    elif named == {"ids": ["privileged-container"]} and draw(st.booleans()):
        rule["parameters"] = {"exemptImages": ["hooli.com/tools/"]}
    return rule


@st.composite
def specs(draw: st.DrawFn) -> Json:
    match: Json = {}
    if draw(st.integers(0, 2)) == 0:
        match["namespaces"] = draw(st.sampled_from([["shop"], ["bar"], ["sh*", "x"]]))
    if draw(st.integers(0, 4)) == 0:
        match["namespaceSelector"] = {"matchLabels": {"tier": "gold"}}
    if draw(st.booleans()):
        match["kinds"] = draw(st.sampled_from([["Pod"], ["Deployment"], ["*.apps", "Job"], ["Service", "Pod"]]))
    if draw(st.integers(0, 2)) == 0:
        match["operations"] = draw(st.sampled_from([["CREATE"], ["UPDATE"], ["CREATE", "UPDATE"]]))
    if draw(st.booleans()):
        match["subjects"] = draw(st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=2, unique_by=str))
    if draw(st.integers(0, 4)) == 0:
        match["excludeSubjects"] = [draw(st.sampled_from(SUBJECTS))]
    spec: Json = {"priority": draw(st.integers(0, 2)), "checks": draw(st.lists(rules(), min_size=1, max_size=3))}
    if match:
        spec["match"] = match
    if draw(st.integers(0, 2)) == 0:
        spec["preset"] = draw(st.sampled_from(["observe", "warn", "guard", "lockdown"]))
    if draw(st.integers(0, 4)) == 0:
        spec["exemptSubjects"] = [{"kind": "Group", "name": "staff"}]
    return spec


@st.composite
def accepted(draw: st.DrawFn) -> Json:
    spec: Json = {
        "checks": draw(st.lists(st.sampled_from(NAMED), min_size=1, max_size=2, unique=True)),
        "namespaces": [draw(st.sampled_from(["shop", "bar"]))],
        "owner": "team",
        "reason": "until v2",
        "expires": "2027-01-01T00:00:00Z",
        "allowNew": True,
    }
    if draw(st.booleans()):
        spec["kinds"] = [draw(st.sampled_from(["Pod", "Deployment.apps"]))]
    return spec


@st.composite
def cases(draw: st.DrawFn) -> Case:
    policies = draw(st.lists(specs(), min_size=1, max_size=4))
    waivers = draw(st.lists(accepted(), max_size=2))
    image = draw(st.sampled_from(["docker.io/library/web:1", "hooli.com/web", "hooli.com/tools/x:2"]))
    container: Json = {"name": "app", "image": image, "securityContext": {"privileged": draw(st.booleans())}}
    pod: Json = {"containers": [container], "hostPID": draw(st.booleans())}
    metadata = {"name": "web", "namespace": draw(st.sampled_from(["shop", "bar"])), "uid": "u"}
    thing: Json = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}
    if draw(st.booleans()):
        template = {"metadata": {"labels": {"app": "web"}}, "spec": pod}
        spec = {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}
        thing = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    user, groups = draw(st.sampled_from(USERS))
    return Case(
        [ours("AuditPolicy", f"p{at}", spec) for at, spec in enumerate(policies)],
        [ours("IocWaiver", f"w{at}", spec) for at, spec in enumerate(waivers)],
        thing,
        draw(st.sampled_from([{}, {"tier": "gold"}])),
        user,
        groups_of(user, groups),
    )


# -- the doors -----------------------------------------------------------------------------------------------


def webhook(case: Case) -> State:
    state = State(CATALOGUE)
    for kind, raws in ((AUDIT_POLICY, case.policies), (IOC_WAIVER, case.waivers), (NAMESPACE, [case.space])):
        state.replace(kind, [Resource(raw, CLUSTER, kind=kind) for raw in raws])
    return state


def denials(verdict: Verdict) -> Hits:
    return {(found.check, found.hit.path, found.severity.label) for found in verdict.denials}


def scanned(case: Case, folder: Path, waivers: list[Json]) -> Scan:
    (folder / "judge.yaml").write_text("\n---\n".join(map(json.dumps, [*case.policies, *waivers])))
    (folder / "objects.yaml").write_text("\n---\n".join(map(json.dumps, [case.space, case.thing])))
    options = ScanOptions(policy_files=(str(folder / "judge.yaml"),), jobs=1)
    return scan_files([str(folder / "objects.yaml")], CATALOGUE, options)


def open_hits(scan: Scan) -> Hits:
    return {(one.check, one.hit.path, one.severity.label) for one in scan.report.found if one.subject.name == "web"}


def waived_hits(scan: Scan) -> Hits:
    every = (one.found for one in scan.report.waived)
    return {(one.check, one.hit.path, one.severity.label) for one in every if one.subject.name == "web"}


def swept(case: Case) -> tuple[Hits, dict[str, str]]:
    """What the operator found, and the state of each finding that it stored, by check."""
    api = FakeApi()
    for kind, raws in ((AUDIT_POLICY, case.policies), (IOC_WAIVER, case.waivers)):
        for raw in raws:
            api.put(kind, raw["metadata"]["name"], spec=raw["spec"])
    api.put(NAMESPACE, case.namespace, metadata={"labels": case.space["metadata"]["labels"]})
    api.put(KINDS[case.thing["kind"]], "web", case.namespace, spec=case.thing["spec"])
    cluster = ClusterAuditor(api, CATALOGUE, Publisher(api, CATALOGUE), Policies(CATALOGUE))
    cluster.sweep()
    (kept,) = (one for one in cluster.inventory if one.ref.name == "web")
    states = {
        one["finding"]["check"]: one["finding"]["state"]
        for one in api.stored("iocfindings")
        if one["finding"]["target"].endswith("/web")
    }
    return {(hit.check, hit.hit.path, hit.severity.label) for hit in kept.hits}, states


def explained(case: Case, folder: Path, *options: str) -> dict[str, Json]:
    labels = [f"--label={key}={value}" for key, value in case.labels.items()]
    kind = f"--kind={case.thing['kind']}"
    policies = ("--policy", str(folder / "judge.yaml"))
    code, out, err = run("policy", "explain", "-n", case.namespace, *policies, *labels, kind, "-ojson", *options)
    assert code == 0, err
    return {one["check"]: one for one in json.loads(out)["checks"]}


def as_explained(check: str, found: dict[str, Setting]) -> Json | None:
    """A setting as explain words it; None for a check that is off."""
    setting = found.get(check)
    if setting is None:
        return None
    severity = setting.severity or setting.check.severity
    return {
        "mode": setting.mode_for(severity).value,
        "worstMode": setting.mode_for(setting.severity or setting.check.worst).value,
        "severity": severity.label,
        "parameters": dict(setting.params),
        "decidedBy": setting.policy,
        "forRequestsAlone": setting.by_request,
    }


def compare(said: dict[str, Json], held: dict[str, Setting]) -> Iterator[str]:
    """The checks of which explain says something else than what a door holds to."""
    for check, one in said.items():
        wanted = as_explained(check, held)
        by = one["decidedBy"]["policy"] if one["decidedBy"] is not None else None
        found = {key: one[key] for key in ("mode", "worstMode", "severity", "parameters", "forRequestsAlone")}
        if wanted is None:
            if one["mode"] != "off":
                yield check
        elif wanted != found | {"decidedBy": by}:
            yield check


@given(cases())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_door_says_the_same(case: Case) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        state = webhook(case)
        asked = review("CREATE", case.thing, user=case.user, groups=case.groups)
        verdict = answer(asked, state.auditor, Deadline.within(60))
        resource = asked.resource
        assert resource is not None

        # scan and operator: what stands, whoever made it.
        scan = scanned(case, folder, case.waivers)
        found, states = swept(case)
        assert found == open_hits(scan) | waived_hits(scan)
        assert {check for check, state in states.items() if state == "Waived"} <= {hit[0] for hit in waived_hits(scan)}
        assert {hit[0] for hit in open_hits(scan)} >= {check for check, state in states.items() if state == "Open"}

        # explain: the one setting that each of them holds to.
        held = state.auditor.settings_for(resource, asked.request)
        user = [f"--user={case.user}", *(f"--group={group}" for group in case.groups)]
        said = explained(case, folder, *user)
        assert list(compare(said, held)) == []
        assert list(compare(explained(case, folder), state.auditor.settings_for(resource))) == []

        # The verdict follows from what explain says, from the hits and from the waivers.
        report = state.auditor.audit(resource, request=asked.request)
        exempt = {one["check"] for one in said.values() for who in one["exemptSubjects"] if who["name"] in case.groups}
        denied = {
            (one.check, one.hit.path, one.severity.label)
            for one in report.found
            if held[one.check].mode_for(one.severity).value == "deny" and one.check not in exempt
        }
        assert denials(verdict) == denied
        assert verdict.allowed is not bool(denied)

        # try and impact: the same verdict.
        files = (str(folder / "judge.yaml"), str(folder / "objects.yaml"))
        code, out, err = run("policy", "try", *files, "-ojson", *user)
        tried = [one for one in json.loads(out)["denied"] if one["subject"]["name"] == "web"]
        assert {reason["check"] for one in tried for reason in one["reasons"]} == {hit[0] for hit in denied}, err
        assert code == int(bool(denied))
        history = History(state.auditor, ASKED)
        event = Log().event("create", case.thing, user={"username": case.user, "groups": list(case.groups)})
        judged = history.take(event)
        assert judged is not None
        assert denials(judged.verdict) == denied


@given(cases())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_removing_a_waiver_never_removes_a_finding(case: Case) -> None:
    with tempfile.TemporaryDirectory() as name:
        whole = scanned(case, Path(name), case.waivers)
        for at in range(len(case.waivers)):
            fewer = scanned(case, Path(name), case.waivers[:at] + case.waivers[at + 1 :])
            assert open_hits(whole) <= open_hits(fewer)
            assert open_hits(whole) | waived_hits(whole) == open_hits(fewer) | waived_hits(fewer)
            there, after = (webhook(one) for one in (case, case._replace(waivers=case.waivers[:at])))
            asked = review("CREATE", case.thing, user=case.user, groups=case.groups)
            before = answer(asked, there.auditor, Deadline.within(60))
            now = answer(asked, after.auditor, Deadline.within(60))
            assert denials(before) <= denials(now)
