"""Waivers at admission: what they let through, when they stop, whom they never speak for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from admission.state import loop_sink
from iocaudit.core.kinds import Kind
from iocaudit.core.kinds.ours import IOC_WAIVER
from iocaudit.core.resource import Resource
from iocaudit.engine.posture import Verdict, spare
from iocaudit.judging import wording
from iocaudit.judging.review import respond
from tests.support.reviews import (
    CRONJOB_CONTROLLER,
    DEPLOYMENT_CONTROLLER,
    ENDS,
    JOB_CONTROLLER,
    REPLICASET_CONTROLLER,
    Clock,
    Json,
    Stored,
    metadata,
    pod,
    pod_spec,
    review,
    settle,
    state_with,
    waiver,
    workload,
)


def test_a_covered_hit_is_neither_denied_nor_warned_but_annotated() -> None:
    response = respond("u", settle(state_with(waiver()), review(pod())))["response"]
    assert response["allowed"] is True
    assert not [line for line in response.get("warnings", []) if "privileged" in line]
    assert response["auditAnnotations"]["waived"] == "privileged-container"
    assert response["auditAnnotations"]["waivers"] == "legacy"


def test_denied_at_the_very_second_it_ends() -> None:
    clock = Clock()
    state = state_with(waiver(), clock=clock)
    clock.now = ENDS - timedelta(microseconds=1)
    assert settle(state, review(pod())).allowed
    clock.now = ENDS
    assert not settle(state, review(pod())).allowed


def test_only_what_was_recorded_is_covered() -> None:
    fingerprints = [
        found.fingerprint
        for found in settle(state_with(), review(pod())).denials
        if found.check == "privileged-container"
    ]
    assert len(fingerprints) == 1
    state = state_with(waiver(covered=fingerprints))
    assert settle(state, review(pod())).allowed
    assert not settle(state, review(pod("another"))).allowed
    assert not settle(state_with(waiver(covered=[])), review(pod())).allowed


@pytest.mark.parametrize(
    ("made", "updated"),
    [(pod(), "spec"), (workload("Deployment", "web"), "template"), (workload("ReplicaSet", "web"), "template")],
    ids=["Pod", "Deployment", "ReplicaSet"],
)
def test_a_waiver_that_names_no_images_is_for_the_repositories_it_was_made_for(made: Json, updated: str) -> None:
    """Tags go on; another program is not what was accepted, whether the object is changed or made anew."""

    def with_image(image: str) -> Json:
        found: Json = orjson.loads(orjson.dumps(made))
        spec = found["spec"] if updated == "spec" else found["spec"]["template"]["spec"]
        spec["containers"][0]["image"] = image
        return found

    (hit,) = [one for one in settle(state_with(), review(made)).denials if one.check == "privileged-container"]
    state = state_with(waiver(covered=[hit.fingerprint], repositories=["hooli.com/web"]))
    assert settle(state, review(made)).allowed
    assert settle(state, review(with_image("hooli.com/web:2"), old=made)).allowed
    assert not settle(state, review(with_image("evil.io/web:1"), old=made)).allowed
    assert not settle(state, review(with_image("evil.io/web:1"))).allowed
    wider = waiver(covered=[hit.fingerprint], repositories=["hooli.com/web"], images=["hooli.com/", "evil.io/web"])
    assert settle(state_with(wider), review(with_image("evil.io/web:1"), old=made)).allowed, "as it says itself"


def test_a_name_that_is_still_to_be_made_is_nobodys_accepted_risk() -> None:
    """A prefix that reads like a waived name would otherwise let any number of new objects through."""
    nameless = pod()
    nameless["metadata"] |= {"name": "", "generateName": "web"}
    assert not settle(state_with(waiver(names=["web"])), review(nameless)).allowed


def test_cve_2024_48921_an_exception_from_another_namespace_does_not_count() -> None:
    there = pod()
    there["metadata"]["namespace"] = "other"
    assert not settle(state_with(waiver()), review(there)).allowed
    forged = waiver()
    forged.raw["metadata"]["namespace"] = "other"
    assert not settle(state_with(forged), review(there)).allowed


def test_ghsa_gg4x_two_exceptions_together_cover_no_more_than_each() -> None:
    both = pod()
    both["spec"]["hostPID"] = True
    one = waiver("one", images=["hooli.com/"], names=["other"])
    two = waiver("two", checks=["host-pid"])
    verdict = settle(state_with(one, two), review(both))
    assert {found.check for found in verdict.denials} == {"privileged-container"}
    assert {waived.waiver for waived in verdict.waived} == {"two"}


def test_cve_2023_34091_an_object_being_deleted_is_judged_all_the_same() -> None:
    clock = Clock()
    state = state_with(waiver(), clock=clock)
    dying = pod(deletionTimestamp="2026-11-24T00:00:00Z", finalizers=["a.io/b"])
    clean = {**pod(), "spec": {"containers": [{"name": "app", "image": "hooli.com/web:1"}]}}
    assert settle(state, review(dying, old=clean)).allowed
    clock.now = ENDS
    assert not settle(state, review(dying, old=clean)).allowed


@pytest.mark.parametrize("narrow", [{"labels": {"matchLabels": {"tier": "front"}}}, {"images": ["hooli.com/"]}])
def test_an_update_that_leaves_its_waiver_introduces_what_the_waiver_let_be(narrow: Json) -> None:
    """Else whoever may change an image would run any other one as privileged as the one that was accepted."""
    old = pod(labels={"tier": "front"})
    new = pod(labels={"tier": "back"})
    new["spec"]["containers"][0]["image"] = "evil.io/web:1"
    narrowed = waiver(**narrow)
    verdict = settle(state_with(narrowed), review(new, old=old))
    assert {found.check for found in verdict.denials} == {"privileged-container"}
    assert not verdict.waived
    assert not settle(state_with(), review(new, old=old)).allowed, "another repository is new without a waiver, too"
    assert settle(state_with(), review(pod(labels={"tier": "back"}), old=old)).allowed, "it was there before"
    still = settle(state_with(narrowed), review(old, old=old))
    assert {waived.waiver for waived in still.waived} == {"legacy"}
    assert not still.warnings


# -- what controllers make -----------------------------------------------------------------------------------

WEB = workload("Deployment", "web")
WEB_1 = workload("ReplicaSet", "web-1", made_by=("Deployment", "web"))
WEB_1_A = pod("web-1-a", made_by=("ReplicaSet", "web-1"))


def deployments() -> Resource:
    return waiver(kinds=["Deployment"], names=["web"])


@pytest.mark.parametrize("existing", ["warn", "deny"])
def test_a_waived_deployment_gets_its_replicaset_and_pods(existing: str) -> None:
    state = state_with(deployments(), policy={"existing": existing})
    for raw, user in ((WEB_1, DEPLOYMENT_CONTROLLER), (WEB_1_A, REPLICASET_CONTROLLER)):
        verdict = settle(state, review(raw, user), Stored(WEB, WEB_1))
        assert verdict.allowed
        assert {waived.waiver for waived in verdict.waived} == {"legacy"}
        assert wording.annotations(verdict)["waived"] == "privileged-container"
        assert not [found for found in verdict.warnings if found.check == "privileged-container"]


def test_once_the_waiver_ends_the_next_pod_is_denied_or_spared_as_the_policy_has_it() -> None:
    clock = Clock()
    clock.now = ENDS
    stored = Stored(WEB, WEB_1)
    denied = settle(
        state_with(deployments(), clock=clock, policy={"existing": "deny"}),
        review(WEB_1_A, REPLICASET_CONTROLLER),
        stored,
    )
    assert not denied.allowed
    spared = settle(state_with(deployments(), clock=clock), review(WEB_1_A, REPLICASET_CONTROLLER), stored)
    assert spared.allowed
    assert {found.check for found in spared.spared["existing"]} == {"privileged-container"}


def test_a_restarted_rollout_of_what_was_bad_before_goes_on() -> None:
    """The new ReplicaSet has what its stored Deployment has: the Deployment was let be, and so is it."""
    verdict = settle(state_with(), review(WEB_1, DEPLOYMENT_CONTROLLER), Stored(WEB))
    assert verdict.allowed
    assert "privileged-container" in {found.check for found in verdict.warnings}
    assert not settle(
        state_with(policy={"existing": "deny"}), review(WEB_1, DEPLOYMENT_CONTROLLER), Stored(WEB)
    ).allowed


def test_a_job_of_a_cronjob_and_its_pod() -> None:
    template = {"spec": {**pod_spec(), "restartPolicy": "Never"}}
    cron = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": metadata("nightly"),
        "spec": {"jobTemplate": {"spec": {"template": template}}},
        "status": {"lastScheduleTime": "2026-11-23T00:00:00Z"},
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata("nightly-1", made_by=("CronJob", "nightly")),
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
    }
    run = pod("nightly-1-x", made_by=("Job", "nightly-1"))
    stored = Stored(cron, job)
    assert settle(state_with(), review(job, CRONJOB_CONTROLLER), stored).allowed
    assert not settle(state_with(policy={"existing": "deny"}), review(job, CRONJOB_CONTROLLER), stored).allowed
    covering = waiver(kinds=["CronJob"], names=["nightly"])
    for raw, user in ((job, CRONJOB_CONTROLLER), (run, JOB_CONTROLLER)):
        assert settle(state_with(covering, policy={"existing": "deny"}), review(raw, user), stored).allowed


def forged() -> Iterator[tuple[str, Json, str, Stored]]:
    whole = Stored(WEB, WEB_1)
    yield "a user's own claim", WEB_1_A, "mallory", whole
    yield "a ServiceAccount of that name elsewhere", WEB_1_A, "system:serviceaccount:shop:replicaset-controller", whole
    yield "a controller that does not make this", WEB_1, REPLICASET_CONTROLLER, whole
    yield "a controller of another kind of owner", WEB_1_A, JOB_CONTROLLER, whole
    other = {
        **WEB_1_A["metadata"],
        "ownerReferences": [{**WEB_1_A["metadata"]["ownerReferences"][0], "uid": "made-up"}],
    }
    yield "another uid", {**WEB_1_A, "metadata": other}, REPLICASET_CONTROLLER, whole
    yield (
        "labels that no selector matches",
        pod("web-1-a", made_by=("ReplicaSet", "web-1"), labels={"app": "evil"}),
        REPLICASET_CONTROLLER,
        whole,
    )
    yield "an owner that is not there", WEB_1_A, REPLICASET_CONTROLLER, Stored(WEB)
    stranger = workload("ReplicaSet", "web-1", made_by=("Deployment", "web"))
    stranger["metadata"]["ownerReferences"][0]["uid"] = "made-up"
    yield "an owner that claims the Deployment by another uid", WEB_1_A, REPLICASET_CONTROLLER, Stored(WEB, stranger)


@pytest.mark.parametrize(("case", "raw", "user", "stored"), list(forged()), ids=[case for case, *_ in forged()])
def test_a_forged_owner_brings_no_waiver_along(case: str, raw: Json, user: str, stored: Stored) -> None:
    verdict = settle(state_with(deployments(), policy={"existing": "deny"}), review(raw, user), stored)
    assert not verdict.allowed, case
    assert not verdict.waived


def test_other_images_between_a_waived_template_and_its_pods_are_not_covered() -> None:
    """Whoever may edit a ReplicaSet in the namespace cannot run other images under the Deployment's waiver."""
    narrowed = waiver(kinds=["Deployment"], names=["web"], images=["hooli.com/"])
    edited = workload("ReplicaSet", "web-1", "evil.io/web:1", made_by=("Deployment", "web"))
    evil = pod("web-1-a", "evil.io/web:1", made_by=("ReplicaSet", "web-1"))
    state = state_with(narrowed, policy={"existing": "deny"})
    assert not settle(state, review(evil, REPLICASET_CONTROLLER), Stored(WEB, edited)).allowed
    assert settle(state, review(WEB_1_A, REPLICASET_CONTROLLER), Stored(WEB, WEB_1)).allowed


