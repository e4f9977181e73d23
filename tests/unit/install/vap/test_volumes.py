"""The CEL of checks on host paths."""

from __future__ import annotations

from tests.support.exporting import bad, exported, rules_of


def test_no_expression_goes_through_containers_mounts_and_volumes_together() -> None:
    for name in ("sensitive-host-path", "host-path-mount", "writable-host-path", "runtime-socket-mount"):
        rule = rules_of(name)[name]
        for variable in rule["variables"]:
            text = variable["expression"]
            loops = [word for word in ("containers", "volumeMounts", "volumes", "hostPaths") if f"{word}." in text]
            assert len(loops) <= 2, (name, variable)
            assert "volumes" not in loops or "volumeMounts" not in loops


def test_allowed_paths_are_written_out() -> None:
    rule = rules_of("sensitive-host-path", allowed=["/etc/ssl", {"pathPrefix": "/var/log", "readOnly": True}])
    spec = rule["sensitive-host-path"]
    constants = {one["name"]: one["expression"] for one in spec["variables"]}
    assert constants["freePaths2"] == "{'/etc/ssl': true}"
    assert constants["readOnlyPaths2"] == "{'/var/log': true}"
    text = bad(spec)
    assert "in variables.freePaths2)" in text
    assert "in variables.readOnlyPaths2) && !(it.name in variables.writtenVolumes)" in text


def test_a_path_of_windows_that_is_allowed_is_told() -> None:
    found = exported({"checks": [{"ids": ["host-path-mount"], "mode": "deny", "parameters": {"allowed": ["c:/x"]}}]})
    assert found.objects == []
    assert found.told == [
        "host-path-mount: not exported for every namespace but iocaudit, kube-system: it allows a path of Windows"
    ]


def test_what_is_behind_claims_is_told() -> None:
    found = exported({"checks": [{"ids": ["sensitive-host-path"], "mode": "deny"}]})
    assert found.told == [
        "not exported: sensitive-host-path: what is behind a PersistentVolumeClaim is looked up by the webhook alone"
    ]
