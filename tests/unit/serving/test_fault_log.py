"""A check that raises is in the log of either door once, with where it broke, however many objects it fails on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from admission.metrics import AdmissionMetrics
from iocaudit.controller.policies import Policies
from iocaudit.controller.publisher import Publisher
from iocaudit.controller.sweep import ClusterAuditor
from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import POD, PODS
from iocaudit.core.report import Fault
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.policy_set import PolicySet
from iocaudit.judging.review import answer
from iocaudit.knowledge.pods.pod import PodSpec
from iocaudit.serving.fault_log import FaultLog
from tests.support.api import FakeApi
from tests.support.reviews import review


@check("breaks", severity=Severity.LOW, iocs=(IoC.CLUSTER_ADMIN,), group="own", looks_at=PODS)
def breaks(pod: PodSpec) -> Iterator[Hit]:
    """It breaks."""
    yield Hit("spec", str(1 / len(pod.volumes)))


CATALOGUE = Catalogue([breaks])
POD_SPEC = {"containers": [{"name": "app", "image": "hooli.com/app:1"}]}


def _logged(caplog: pytest.LogCaptureFixture) -> None:
    (record,) = (one for one in caplog.records if "breaks" in one.getMessage())
    assert record.getMessage().startswith("check breaks failed on Pod shop/")
    assert record.getMessage().endswith("ZeroDivisionError: division by zero")
    assert record.__dict__["check"] == "breaks"
    assert "in breaks" in record.__dict__["trace"]


def test_by_the_operator(caplog: pytest.LogCaptureFixture) -> None:
    api = FakeApi()
    for name in "abc":
        api.put(POD, name, "shop", spec=POD_SPEC)
    cluster = ClusterAuditor(api, CATALOGUE, Publisher(api, CATALOGUE), Policies(CATALOGUE))
    cluster.sweep()
    cluster.sweep()
    _logged(caplog)


def test_by_the_webhook(caplog: pytest.LogCaptureFixture) -> None:
    metrics = AdmissionMetrics(CollectorRegistry())
    for name in "abc":  # as when policies changed, so that the door has an auditor anew
        raw = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"}, "spec": POD_SPEC}
        asked = review(raw)
        metrics.count(asked, answer(asked, Auditor(CATALOGUE, PolicySet(CATALOGUE), World()), Deadline.within(60)), 0.1)
    _logged(caplog)


def test_what_did_not_raise_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    resource = Resource({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}, CLUSTER)
    FaultLog().note([Fault("host-pid", resource.ref, "the audit ran out of time")])
    assert not caplog.records
