"""What the API server in memory promises, each as a test that runs on it and on a real one.

Each takes an Api and the name of a namespace that is there. They leave objects behind, named by them alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iocaudit.cluster.api import Api, ListScope
from iocaudit.cluster.errors import ApiError, ConflictError, ForbiddenError, NotFoundError
from iocaudit.core.kinds import CONFIG_MAP, NAMESPACE, Kind
from iocaudit.core.kinds.ours import AUDIT_POLICY, IOC_FINDING

Json = dict[str, Any]
Contract = Callable[[Api, str], None]


def _body(kind: Kind, name: str, namespace: str | None = None, /, **content: Any) -> Json:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **content}


def _finding(name: str, namespace: str, **content: Any) -> Json:
    told = {"check": "host-pid", "severity": "high", "rank": 2, "state": "Open", "type": "posture", "hitCount": 1}
    finding = {**told, "subject": {"kind": "Pod", "name": "web", "namespace": namespace}, **content}
    return _body(IOC_FINDING, name, namespace, finding=finding)


def _policy(name: str, priority: int = 1) -> Json:
    return _body(AUDIT_POLICY, name, spec={"priority": priority, "checks": [{"ids": ["host-pid"], "mode": "warn"}]})


def _changed(body: Json, **metadata: Any) -> Json:
    return {**body, "metadata": {**body["metadata"], **metadata}}


def an_object_is_created_once(api: Api, namespace: str) -> None:
    made = api.create(IOC_FINDING, _finding("once", namespace))
    assert api.get(IOC_FINDING, namespace, "once") == made
    with pytest.raises(ConflictError) as refused:
        api.create(IOC_FINDING, _finding("once", namespace))
    assert refused.value.reason == "AlreadyExists"
    with pytest.raises(ApiError, match="resourceVersion should not be set") as versioned:
        api.create(IOC_FINDING, _changed(_finding("other", namespace), resourceVersion="1"))
    assert versioned.value.status == 500
    with pytest.raises(NotFoundError):
        api.get(IOC_FINDING, namespace, "other")


def one_made_again_is_another(api: Api, namespace: str) -> None:
    first = api.create(IOC_FINDING, _finding("again", namespace))
    api.delete(IOC_FINDING, namespace, "again")
    api.delete(IOC_FINDING, namespace, "again")
    second = api.create(IOC_FINDING, _changed(_finding("again", namespace), uid=first["metadata"]["uid"]))
    uids = {first["metadata"]["uid"], second["metadata"]["uid"]}
    assert len(uids) == 2
    with pytest.raises(ConflictError):
        api.delete(IOC_FINDING, namespace, "again", uid=first["metadata"]["uid"])
    with pytest.raises(ConflictError):
        api.replace(IOC_FINDING, _changed(second, uid=first["metadata"]["uid"]))
    assert api.get(IOC_FINDING, namespace, "again") == second
    api.delete(IOC_FINDING, namespace, "again", uid=second["metadata"]["uid"])
    with pytest.raises(NotFoundError):
        api.get(IOC_FINDING, namespace, "again")


def a_write_names_the_version_it_changes(api: Api, namespace: str) -> None:
    first = api.create(IOC_FINDING, _finding("version", namespace, message="one"))
    second = api.replace(IOC_FINDING, {**first, "finding": {**first["finding"], "message": "two"}})
    assert second["metadata"]["uid"] == first["metadata"]["uid"]
    assert second["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
    with pytest.raises(ConflictError):
        api.replace(IOC_FINDING, {**first, "finding": {**first["finding"], "message": "three"}})
    with pytest.raises(ApiError, match="must be specified for an update") as unnamed:
        api.replace(IOC_FINDING, _finding("version", namespace, message="three"))
    assert unnamed.value.status == 422
    assert api.replace(IOC_FINDING, second) == second, "what changes nothing is no new version"
    # Built-in kinds are let off.
    api.create(CONFIG_MAP, _body(CONFIG_MAP, "version", namespace))
    assert api.replace(CONFIG_MAP, _body(CONFIG_MAP, "version", namespace, data={"a": "b"}))["data"] == {"a": "b"}


def a_replaced_object_keeps_nothing_of_what_it_was(api: Api, namespace: str) -> None:
    body = _changed(_finding("whole", namespace, message="one"), labels={"a": "b"})
    made = api.create(IOC_FINDING, body)
    version = made["metadata"]["resourceVersion"]
    found = api.replace(IOC_FINDING, _changed(_finding("whole", namespace), resourceVersion=version))
    assert "message" not in found["finding"]
    assert "labels" not in found["metadata"]
    assert found["metadata"]["generation"] == 2
    with pytest.raises(NotFoundError):
        api.replace(IOC_FINDING, _changed(_finding("nowhere", namespace), resourceVersion=version))


def a_status_is_written_apart(api: Api, namespace: str) -> None:
    name = f"status-{namespace}"
    made = api.create(AUDIT_POLICY, {**_policy(name), "status": {"observedGeneration": 7}})
    assert "status" not in made
    status = {"observedGeneration": 1}
    told = api.replace(AUDIT_POLICY, {**made, "spec": _policy(name, 2)["spec"], "status": status}, subresource="status")
    assert (told["spec"], told["status"]) == (made["spec"], status)
    changed = api.replace(AUDIT_POLICY, {**told, "spec": _policy(name, 3)["spec"], "status": {}})
    assert (changed["spec"]["priority"], changed["status"], changed["metadata"]["generation"]) == (3, status, 2)
    patched = api.patch(AUDIT_POLICY, None, name, {"status": {"observedGeneration": 2}}, subresource="status")
    assert (patched["status"], patched["metadata"]["generation"]) == ({"observedGeneration": 2}, 2)
    api.delete(AUDIT_POLICY, None, name)


def a_merge_patch_removes_what_is_null(api: Api, namespace: str) -> None:
    api.create(IOC_FINDING, _finding("patch", namespace, message="one", title="two"))
    found = api.patch(IOC_FINDING, namespace, "patch", {"finding": {"message": None}})["finding"]
    assert (found.get("message"), found["title"]) == (None, "two")
    with pytest.raises(ConflictError):
        api.patch(
            IOC_FINDING, namespace, "patch", {"metadata": {"resourceVersion": "1"}, "finding": {"title": "three"}}
        )
    with pytest.raises(NotFoundError):
        api.patch(IOC_FINDING, namespace, "nowhere", {"finding": {}})


def a_list_is_of_one_moment(api: Api, namespace: str) -> None:
    for number in range(5):
        api.create(CONFIG_MAP, _body(CONFIG_MAP, f"list-{number}", namespace))
    pages = api.pages(CONFIG_MAP, namespace=namespace, limit=2)
    first = next(pages)
    found = [raw["metadata"]["name"] for raw in first.items]
    api.delete(CONFIG_MAP, namespace, "list-4")
    api.create(CONFIG_MAP, _body(CONFIG_MAP, "list-5", namespace))
    rest = list(pages)
    found += [raw["metadata"]["name"] for page in rest for raw in page.items]
    assert [name for name in found if name.startswith("list-")] == [f"list-{number}" for number in range(5)]
    assert {page.resource_version for page in rest} == {first.resource_version}
    again = {raw["metadata"]["name"]: raw for raw in api.each(CONFIG_MAP, namespace=namespace)}
    assert {"list-0", "list-5"} <= set(again)
    assert "list-4" not in again
    assert (again["list-0"]["apiVersion"], again["list-0"]["kind"]) == ("v1", "ConfigMap")
    assert api.latest(CONFIG_MAP) != first.resource_version


def nothing_is_created_in_a_namespace_that_is_not_there_or_going(api: Api, namespace: str) -> None:
    with pytest.raises(NotFoundError):
        api.create(IOC_FINDING, _finding("nowhere", f"{namespace}-not"))
    going = f"{namespace}-going"
    api.create(NAMESPACE, _changed(_body(NAMESPACE, going), finalizers=["example.org/stays"]))
    before = api.create(CONFIG_MAP, _body(CONFIG_MAP, "before", going))
    api.delete(NAMESPACE, None, going)
    assert api.get(NAMESPACE, None, going)["metadata"]["deletionTimestamp"]
    with pytest.raises(ForbiddenError, match="because it is being terminated"):
        api.create(CONFIG_MAP, _body(CONFIG_MAP, "after", going))
    assert before["metadata"]["namespace"] == going
    raw = api.get(NAMESPACE, None, going)
    api.replace(NAMESPACE, {**raw, "metadata": {**raw["metadata"], "finalizers": []}})


def a_list_is_of_the_labels_that_are_asked_for(api: Api, namespace: str) -> None:
    for name, labels in (("with", {"contract.test/wanted": "yes"}), ("other", {"contract.test/wanted": "no"})):
        api.create(CONFIG_MAP, _changed(_body(CONFIG_MAP, name, namespace), labels=labels))
    found, _ = api.list_all(CONFIG_MAP, scope=ListScope(namespace, "contract.test/wanted=yes"))
    assert [one["metadata"]["name"] for one in found] == ["with"]


CONTRACT: tuple[Contract, ...] = (
    an_object_is_created_once,
    one_made_again_is_another,
    a_write_names_the_version_it_changes,
    a_replaced_object_keeps_nothing_of_what_it_was,
    a_status_is_written_apart,
    a_merge_patch_removes_what_is_null,
    a_list_is_of_one_moment,
    a_list_is_of_the_labels_that_are_asked_for,
    nothing_is_created_in_a_namespace_that_is_not_there_or_going,
)
