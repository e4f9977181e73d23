"""The labelled cases on a real API server under `iocaudit export vap`: it denies nothing that we would not, and most.

Its bindings warn here, so that one request tells every policy that would deny it.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest

from devcluster.controlplane import ControlPlane
from iocaudit.core.kinds import WORKLOADS
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.severity import Severity
from iocaudit.core.shape import mapping, mappings
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.posture import judge
from iocaudit.install.vap.translations import TRANSLATIONS
from iocaudit.sources.documents import Document, read_documents
from tests.acceptance import labelled
from tests.acceptance.labelled import Row
from tests.cluster.exported import Asker, Said, exported, install, kind_of, path_of, policies_of

Json = dict[str, Any]
LEAST = 0.8
_PROFILES = {"runs-as-root": "groups", "unmasked-proc": "userNamespaces"}


class Case(NamedTuple):
    """An object of a row, in the namespace where that row's parameters hold."""

    row: Row
    raw: Json


class Change(NamedTuple):
    """An UPDATE: what the API server said of it, and by which checks we would deny it."""

    said: Said
    denied: frozenset[str]
    had: frozenset[str]
    """The checks that hit the object as it was."""


class Judged(NamedTuple):
    """``said`` answers its CREATE. ``later`` are the answers to what is done with it, by what that is."""

    case: Case
    said: Said
    denied: frozenset[str]
    """The checks by which we would deny it."""
    later: dict[str, Said]
    changes: dict[str, Change]
    """UPDATEs that make it better or worse, by what they make of it."""


def _rules(row: Row) -> list[Json]:
    """Every check that is exported denies, under the row's parameters."""
    catalogue = labelled.CATALOGUE
    rules: list[Json] = [{"ids": sorted(set(TRANSLATIONS) - {"untrusted-registry"}), "mode": "deny"}]
    policies = labelled.policies_for(row)
    strict = policies.profile == "strict"
    given = {check: dict(rule.params) for policy in policies.policies for rule in policy.rules for check in rule.ids}
    off = {check for policy in policies.policies for rule in policy.rules for check in rule.ids if rule.mode == "off"}
    for name, parameter in _PROFILES.items():
        check = catalogue.find(name)
        assert check is not None
        default = (check.strict_defaults if strict else check.defaults)[parameter]
        given.setdefault(name, {}).setdefault(parameter, default)
    rules += [
        {"ids": [check], "mode": "off" if check in off else "deny", **({"parameters": params} if params else {})}
        for check, params in sorted(given.items())
        if check in TRANSLATIONS
    ]
    return rules


def _cases() -> tuple[list[Case], list[Json]]:
    """The objects of the rows, and the spec of a policy for each set of parameters."""
    namespaces: dict[str, str] = {}
    specs: list[Json] = []
    found: list[Case] = []
    for row in labelled.rows():
        if not row.in_scope or row.raw["input"] != "manifest":
            continue
        objects = [one for one in _objects(row) if (kind := kind_of(one)) is not None and kind in WORKLOADS]
        if not objects:
            continue
        rules = _rules(row)
        key = json.dumps(rules, sort_keys=True)
        name = namespaces.get(key)
        if name is None:
            name = namespaces[key] = f"case-{len(namespaces)}"
            specs.append({"match": {"namespaces": [name]}, "checks": rules})
        for raw in objects:
            raw.setdefault("metadata", {})
            raw["metadata"] |= {"namespace": name, "name": f"{_name(raw)[:40]}-{len(found)}"}
            raw.pop("status", None)
            _complete(raw)
            found.append(Case(row, raw))
    return found, specs


