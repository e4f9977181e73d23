"""What a log's requests would have been answered: each by itself, by what was before it, and honestly where unknown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.cluster.errors import NotFoundError
from iocaudit.core.kinds import POD, Kind
from iocaudit.core.request import Operation
from iocaudit.impact.history import History
from iocaudit.impact.recorded_request import NotJudgedReason, RefusedBy
from iocaudit.signals.audit_event import AuditEvent
from tests.support.logged import (
    CATALOGUE,
    DEPLOYMENTS,
    REPLICASETS,
    Json,
    Log,
    changed,
    denied,
    history,
    pod_spec,
    policy,
    template,
    thing,
)

BAD, GOOD = pod_spec(privileged=True), pod_spec()
MADE = {"user": {"username": REPLICASETS}}


def deployment(spec: Json, **more: Any) -> Json:
    return template("Deployment", "web", spec, **more)


def test_a_create_is_judged_by_what_was_stored() -> None:
    log, judged = Log(), history()
    stored = thing("Pod", "web", BAD)
    sent = {**stored, "spec": GOOD}  # a mutating webhook made it privileged
    assert denied(judged, [log.event("create", stored, requestObject=sent)]) == [True]
    assert denied(judged, [log.event("create", thing("Pod", "b", GOOD), requestObject=stored)]) == [False]
    (cause,) = judged.causes.all
    assert (cause.key.check, cause.key.target, cause.key.namespace) == ("privileged-container", "Pod/web", "shop")
    assert (dict(cause.users), dict(cause.images), cause.count) == ({"alice": 1}, {"hooli.com/web:1": 1}, 1)
    assert not cause.on_today


def test_without_the_answer_it_is_judged_as_it_was_sent() -> None:
    log, judged = Log(), history()
    raw = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "web-"}, "spec": BAD}
    event = log.event("create", thing("Pod", "", BAD), level="Request", requestObject=raw, responseObject=None)
    assert denied(judged, [event]) == [True]
    assert judged.tally.as_sent == 1
    assert judged.causes.all[0].key.namespace == "shop"


def test_a_change_is_denied_only_for_what_it_brings() -> None:
    log, judged = Log(), history()
    first = deployment(BAD)
    scaled = changed(first, labels={"a": "b"})
    worse = changed(scaled)
    worse["spec"] = deployment({**BAD, "hostPID": True})["spec"]
    events = [log.event("create", first), log.event("update", scaled), log.event("patch", worse)]
    assert denied(judged, events) == [True, False, True]
    assert [(one.key.check, one.count) for one in judged.causes.all] == [("privileged-container", 1), ("host-pid", 1)]


def test_a_patch_that_makes_an_object_is_a_create() -> None:
    log, judged = Log(), history()
    judged.take(log.event("patch", thing("Pod", "web", BAD), responseStatus={"code": 201}))
    assert dict(judged.causes.all[0].operations) == {"CREATE": 1}


def test_a_change_of_what_is_not_known_is_judged_only_where_it_is_harmless() -> None:
    log, judged = Log(), history()
    bad, good = deployment(BAD), template("Deployment", "good", GOOD)
    assert denied(judged, [log.event("update", good), log.event("patch", bad)]) == [False, None]
    assert dict(judged.tally.not_judged) == {NotJudgedReason.NOT_BEFORE: 1}
    assert judged.tally.examples[NotJudgedReason.NOT_BEFORE] == ["audit.log:2"]
    # From then on it is known.
    assert denied(judged, [log.event("patch", changed(bad))]) == [False]


def test_a_change_that_the_log_lacks_makes_the_object_unknown() -> None:
    log, judged = Log(), history()
    first = template("Deployment", "web", GOOD)
    later = deployment(BAD)
    later["metadata"]["generation"] = 3
    assert denied(judged, [log.event("create", first), log.event("update", later)]) == [False, None]
    other = deployment(BAD, uid="another")
    assert denied(judged, [log.event("update", other)]) == [None], "deleted and made anew meanwhile"


@pytest.mark.parametrize(
    ("verb", "given", "reason"),
    [
        ("create", {"requestObject": None, "responseObject": None}, NotJudgedReason.NO_OBJECT),
        ("patch", {"responseObject": None}, NotJudgedReason.PATCH_ALONE),
        (
            "create",
            {"requestObject": None, "responseObject": None, "annotations": {"audit.k8s.io/truncated": "true"}},
            NotJudgedReason.CUT_OUT,
        ),
        ("patch", {"responseObject": {"kind": "Table", "rows": []}}, NotJudgedReason.OTHER_OBJECT),
        ("patch", {"responseObject": {"kind": "PartialObjectMetadata"}}, NotJudgedReason.OTHER_OBJECT),
    ],
)
def test_what_cannot_be_judged_is_told_with_the_reason(verb: str, given: Json, reason: NotJudgedReason) -> None:
    log, judged = Log(), history()
    assert denied(judged, [log.event(verb, thing("Pod", "web", BAD), **given)]) == [None]
    assert dict(judged.tally.not_judged) == {reason: 1}
    assert (judged.tally.asked, judged.tally.share) == (1, 0.0)


def test_a_change_of_metadata_alone_is_put_into_what_is_known() -> None:
    log, judged = Log(), history()
    first = deployment(BAD)
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": first["metadata"]}
    assert denied(judged, [log.event("create", first), log.event("patch", first, responseObject=partial)]) == [
        True,
        False,
    ]


def test_what_failed_was_tried_or_is_not_asked_does_not_count() -> None:
    log, judged = Log(), history()
    bad = thing("Pod", "web", BAD)
    refusals = {
        'admission webhook "deny.iocaudit.io" denied the request: x': RefusedBy.US,
        'admission webhook "validate.kyverno.svc" denied the request: x': RefusedBy.OTHER_ADMISSION,
        'pods "web" is forbidden: User "alice" cannot create resource': RefusedBy.AUTHORIZATION,
        'pods "web" already exists': RefusedBy.OTHER,
    }
    codes = (403, 400, 403, 409)
    events = [
        log.event("create", bad, responseStatus={"code": code, "message": said}, responseObject={"kind": "Status"})
        for said, code in zip(refusals, codes, strict=True)
    ]
    events.append(log.event("create", bad, requestURI="/api/v1/namespaces/shop/pods?dryRun=All"))
    events.append(log.event("delete", bad))
    events.append(log.event("create", {**bad, "metadata": {**bad["metadata"], "namespace": "kube-system"}}))
    assert denied(judged, events) == [None] * 6 + [False]
    assert dict(judged.tally.refused) == dict.fromkeys(RefusedBy, 1)
    assert (judged.tally.dry_runs, judged.tally.denied) == (1, 0)


def controlled(spec: Json, *, replicas: int) -> list[Json]:
    """A Deployment, its ReplicaSet with so many pods, and a pod of it."""
    top = deployment(spec, status={"replicas": replicas})
    middle = template("ReplicaSet", "web-1", spec, owner=top, status={"replicas": replicas})
    return [top, middle, thing("Pod", "web-1-a", spec, owner=middle)]


def test_what_controllers_make_is_judged_by_its_owners_and_counted_with_them() -> None:
    log, judged = Log(), history()
    top, middle, pod = controlled(BAD, replicas=0)
    events = [
        log.event("create", top),
        log.event("create", middle, user={"username": DEPLOYMENTS}),
        log.event("create", pod, **MADE),
    ]
    assert denied(judged, events) == [True, True, True]
    (cause,) = judged.causes.all
    assert (cause.key.target, cause.count) == ("Deployment/web", 3)
    assert dict(cause.subjects) == {"Deployment": 1, "ReplicaSet": 1, "Pod": 1}
    # Once it runs, what is made of it was there before: its status says so.
    running = {**middle, "status": {"replicas": 1}}
    status = log.event("update", running, ref={"subresource": "status"})
    again = thing("Pod", "web-1-b", BAD, owner=middle)
    assert denied(judged, [status, log.event("create", again, **MADE)]) == [None, False]


def test_of_an_owner_that_the_log_does_not_hold_nobody_can_tell() -> None:
    _, middle, pod = controlled(BAD, replicas=1)
    log, judged = Log(), history()
    good = thing("Pod", "web-1-b", GOOD, owner=middle)
    assert denied(judged, [log.event("create", pod, **MADE), log.event("create", good, **MADE)]) == [None, False]
    assert dict(judged.tally.not_judged) == {NotJudgedReason.NO_OWNER: 1}

    def today(kind: Kind, namespace: str | None, name: str) -> Json:
        if name == middle["metadata"]["name"]:
            return middle
        raise NotFoundError("get", 404, "NotFound", "not there")

    live = history(today=today)
    assert denied(live, [log.event("create", pod, **MADE)]) == [False], "the nearest owner runs it"


def test_the_requester_is_the_one_in_whose_name_it_was_asked() -> None:
    exempt = policy("privileged-container", exemptSubjects=[{"kind": "User", "name": "bob"}])
    log, judged = Log(), history(exempt)
    bad = thing("Pod", "web", BAD)
    events = [
        log.event("create", bad),
        log.event("create", bad, impersonatedUser={"username": "bob"}),
        log.event("create", bad, user={"username": "bob"}, impersonatedUser={"username": "alice"}),
    ]
    assert denied(judged, events) == [True, False, True]


def test_a_scale_and_a_binding_change_what_is_known() -> None:
    judged, log = history(), Log()
    first = deployment(BAD)
    scale = {"kind": "Scale", "spec": {"replicas": 5}}
    after = changed(first)
    after["metadata"]["generation"] = 3
    events = [
        log.event("create", first),
        log.event("patch", first, ref={"subresource": "scale"}, requestObject=scale, responseObject=scale),
        log.event("update", after),
    ]
    assert denied(judged, events) == [True, None, False]
    pod = thing("Pod", "web", GOOD)
    binding = {"kind": "Binding", "target": {"kind": "Node", "name": "node-1"}}
    answer = {"kind": "Status", "status": "Success"}
    events = [
        log.event("create", pod),
        log.event("create", pod, ref={"subresource": "binding"}, requestObject=binding, responseObject=answer),
        log.event("delete", pod),
    ]
    assert denied(judged, events) == [False, None, None]
    known = judged.known.before(POD, "shop", "web", pod)
    assert known is not None
    assert known["spec"]["nodeName"] == "node-1"


def test_a_scale_to_what_is_there_already_changes_nothing() -> None:
    judged, log = history(), Log()
    first = deployment(BAD)
    first["spec"]["replicas"] = 5
    labelled = {**first, "metadata": {**first["metadata"], "labels": {"a": "b"}}}
    scale = {"kind": "Scale", "spec": {"replicas": 5}}
    events = [
        log.event("create", first),
        log.event("update", first, ref={"subresource": "scale"}, requestObject=scale, responseObject=scale),
        log.event("update", labelled),
    ]
    assert denied(judged, events) == [True, None, False]


def test_connections_are_judged_by_their_address() -> None:
    judged, log = history(policy("exec-session")), Log()

    def exec_(uri: str, code: int = 101) -> AuditEvent:
        given: Json = {"requestObject": None, "responseObject": None, "responseStatus": {"code": code}}
        ref = {"subresource": "exec", "name": "web", "namespace": "shop"}
        return log.event("get", None, requestURI=uri, ref=ref, **given)

    found = [judged.take(exec_("/exec?command=sh&stdin=true&tty=true")), judged.take(exec_("/exec?command=ls", 403))]
    assert found[0] is not None
    assert found[1] is None
    resource = found[0].review.resource
    assert resource is not None
    assert resource.raw["command"] == ["sh"]
    assert (resource.raw["tty"], resource.name, resource.namespace) == (True, "web", "shop")
    assert found[0].review.request.operation is Operation.CONNECT


def test_what_looks_up_other_objects_is_marked() -> None:
    judged, log = history(policy("cluster-admin-binding", match={"clusterScoped": True})), Log()
    raw = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "ops"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}],
    }
    ref = {"resource": "clusterrolebindings", "apiGroup": "rbac.authorization.k8s.io", "namespace": "", "name": "ops"}
    event = log.event("create", thing("Pod", "x", GOOD), ref=ref, responseObject=raw, requestObject=raw)
    assert denied(judged, [event]) == [True]
    assert judged.causes.all[0].key.namespace is None
    check = CATALOGUE.find("cluster-admin-binding")
    assert check is not None
    assert judged.causes.all[0].on_today == bool(check.needs or check.uses)


def _spec(privileged: bool, more: Json) -> Json:
    return pod_spec(privileged=privileged, **more)


_specs = st.builds(
    _spec,
    st.booleans(),
    st.fixed_dictionaries({}, optional={"hostPID": st.just(True), "hostNetwork": st.just(True)}),
)


@settings(max_examples=40, deadline=None)
@given(specs=st.lists(_specs, min_size=1, max_size=5), lost=st.sets(st.integers(0, 4)))
def test_what_is_lost_of_a_log_never_makes_a_denial_of_what_is_none(specs: list[Json], lost: set[int]) -> None:
    """Without some of the events fewer can be judged; whatever is judged is judged the same."""

    def run(skip: set[int]) -> list[bool | None]:
        judged: History = history()
        log = Log()
        found = []
        raw = deployment(specs[0])
        for number, spec in enumerate(specs):
            if number:
                raw = changed(raw)
                raw["spec"] = deployment(spec)["spec"]
            event = log.event("update" if number else "create", raw)
            found.append(denied(judged, [event])[0] if number not in skip else None)
        return found

    for whole, part in zip(run(set()), run(lost), strict=True):
        assert whole is not None
        assert part in (None, whole)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["create", "update", "patch", "delete", "deletecollection"]),
            st.sampled_from(["Pod", "Deployment", "ReplicaSet"]),
            st.sampled_from(["", "status", "scale", "binding", "ephemeralcontainers", "eviction"]),
            st.sampled_from([200, 201, 403, 404, 500, None]),
            st.sampled_from(["alice", "", REPLICASETS, "system:apiserver"]),
            st.booleans(),
            st.booleans(),
        ),
        max_size=8,
    )
)
def test_every_event_counts_once(drawn: list[tuple[Any, ...]]) -> None:
    """As judged, not judged, refused, a dry run, or as one that no webhook is asked about."""
    log, judged = Log(), history()
    for verb, kind, subresource, code, user, dry, logged in drawn:
        raw = thing(kind, "web", BAD)
        given: Json = {"ref": {"subresource": subresource}}
        given |= {"responseStatus": {"code": code}, "user": {"username": user}}
        given |= {"requestURI": "/api?dryRun=All"} if dry else {}
        given |= {} if logged else {"requestObject": None, "responseObject": None}
        judged.take(log.event(verb, raw, **given))
    tally = judged.tally
    counted = (tally.judged, tally.not_judged.total(), tally.refused.total(), tally.dry_runs, tally.unasked)
    assert sum(counted) == len(drawn)


def test_a_request_of_nobody_is_not_judged() -> None:
    log, judged = Log(), history()
    assert denied(judged, [log.event("create", thing("Pod", "web", BAD), user=None)]) == [None]
    assert dict(judged.tally.not_judged) == {NotJudgedReason.NO_USER: 1}
    update = log.event("update", changed(thing("Pod", "web", BAD)))
    assert denied(judged, [update]) == [False], "what it stored is known all the same"
