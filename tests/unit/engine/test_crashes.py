"""A check that raises: a person reads one line, the log has where it happened."""

from __future__ import annotations

from collections.abc import Iterator

from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import CONFIG_MAP
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy_set import PolicySet

TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


@check("breaks", severity=Severity.LOW, iocs=(IoC.CLUSTER_ADMIN,), group="own", looks_at=(CONFIG_MAP,))
def breaks(resource: Resource) -> Iterator[Hit]:
    """It breaks."""
    try:
        _deep(resource)
    except KeyError as error:
        raise ValueError(f"{resource.name} holds {TOKEN}") from error
    yield Hit("", "")


def _deep(resource: Resource) -> object:
    known: dict[str, object] = {}
    return known[resource.name]


def _config_map(name: str) -> Resource:
    return Resource({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "a"}}, CLUSTER)


def _auditor() -> Auditor:
    catalogue = Catalogue([breaks])
    return Auditor(catalogue, PolicySet(catalogue), World())


def test_the_trace_names_the_calls_up_to_the_cause_and_no_value_of_the_object() -> None:
    (fault,) = _auditor().audit(_config_map("secret-name")).faults
    assert fault.error == "ValueError: secret-name holds (a GitHub token, not shown)"
    assert fault.trace.index("in _deep") < fault.trace.index("KeyError, and then:") < fault.trace.rindex("in breaks")
    assert TOKEN not in fault.trace
    assert "secret-name" not in fault.trace


def test_a_broken_check_is_traced_once_however_many_objects_it_fails_on() -> None:
    auditor = _auditor()
    faults = [fault for name in "abc" for fault in auditor.audit(_config_map(name)).faults]
    faults += auditor.seeing(World()).audit(_config_map("d")).faults
    assert [bool(fault.trace) for fault in faults] == [True, False, False, False]


def test_a_trace_is_short_however_deep_the_calls_were() -> None:
    def endless(depth: int) -> int:
        return other(depth + 1)

    def other(depth: int) -> int:
        return endless(depth + 1)

    @check("too-deep", severity=Severity.LOW, iocs=(IoC.CLUSTER_ADMIN,), group="own", looks_at=(CONFIG_MAP,))
    def too_deep(resource: Resource) -> Iterator[Hit]:
        """It never ends."""
        yield Hit("", str(endless(len(resource.name))))

    catalogue = Catalogue([too_deep])
    (fault,) = Auditor(catalogue, PolicySet(catalogue), World()).audit(_config_map("a")).faults
    assert "RecursionError" in fault.error
    assert 0 < len(fault.trace.splitlines()) < 100