def _complete(raw: Json) -> None:
    """Fixtures leave out what an API server wants and no check looks at: selectors, names and images of containers."""
    spec = mapping(raw.get("spec"))
    template = spec if raw["kind"] == "Pod" else mapping(spec.get("template"))
    if (
        raw["kind"] in ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet")
        and isinstance(template, dict)
        and template
    ):
        labels = mapping(mapping(template.get("metadata")).get("labels")) or {"app": "x"}
        template["metadata"] = {**mapping(template.get("metadata")), "labels": labels}
        raw["spec"]["selector"] = {"matchLabels": labels}
    pod = template if raw["kind"] == "Pod" else mapping(template.get("spec"))
    for name in ("containers", "initContainers"):
        for at, container in enumerate(mappings(pod.get(name))):
            container.setdefault("name", f"{name.lower()}-{at}")
            container.setdefault("image", "hooli.com/x:1")


def _name(raw: Json) -> str:
    name = raw["metadata"].get("name")
    return str(name).lower().replace("_", "-") if name else "unnamed"


def _objects(row: Row) -> Iterator[Json]:
    for outcome in read_documents(row.raw["manifest"].encode(), "case.yaml", lambda _v, _k: True):
        if isinstance(outcome, Document):
            yield from (
                outcome.value.get("items", [outcome.value]) if outcome.value["kind"] == "List" else [outcome.value]
            )


def _denied(auditor: Auditor, raw: Json) -> frozenset[str]:
    """The checks by which the webhook denies making an object as the API server shows it."""
    request = Request(Operation.CREATE, "somebody", ())
    resource = Resource(raw, ADMISSION)
    report = auditor.audit(resource, request=request)
    verdict = judge(report, auditor.settings_for(resource, request), request)
    return frozenset(one.check for one in verdict.denials)


def _change(auditor: Auditor, said: Said, before: Json) -> Change:
    """What the webhook says of an UPDATE of ``before`` to what the API server shows."""
    if said.status >= 300:
        return Change(said, frozenset(), frozenset())
    request = Request(Operation.UPDATE, "somebody", ())
    resource = Resource(said.body, ADMISSION)
    old = auditor.audit(Resource(before, ADMISSION), request=request)
    report = auditor.audit(resource, request=request, old=Resource(before, ADMISSION))
    verdict = judge(report, auditor.settings_for(resource, request), request, old=old)
    return Change(said, frozenset(one.check for one in verdict.denials), frozenset(one.check for one in old.found))


@pytest.fixture(scope="module")
def judged() -> list[Judged]:
    cases, specs = _cases()
    policies = policies_of(*specs)
    auditor = Auditor(labelled.CATALOGUE, policies, World())
    # Without controllers nothing is made of what is made here.
    arguments = ["--disable-admission-plugins=ServiceAccount,Priority"]
    with ControlPlane(apiserver_args=arguments, controllers=False) as cluster:
        names = sorted({one.raw["metadata"]["namespace"] for one in cases})
        cluster.kubectl("create", "-f", "-", input=json.dumps(_namespaces(names)))
        install(cluster, exported(policies).objects, warn=True)
        asker = Asker(cluster)
        answers = asker.all([partial(asker.create, one.raw, dry=False) for one in cases])
        bad = [at for at, said in enumerate(answers) if said.status < 300 and said.checks]
        later: dict[int, dict[str, Said]] = {at: {} for at in range(len(cases))}
        for what, ask in _LATER.items():
            wanted = [at for at in bad if what != "scale" or cases[at].raw["kind"] in _SCALABLE]
            for at, said in zip(
                wanted, asker.all([partial(ask, asker, answers[at].body) for at in wanted]), strict=True
            ):
                later[at][what] = said
        told = asker.all([partial(_changes, asker, answers[at]) for at in bad])
    changes = {
        at: {what: _change(auditor, *one) for what, one in found.items()} for at, found in zip(bad, told, strict=True)
    }
    return [
        Judged(
            case,
            said,
            _denied(auditor, said.body) if said.status < 300 else frozenset(),
            later[at],
            changes.get(at, {}),
        )
        for at, (case, said) in enumerate(zip(cases, answers, strict=True))
    ]


_GOOD: Json = {
    "name": "good",
    "image": "hooli.com/good:1",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}
_WORSE: Json = {"name": "worse", "image": "hooli.com/worse:1", "securityContext": {"privileged": True}}


