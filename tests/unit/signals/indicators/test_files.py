"""What sessions write, and jobs that come back."""

import pytest

from tests.support.detection_samples import seen


@pytest.mark.parametrize(
    ("command", "id"),
    [
        ("echo x >> /mnt/etc/passwd", "system-files-written-in-session"),
        ("cp x /host/etc/kubernetes/manifests/", "system-files-written-in-session"),
        ("echo k >> /root/.ssh/authorized_keys", "persistence-in-session"),
        ("echo '* * * * * x' | crontab -", "persistence-in-session"),
    ],
)
def test_it_is_seen(command: str, id: str) -> None:
    raw = {
        "verb": "create",
        "user": {"username": "alice"},
        "objectRef": {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web"},
        "requestObject": {"command": ["sh", "-c", command]},
        "responseStatus": {"code": 101},
    }
    assert id in seen(raw)


def test_jobs_that_the_cluster_starts_are_quiet() -> None:
    ref = {"resource": "cronjobs", "apiGroup": "batch", "namespace": "shop", "name": "x"}
    raw = {"verb": "patch", "objectRef": ref, "responseStatus": {"code": 200}}
    assert seen({**raw, "user": {"username": "system:serviceaccount:kube-system:cronjob-controller"}}) == []
    assert seen({**raw, "user": {"username": "alice"}}) == ["scheduled-job-written"]
    assert seen({**raw, "user": {"username": "alice"}, "responseStatus": {"code": 403}}) == []
