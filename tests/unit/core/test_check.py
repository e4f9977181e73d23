"""A check is data: what is wrong with a declaration is told in words, and what judges may be anything callable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from iocaudit.core.check import Check, CheckDoc, check
from iocaudit.core.errors import CatalogueError
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import CONFIG_MAP, NAMESPACE, POD, PODS, SECRET, Kind
from iocaudit.core.kinds.connections import POD_EXEC
from iocaudit.core.parameters import EXEMPT_IMAGES, Parameter, string_list
from iocaudit.core.place import Place
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue, builtin_catalogue
from iocaudit.engine.policy_set import PolicySet


class Expression:
    """What a rule in another language looks like to the engine: one object for all checks, told apart by its text."""

    def __init__(self, field: str) -> None:
        self.field = field

    def __call__(self, resource: Resource, *, params: Any) -> Iterator[Hit | Skip]:
        for name in params["forbidden"]:
            if name in resource.raw.get(self.field, {}):
                yield Hit(f"{self.field}.{name}", f"holds {name}", name)


SOUND = Check(
    Expression("data"),
    ("resource", "params"),
    CheckDoc(lambda: "A key is forbidden.\n\nWhy it is.\n\nFix: remove the\nkey\n\nBad:\n  a: 1\n"),
    "forbidden-key",
    severity=Severity.HIGH,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="own",
    looks_at=(CONFIG_MAP,),
    parameters=(string_list("forbidden", "the keys", default=["password"]),),
)


def test_a_check_that_is_no_python_function_judges_like_any_other() -> None:
    assert SOUND.problems() == []
    catalogue = Catalogue([SOUND])
    raw = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "b"},
        "data": {"password": "x"},
    }
    report = Auditor(catalogue, PolicySet(catalogue), World()).audit(Resource(raw, CLUSTER))
    assert not report.faults
    assert [(one.check, one.severity, one.hit.path, one.fix) for one in report.found] == [
        ("forbidden-key", Severity.HIGH, "data.password", "remove the key")
    ]
    assert (SOUND.title, SOUND.doc.why, SOUND.doc.bad, SOUND.doc.good) == (
        "A key is forbidden",
        "Why it is.",
        "a: 1\n",
        "",
    )


def test_a_check_of_a_kind_that_nobody_declared_judges_its_objects() -> None:
    widget = Kind("example.com", "v1", "Widget", "widgets")
    catalogue = Catalogue([replace(SOUND, looks_at=(Kind("example.com", "", "Widget", ""),))])
    resource = Resource(
        {"apiVersion": "example.com/v1", "kind": "Widget", "data": {"password": 1}}, CLUSTER, kind=widget
    )
    assert len(Auditor(catalogue, PolicySet(catalogue), World()).audit(resource).found) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": "Bad_Id"}, "lower-case"),
        ({"id": "a" * 47}, "at most 46 characters"),
        ({"iocs": ()}, "at least one IoC"),
        ({"looks_at": ()}, "at least one kind in looks_at"),
        ({"profile": "odd"}, "profile must be one of default, strict"),
        ({"doc": CheckDoc(lambda: "")}, "must not be empty"),
        ({"takes": ("resource", "params", "world"), "needs": (SECRET,)}, "needing Secrets is refused"),
        ({"looks_at": (SECRET,)}, "needing Secrets is refused"),
        ({"takes": ("resource", "params", "world"), "uses": (POD,)}, "it needs Pods"),
        ({"audit_only": True, "admission_only": True}, "exclude each other"),
        ({"looks_at": (POD_EXEC,)}, "declare admission_only"),
        ({"takes": (), "parameters": ()}, "its first parameter must be the subject"),
        ({"takes": ("resource", "params", "cluster")}, "unknown parameter 'cluster' (known: world, params"),
        ({"takes": ("resource", "params", "request")}, "it takes the request"),
        ({"needs": (NAMESPACE,)}, "neither the world nor the guard"),
        ({"takes": ("resource",)}, "does not take params"),
        ({"implies": {Place.SAME: ("forbidden-key",)}}, "implies itself"),
        ({"implies": {Place.SAME: ("a",), Place.POD: ("a",)}}, "another check twice"),
        ({"takes": ("pod", "params")}, "kinds that hold none"),
        ({"fields": ("env",)}, "takes no pod"),
        ({"denied_by_guard": True}, "leave out denied_by_guard"),
    ],
)
def test_each_problem_of_a_declaration_is_named(change: dict[str, Any], reason: str) -> None:
    problems = replace(SOUND, **change).problems()
    assert len(problems) == 1
    assert reason in problems[0]


def test_every_problem_is_told_at_once_with_the_check_and_its_module() -> None:
    with pytest.raises(CatalogueError) as caught:

        @check("some-check", severity=Severity.LOW, iocs=(), group="own", looks_at=PODS)
        def some(pod: Any) -> Any:
            return []

    assert str(caught.value) == (
        f"check 'some-check' ({__name__}): name at least one IoC; its documentation (the docstring of a function) "
        "must not be empty; it must be a generator of Hits"
    )


def test_what_follows_from_a_declaration() -> None:
    own = Parameter("own", {}, "", default=1, strict=2)
    required = Parameter("required", {}, "", required=True)
    some = replace(SOUND, takes=("pod", "params"), looks_at=PODS, parameters=(own, required), worst=Severity.LOW)
    assert some.parameters == (own, required, EXEMPT_IMAGES)
    assert replace(some).parameters == some.parameters
    assert some.defaults == {"own": 1, "exemptImages": []}
    assert some.strict_defaults == {"own": 2, "exemptImages": []}
    assert some.worst is Severity.HIGH
    assert replace(some, worst=Severity.CRITICAL).worst is Severity.CRITICAL
    implying = replace(some, implies={Place.SAME: ("a", "b"), Place.POD: ("c",)})
    assert implying.implied == {"a": Place.SAME, "b": Place.SAME, "c": Place.POD}
    assert implying.implies_in_pods
    assert not some.implies_in_pods


def test_the_catalogue_has_no_problems() -> None:
    assert {one.id: one.problems() for one in builtin_catalogue() if one.problems()} == {}
