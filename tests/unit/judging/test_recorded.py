"""What is kept of a change by which less is denied: one hit of its own check, as bad as the worst of it."""

from __future__ import annotations

from iocaudit.core.guard import Weakening
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.severity import Severity
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_set import PolicySet
from iocaudit.judging.recorded import recorded

CATALOGUE = builtin_catalogue()
CHANGED = Resource(
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ours", "namespace": "iocaudit"}}, CLUSTER
)


def test_all_of_a_change_is_one_hit() -> None:
    auditor = Auditor(CATALOGUE, PolicySet(CATALOGUE), World())
    lost = [
        Weakening("data", "", f"takes away {one.label}", one.label, one) for one in (Severity.MEDIUM, Severity.HIGH)
    ]
    (kept,) = recorded(CHANGED, "data", "ConfigMap ours", lost, auditor)
    assert (kept.check, kept.severity, kept.hit.path) == ("policy-weakens-guard", Severity.HIGH, "data")
    assert kept.hit.message == "ConfigMap ours takes away medium; takes away high"
    assert kept.hit.evidence == "medium"
    assert list(recorded(CHANGED, "data", "ConfigMap ours", [], auditor)) == []


def test_without_the_check_nothing_is_kept() -> None:
    few = CATALOGUE.select(["host-pid"])
    bare = type(few)(few)
    lost = [Weakening("data", "", "takes away", "x", Severity.HIGH)]
    assert list(recorded(CHANGED, "data", "", lost, Auditor(bare, PolicySet(bare), World()))) == []
