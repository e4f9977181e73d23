"""SELinux options, by version and policy."""

from typing import Any

import pytest

from tests.support.auditing import container, judge, places, pod


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"type": "spc_t"}, ["type"]),
        ({"type": "container_t", "level": "s0:c1"}, []),
        ({"user": "system_u", "role": "system_r"}, ["user", "role"]),
        ({"type": ""}, []),
        ({"type": 3}, []),
    ],
)
def test_selinux_options(options: dict[str, Any], fields: list[str]) -> None:
    context = {"seLinuxOptions": options}
    for subject, path in (
        (pod(securityContext=context), "spec"),
        (pod(container(securityContext=context)), 'spec.containers["app"]'),
    ):
        expected = [f"{path}.securityContext.seLinuxOptions.{field}" for field in fields]
        assert places(judge("selinux-custom", subject)) == expected


def test_selinux_types_follow_the_version_and_the_policy() -> None:
    subject = pod(securityContext={"seLinuxOptions": {"type": "container_engine_t"}})
    assert judge("selinux-custom", subject) == []
    assert len(judge("selinux-custom", subject, parameters={"pssVersion": "1.30"})) == 1
    allowed = {"allowed": [{"type": "container_engine_t", "user": "u"}]}
    assert judge("selinux-custom", subject, parameters=allowed) == []
    other = pod(securityContext={"seLinuxOptions": {"type": "container_engine_t", "user": "v"}})
    assert len(judge("selinux-custom", other, parameters=allowed)) == 1
