"""Where a policy applies, what it says of a check, and what an unusable one says."""

from typing import Any

import pytest

from iocaudit.core.errors import PolicyError
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies, read_policy
from iocaudit.engine.presets import Mode

CATALOGUE = builtin_catalogue()


def policy(name: str, checks: list[dict[str, Any]], *, priority: int = 0, **match: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"priority": priority, "checks": checks}
    if match:
        spec["match"] = match
    return {"metadata": {"name": name}, "spec": spec}


def settings(*raws: dict[str, Any], namespace: str | None = "shop", labels: dict[str, str] | None = None) -> Any:
    return read_policies(raws, CATALOGUE).settings(namespace, labels or {})


def test_within_a_policy_the_closest_name_wins() -> None:
    one = policy("p", [{"groups": ["pods"], "mode": "warn"}, {"ids": ["host-pid"], "mode": "off"}])
    assert "host-pid" not in settings(one)
    assert settings(one)["host-ipc"].mode is Mode.WARN


def test_where_a_policy_matches() -> None:
    one = policy("p", [{"ids": ["host-pid"], "mode": "deny"}], namespaces=["team-*"], excludeNamespaces=["team-x"])
    assert settings(one, namespace="team-a")["host-pid"].policy == "p"
    assert settings(one, namespace="team-x")["host-pid"].policy is None
    assert settings(one, namespace=None)["host-pid"].policy is None
    cluster = policy("c", [{"groups": ["rbac"], "mode": "warn"}], clusterScoped=True)
    assert settings(cluster, namespace=None)["cluster-admin-binding"].policy == "c"
    by_label = policy("l", [{"ids": ["host-pid"], "mode": "deny"}], namespaceSelector={"matchLabels": {"tier": "gold"}})
    assert settings(by_label, labels={"tier": "gold"})["host-pid"].policy == "l"
    assert settings(by_label, labels={})["host-pid"].policy is None
    assert read_policy(by_label, CATALOGUE).selects_by_label


@pytest.mark.parametrize(
    ("checks", "where"),
    [
        ([{"mode": "deny"}], "spec.checks[0]"),
        ([{"ids": ["host-pid"], "mode": "block"}], "spec.checks[0].mode"),
        ([{"ids": ["host-pid"], "severity": "bad"}], "spec.checks[0].severity"),
        ([{"ids": ["host-pid"], "parameters": {"x": 1}}], "spec.checks[0].parameters"),
        ([{"ids": ["untrusted-registry"], "parameters": {"trusted": "a"}}], "spec.checks[0].parameters.trusted"),
        ([{"groups": ["pods"], "parameters": {"allowed": []}}], "spec.checks[0].parameters"),
    ],
)
def test_an_unusable_policy_names_the_field(checks: list[dict[str, Any]], where: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_policy(policy("shop", checks), CATALOGUE)
    assert "AuditPolicy shop" in str(caught.value)
    assert where in str(caught.value)


def test_an_unknown_id_is_refused_in_a_cluster_too() -> None:
    with pytest.raises(PolicyError, match=r"did you mean privileged-container\?"):
        read_policy(policy("p", [{"ids": ["privilegd-container"], "mode": "deny"}]), CATALOGUE)
