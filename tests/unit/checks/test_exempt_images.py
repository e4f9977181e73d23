"""Images that a policy exempts: what holds for their containers, and what the pod says for all."""

import pytest

from tests.support.auditing import Json, container, judge, places, pod


def test_a_policy_exempts_images_from_any_check_on_pods() -> None:
    subject = pod(container(), container(name="tool", image="tools.example/team/debug:1"))
    found = judge("writable-root-filesystem", subject, parameters={"exemptImages": ["tools.example/"]})
    assert places(found) == ['spec.containers["app"].securityContext.readOnlyRootFilesystem']
    assert judge("writable-root-filesystem", subject, parameters={"exemptImages": ["*"]}) == []


@pytest.mark.parametrize(
    ("check", "context"),
    [
        ("seccomp-unconfined", {"seccompProfile": {"type": "Unconfined"}}),
        ("apparmor-unconfined", {"appArmorProfile": {"type": "Unconfined"}}),
        ("selinux-custom", {"seLinuxOptions": {"type": "spc_t"}}),
        ("runs-as-root", {"runAsUser": 0}),
        ("runs-as-root", {"runAsGroup": 0}),
        ("host-process-container", {"windowsOptions": {"hostProcess": True}}),
    ],
)
def test_what_a_pod_says_for_exempt_containers_alone_is_exempt_too(check: str, context: Json) -> None:
    subject = pod(securityContext=context)
    assert len(judge(check, subject)) == 1
    assert judge(check, subject, parameters={"exemptImages": ["hooli.com/"]}) == []
    assert len(judge(check, subject, parameters={"exemptImages": ["tools.example/"]})) == 1


def test_what_a_pod_says_for_itself_is_never_exempt() -> None:
    subject = pod(hostNetwork=True, securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]})
    for check in ("host-network", "unsafe-sysctl"):
        assert len(judge(check, subject, parameters={"exemptImages": ["*"]})) == 1


def test_an_image_nobody_can_read_is_never_exempt() -> None:
    subject = pod(container(image="Not A Reference"))
    assert len(judge("writable-root-filesystem", subject, parameters={"exemptImages": ["*"]})) == 1
