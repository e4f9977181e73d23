"""The documented tests of policies, each request sent to a real API server: it answers what ``policy test`` says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.local_webhook import LocalWebhook
from iocaudit.cluster.api import path_of
from iocaudit.cluster.client import Client
from iocaudit.core.request import Operation
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.impact.policy_tests.coverage import RuleCoverage
from iocaudit.impact.policy_tests.reader import read_suites
from iocaudit.impact.policy_tests.runner import PolicyTestResult, run_suite
from iocaudit.sources.admission_review import Review
from tests.cluster.asking import User
from tests.cluster.conftest import wait_for
from tests.cluster.processes import CRDS, Json

ROOT = Path(__file__).parents[2]
CATALOGUE = builtin_catalogue()


class Cluster:
    """A control plane with the policies of the tests, and the webhook."""

    def __init__(self, plane: ControlPlane, webhook: LocalWebhook, folder: Path) -> None:
        self.plane, self.webhook = plane, webhook
        self._folder = folder
        self.client = Client.connect(plane.kubeconfig)
        self._users: dict[str, User] = {}

    def user(self, name: str, groups: tuple[str, ...]) -> User:
        if name not in self._users:
            number = len(self._users)
            binding = f"policy-tests-{number}"
            self.plane.kubectl("create", "clusterrolebinding", binding, "--clusterrole=cluster-admin", f"--user={name}")
            groups = tuple(group for group in groups if group != "system:authenticated")
            self._users[name] = User.of(self.plane.user_kubeconfig(name, groups))
        return self._users[name]

    def ask(self, review: Review) -> tuple[bool, str, tuple[str, ...]]:
        """Whether it is allowed, the denial and the warnings."""
        resource, request = review.resource, review.request
        assert resource is not None
        assert resource.kind is not None
        path = path_of(resource.kind, resource.namespace)
        body: Json = {**resource.raw, "apiVersion": resource.kind.api_version}
        user = self.user(request.username, request.groups)
        if request.operation is Operation.UPDATE:
            answer = user.ask("PUT", f"{path}/{resource.name}", body, query={"dryRun": "All"})
        else:
            answer = user.ask("POST", path, body, query={"dryRun": "All"})
        assert answer.denial is not None or answer.status in (200, 201), answer
        return answer.denial is None, answer.denial or "", answer.warnings

    def store(self, old: Json) -> None:
        """Have an object there, as from before the webhook."""
        self.webhook.unregister()
        metadata = old["metadata"]
        self.plane.kubectl("delete", old["kind"], metadata["name"], f"-n{metadata['namespace']}", "--ignore-not-found")
        user = self.user("somebody", ())
        kind = {"Deployment": "/apis/apps/v1/namespaces/{}/deployments", "Pod": "/api/v1/namespaces/{}/pods"}
        path = kind[old["kind"]].format(metadata["namespace"])
        wait_for(lambda: user.ask("POST", path, old).status == 201, "the object from before")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with ControlPlane(controllers=False, apiserver_args=["--disable-admission-plugins=ServiceAccount"]) as plane:
        plane.kubectl("apply", "--server-side", "-f", str(CRDS))
        plane.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=60s")
        plane.kubectl("create", "namespace", "shop")
        plane.kubectl("apply", "-f", str(ROOT / "docs" / "policy-tests" / "policies" / "shop.yaml"))
        webhook = LocalWebhook(plane, tmp_path / "webhook")
        try:
            webhook.start()
            yield Cluster(plane, webhook, tmp_path)
        finally:
            webhook.unregister()
            webhook.close()


def results() -> list[tuple[PolicyTestResult, Review]]:
    read = read_suites([str(ROOT / "docs" / "policy-tests")], CATALOGUE)
    assert read.unusable == []
    (suite,) = read.suites
    found = list(run_suite(suite, suite.cases, CATALOGUE, RuleCoverage(CATALOGUE)))
    return list(zip(found, (review for case in suite.cases for review in case.reviews), strict=True))


def test_the_api_server_answers_what_the_tests_say(cluster: Cluster) -> None:
    run = results()
    (suite,) = {id(result.suite): result.suite for result, _ in run}.values()
    probe = next(review for result, review in run if result.answer.outcome == "deny" and review.old is None)
    verdicts = set()
    for result, review in run:
        if review.old is not None:
            cluster.store(review.old.raw)
        cluster.webhook.register(suite.policies)
        wait_for(lambda: not cluster.ask(probe)[0], "the webhook")
        allowed, message, warnings = cluster.ask(review)
        assert (allowed, message) == (result.answer.outcome != "deny", result.answer.message), result.name
        assert warnings == result.answer.warnings, result.name
        verdicts.add((review.request.operation.value, result.answer.outcome.value))
    assert {("CREATE", "deny"), ("CREATE", "warn"), ("UPDATE", "deny"), ("UPDATE", "allow")} <= verdicts
