"""The CRDs on a real API server: they install, they are structural, and they refuse what a schema can refuse."""

import json
from pathlib import Path
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.errors import KubectlError

CRDS = Path(__file__).parents[2] / "manifests" / "crds"


@pytest.fixture(scope="module")
def crds(control_plane: ControlPlane) -> ControlPlane:
    control_plane.kubectl("apply", "--server-side", "-f", str(CRDS))
    control_plane.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=20s")
    return control_plane


def test_install_structural_and_small(crds: ControlPlane) -> None:
    found = json.loads(crds.kubectl("get", "crd", "-o", "json").stdout)["items"]
    ours = [crd for crd in found if crd["spec"]["group"] == "iocaudit.io"]
    assert {crd["spec"]["names"]["kind"] for crd in ours} >= {
        "IocFinding",
        "ClusterIocFinding",
        "AuditPolicy",
        "AuditReport",
        "ClusterAuditReport",
    }
    for crd in ours:
        assert "NonStructuralSchema" not in {c["type"] for c in crd["status"]["conditions"]}
        assert crd["spec"]["names"]["categories"] == ["ioc"]
        assert len(json.dumps(crd["spec"])) < 100_000


def policy(spec: dict[str, Any]) -> str:
    return json.dumps(
        {
            "apiVersion": "iocaudit.io/v1alpha1",
            "kind": "AuditPolicy",
            "metadata": {"name": "under-test"},
            "spec": spec,
        }
    )


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, "spec.checks: Required value"),
        ({"checks": []}, "should have at least 1 item"),
        ({"checks": [{"mode": "deny"}]}, "names no check - give ids, groups or profiles"),
        (
            {"checks": [{"groups": ["rbac"], "parameters": {"trusted": ["a"]}}]},
            "parameters belong to checks named by ids",
        ),
        ({"checks": [{"ids": ["host-pid"], "mode": "dney"}]}, 'Unsupported value: "dney"'),
        ({"checks": [{"ids": ["Not_An_Id"]}]}, "should match"),
        ({"checks": [{"ids": ["host-pid"]}], "priority": "high"}, "must be of type integer"),
        (
            {"checks": [{"ids": ["host-pid"]}], "exemptSubjects": [{"kind": "ServiceAccount", "name": "ci"}]},
            "a ServiceAccount has a namespace",
        ),
        (
            {
                "checks": [{"ids": ["host-pid"]}],
                "match": {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
            },
            "values are given with In and NotIn",
        ),
    ],
)
def test_invalid_policy_is_refused(crds: ControlPlane, spec: dict[str, Any], said: str) -> None:
    with pytest.raises(KubectlError) as refused:
        crds.kubectl("create", "--dry-run=server", "-f", "-", input=policy(spec))
    assert said in str(refused.value)


def test_valid_policy_gets_defaults(crds: ControlPlane) -> None:
    spec = {
        "priority": 10,
        "match": {"namespaces": ["shop", "team-*"], "excludeNamespaces": ["team-x"]},
        "checks": [
            {"ids": ["untrusted-registry"], "mode": "deny", "parameters": {"trusted": ["hooli.com/"]}},
            {"profiles": ["strict"], "mode": "off"},
        ],
        "exemptSubjects": [{"kind": "ServiceAccount", "name": "ci", "namespace": "build"}],
    }
    answer = crds.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", input=policy(spec))
    stored = json.loads(answer.stdout)["spec"]
    assert (stored["onFault"], stored["onIncomplete"], stored["existing"]) == ("deny", "warn", "warn")
    assert stored["checks"][0]["parameters"] == {"trusted": ["hooli.com/"]}
