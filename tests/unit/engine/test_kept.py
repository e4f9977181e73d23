"""What the operator keeps of a report can be shared, whatever the checks yield."""

import pytest
import yaml

from iocaudit.core.check import Check
from iocaudit.core.check_doc import doc_of
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
    resources = [Resource(document, CLUSTER) for document in yaml.safe_load_all(doc_of(check).bad)]
    for resource in resources:
        world.add(resource)
    parameters = yaml.safe_load(doc_of(check).policy or "{}")
    spec = {"checks": [{"ids": [check.id], "mode": "audit", "parameters": parameters}]}
    policies = read_policies([{"metadata": {"name": "test"}, "spec": spec}], CATALOGUE)
    auditor = Auditor(CATALOGUE.select([check.id]), policies, world)
    reports = [(resource, auditor.audit(resource)) for resource in resources]
    intern = Interner()
    kept = [keep(resource, report, intern) for resource, report in reports]
    paths = [hit.hit.path for one in kept for hit in one.hits]
    assert paths == [found.hit.path for _, report in reports for found in report.found]
    assert paths