def _changes(asker: Asker, made: Said) -> dict[str, tuple[Said, Json]]:
    """Changes of a bad object that was made, none of them stored: what is said, and what it was before."""
    raw = made.body
    if raw["kind"] == "Pod":
        # Of a pod that exists the API server lets images be changed, and little else.
        if "untrusted-registry" not in made.checks:
            return {}
        return _becomes_bad(asker, raw, {**raw["spec"], "containers": _with_image(raw["spec"]["containers"])}, raw)
    if raw["kind"] == "Job":
        return {}
    spec = _pod_spec(raw)
    kept = {"restartPolicy": "Never"} if raw["kind"] == "CronJob" else {}
    good, worse = copy.deepcopy(raw), copy.deepcopy(raw)
    _set_pod_spec(good, {**kept, "containers": [_GOOD]})
    worse_spec = {**spec, "hostPID": True, "containers": [*spec["containers"], _WORSE]}
    _set_pod_spec(worse, worse_spec)
    return {
        **_becomes_bad(asker, good, _pod_spec(good), raw),
        "worse": (asker.replace(worse), raw),
        "good": (asker.replace(good), raw),
    }


def _becomes_bad(asker: Asker, like: Json, spec: Json, bad: Json) -> dict[str, tuple[Said, Json]]:
    """A good object that is made, and then changed to the bad one; nothing where there is no such good one."""
    kept = {name: bad["metadata"][name] for name in ("namespace", "labels", "annotations") if name in bad["metadata"]}
    made = {**copy.deepcopy(like), "metadata": {**kept, "name": f"{bad['metadata']['name']}-good"}}
    made.pop("status", None)
    _set_pod_spec(made, spec)
    before = asker.create(made, dry=False)
    if before.status >= 300:
        return {}
    after = copy.deepcopy(before.body)
    if bad["kind"] == "Pod":
        after["spec"] = {**after["spec"], "containers": _with_image(after["spec"]["containers"], bad["spec"])}
    else:
        after["spec" if "spec" in bad else "template"] = bad["spec" if "spec" in bad else "template"]
    return {"bad": (asker.replace(after), before.body)}


def _with_image(containers: list[Json], of: Json | None = None) -> list[Json]:
    """The containers with the good image, or with those of another pod."""
    images = [one["image"] for one in of["containers"]] if of else [_GOOD["image"]] * len(containers)
    return [{**one, "image": image} for one, image in zip(containers, images, strict=True)]


def _template(raw: Json) -> Json:
    """What holds the pod's spec."""
    if raw["kind"] == "Pod":
        return raw
    holder: Json = raw if raw["kind"] == "PodTemplate" else raw["spec"]
    if raw["kind"] == "CronJob":
        holder = holder["jobTemplate"]["spec"]
    found: Json = holder["template"]
    return found


def _pod_spec(raw: Json) -> Json:
    found: Json = _template(raw)["spec"]
    return found


def _set_pod_spec(raw: Json, spec: Json) -> None:
    template = _template(raw)
    template["spec"] = spec
    if raw["kind"] != "Pod":
        template.get("metadata", {}).pop("annotations", None)


_SCALABLE = ("Deployment", "ReplicaSet", "StatefulSet", "ReplicationController")


def _touch(asker: Asker, raw: Json) -> Said:
    return asker.replace({**raw, "metadata": {**raw["metadata"], "labels": {"touched": "yes"}}})


def _scale(asker: Asker, raw: Json) -> Said:
    path = f"{path_of(raw)}/{raw['metadata']['name']}/scale"
    return asker.ask("PATCH", path, {"spec": {"replicas": 2}}, kind="merge-patch+json")


def _by_controller(asker: Asker, raw: Json) -> Said:
    """The pod as a controller of the cluster makes it of the object."""
    spec = raw["template"] if raw["kind"] == "PodTemplate" else raw["spec"]
    spec = spec["jobTemplate"]["spec"] if raw["kind"] == "CronJob" else spec
    template = spec if raw["kind"] == "PodTemplate" else spec.get("template", raw)
    metadata = {**template.get("metadata", {}), "name": "made", "namespace": raw["metadata"]["namespace"]}
    kept = {name: metadata[name] for name in ("name", "namespace", "labels", "annotations") if name in metadata}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": kept, "spec": template["spec"]}
    return asker.create(pod, user="system:serviceaccount:kube-system:replicaset-controller")


