"""Large requests under `iocaudit export vap` on a real API server: the harmless pass, the bad are denied."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from tests.cluster.exported import Asker, denying_policy, exported, install, policies_of

Json = dict[str, Any]
CONTAINERS = 3000
REGISTRIES = [f"registry-{at}.example.com/" for at in range(50)]
LIMIT = 3 * 1024 * 1024
"""Bytes of a request that an API server takes."""
SPECS: list[Json] = [
    {
        "match": {"namespaces": ["registries"]},
        "checks": [{"ids": ["untrusted-registry"], "mode": "deny", "parameters": {"trusted": REGISTRIES}}],
    },
    {
        "match": {"namespaces": ["several"]},
        "checks": [
            {"ids": ["privileged-container", "dangerous-capability", "sensitive-host-path", "host-pid"], "mode": "deny"}
        ],
    },
]


@pytest.fixture(scope="module")
def asker() -> Iterator[Asker]:
    arguments = ["--disable-admission-plugins=ServiceAccount,Priority"]
    with ControlPlane(apiserver_args=arguments, controllers=False) as cluster:
        for spec in SPECS:
            cluster.kubectl("create", "namespace", spec["match"]["namespaces"][0])
        install(cluster, exported(policies_of(*SPECS)).objects)
        yield Asker(cluster)


def a_pod(namespace: str, *more: Json) -> Json:
    """A harmless pod of that many containers, with images of 60 characters."""
    images = (f"registry-{at % 50}.example.com/team/service-{at}".ljust(54, "x") + ":1.2.3" for at in range(CONTAINERS))
    containers = [{"name": f"c{at}", "image": image} for at, image in enumerate(images)]
    assert {len(one["image"]) for one in containers} == {60}
    metadata = {"name": "large", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [*containers, *more]}}


def test_three_thousand_images_of_fifty_registries_are_harmless(asker: Asker) -> None:
    said = asker.create(a_pod("registries"), dry=False)
    assert said.status == 201, said.message[:500]
    print(f"{CONTAINERS} containers, 50 registries: {said.seconds:.1f} s")
    for image in ("evil.example.com/x:1", "nginx", "registry-7.example.com.evil.io/x", "registry-7.example.com:5000/x"):
        said = asker.create(a_pod("registries", {"name": "bad", "image": image}))
        assert said.status == 403, image
        assert denying_policy(said) == "iocaudit-untrusted-registry"
        assert f'container "bad" uses image {image}, which is from a registry that is not trusted' in said.message
    patch = {"metadata": {"labels": {"touched": "yes"}}}
    said = asker.ask("PATCH", "/api/v1/namespaces/registries/pods/large", patch, kind="merge-patch+json")
    assert said.status == 200, said.message[:500]


def test_a_request_of_the_largest_size_is_judged_by_what_is_in_it(asker: Asker) -> None:
    for bad in (False, True):
        raw = a_pod("several", *([{"name": "bad", "image": "x", "securityContext": {"privileged": True}}] * bad))
        raw["spec"]["containers"][0]["args"] = [""]
        raw["spec"]["containers"][0]["args"] = ["x" * (LIMIT - len(json.dumps(raw)))]
        body = json.dumps(raw).encode()
        assert len(body) == LIMIT
        said = asker.ask("POST", "/api/v1/namespaces/several/pods", body)
        print(f"{len(body)} bytes, {CONTAINERS} containers, 4 policies: {said.seconds:.1f} s: {said.status}")
        assert said.status == (403 if bad else 201), said.message[:500]
        assert denying_policy(said) == ("iocaudit-privileged-container" if bad else "")
