"""Whatever a pod looks like: tags and settings may change under what was accepted, programs may not."""

from __future__ import annotations

import copy
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.kinds import DEPLOYMENT, POD, REPLICA_SET
from iocaudit.core.report import Report, ReportedHit
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.severity import Severity
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.kept import Interner, keep
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.posture import Verdict, judge
from iocaudit.engine.presets import Preset
from iocaudit.live.inventory import Inventory

Json = dict[str, Any]
CATALOGUE = builtin_catalogue()
UPDATE = Request(Operation.UPDATE, "alice", ())
CREATE = Request(Operation.CREATE, "system:serviceaccount:kube-system:replicaset-controller", ())
OF_IMAGES = {"mutable-image-tag", "pull-policy-not-always", "untrusted-registry"}
EVERYTHING_DENIES = Auditor(
    CATALOGUE,
    read_policies(
        [{"metadata": {"name": "all"}, "spec": {"checks": [{"profiles": ["default", "strict"], "mode": "deny"}]}}],
        CATALOGUE,
        profile="strict",
    ),
    World(),
)
DEFAULT = Auditor(CATALOGUE, PolicySet(CATALOGUE, preset=Preset.LOCKDOWN), World())
LISTS = ("containers", "initContainers", "ephemeralContainers")
VOLUMES: list[Json] = [
    {"name": "etc", "hostPath": {"path": "/etc"}},
    {"name": "sock", "hostPath": {"path": "/run/containerd/containerd.sock"}},
    {"name": "data", "hostPath": {"path": "/data"}},
    {"name": "tmp", "emptyDir": {}},
]
CONTEXTS: list[Json] = [
    {},
    {"privileged": True},
    {"runAsUser": 0},
    {"runAsUser": 20000, "runAsNonRoot": True},
    {"capabilities": {"add": ["SYS_ADMIN"]}},
]

images = st.builds("{}:{}".format, st.sampled_from(["a.io/a", "b.io/b", "c.io/c"]), st.sampled_from(["1", "2.0"]))
volumes = st.lists(st.sampled_from(VOLUMES), unique_by=lambda volume: volume["name"])


@st.composite
def pods(draw: st.DrawFn) -> Json:
    """A pod's spec with one to four containers in any of its lists."""
    held = draw(volumes)
    spec: Json = {"volumes": held, **draw(st.sampled_from([{}, {"hostPID": True}, {"shareProcessNamespace": True}]))}
    if context := draw(st.sampled_from([{}, {"runAsUser": 0}, {"seccompProfile": {"type": "Unconfined"}}])):
        spec["securityContext"] = context
    for number in range(draw(st.integers(1, 4))):
        container: Json = {"name": f"c{number}", "image": draw(images)}
        if own := draw(st.sampled_from(CONTEXTS)):
            container["securityContext"] = own
        names = [volume["name"] for volume in held]
        mounted = draw(st.lists(st.sampled_from(names), unique=True)) if names else []
        container["volumeMounts"] = [{"name": name, "mountPath": f"/{name}"} for name in mounted]
        place = "containers" if number == 0 else draw(st.sampled_from(LISTS))
        spec.setdefault(place, []).append(container)
    return spec


def containers(spec: Json) -> list[Json]:
    return [container for name in LISTS for container in spec.get(name, [])]


def pod(spec: Json, name: str = "web-1-a") -> Json:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "uid-web-1", "controller": True}
    meta = {
        "name": name,
        "namespace": "shop",
        "uid": f"uid-{name}",
        "labels": {"app": "web"},
        "ownerReferences": [owner],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def workload(spec: Json, kind: str = "Deployment", name: str = "web") -> Json:
    meta: Json = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "labels": {"app": "web"}}
    if kind == "ReplicaSet":
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "uid-web", "controller": True}
        meta["ownerReferences"] = [owner]
    template = {"metadata": {"labels": {"app": "web"}}, "spec": spec}
    whole = {"selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": whole}


def audit(raw: Json, auditor: Auditor, request: Request) -> Report:
    return auditor.audit(Resource(raw, CLUSTER), request=request)


def update(old: Json, new: Json, auditor: Auditor = EVERYTHING_DENIES) -> Verdict:
    report = audit(new, auditor, UPDATE)
    settings = auditor.settings_for(Resource(new, CLUSTER))
    return judge(report, settings, UPDATE, old=audit(old, auditor, UPDATE))


