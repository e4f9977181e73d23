"""Each check's documentation runs: its bad manifest hits, its good one does not."""

from collections.abc import Iterator

import pytest
import yaml

from iocaudit.core.check import Check
from iocaudit.core.report import Report
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import ADMISSION, Origin, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor, audit
from iocaudit.engine.catalogue import Catalogue, builtin_catalogue
from iocaudit.engine.policy_reader import read_policies

CATALOGUE = builtin_catalogue()
CHECKS = list(CATALOGUE)


def _documents(text: str) -> Iterator[dict[str, object]]:
    for document in yaml.safe_load_all(text):
        assert isinstance(document, dict)
        yield document


def _report(check: Check, text: str) -> Report:
    parameters = yaml.safe_load(check.doc.policy or "{}")
    spec = {"checks": [{"ids": [check.id], "mode": "audit", "parameters": parameters}]}
    policies = read_policies([{"metadata": {"name": "docs"}, "spec": spec}], CATALOGUE)
    documents = list(_documents(text))
    world = World()
    if documents[0]["kind"] == "AdmissionReview":
        review = documents[0]["request"]
        assert isinstance(review, dict)
        request = Request(
            Operation(review["operation"]),
            review["userInfo"]["username"],
            subresource=review.get("subResource", ""),
            namespace=review["namespace"],
            name=review["name"],
        )
        auditor = Auditor(Catalogue([check]), policies, world)
        return auditor.audit(Resource(review["object"], ADMISSION), request=request)
    resources = [Resource(dict(document), Origin("file", "example.yaml")) for document in documents]
    for resource in resources:
        world.add(resource)
    return audit(resources, Auditor(Catalogue([check]), policies, world))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_the_bad_example_hits(check: Check) -> None:
    report = _report(check, check.doc.bad)
    assert not report.faults
    assert not report.skipped
    assert [found.check for found in report.found], "the bad example was not flagged"
    for found in report.found:
        assert found.message
        assert found.hit.path


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_the_good_example_does_not(check: Check) -> None:
    report = _report(check, check.doc.good)
    assert not report.faults
    assert not report.skipped
    assert not [found.message for found in report.found]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_the_documentation_is_whole(check: Check) -> None:
    doc = check.doc
    assert 10 < len(doc.title) <= 90
    assert doc.why
    assert doc.fix
    assert doc.sources
    assert doc.bad != doc.good
