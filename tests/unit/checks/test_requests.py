"""Requests: maxima, ratios, and what limits give."""

import pytest

from tests.support.auditing import Json, container, evidence, judge, pod


def sized(**resources: Json) -> Json:
    return pod(container(resources=resources))


def test_a_limit_without_a_request_is_the_request_too() -> None:
    assert len(judge("requests-missing", pod())) == 2
    assert judge("requests-missing", sized(limits={"cpu": 1, "memory": "1Gi"})) == []
    assert len(judge("requests-missing", sized(requests={"cpu": 1}))) == 1
    assert judge("requests-missing", sized(requests={"cpu": 1}), parameters={"resources": ["cpu"]}) == []
    whole = pod(resources={"requests": {"cpu": 1, "memory": 1}})
    assert judge("requests-missing", whole) == []


@pytest.mark.parametrize(
    ("resources", "parameters", "expected"),
    [
        ({"limits": {"memory": "2Gi"}}, {"limits": {"memory": "1Gi"}}, ["2147483648"]),
        ({"limits": {"memory": "1024Mi"}}, {"limits": {"memory": "1Gi"}}, []),
        ({}, {"limits": {"memory": "1Gi"}}, ["unset"]),
        ({"limits": {"cpu": 5}}, {"limits": {"cpu": "-1"}}, []),
        ({"requests": {"cpu": 5}}, {"requests": {"cpu": "200m"}}, ["5"]),
        ({"limits": {"cpu": 5}}, {"requests": {"cpu": "200m"}}, ["5"]),
        ({}, {"requests": {"cpu": "200m"}}, []),
        ({"limits": {"memory": "1 Gi"}}, {"limits": {"memory": "2Gi"}}, ["unreadable"]),
        ({"limits": {"memory": "1 Gi"}}, {"limits": {"memory": -1}}, []),
        ({"limits": {"memory": {"a": 1}}}, {"limits": {"memory": "2Gi"}}, ["unreadable"]),
    ],
)
def test_maxima(resources: Json, parameters: Json, expected: list[str]) -> None:
    assert evidence(judge("limits-above-maximum", sized(**resources), parameters=parameters)) == expected


@pytest.mark.parametrize(
    ("resources", "parameters", "hits"),
    [
        ({"limits": {"memory": 4, "cpu": 1}, "requests": {"memory": 2, "cpu": 1}}, {"ratio": 2}, 0),
        ({"limits": {"memory": 5, "cpu": 1}, "requests": {"memory": 2, "cpu": 1}}, {"ratio": "2"}, 1),
        ({"limits": {"memory": 4, "cpu": 9}, "requests": {"memory": 4, "cpu": 1}}, {"ratio": 1, "cpuRatio": 10}, 0),
        ({"limits": {"memory": 4, "cpu": 4}}, {"ratio": 1}, 0),
        ({"requests": {"memory": 4, "cpu": 4}}, {"ratio": 1}, 2),
        ({"limits": {"cpu": 4}, "requests": {"cpu": 0}}, {"cpuRatio": 3}, 1),
        ({"limits": {"cpu": "4 cores"}, "requests": {"cpu": 4}}, {"cpuRatio": 3}, 1),
        ({"limits": {"cpu": 4}, "requests": {"cpu": "4 cores"}}, {"cpuRatio": 3}, 1),
    ],
)
def test_ratios(resources: Json, parameters: Json, hits: int) -> None:
    assert len(judge("limit-to-request-ratio", sized(**resources), parameters=parameters)) == hits