_LATER: dict[str, Callable[[Asker, Json], Said]] = {"touch": _touch, "scale": _scale, "pod": _by_controller}
"""What goes on with what is there: none of it is denied by us."""


def _namespaces(names: list[str]) -> Json:
    made = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names]
    return {"apiVersion": "v1", "kind": "List", "items": made}


def test_what_is_exported_is_what_we_deny(judged: list[Judged]) -> None:
    made = [one for one in judged if one.said.status < 300]
    assert len(made) > 500, Counter(one.said.message[:80] for one in judged if one.said.status >= 300).most_common(9)
    more = [
        (one.case.row.id, sorted(one.said.checks - one.denied), one.said.message[:300])
        for one in made
        if not one.said.checks <= one.denied
    ]
    assert not more, more[:10]
    less = [(one.case.row.id, sorted((one.denied & TRANSLATIONS.keys()) - one.said.checks)) for one in made]
    assert not [one for one in less if one[1]], [one for one in less if one[1]][:20]


def test_nothing_that_is_there_is_frozen(judged: list[Judged]) -> None:
    counted: Counter[str] = Counter()
    for one in judged:
        for what, said in one.later.items():
            assert not said.checks, (one.case.row.id, what, said.message[:300])
            counted[what] += said.status < 300
    print(counted)
    assert counted["touch"] > 300
    assert counted["scale"] > 20
    assert counted["pod"] > 200


def test_a_change_is_denied_where_it_makes_something_bad_that_was_good(judged: list[Judged]) -> None:
    """What is denied of an UPDATE is a part of what we deny; and all of it where the object was good before."""
    counted: Counter[str] = Counter()
    wrong = []
    for one in judged:
        for what, change in one.changes.items():
            if change.said.status >= 300:
                assert not change.said.checks, change.said.message[:300]
                counted["refused by the API server itself"] += 1
                continue
            counted[what] += 1
            counted[f"{what}: denied"] += bool(change.said.checks)
            more = change.said.checks - change.denied
            less = (change.denied & TRANSLATIONS.keys()) - change.said.checks - change.had
            if more or less or (what == "good" and change.said.checks) or change.said.checks & change.had:
                wrong.append((one.case.row.id, what, sorted(more), sorted(less), change.said.message[:200]))
    print(counted)
    assert not wrong, wrong[:10]
    assert counted["bad: denied"] > 50
    assert counted["worse: denied"] > 50
    assert counted["good"] > 50
    assert counted["bad: denied"] >= LEAST * counted["bad"]


def test_most_critical_and_high_cases_on_pods_are_covered(judged: list[Judged]) -> None:
    by_row: dict[str, list[Judged]] = {}
    for one in judged:
        by_row.setdefault(one.case.row.id, []).append(one)
    counted: Counter[str] = Counter()
    missed = []
    for row in labelled.rows():
        if not row.in_scope or row.raw["expect"] != "flag" or row.raw["input"] != "manifest":
            continue
        severe = [
            one
            for one in labelled.hits(row, labelled.report_of(row))
            if one.severity >= Severity.HIGH and (check := labelled.CATALOGUE.find(one.check)) and check.on_pods
        ]
        if not severe:
            continue
        answers = by_row.get(row.id, [])
        if any(set(row.ids) & one.said.checks for one in answers):
            counted["covered"] += 1
        elif answers and all(one.said.status >= 400 for one in answers):
            counted["refused by the API server itself"] += 1
        else:
            counted["missed"] += 1
            missed.append((row.id, [one.check for one in severe]))
    print(counted, missed)
    asked = counted["covered"] + counted["missed"]
    assert asked > 100
    assert counted["covered"] >= LEAST * asked, missed
