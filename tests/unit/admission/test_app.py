"""The HTTP edge: every body gets the answer the API server expects."""

import asyncio
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from admission.app import LARGE, ValidateApp, admission_app
from admission.metrics import AdmissionMetrics
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.posture import Verdict
from iocaudit.judging import warning_lines, wording
from iocaudit.serving.limits import Bounds
from iocaudit.serving.metrics import new_registry
from iocaudit.sources.admission_review import Review
from tests.support.reviews import under_lockdown
from tests.support.texts import odd_texts

CATALOGUE = builtin_catalogue()
PRIVILEGED = {"name": "app", "image": "a.io/b:1", "securityContext": {"privileged": True}}


def pod(*containers: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": list(containers)}}


def review(**request: Any) -> dict[str, Any]:
    asked = {
        "uid": "1",
        "operation": "CREATE",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "shop",
        "userInfo": {"username": "alice", "groups": ["dev"]},
        **request,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}


def post(
    body: bytes | dict[str, Any],
    path: str = "/validate",
    content_type: str = "application/json",
    bounds: Bounds | None = None,
    registry: CollectorRegistry | None = None,
) -> httpx.Response:
    async def send() -> httpx.Response:
        state = under_lockdown()
        validate = ValidateApp(lambda: state.auditor, AdmissionMetrics(registry or new_registry("test")))
        app = admission_app(validate, bounds or Bounds(), lambda _reason: None)
        transport = httpx.ASGITransport(app=app)
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        async with httpx.AsyncClient(transport=transport, base_url="https://webhook") as client:
            return await client.post(path, content=data, headers={"content-type": content_type})

    return asyncio.run(send())


def answered(
    body: dict[str, Any], path: str = "/validate", registry: CollectorRegistry | None = None
) -> dict[str, Any]:
    answer = post(body, path, registry=registry)
    assert answer.status_code == 200
    found = answer.json()
    assert found["apiVersion"] == "admission.k8s.io/v1"
    assert found["kind"] == "AdmissionReview"
    response: dict[str, Any] = found["response"]
    assert response["uid"] == body["request"]["uid"]
    assert "patch" not in response
    return response


@pytest.mark.parametrize("path", ["/validate", "/validate/deny", "/validate/observe"])
def test_a_denial_is_http_200_with_one_message(path: str) -> None:
    response = answered(review(uid="abc", object=pod(PRIVILEGED, name="web")), path)
    assert response["allowed"] is False
    assert response["status"]["code"] == 403
    assert "Pod shop/web" in response["status"]["message"]
    assert response["auditAnnotations"]["denied"] == "privileged-container"


def test_the_system_webhook_never_denies() -> None:
    registry = new_registry("test")
    response = answered(review(object=pod(PRIVILEGED, name="web")), "/validate/system", registry)
    assert response["allowed"] is True
    assert "status" not in response
    assert any("privileged-container" in warning for warning in response["warnings"])
    assert response["auditAnnotations"]["system"] == "privileged-container"
    assert "denied" not in response["auditAnnotations"], "it was allowed"
    labels = {"operation": "CREATE", "kind": "Pod"}
    name = "iocaudit_admission_verdicts_total"
    assert registry.get_sample_value(name, {"verdict": "warned", **labels}) == 1
    assert registry.get_sample_value(name, {"verdict": "denied", **labels}) is None
    assert registry.get_sample_value("iocaudit_admission_denials_total", {"check": "privileged-container"}) is None


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"spec": 5}, "spec is not a map"),
        ({"spec": {"containers": "x"}}, "spec.containers is not a list of containers"),
        ({"spec": {"containers": [], "securityContext": []}}, "spec.securityContext is not a map"),
    ],
)
def test_what_no_check_could_read_is_said_and_annotated(raw: dict[str, Any], said: str) -> None:
    response = answered(review(object={"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, **raw}))
    assert response["warnings"] == [f"Pod shop/web: not evaluated: {said}, so it was not audited"]
    assert response["auditAnnotations"]["incomplete"] == wording.OBJECT


def test_generate_name_and_the_requests_namespace() -> None:
    response = answered(review(object=pod(PRIVILEGED, generateName="web-")))
    assert "Pod shop/web-:" in response["status"]["message"]


@pytest.mark.parametrize(
    "request_",
    [
        {"operation": "DELETE", "object": None, "oldObject": pod(PRIVILEGED, name="web")},
        {"object": {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {}}},
        {"object": pod({"name": "app", "image": "a.io/b:1"}, name="web")},
    ],
)
def test_what_is_allowed(request_: dict[str, Any]) -> None:
    assert answered(review(**request_))["allowed"] is True


def test_an_object_being_deleted_is_judged_all_the_same() -> None:
    dying = pod(PRIVILEGED, name="web", deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["a/b"])
    assert answered(review(object=dying))["allowed"] is False
    fewer = pod(PRIVILEGED, name="web", deletionTimestamp="2026-01-01T00:00:00Z")
    assert answered(review(operation="UPDATE", object=fewer, oldObject=dying))["allowed"] is True


def test_a_session_is_observed() -> None:
    options = {"apiVersion": "v1", "kind": "PodExecOptions", "command": ["sh"], "stdin": True, "tty": True}
    response = answered(
        review(
            operation="CONNECT",
            subResource="exec",
            kind={"group": "", "version": "v1", "kind": "PodExecOptions"},
            name="web",
            object=options,
        )
    )
    assert response["allowed"] is True
    assert response["auditAnnotations"] == {"observed": "exec-session"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "not an AdmissionReview"),
        (b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1"}', "not an AdmissionReview"),
        (b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}', "request"),
        (orjson.dumps(review(uid=5)), "request.uid"),
    ],
)
def test_a_malformed_body_is_400_with_a_reason(body: bytes, reason: str) -> None:
    answer = post(body)
    assert answer.status_code == 400
    assert reason in answer.text


DEEP = b'{"a":' * 3000 + b"{}" + b"}" * 3000


def with_object(written: bytes, **request: Any) -> bytes:
    """A review whose object is written so."""
    return orjson.dumps(review(object="OBJECT", **request)).replace(b'"OBJECT"', written)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (orjson.dumps(review(operation="EAT")), "request.operation"),
        (orjson.dumps(review(object="x")), "request.object"),
        (orjson.dumps(review())[:-2], "not JSON"),
        (orjson.dumps(review(userInfo="U")).replace(b'"U"', b"+"), "not JSON"),
    ],
)
def test_a_request_with_a_uid_is_answered_by_a_verdict(body: bytes, reason: str) -> None:
    response = post(body).json()["response"]
    assert (response["uid"], response["allowed"]) == ("1", False)
    assert reason in response["status"]["message"]
    spared = post(body, "/validate/system").json()["response"]
    assert (spared["uid"], spared["allowed"]) == ("1", True)
    assert any(reason in warning for warning in spared["warnings"])


