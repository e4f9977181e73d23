"""From policies and waivers to objects: one policy a check and set of parameters, and what is left out is told."""

from __future__ import annotations

from tests.support.exporting import Json, denying, exported

WAIVER: Json = {
    "checks": ["host-pid"],
    "namespaces": ["shop", "team-*"],
    "owner": "me",
    "reason": "known",
    "expires": "2026-02-01T00:00:00Z",
}


def named(found: list[Json], kind: str = "ValidatingAdmissionPolicy") -> list[str]:
    return [one["metadata"]["name"] for one in found if one["kind"] == kind]


def test_nothing_is_denied_by_default() -> None:
    assert exported().objects == []
    assert exported().told == []


def test_each_preset_exports_what_it_denies() -> None:
    found = exported({"preset": "lockdown"})
    assert "iocaudit-privileged-container" in named(found.objects)
    assert "iocaudit-host-pid" not in named(found.objects)
    assert any("cluster-admin-binding" in line and "it is not about pods" in line for line in found.told)


def test_parameters_of_their_own_make_a_policy_of_their_own() -> None:
    everywhere = denying("host-port")
    shop = {**denying("host-port", allowed=[{"min": 1, "max": 9}]), "match": {"namespaces": ["shop"]}, "priority": 5}
    found = exported(everywhere, shop).objects
    first, second = named(found)
    assert first == "iocaudit-host-port"
    assert second.startswith("iocaudit-host-port-")
    bindings = {one["spec"]["policyName"]: one["spec"] for one in found if one["kind"].endswith("Binding")}
    (outside,) = bindings[first]["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert (outside["operator"], outside["values"]) == ("NotIn", ["iocaudit", "kube-system", "shop"])
    (inside,) = bindings[second]["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert (inside["operator"], inside["values"]) == ("In", ["shop"])


def test_waived_namespaces_are_left_out_with_their_end() -> None:
    found = exported(denying("host-pid", "host-ipc"), waivers=(WAIVER,))
    policies = {one["metadata"]["name"]: one for one in found.objects if one["kind"] == "ValidatingAdmissionPolicy"}
    waived = policies["iocaudit-host-pid"]
    left = waived["metadata"]["annotations"]["iocaudit.io/left-out"]
    assert "namespace shop until 2026-02-01T00:00:00Z (waiver w0)" in left
    assert waived["spec"]["matchConditions"][0]["expression"] == "!request.namespace.matches(r'^team-.*$')"
    assert "iocaudit.io/left-out" not in policies["iocaudit-host-ipc"]["metadata"]["annotations"]
    assert any("host-pid: not exported for namespace shop" in line for line in found.told)
    expired = exported(denying("host-pid"), waivers=({**WAIVER, "expires": "2025-01-01T00:00:00Z"},))
    assert expired == exported(denying("host-pid"))


def test_kinds_and_operations_narrow_a_binding() -> None:
    found = exported({**denying("host-pid"), "match": {"kinds": ["Deployment"], "operations": ["CREATE"]}}).objects
    assert found[0]["spec"]["matchConstraints"]["resourceRules"] == [
        {
            "apiGroups": ["apps"],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["deployments"],
            "scope": "Namespaced",
        }
    ]
