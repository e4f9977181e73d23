"""Registries, tags, digests and pull policies of images."""

import pytest

from tests.support.auditing import Json, container, evidence, judge, places, pod


@pytest.mark.parametrize(
    ("image", "hits"),
    [
        ("k8s.gcr.io/pause:3.9", 1),
        ("K8S.GCR.IO/pause:3.9", 1),
        ("k8s.gcr.io.evil.example/pause:3.9", 0),
        ("gcr.io/google_containers/pause", 1),
        ("gcr.io/google_containersx/pause", 0),
        ("registry.k8s.io/pause:3.9", 0),
        ("bitnami/redis:7", 1),
        ("old.example/a:1", 1),
    ],
)
def test_retired_registries(image: str, hits: int) -> None:
    subject = pod(container(image=image))
    assert len(judge("retired-registry", subject, parameters={"further": ["old.example"]})) == hits


def test_digests() -> None:
    digest = "sha256:" + "0f" * 32
    assert judge("image-without-digest", pod(container(image=f"a/b:1@{digest}"))) == []
    volume = {"name": "v", "image": {"reference": "a/b:1"}}
    found = judge("image-without-digest", pod(container(image=f"a/b@{digest}"), volumes=[volume]))
    assert places(found) == ['spec.volumes["v"].image.reference']


@pytest.mark.parametrize(
    ("image", "policy", "hits"),
    [
        ("a/b", "IfNotPresent", 1),
        ("a/b:latest", "Never", 1),
        ("a/b:latest", "Always", 0),
        ("a/b:latest", None, 0),
        ("a/b:1.2", "IfNotPresent", 0),
        ("a/b:dev-3", "IfNotPresent", 1),
        ("a/b:latest@sha256:" + "0f" * 32, "Never", 0),
    ],
)
def test_pull_policies(image: str, policy: str | None, hits: int) -> None:
    subject = pod(container(image=image, imagePullPolicy=policy))
    assert len(judge("pull-policy-not-always", subject, parameters={"tags": ["dev-*"]})) == hits


_DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("check", "parameters", "one", "other", "same"),
    [
        ("untrusted-registry", {"trusted": ["hooli.com/"]}, "evil.io/a:1", "evil.io/a:2", True),
        ("untrusted-registry", {"trusted": ["hooli.com/"]}, "evil.io/a:1", f"EVIL.io:443/a@{_DIGEST}", True),
        ("untrusted-registry", {"trusted": ["hooli.com/"]}, "evil.io/a:1", "evil.io/b:1", False),
        ("untrusted-registry", {"trusted": ["hooli.com/"]}, "not:an:image", "nor:this:one", False),
        ("untrusted-registry", {"trusted": ["ubuntu:24.04"]}, "ubuntu:20.04", "ubuntu:18.04", False),
        ("untrusted-registry", {"trusted": ["ubuntu:24.04"]}, "debian:12", "debian:13", True),
        ("untrusted-registry", {"denied": ["ubuntu:1*"]}, "ubuntu:16.04", "ubuntu:18.04", False),
        ("untrusted-registry", {"denied": ["ubuntu"]}, "ubuntu:16.04", "ubuntu:18.04", True),
        ("retired-registry", {}, "k8s.gcr.io/pause:3.8", "k8s.gcr.io/pause:3.9", True),
        ("image-without-digest", {}, "hooli.com/a:1", "hooli.com/a:2", True),
        ("mutable-image-tag", {"tags": ["dev-*"]}, "hooli.com/a:dev-1", "hooli.com/a:dev-2", False),
        ("mutable-image-tag", {}, "hooli.com/a", "hooli.com/a:latest", True),
    ],
)
def test_a_baseline_survives_a_new_tag_where_the_repository_is_the_reason(
    check: str, parameters: Json, one: str, other: str, same: bool
) -> None:
    said = [evidence(judge(check, pod(container(image=image)), parameters=parameters)) for image in (one, other)]
    assert all(len(found) == 1 for found in said)
    assert (said[0] == said[1]) is same