def test_a_pod_with_more_than_its_owner_is_denied_for_that() -> None:
    more = {**WEB_1_A, "spec": {**WEB_1_A["spec"], "hostPID": True}}
    verdict = settle(state_with(deployments()), review(more, REPLICASET_CONTROLLER), Stored(WEB, WEB_1))
    assert {found.check for found in verdict.denials} == {"host-pid"}


@pytest.mark.parametrize("broken", ["web-1", "web"])
def test_cve_2025_46342_a_failed_look_up_is_no_match_for_the_waiver(broken: str) -> None:
    state = state_with(deployments(), policy={"existing": "deny"})
    assert not settle(state, review(WEB_1_A, REPLICASET_CONTROLLER), Stored(WEB, WEB_1, broken=(broken,))).allowed


def test_owners_are_asked_for_only_when_a_denial_is_about_to_happen() -> None:
    stored = Stored(WEB, WEB_1)
    good = {**WEB_1_A, "spec": {"containers": [{"name": "app", "image": "hooli.com/web:1"}]}}
    assert settle(state_with(), review(good, REPLICASET_CONTROLLER), stored).allowed
    assert not settle(state_with(), review(WEB_1_A, "mallory"), stored).allowed
    assert stored.asked == []
    settle(state_with(), review(WEB_1_A, REPLICASET_CONTROLLER), stored)
    assert stored.asked == ["web-1", "web"]


