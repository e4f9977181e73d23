"""A catalogue takes no broken declaration, and no id twice."""

from collections.abc import Iterator
from typing import Any

import pytest

from iocaudit.core.check import check
from iocaudit.core.errors import CatalogueError
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS, SECRET
from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.engine.catalogue import Catalogue
from iocaudit.knowledge.pods.pod import PodSpec


def pod(**spec: Any) -> Resource:
    container = {"name": "app", "image": "a.io/b:1", **spec.pop("container", {})}
    raw = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [container], **spec},
    }
    return Resource(raw, ADMISSION)


@check("broken-check", severity=Severity.CRITICAL, iocs=(IoC.CLUSTER_ADMIN,), group="pods", looks_at=PODS)
def broken(pod: PodSpec) -> Iterator[Hit]:
    """It raises."""
    yield Hit("spec", "first")
    raise RuntimeError("boom")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"check_id": "Bad_Id"}, "lower-case"),
        ({"iocs": ()}, "IoC"),
        ({"looks_at": ()}, "looks_at"),
        ({"profile": "odd"}, "profile"),
        ({"needs": (SECRET,)}, "Secrets"),
    ],
)
def test_a_broken_declaration_names_the_check(change: dict[str, Any], reason: str) -> None:
    arguments: dict[str, Any] = {
        "check_id": "some-check",
        "severity": Severity.LOW,
        "iocs": (IoC.CLUSTER_ADMIN,),
        "group": "pods",
        "looks_at": PODS,
    } | change
    check_id = arguments.pop("check_id")

    def some(pod: PodSpec, world: World) -> Iterator[Hit]:
        """Something."""
        yield Hit("spec", "x")

    with pytest.raises(CatalogueError) as caught:
        check(check_id, **arguments)(some)
    assert repr(check_id) in str(caught.value)
    assert reason in str(caught.value)


def test_two_checks_of_one_id_are_refused() -> None:
    with pytest.raises(CatalogueError, match="declared twice"):
        Catalogue([broken, broken])
