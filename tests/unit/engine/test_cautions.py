"""What whoever writes a policy is told of what it selects."""

from __future__ import annotations

from typing import Any

import pytest

from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.cautions import cautions
from iocaudit.engine.languages.as_checks import check_of
from iocaudit.engine.policy_reader import read_policy
from tests.support.rules import cel_entry, policy_with, rego

CATALOGUE = builtin_catalogue()


def told(checks: list[dict[str, Any]] | None = None, preset: str | None = None, **match: Any) -> dict[str, str]:
    spec: dict[str, Any] = {"match": match} | ({"checks": checks} if checks else {})
    spec |= {"preset": preset} if preset else {}
    policy = read_policy({"metadata": {"name": "p"}, "spec": spec}, CATALOGUE, any_rule=True)
    return {caution.reason: caution.message for caution in cautions(policy, CATALOGUE)}


PRIVILEGED = [{"ids": ["privileged-container"], "mode": "deny"}]
GOLD = {"matchLabels": {"tier": "gold"}}


@pytest.mark.parametrize(
    ("given", "reasons"),
    [
        ({"checks": PRIVILEGED}, []),
        ({"checks": PRIVILEGED, "namespaces": ["shop"], "kinds": ["Pod"]}, []),
        ({"checks": PRIVILEGED, "subjects": [{"kind": "Group", "name": "contractors"}]}, []),
        ({"checks": PRIVILEGED, "namespaceSelector": GOLD}, ["SelectsByLabel"]),
        ({"checks": PRIVILEGED, "operations": ["CREATE"]}, ["SelectsByOperation"]),
        ({"checks": PRIVILEGED, "operations": ["UPDATE", "CONNECT"]}, ["SelectsByOperation"]),
        ({"checks": PRIVILEGED, "operations": ["CREATE", "UPDATE"]}, []),
        ({"checks": [{"ids": ["exec-session"], "mode": "deny"}], "operations": ["CONNECT"]}, []),
        ({"checks": [{"ids": ["ephemeral-container-added"], "mode": "deny"}], "operations": ["UPDATE"]}, []),
        ({"checks": PRIVILEGED, "kinds": ["Deployment", "StatefulSet.apps"]}, ["SelectsByKind"]),
        ({"checks": [{"ids": ["privileged-container"], "mode": "warn"}], "kinds": ["Deployment"]}, []),
        ({"checks": PRIVILEGED, "kinds": ["*"]}, []),
        ({"checks": [{"ids": ["rego-mine"], "mode": "deny"}]}, ["UnknownRule"]),
        ({"checks": PRIVILEGED, "kinds": ["Service"]}, ["SelectsByKind"]),
        ({"checks": [{"ids": ["no-rate-limit"], "mode": "deny"}], "kinds": ["Service"]}, []),
        ({"checks": PRIVILEGED, "kinds": ["ClusterRoleBinding"]}, ["HoldsForNothing"]),
        ({"checks": PRIVILEGED, "kinds": ["Pod"], "operations": ["CONNECT"]}, ["HoldsForNothing"]),
        ({"checks": [{"groups": ["rbac"], "mode": "deny"}], "kinds": ["Ingress"]}, ["HoldsForNothing"]),
        ({"checks": [{"groups": ["pods"], "mode": "deny"}], "kinds": ["Pod"]}, []),
        (
            {"checks": [{"ids": ["admission-bypass"], "mode": "off"}], "subjects": [{"kind": "User", "name": "a"}]},
            ["HoldsForNothing"],
        ),
        (
            {"preset": "guard", "operations": ["CREATE"], "namespaceSelector": GOLD},
            ["SelectsByLabel", "SelectsByOperation"],
        ),
    ],
)
def test_what_is_told(given: dict[str, Any], reasons: list[str]) -> None:
    assert list(told(**given)) == reasons


def test_the_words_name_what_is_meant() -> None:
    found = told([*PRIVILEGED, {"ids": ["exec-session"]}], kinds=["Deployment"], operations=["CREATE"])
    assert found["SelectsByOperation"].startswith("operations names CREATE and not UPDATE: the user who makes")
    assert found["SelectsByKind"].startswith("kinds names Deployment and not Pod: pods that are made in another way")
    assert found["HoldsForNothing"].startswith("checks[1] decides nothing for exec-session: no request")


def test_a_rule_is_known_by_its_policy_or_by_the_catalogue_and_else_near_ones_are_named() -> None:
    checks = [{"ids": ["rego-registri", "cel-own"], "mode": "deny"}]
    policy = read_policy(policy_with([cel_entry("own")], checks=checks), CATALOGUE, any_rule=True)
    (caution,) = cautions(policy, CATALOGUE.also([check_of(rego("registry"))]))
    assert caution.message == (
        "checks[0].ids names rego-registri, which is not a rule of any AuditPolicy or ConfigMap "
        "(did you mean rego-registry?): it decides nothing until there is one"
    )
    assert list(cautions(policy, CATALOGUE.also([check_of(rego("registri"))]))) == []
