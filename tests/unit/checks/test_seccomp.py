"""Seccomp profiles of pods and containers, by field and by annotation."""

import pytest

from tests.support.auditing import Json, container, evidence, judge, places, pod

UNCONFINED = {"seccompProfile": {"type": "Unconfined"}}


DEFAULT = {"seccompProfile": {"type": "RuntimeDefault"}}


SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"


@pytest.mark.parametrize("where", ["containers", "initContainers", "ephemeralContainers"])
def test_every_container_list_is_judged(where: str) -> None:
    bad: list[Json] = [container(securityContext={**UNCONFINED, "appArmorProfile": {"type": "Unconfined"}})]
    lists: Json = {where: bad}
    subject = pod(**lists) if where != "containers" else pod(*bad)
    for check, field in (("seccomp-unconfined", "seccompProfile"), ("apparmor-unconfined", "appArmorProfile")):
        assert places(judge(check, subject)) == [f'spec.{where}["app"].securityContext.{field}.type']


def test_the_pods_own_field_is_judged_though_every_container_has_another() -> None:
    subject = pod(container(securityContext=DEFAULT), securityContext=UNCONFINED)
    assert places(judge("seccomp-unconfined", subject)) == ["spec.securityContext.seccompProfile.type"]


def test_a_field_beats_its_annotation() -> None:
    annotations = {f"{SECCOMP}app": "unconfined"}
    assert judge("seccomp-unconfined", pod(metadata={"annotations": annotations}))
    subject = pod(container(securityContext=DEFAULT), metadata={"annotations": annotations})
    assert judge("seccomp-unconfined", subject) == []


def test_annotations_set_no_seccomp_profile_since_1_27() -> None:
    subject = pod(metadata={"annotations": {f"{SECCOMP}app": "runtime/default"}})
    assert evidence(judge("seccomp-missing", subject)) == ["unset"]
    assert judge("seccomp-missing", subject, parameters={"pssVersion": "1.26"}) == []
    assert judge("seccomp-missing", subject, parameters={"allowedProfiles": ["runtime/default"]}) == []


@pytest.mark.parametrize(
    ("profile", "allowed", "files", "hits"),
    [
        ({"type": "Localhost", "localhostProfile": "a.json"}, ["Localhost"], [], 0),
        ({"type": "Localhost", "localhostProfile": "a.json"}, ["Localhost"], ["a.json"], 0),
        ({"type": "Localhost", "localhostProfile": "b.json"}, ["Localhost"], ["a.json"], 1),
        ({"type": "Localhost", "localhostProfile": "b.json"}, ["localhost/a.json"], [], 1),
        ({"type": "Localhost", "localhostProfile": "b.json"}, ["localhost/*"], [], 0),
        ({"type": "RuntimeDefault"}, ["docker/default"], [], 0),
        ({"type": "RuntimeDefault"}, ["Localhost"], [], 1),
        ({"type": "Nonsense"}, ["RuntimeDefault"], [], 1),
        ({"type": "Unconfined"}, ["*"], [], 0),
    ],
)
def test_the_policys_lists(profile: dict[str, str], allowed: list[str], files: list[str], hits: int) -> None:
    subject = pod(container(securityContext={"seccompProfile": profile}))
    parameters = {"allowedProfiles": allowed, "allowedLocalhostFiles": files}
    assert len(judge("seccomp-unconfined", subject, parameters=parameters)) == hits


def test_a_missing_profile_may_be_allowed_and_windows_has_none() -> None:
    assert len(judge("seccomp-missing", pod())) == 1
    for entry in ("not configured", "*"):
        assert judge("seccomp-missing", pod(), parameters={"allowedProfiles": [entry]}) == []
    assert judge("seccomp-missing", pod(), parameters={"pssVersion": "v1.18"}) == []
    assert judge("seccomp-missing", pod(os={"name": "windows"})) == []
    assert judge("apparmor-missing", pod(os={"name": "windows"})) == []
