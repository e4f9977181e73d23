"""What authors of checks assert with: each assertion fails where what it says is not so, and says what is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import iocaudit.own_checks
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.own_checks import (
    PODS,
    WORKLOADS,
    Hit,
    IoC,
    Params,
    PodSpec,
    Request,
    Resource,
    Severity,
    Skip,
    check,
    kind,
    string_list,
)
from iocaudit.testing import assert_clean, assert_examples, assert_flags

POD = "{apiVersion: v1, kind: Pod, metadata: {name: a, labels: {bad: 'true'}}, spec: {containers: [{name: c}]}}"
GOOD = POD.replace("bad: 'true'", "good: 'true'")


@check("x-bad", severity=Severity.LOW, iocs=(IoC.RESOURCE_SPIKE,), group="acme", looks_at=WORKLOADS)
def bad_label(resource: Resource) -> Iterator[Hit | Skip]:
    """A workload is labelled bad.

    Somebody said so.

    Bad:

        {apiVersion: v1, kind: Pod, metadata: {name: a, labels: {bad: "true"}}, spec: {containers: [{name: c}]}}

    Good:

        {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c}]}}

    Fix: Take the label away.
    """
    if "raise" in resource.labels:
        raise ValueError("on purpose")
    if "skip" in resource.labels:
        yield Skip("nobody knows")
    if "bad" in resource.labels:
        yield Hit("metadata.labels.bad", "is labelled bad")


@check(
    "x-named",
    severity=Severity.LOW,
    iocs=(IoC.RESOURCE_SPIKE,),
    group="acme",
    looks_at=PODS,
    parameters=(string_list("names", "names of containers", required=True),),
)
def named_container(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A container has a name."""
    for container in pod.containers:
        if container.name in params["names"]:
            yield container.hit("name", "has a name that is not allowed")


@check(
    "x-asked",
    severity=Severity.LOW,
    iocs=(IoC.RESOURCE_SPIKE,),
    group="acme",
    looks_at=(kind("ConfigMap"),),
    admission_only=True,
)
def asked_by_bob(resource: Resource, request: Request) -> Iterator[Hit]:
    """Bob asks."""
    if request.username == "bob":
        yield Hit("metadata.name", f"{request.operation} by bob")


def test_what_is_so_can_be_asserted() -> None:
    (hit,) = assert_flags(bad_label, POD, times=1, path="metadata.labels.bad", message="is labelled")
    assert (hit.check, str(hit.subject)) == ("x-bad", "Pod a")
    assert_clean(bad_label, GOOD)
    assert_examples(bad_label)
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"template": {"spec": {"containers": [{"name": "c"}, {"name": "d"}]}}},
    }
    assert_flags(named_container, deployment, times=2, parameters={"names": ["c", "d"]})
    assert_clean(named_container, [deployment], parameters={"names": ["x"]})
    config = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: shop}}"
    assert_flags(asked_by_bob, config, user="bob", operation="UPDATE", message="UPDATE by bob")
    assert_clean(asked_by_bob, config, user="alice")


FAILS: dict[str, tuple[Callable[[], object], str]] = {
    "not flagged": (lambda: assert_flags(bad_label, GOOD), "does not flag the manifest"),
    "times": (lambda: assert_flags(bad_label, POD, times=2), "has 1 hits, not 2"),
    "path": (lambda: assert_flags(bad_label, POD, path="metadata"), "no hit at metadata:\n  metadata.labels.bad"),
    "message": (lambda: assert_flags(bad_label, POD, message="nice"), "does not say 'nice'"),
    "flagged": (lambda: assert_clean(bad_label, POD), "flags the manifest:\n  metadata.labels.bad: Pod a: is labelled"),
    "other kind": (lambda: assert_clean(bad_label, "{apiVersion: v1, kind: ConfigMap}"), "does not look at ConfigMap"),
    "nothing": (lambda: assert_clean(bad_label, []), "does not look at anything there"),
    "fault": (lambda: assert_clean(bad_label, GOOD.replace("good", "raise")), "failed: ValueError: on purpose"),
    "skip": (lambda: assert_clean(bad_label, GOOD.replace("good", "skip")), "could not be evaluated: nobody knows"),
    "no object": (lambda: assert_clean(bad_label, "a: b"), "not a Kubernetes object"),
    "parameters": (lambda: assert_clean(named_container, POD), "needs its parameters names"),
    "no user": (lambda: assert_clean(asked_by_bob, POD), "runs at admission alone: give a user"),
    "no documentation": (lambda: assert_examples(named_container), "the documentation of x-named has no why"),
}


@pytest.mark.parametrize("name", FAILS)
def test_what_is_not_so_fails_with_what_is(name: str) -> None:
    call, said = FAILS[name]
    with pytest.raises(AssertionError) as error:
        call()
    assert said in str(error.value)


def test_the_products_own_checks_can_be_asserted_too() -> None:
    for one in list(builtin_catalogue()):
        assert_examples(one)


def test_all_names_for_authors_are_there() -> None:
    assert all(hasattr(iocaudit.own_checks, name) for name in iocaudit.own_checks.__all__)
    with pytest.raises(LookupError, match=r"Widget\.acme\.io is not a kind"):
        kind("Widget", "acme.io")
