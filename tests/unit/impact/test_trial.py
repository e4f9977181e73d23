"""What ``policy try`` says is denied is what the webhook denies, whatever the policy and in whatever order."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from admission.state import State
from iocaudit.core.kinds import DEPLOYMENT, POD, REPLICA_SET, kind_of
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.request import Operation
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.posture import Verdict
from iocaudit.impact.files import try_files
from iocaudit.impact.trial import Trial
from tests.support.reviews import Stored, metadata, pod, pod_spec, review, settle, workload

Json = dict[str, Any]
CATALOGUE = builtin_catalogue()
ASKED = {kind for kind, wanted in CATALOGUE.admission_rules.items() if Operation.CREATE in wanted}
IDS = sorted(check.id for check in CATALOGUE if not check.audit_only and not check.admission_only)


@cache
def objects() -> list[Json]:
    """The documented examples of every check, good and bad, each under its own namespace where it has none."""
    found = []
    for check in CATALOGUE:
        for text in (check.doc.bad, check.doc.good):
            for document in yaml.safe_load_all(text):
                kind = kind_of(document["apiVersion"].rpartition("/")[0], document["kind"]) if document else None
                if kind is None or kind not in ASKED or kind is AUDIT_POLICY or not document["metadata"].get("name"):
                    continue
                if kind.namespaced:
                    document["metadata"].setdefault("namespace", "default")
                found.append(json.loads(json.dumps(document, default=str)))
    return found


_matches = st.fixed_dictionaries(
    {},
    optional={
        "namespaces": st.sampled_from([["shop"], ["default"], ["s*"], ["shop", "default", "kube-system"]]),
        "clusterScoped": st.booleans(),
    },
)
_rules = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {
                "ids": st.lists(st.sampled_from(IDS), min_size=1, max_size=6, unique=True),
                "mode": st.sampled_from(["deny", "warn", "audit", "off"]),
            }
        ),
        st.fixed_dictionaries(
            {"profiles": st.just(["default", "strict"]), "mode": st.sampled_from(["deny", "warn", "off"])}
        ),
    ),
    min_size=1,
    max_size=3,
)
_policies = st.lists(
    st.builds(
        lambda match, checks, priority, incomplete: {
            "priority": priority,
            **({"match": match} if match else {}),
            "checks": checks,
            "onIncomplete": incomplete,
        },
        _matches,
        _rules,
        st.integers(0, 3),
        st.sampled_from(["warn", "deny"]),
    ),
    max_size=3,
)


def _policy(number: int, spec: Json) -> Json:
    metadata = {"name": f"p{number}"}
    return {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": metadata, "spec": spec}


def _by_webhook(given: list[Json], policies: list[Json]) -> list[Verdict]:
    """Each made in turn: what is denied is not there for the next."""
    state = State(CATALOGUE)
    state.replace(AUDIT_POLICY, [Resource(one, CLUSTER, kind=AUDIT_POLICY) for one in policies])
    verdicts = []
    for raw in given:
        verdict = settle(state, review(raw, user="", name=raw["metadata"]["name"]))
        if verdict.allowed and (resource := Resource(raw, CLUSTER)).kind in state.kinds:
            state.put(resource)
        verdicts.append(verdict)
    return verdicts


def _why(verdict: Verdict) -> tuple[object, ...]:
    hits = [(one.check, one.hit.path, one.hit.evidence, one.severity) for one in verdict.denials]
    gaps = [one.check for one in verdict.fault_denials] + [one.check or "" for one in verdict.incomplete_denials]
    return (sorted(hits), sorted(gaps))


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_files_are_denied_as_the_webhook_denies_them(tmp_path: Path, data: st.DataObject) -> None:
    given = data.draw(st.lists(st.sampled_from(objects()), min_size=1, max_size=8, unique_by=_identity))
    policies = [_policy(number, spec) for number, spec in enumerate(data.draw(_policies))]
    path = tmp_path / "objects.yaml"
    path.write_text(yaml.safe_dump_all(given))
    trial, scan = try_files([str(path)], CATALOGUE, read_policies(policies, CATALOGUE), None, "default")
    assert not scan.errors
    by_webhook = {number: _why(one) for number, one in enumerate(_by_webhook(given, policies)) if not one.allowed}
    assert {one.origin.document: _why(one.verdict) for one in trial.denied} == by_webhook
    assert len(trial.denied) + trial.unaffected == len(given)


def _identity(raw: Json) -> tuple[str, ...]:
    meta = raw["metadata"]
    return (raw["apiVersion"].rpartition("/")[0], raw["kind"], meta.get("namespace", ""), meta["name"])


# -- what controllers made ---------------------------------------------------------------------------------


def trial_of(existing: str, *given: Resource) -> Trial:
    spec = {"checks": [{"ids": ["privileged-container"], "mode": "deny"}], "existing": existing}
    trial = Trial(Auditor(CATALOGUE, read_policies([_policy(0, spec)], CATALOGUE), World()))
    for resource in given:
        trial.take(resource)
    trial.conclude()
    return trial


def family(image: str = "hooli.com/web:1") -> list[Resource]:
    """A Deployment, its ReplicaSet and a pod, whose image is given."""
    deployment = workload("Deployment", "web")
    replicas = workload("ReplicaSet", "web-1", made_by=("Deployment", "web"))
    made = pod("web-1-a", image, made_by=("ReplicaSet", "web-1"))
    raws = ((POD, made), (DEPLOYMENT, deployment), (REPLICA_SET, replicas))
    return [Resource(raw, CLUSTER, kind=kind) for kind, raw in raws]


def test_what_runs_goes_on_and_is_counted_on_its_owner() -> None:
    (denied,) = trial_of("warn", *family()).denied
    assert (str(denied.ref), denied.anew, denied.stops) == ("Deployment shop/web", True, [])


def test_with_existing_deny_it_does_not_go_on() -> None:
    (denied,) = trial_of("deny", *family()).denied
    assert str(denied.ref) == "Deployment shop/web"
    assert any("Pod shop/web-1-a" in why for why in denied.stops)
    assert any("existing: deny" in why for why in denied.stops)


def test_a_pod_with_more_than_its_template_does_not_go_on() -> None:
    (denied,) = trial_of("warn", *family(image="evil.io/miner:1")).denied
    assert [why for why in denied.stops if "Pod shop/web-1-a" in why]


def test_a_pod_that_alone_would_be_denied_is_told_on_its_owner() -> None:
    pod_alone, deployment, replicas = family()
    for owner in (deployment, replicas):
        owner.raw["spec"]["template"]["spec"]["containers"][0].pop("securityContext")
    trial = trial_of("warn", pod_alone, deployment, replicas)
    (denied,) = trial.denied
    assert (str(denied.ref), denied.anew) == ("Deployment shop/web", False)
    assert trial.unaffected == 0


@pytest.mark.parametrize("existing", ["warn", "deny"])
@pytest.mark.parametrize("image", ["hooli.com/web:1", "hooli.com/web:2", "evil.io/miner:1"])
def test_it_goes_on_where_the_webhook_lets_its_controller_make_it_again(existing: str, image: str) -> None:
    made, deployment, replicas = family(image)
    spec = {"checks": [{"ids": ["privileged-container"], "mode": "deny"}], "existing": existing}
    state = State(CATALOGUE)
    state.replace(AUDIT_POLICY, [Resource(_policy(0, spec), CLUSTER, kind=AUDIT_POLICY)])
    controller = "system:serviceaccount:kube-system:replicaset-controller"
    verdict = settle(state, review(made.raw, user=controller), Stored(deployment.raw, replicas.raw))
    (denied,) = trial_of(existing, made, deployment, replicas).denied
    assert bool([why for why in denied.stops if "Pod shop/web-1-a" in why]) is not verdict.allowed


def test_what_claims_an_owner_that_is_not_there_counts_by_itself() -> None:
    made, _, _ = family()
    (denied,) = trial_of("warn", made).denied
    assert (str(denied.ref), denied.anew) == ("Pod shop/web-1-a", True)


def test_nothing_is_denied_where_the_webhook_never_denies() -> None:
    spare = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata("p", namespace="kube-system"), "spec": pod_spec()}
    trial = trial_of("warn", Resource(spare, CLUSTER))
    assert (trial.denied, trial.unaffected, trial.warned) == ([], 1, 1)