# -- what the webhook keeps ----------------------------------------------------------------------------------


def test_waivers_that_may_not_be_read_leave_none_in_force_and_the_webhook_ready() -> None:
    state = state_with(waiver())
    assert settle(state, review(pod())).allowed
    told: dict[Kind, str | None] = {}

    async def run() -> None:
        sink = loop_sink(state, asyncio.get_running_loop(), told.__setitem__)
        await asyncio.to_thread(sink.incomplete, IOC_WAIVER, "forbidden")
        await asyncio.sleep(0)

    asyncio.run(run())
    assert told == {IOC_WAIVER: None}
    assert not settle(state, review(pod())).allowed
    assert IOC_WAIVER in state.kinds, "it is ready only once they were asked for"


def test_one_that_becomes_unreadable_or_goes_covers_nothing_any_more() -> None:
    state = state_with(waiver())
    state.put(waiver(checks=["gone-with-an-upgrade"]))
    assert not settle(state, review(pod())).allowed
    assert {word: count() for word, count in state.waiver_counts.items()} == {"readable": 0, "unreadable": 1}
    state.put(waiver())
    assert settle(state, review(pod())).allowed
    state.remove(waiver())
    assert not settle(state, review(pod())).allowed
    assert {word: count() for word, count in state.waiver_counts.items()} == {"readable": 0, "unreadable": 0}