def test_deep_managed_fields_change_nothing() -> None:
    bad = orjson.dumps(pod(PRIVILEGED, name="web", managedFields="DEEP")).replace(b'"DEEP"', DEEP)
    plain = post(with_object(orjson.dumps(pod(PRIVILEGED, name="web")))).json()
    assert post(with_object(bad)).json() == plain
    good = orjson.dumps(pod({"name": "app", "image": "a.io/b@sha256:" + "0" * 64}, name="web", managedFields="DEEP"))
    assert post(with_object(good.replace(b'"DEEP"', DEEP))).json()["response"]["allowed"] is True


@pytest.mark.parametrize("part", [DEEP, b"1e999"])
def test_what_cannot_be_read_of_an_object_is_a_fault_of_the_checks_on_it(part: bytes) -> None:
    written = orjson.dumps(pod(PRIVILEGED, name="web")).replace(b'"spec":{', b'"spec":{"odd":%b,' % part)
    response = post(with_object(written)).json()["response"]
    assert response["allowed"] is False
    message = response["status"]["message"]
    assert "privileged-container" in message  # the rest of it is judged all the same
    assert "could not be evaluated: the object was not read whole: spec.odd" in message
    assert message.count("[fault]") == 1
    spared = post(with_object(written), "/validate/system").json()["response"]
    assert spared["allowed"] is True


def test_an_object_that_is_not_json_is_judged_by_its_kind() -> None:
    response = post(with_object(b'{"metadata":{"name":"web"},"spec":+}')).json()["response"]
    assert response["allowed"] is False
    assert "it cannot be read" in response["status"]["message"]


@given(odd_texts(), st.sampled_from(["CREATE", "UPDATE", "DELETE"]))
def test_whatever_an_object_holds_it_is_answered(odd: bytes, operation: str) -> None:
    written = orjson.dumps(pod({"name": "app", "image": "a.io/b:1"}, name="web")).replace(
        b'"spec":{', b'"spec":{"odd":%b,' % odd
    )
    answer = post(with_object(written, operation=operation, oldObject="OBJECT"))
    assert answer.status_code == 200
    assert answer.json()["response"]["uid"] == "1"


