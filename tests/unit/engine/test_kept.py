"""What the operator keeps of a report can be shared, whatever the checks yield."""

from typing import Any

import pytest
import yaml

from iocaudit.core.check import Check
from iocaudit.core.kinds import KINDS, Kind
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.kept import Interner, keep
from iocaudit.engine.policy_reader import read_policies

CATALOGUE = builtin_catalogue()


@pytest.mark.parametrize("check", [c for c in CATALOGUE if not c.admission_only], ids=lambda check: check.id)
def test_the_hits_of_each_documented_example_are_kept(check: Check) -> None:
    world = World()
    resources = [Resource(document, CLUSTER) for document in yaml.safe_load_all(check.doc.bad)]
    for resource in resources:
        world.add(resource)
    parameters = yaml.safe_load(check.doc.policy or "{}")
    spec = {"checks": [{"ids": [check.id], "mode": "audit", "parameters": parameters}]}
    policies = read_policies([{"metadata": {"name": "test"}, "spec": spec}], CATALOGUE)
    auditor = Auditor(CATALOGUE.select([check.id]), policies, world)
    reports = [(resource, auditor.audit(resource)) for resource in resources]
    intern = Interner()
    kept = [keep(resource, report, intern) for resource, report in reports]
    paths = [hit.hit.path for one in kept for hit in one.hits]
    assert paths == [found.hit.path for _, report in reports for found in report.found]
    assert paths


def _holds_one_template(kind: Kind) -> bool:
    return any(place.style == "template" and {"*", "[]"}.isdisjoint(place.path) for place in kind.pods)


@pytest.mark.parametrize("kind", [one for one in KINDS.values() if _holds_one_template(one)], ids=str)
def test_a_hit_reads_on_the_pod_alike_at_once_and_where_it_is_kept(kind: Kind) -> None:
    """The webhook compares reports, the operator what it keeps: on the same template both name the same hit."""
    raw: dict[str, Any] = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": "a", "uid": "1"}}
    for place in kind.pods:
        if {"*", "[]"}.isdisjoint(place.path):
            inner = raw
            for part in place.path:
                inner = inner.setdefault(part, {})
            inner["spec"] = {"hostPID": True, "containers": [{"name": "c", "image": "hooli.com/c:1"}]}
    catalogue = CATALOGUE.select(["host-pid"])
    resource = Resource(raw, CLUSTER)
    report = Auditor(catalogue, read_policies([], CATALOGUE), World()).audit(resource)
    found = {one.in_template for one in report.found}
    assert found == {("host-pid", "spec.hostPID", evidence) for _, _, evidence in found}
    assert found
    assert found == set(keep(resource, report, Interner()).in_template())