def test_a_new_status_alone_makes_nothing_anew() -> None:
    state = state_with(waiver())
    auditor = state.auditor
    again = waiver()
    again.raw["status"] = {"state": "Active", "matching": 3}
    state.put(again)
    assert state.auditor is auditor


def test_longer_than_allowed_holds_nowhere() -> None:
    assert not settle(state_with(waiver(), longest_waiver=timedelta(days=30)), review(pod())).allowed


# -- our own kinds as they arrive ----------------------------------------------------------------------------


def own(kind: str, spec: Json, **meta: Any) -> Json:
    return {"apiVersion": "iocaudit.io/v1alpha1", "kind": kind, "metadata": {"name": "mine", **meta}, "spec": spec}


def new_waiver(**spec: Any) -> Json:
    ends = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    base = {"checks": ["host-pid"], "namespaces": ["shop"], "owner": "a", "reason": "b", "expires": ends}
    return own("IocWaiver", {**base, **spec})


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (new_waiver(checks=["no-such"]), "spec.checks[0]: there is no check 'no-such'"),
        (new_waiver(images=["/"]), "spec.images"),
        (new_waiver(expires="2099-01-01T00:00:00Z"), "longer than the 90 days that are allowed"),
        (own("AuditPolicy", {"checks": [{}]}), "names no check"),
        (
            own("AuditPolicy", {"checks": [{"ids": ["untrusted-registry"], "parameters": {"trusted": 3}}]}),
            "spec.checks[0].parameters.trusted",
        ),
    ],
)
def test_what_could_not_be_used_is_refused_with_the_reason(raw: Json, said: str) -> None:
    asked = review(raw)
    verdict = settle(state_with(), asked)
    response = respond(asked.uid, verdict)["response"]
    assert response["allowed"] is False
    assert said in response["status"]["message"]
    assert said in response["auditAnnotations"]["refused"]
    assert spare(verdict, "system").allowed
    assert said in " ".join(spare(verdict, "system").notes)


def test_a_policys_unknown_check_is_refused_and_a_waiver_that_is_over_is_warned_about() -> None:
    policy = own("AuditPolicy", {"checks": [{"ids": ["privilegd-container"], "mode": "deny"}]})
    response = respond("u", settle(state_with(), review(policy)))["response"]
    assert response["allowed"] is False
    assert "there is no check 'privilegd-container' (did you mean privileged-container?)" in str(response["status"])
    over = new_waiver(expires="2026-01-01T00:00:00Z")
    response = respond("u", settle(state_with(), review(over)))["response"]
    assert response["allowed"] is True
    assert "covers nothing: it ended" in response["warnings"][0]


def test_names_and_labels_with_allow_new_are_warned_about() -> None:
    """Inside a namespace both are chosen by whoever makes the object."""
    for spec in ({"names": ["web"]}, {"labels": {"matchLabels": {"a": "b"}}}):
        asked = review(new_waiver(allowNew=True, **spec))
        response = respond(asked.uid, settle(state_with(), asked))["response"]
        assert response["allowed"] is True
        assert "names and labels restrict nobody" in response["warnings"][0]
        assert settle(state_with(), review(new_waiver(**spec))) == Verdict(allowed=True)


def test_an_end_beyond_all_calendars_is_refused_and_breaks_nothing() -> None:
    far = "9999-12-31T23:59:59-01:00"
    verdict = settle(state_with(), review(new_waiver(expires=far)))
    assert verdict.refusal is not None
    assert "is not a time such as" in verdict.refusal
    assert not settle(state_with(waiver(expires=far)), review(pod())).allowed


def test_whoever_leaves_the_spec_alone_is_let_be() -> None:
    """A finalizer of a policy that an upgrade made unusable can still be taken off."""
    bad = own("AuditPolicy", {"checks": [{}]}, finalizers=["a.io/b"])
    assert settle(state_with(), review(own("AuditPolicy", {"checks": [{}]}), old=bad)).allowed
    assert not settle(state_with(), review(own("AuditPolicy", {"checks": [{}, {}]}), old=bad)).allowed


def test_a_good_policy_and_waiver_pass_without_a_word() -> None:
    for raw in (new_waiver(), own("AuditPolicy", {"checks": [{"ids": ["host-pid"], "mode": "deny"}]})):
        assert settle(state_with(), review(raw)) == Verdict(allowed=True)