def holds(container: Json, found: ReportedHit, spec: Json) -> bool:
    """Whether a container gets what a hit is about, told from the path alone."""
    path = re.sub(r"^spec\.template\.", "", found.hit.path)
    if own := re.match(r'spec\.(?:containers|initContainers|ephemeralContainers)\["(\w+)"\]', path):
        return bool(container["name"] == own[1])
    if volume := re.match(r'spec\.volumes\["(\w+)"\]', path):
        users = [one for one in containers(spec) if volume[1] in {m["name"] for m in one["volumeMounts"]}]
        return container in users or not users
    if default := re.match(r"spec\.securityContext\.(runAsUser|seccompProfile)", path):
        users = [one for one in containers(spec) if default[1] not in one.get("securityContext", {})]
        return container in users or not users
    return True


def new_versions(spec: Json, data: st.DataObject) -> Json:
    """The same with other tags, digests, variables and arguments."""
    new = copy.deepcopy(spec)
    for container in containers(new):
        repository = container["image"].partition(":")[0]
        container["image"] = repository + data.draw(st.sampled_from([":3", ":4.1", "@sha256:" + "a" * 64, ":1"]))
        container["env"] = data.draw(st.sampled_from([[], [{"name": "A", "value": "b"}]]))
    return new


@given(pods(), st.sampled_from([pod, workload]), st.data())
def test_new_tags_and_settings_introduce_nothing(spec: Json, kind: Any, data: st.DataObject) -> None:
    old, new = kind(spec), kind(new_versions(spec, data))
    assert {found.check for found in update(old, new).denials} <= OF_IMAGES
    before, after = (
        {found.fingerprint for found in audit(raw, EVERYTHING_DENIES, CREATE).found if found.check not in OF_IMAGES}
        for raw in (old, new)
    )
    assert after <= before


@given(pods(), st.sampled_from([pod, workload]), st.data())
def test_another_repository_introduces_what_its_container_holds_and_nothing_else(
    spec: Json, kind: Any, data: st.DataObject
) -> None:
    new = copy.deepcopy(spec)
    changed = data.draw(st.sampled_from(containers(new)))
    changed["image"] = "evil.io/x:1"
    report = audit(kind(new), EVERYTHING_DENIES, UPDATE)
    expected = {found.same_hit for found in report.found if holds(changed, found, new)}
    denied = {found.same_hit for found in update(kind(spec), kind(new)).denials}
    assert denied == expected


@given(pods(), st.data())
def test_one_more_container_introduces_what_it_gets(spec: Json, data: st.DataObject) -> None:
    new = copy.deepcopy(spec)
    names = [volume["name"] for volume in spec["volumes"]]
    mounted = data.draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in mounted]
    added = {"name": "debug", "image": "evil.io/x:1", "volumeMounts": mounts}
    new.setdefault("ephemeralContainers", []).append(added)
    denied = {found.same_hit for found in update(pod(spec), pod(new)).denials}
    report = audit(pod(new), EVERYTHING_DENIES, UPDATE)
    assert {found.same_hit for found in report.found if holds(added, found, new)} <= denied
    assert denied <= {found.same_hit for found in report.found if holds(added, found, new)}


@given(pods(), st.data())
def test_webhook_and_operator_tell_the_same_pods_apart(spec: Json, data: st.DataObject) -> None:
    """A pod is spared as existing if, and only if, none of what would deny it stands alone in the cluster."""
    made = new_versions(spec, data)
    if data.draw(st.booleans()):
        data.draw(st.sampled_from(containers(made)))["image"] = "evil.io/x:1"
    deployment, owner, subject = workload(spec), workload(spec, "ReplicaSet", "web-1"), pod(made)
    inventory, intern = Inventory(), Interner()
    inventory.serve([POD, REPLICA_SET, DEPLOYMENT])
    for raw in (deployment, owner, subject):
        resource = Resource(raw, CLUSTER)
        inventory.put(keep(resource, DEFAULT.audit(resource), intern))
    findings = inventory.findings("shop")
    alone = {one.check for one in findings if one.subject.kind == "Pod" and one.severity is Severity.CRITICAL}
    templates = [audit(raw, DEFAULT, CREATE) for raw in (owner, deployment)]
    settings = DEFAULT.settings_for(Resource(subject, CLUSTER))
    verdict = judge(audit(subject, DEFAULT, CREATE), settings, CREATE, owners=templates)
    assert {found.check for found in verdict.denials} == alone
