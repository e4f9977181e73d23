"""Root filesystems that can be written."""

import pytest

from tests.support.auditing import container, judge, places, pod


@pytest.mark.parametrize("value", [None, False, "true"])
def test_a_root_filesystem_is_read_only_or_not(value: object) -> None:
    subject = pod(container(securityContext={"readOnlyRootFilesystem": value}))
    assert places(judge("writable-root-filesystem", subject)) == [
        'spec.containers["app"].securityContext.readOnlyRootFilesystem'
    ]
