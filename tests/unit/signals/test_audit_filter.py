"""What is left out by its first bytes is what would be left out once parsed."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.signals.audit_filter import AuditFilter
from tests.support.audit_events import event, line


def pods(verb: str, group: str, resource: str) -> bool:
    return verb in ("create", "update", "patch", "delete") and (group, resource) == ("", "pods")


_texts = st.sampled_from(
    ['"', "\\", '","verb":"list","user":{', '"objectRef":{"resource":"leases"}', "é", "\n", "x"]
).flatmap(lambda part: st.text(max_size=5).map(lambda rest: part + rest))


@given(
    uri=_texts,
    name=_texts,
    user=_texts,
    verb=st.sampled_from(["create", "list", "get", "patch", "deletecollection"]),
    resource=st.sampled_from(["pods", "leases", "events"]),
    group=st.sampled_from(["", "coordination.k8s.io"]),
    subresource=st.sampled_from(["", "status", "exec"]),
    stage=st.sampled_from(["ResponseComplete", "RequestReceived", "ResponseStarted", "Panic"]),
    escaped=st.booleans(),
)
def test_nothing_is_dropped_that_matters(
    uri: str, name: str, user: str, verb: str, resource: str, group: str, subresource: str, stage: str, escaped: bool
) -> None:
    ref = {"resource": resource, "namespace": "shop", "name": name}
    ref |= {"apiGroup": group} if group else {}
    ref |= {"apiVersion": "v1"} | ({"subresource": subresource} if subresource else {})
    who = {"username": user, "extra": {user: [user], "objectRef": ["x"], "verb": ["list"]}}
    spec = {"verb": "list", "objectRef": {"resource": "leases"}}
    found = event(requestURI=uri, verb=verb, user=who, objectRef=ref, stage=stage, requestObject=spec)
    data = json.dumps(found, separators=(",", ":"), ensure_ascii=escaped).encode() + b"\n"
    whole = f"{resource}/{subresource}" if subresource else resource
    matters = pods(verb, group, whole) and stage != "RequestReceived"
    assert AuditFilter(pods).may_matter(data) == matters


def test_requests_for_no_resource_are_left_out() -> None:
    data = line(event(objectRef=None, requestURI="/healthz", verb="get", requestObject=None))
    assert not AuditFilter(pods).may_matter(data)


def test_another_order_of_fields_is_parsed() -> None:
    found = event(verb="list")
    assert AuditFilter(pods).may_matter(line(dict(reversed(found.items()))))
