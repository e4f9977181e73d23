"""Ids: low ones, ranges of a policy, user namespaces by version."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.auditing import container, evidence, judge, places, pod


def test_low_uid_judges_what_holds_for_each_container() -> None:
    subject = pod(
        container(),
        container(name="own", securityContext={"runAsUser": 20000, "runAsGroup": 5}),
        securityContext={"runAsUser": 9999},
    )
    found = judge("low-uid", subject)
    assert places(found) == ["spec.securityContext.runAsUser", 'spec.containers["own"].securityContext.runAsGroup']
    assert evidence(found) == ["9999", "5"]
    assert evidence(judge("low-uid", pod())) == ["unset"]
    assert judge("low-uid", pod(securityContext={"runAsUser": 500}), parameters={"minimum": 500}) == []
    assert judge("low-uid", pod(os={"name": "windows"})) == []


@pytest.mark.parametrize(
    ("rule", "context", "hits"),
    [
        ({"rule": "MustRunAs", "ranges": [{"min": 5, "max": 9}]}, {}, 1),
        ({"rule": "MustRunAs", "ranges": [{"min": 5, "max": 9}]}, {"runAsUser": 5}, 0),
        ({"rule": "MustRunAs", "ranges": [{"min": 5, "max": 9}]}, {"runAsUser": 10}, 1),
        ({"rule": "MustRunAs", "ranges": []}, {"runAsUser": 5}, 1),
        ({"rule": "MayRunAs", "ranges": [{"min": 5, "max": 9}]}, {}, 0),
        ({"rule": "MayRunAs", "ranges": [{"min": 5, "max": 9}]}, {"runAsUser": 4}, 1),
        ({"rule": "MustRunAsNonRoot"}, {"runAsUser": 0}, 1),
        ({"rule": "MustRunAsNonRoot"}, {"runAsUser": 7}, 0),
        ({"rule": "RunAsAny"}, {"runAsUser": 0}, 0),
        ({"ranges": [{"min": 5, "max": 9}]}, {"runAsUser": 0}, 0),
    ],
)
def test_rules_of_users(rule: dict[str, Any], context: dict[str, Any], hits: int) -> None:
    for subject in (pod(securityContext=context), pod(container(securityContext=context))):
        assert len(judge("id-out-of-range", subject, parameters={"runAsUser": rule})) == hits


def test_rules_of_groups() -> None:
    rule = {"rule": "MayRunAs", "ranges": [{"min": 100, "max": 200}]}
    subject = pod(securityContext={"fsGroup": 5, "supplementalGroups": [150, 7]})
    found = judge("id-out-of-range", subject, parameters={"fsGroup": rule, "supplementalGroups": rule})
    assert evidence(found) == ["5", "7"]


def test_a_user_namespace_counts_from_1_35_on() -> None:
    subject = pod(hostUsers=False, securityContext={"runAsUser": 0})
    for check in ("runs-as-root", "may-run-as-root"):
        assert judge(check, subject) == []
        assert len(judge(check, subject, parameters={"pssVersion": "v1.34"})) == 1


@given(
    st.sampled_from(["low-uid", "runs-as-root", "may-run-as-root"]),
    st.none() | st.integers(0, 20_000),
    st.none() | st.integers(0, 20_000),
    st.booleans(),
)
def test_no_id_of_a_pod_in_a_user_namespace_is_one_of_the_node(
    check: str, user: int | None, group: int | None, on_pod: bool
) -> None:
    """Every check of ids that the node has too, whatever the id and where it stands."""
    ids = {"runAsUser": user, "runAsGroup": group}
    context = {"securityContext": {field: value for field, value in ids.items() if value is not None}}
    subject = pod(**context) if on_pod else pod(container(**context))
    shared = judge(check, subject)
    subject["spec"]["hostUsers"] = False
    assert judge(check, subject) == []
    subject["spec"]["hostUsers"] = True
    assert places(judge(check, subject)) == places(shared)


def test_an_unmasked_proc_in_a_user_namespace() -> None:
    subject = pod(container(securityContext={"procMount": "Unmasked"}), hostUsers=False)
    assert judge("unmasked-proc", subject, profile="default") == []
    assert len(judge("unmasked-proc", subject)) == 1
    assert len(judge("unmasked-proc", subject, profile="default", parameters={"pssVersion": "1.34"})) == 1