def test_a_body_that_is_too_large_or_of_another_type() -> None:
    assert post(b"x" * 2000, bounds=Bounds(max_body=1000)).status_code == 413
    assert post(b"a: 1", content_type="application/yaml").status_code == 415


def test_warnings_stay_within_the_api_servers_rules() -> None:
    many = [{"name": f"c{n}", "image": "x" * 300, "securityContext": {"runAsUser": 0}} for n in range(60)]
    said = answered(review(object=pod(*many, name="web")))["warnings"]
    assert len(said) == warning_lines.MOST_OF_AN_OBJECT + 1
    assert all(len(warning) <= 256 for warning in said)
    assert said[-1].endswith(" more: kubectl get iocfindings -n shop")


def test_small_reviews_are_answered_while_a_large_one_is_judged() -> None:
    """Thousands of containers take a while; in the event loop they would hold up everybody."""
    many = [{"name": f"c{n}", "image": "a.io/b", "securityContext": {"privileged": True}} for n in range(6_000)]
    large = orjson.dumps(review(uid="large", object=pod(*many, name="large")))
    small = orjson.dumps(review(uid="small", object=pod(PRIVILEGED, name="web")))
    assert len(large) > LARGE > len(small)

    async def run() -> tuple[httpx.Response, int]:
        state = under_lockdown()
        validate = ValidateApp(lambda: state.auditor, AdmissionMetrics(new_registry("test")), hold=state.hold)
        app = admission_app(validate, Bounds(), lambda _reason: None)
        headers = {"content-type": "application/json"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://webhook") as client:
            first = asyncio.create_task(client.post("/validate?timeout=30s", content=large, headers=headers))
            await asyncio.sleep(0)
            answered = 0
            while not first.done():
                response = await client.post("/validate", content=small, headers=headers)
                assert response.json()["response"]["allowed"] is False
                answered += 1
                await asyncio.sleep(0.001)  # this client and this app alone never let the event loop turn
            return first.result(), answered

    response, answered = asyncio.run(run())
    assert response.status_code == 200
    said = response.json()["response"]
    assert said["uid"] == "large"
    assert "privileged-container" in said["status"]["message"]
    assert "and 5980 more" in said["status"]["message"]
    assert answered >= 10, "they did not wait for it"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "metadata",
        "spec",
        "containers",
        "securityContext",
        "volumes",
        "hostPath",
        "rules",
        "subjects",
        "roleRef",
        "ports",
    ]
)
KINDS = st.sampled_from([(kind.api_version, kind.name) for kind in CATALOGUE.kinds])


@given(KINDS, st.dictionaries(FIELDS, JSON, max_size=4), st.dictionaries(FIELDS, JSON, max_size=4))
def test_any_object_of_a_known_kind_is_answered_without_a_fault(
    kind: tuple[str, str], top: dict[str, Any], spec: dict[str, Any]
) -> None:
    raw = {"spec": spec, **top, "apiVersion": kind[0], "kind": kind[1]}
    response = answered(review(object=raw))
    assert "faults" not in response.get("auditAnnotations", {})


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail(body: bytes) -> None:
    assert post(body).status_code == 400


def denied_at(path: str, **request: Any) -> list[str]:
    """The names of what was counted as denied."""
    told: list[str] = []

    async def send() -> None:
        state = under_lockdown()

        def denied(review: Review, _verdict: Verdict) -> None:
            assert review.resource is not None
            told.append(review.resource.name)

        validate = ValidateApp(lambda: state.auditor, AdmissionMetrics(new_registry("test")), denied=denied)
        transport = httpx.ASGITransport(app=admission_app(validate, Bounds(), lambda _reason: None))
        async with httpx.AsyncClient(transport=transport, base_url="https://webhook") as client:
            body = orjson.dumps(review(**request))
            assert (await client.post(path, content=body, headers={"content-type": "application/json"})).is_success

    asyncio.run(send())
    return told


def test_only_a_real_denial_is_counted() -> None:
    bad = pod(PRIVILEGED, name="bad")
    assert denied_at("/validate", object=bad) == ["bad"]
    assert denied_at("/validate", object=bad, dryRun=True) == []
    assert denied_at("/validate/system", object=bad) == []
    assert denied_at("/validate", object=pod(name="good")) == []
