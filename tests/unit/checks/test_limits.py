"""Limits, and what a LimitRange gives to pods yet to be made."""

from tests.support.auditing import Json, judge, places, pod


def limit_range(**fields: Json) -> Json:
    limits = [{"type": "Container", **fields}]
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "all", "namespace": "shop"},
        "spec": {"limits": limits},
    }


def test_what_a_limit_range_gives_counts_for_pods_yet_to_be_made() -> None:
    given = limit_range(defaultRequest={"cpu": "1"}, max={"memory": "1Gi"})
    assert judge("requests-missing", pod(), given) == []
    assert len(judge("requests-missing", pod(metadata={"uid": "u"}), given)) == 2
    least = limit_range(min={"cpu": "1", "memory": "1Mi"})
    assert judge("requests-missing", pod(), least) == []
    assert len(judge("memory-unlimited", pod(), least)) == 1
    assert judge("memory-unlimited", pod(), limit_range(max={"memory": "1Gi"})) == []
    assert judge("ephemeral-storage-unlimited", pod(), limit_range(default={"ephemeral-storage": "1Gi"})) == []
    assert len(judge("ephemeral-storage-unlimited", pod(), limit_range(default={"ephemeral-storage": 0}))) == 1


def test_the_path_of_a_default_names_where_to_set_it() -> None:
    assert places(judge("ephemeral-storage-unlimited", pod())) == [
        'spec.containers["app"].resources.limits.ephemeral-storage'
    ]
