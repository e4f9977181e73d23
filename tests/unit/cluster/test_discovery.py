"""What a server says it serves."""

from __future__ import annotations

from typing import Any

from iocaudit.cluster.discovery import discover
from iocaudit.core.kinds import DEPLOYMENT, POD, TRAEFIK_MIDDLEWARE, Kind
from tests.support.api import FakeApi


def test_present_absent_and_other_versions() -> None:
    api = FakeApi()
    api.absent.add(("apps", "deployments"))
    served = discover(api)
    assert [path for _, path in api.requests] == ["/api", "/apis"]
    assert not served.absent(POD)
    assert served.absent(DEPLOYMENT)
    assert served.absent(TRAEFIK_MIDDLEWARE)
    assert served.only_as(POD) is None
    assert served.only_as(DEPLOYMENT) is None
    newer = Kind("", "v2", "Pod", "pods")
    assert not served.absent(newer)
    assert served.only_as(newer) == "v1"
    assert served.present([DEPLOYMENT, POD, TRAEFIK_MIDDLEWARE]) == [POD]


def test_a_group_whose_own_server_is_away_is_not_taken_as_absent() -> None:
    """An aggregated API that does not answer: what it serves is unknown, which is not the same as nothing."""
    kind = Kind("metrics.example.com", "v1", "Gauge", "gauges")

    class Away(FakeApi):
        def _discovery(self, path: str) -> dict[str, Any]:
            answer = super()._discovery(path)
            versions = [{"version": "v1", "freshness": "Stale", "resources": []}]
            answer["items"].append({"metadata": {"name": kind.group}, "versions": versions})
            return answer

    assert discover(FakeApi()).absent(kind)
    assert not discover(Away()).absent(kind)


def test_a_kind_that_is_known_by_its_name_alone_is_found_as_it_is_served() -> None:
    class Serving(FakeApi):
        def _discovery(self, path: str) -> dict[str, Any]:
            answer = super()._discovery(path)
            verbs = ["get", "list", "watch"]
            team = {"resource": "teams", "responseKind": {"kind": "Team"}, "scope": "Cluster", "verbs": verbs}
            ask = {"resource": "asks", "responseKind": {"kind": "Ask"}, "scope": "Namespaced", "verbs": ["create"]}
            versions = [{"version": version, "resources": [team, ask]} for version in ("v2", "v1")]
            answer["items"].append({"metadata": {"name": "acme.io"}, "versions": versions})
            return answer

    served = discover(Serving())
    found = served.resolved(Kind("acme.io", "", "Team", "guessed"))
    assert found is not None
    assert (found.version, found.plural, found.namespaced) == ("v2", "teams", False), "the first is preferred"
    assert served.resolved(Kind("acme.io", "", "Ask", "asks")) is None, "it can only be created"
    assert served.resolved(Kind("acme.io", "", "Other", "others")) is None
    assert served.resolved(POD) is POD
