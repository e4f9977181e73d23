"""The CRDs on a real API server: they install, they are structural, and they refuse what a schema can refuse."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster.controlplane import ControlPlane
from devcluster.errors import KubectlError
from iocaudit.core.errors import PolicyError
from iocaudit.detecting.profile_files import read_profile_files
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.presets import Mode
from iocaudit.engine.waiver_reader import WaiverError, read_waiver
from iocaudit.signals.profiles.reader import read_profile
from tests.support.profiles import profile_object

CRDS = Path(__file__).parents[2] / "manifests" / "crds"
CATALOGUE = builtin_catalogue()
BOUNDS = ("Duplicate value", "must have at most 128 items")
"""What the readers take all the same: bounds of what a cluster stores, which change nothing about what is meant."""


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
        "IocWaiver",
        "ActivityProfile",
        "AuditReport",
        "ClusterAuditReport",
    }
    for crd in ours:
        assert "NonStructuralSchema" not in {c["type"] for c in crd["status"]["conditions"]}
        assert crd["spec"]["names"]["categories"] == ["ioc"]
        assert len(json.dumps(crd["spec"])) < 100_000


def loose_ends(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Every field of a schema that has no description or no bound."""
    kind = schema.get("type")
    inner = path.endswith(("[]", "{}")) or path in ("", ".metadata")
    if not inner and not schema.get("description"):
        yield f"{path}: no description"
    if kind == "array":
        if "maxItems" not in schema:
            yield f"{path}: no maxItems"
        yield from loose_ends(schema["items"], f"{path}[]")
    if (
        kind == "string"
        and not {"maxLength", "enum", "format"} & schema.keys()
        and path not in (".apiVersion", ".kind")
    ):
        yield f"{path}: no maxLength"
    if kind == "integer" and "minimum" not in schema:
        yield f"{path}: no minimum"
    if kind == "object" and path != ".metadata":
        values = schema.get("additionalProperties")
        # With a subresource status, a schema may hold no such bound at its root.
        unbounded = values or (path and schema.get("x-kubernetes-preserve-unknown-fields"))
        if unbounded and "maxProperties" not in schema:
            yield f"{path}: no maxProperties"
        if isinstance(values, dict):
            yield from loose_ends(values, f"{path}{{}}")
        for name, field in schema.get("properties", {}).items():
            yield from loose_ends(field, f"{path}.{name}")


@pytest.mark.parametrize("file", sorted(CRDS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_field_is_described_and_bounded(file: Path) -> None:
    for version in yaml.safe_load(file.read_text())["spec"]["versions"]:
        assert list(loose_ends(version["schema"]["openAPIV3Schema"])) == []


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
        ({}, "name at least one check, group or profile, declare a rule, or give a preset"),
        ({"checks": []}, "name at least one check, group or profile, declare a rule, or give a preset"),
        ({"preset": "gaurd"}, 'spec.preset: Unsupported value: "gaurd"'),
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
        (
            {
                "checks": [{"ids": ["host-pid"]}],
                "match": {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Is", "values": ["b"]}]}},
            },
            'Unsupported value: "Is"',
        ),
        ({"checks": [{"ids": ["host-pid"], "severity": "fatal"}]}, 'Unsupported value: "fatal"'),
        ({"checks": [{"ids": ["host-pid"]}], "priority": 1_000_001}, "less than or equal to 1000000"),
        ({"checks": [{"ids": ["host-pid"]}], "priority": -1_000_001}, "greater than or equal to -1000000"),
        ({"checks": [{"ids": ["host-pid"]}], "priority": 1.5}, "must be of type integer"),
        ({"checks": [{"ids": [""]}]}, "should match"),
        ({"checks": [{"ids": []}]}, "names no check"),
        ({"checks": [{"ids": ["host-pid", "host-pid"]}]}, "Duplicate value"),
        ({"checks": [{"ids": ["a" * 64]}]}, "may not be more than 63"),
        ({"checks": [{"profiles": ["lax"]}]}, 'Unsupported value: "lax"'),
        ({"checks": [{"ids": ["host-pid"]}] * 129}, "must have at most 128 items"),
        ({"checks": "host-pid"}, "must be of type array"),
        ({"checks": [{"ids": ["host-port"], "parameters": ["allowed"]}]}, "must be of type object"),
        (
            {"checks": [{"ids": ["host-port"], "parameters": {f"p{number}": 1 for number in range(33)}}]},
            "must have at most 32 items",
        ),
        ({"checks": [{"ids": ["host-pid"]}], "match": {"namespaces": [""]}}, "should be at least 1 chars long"),
        ({"checks": [{"ids": ["host-pid"]}], "match": {"namespaces": ["Shop"]}}, "should match"),
        ({"checks": [{"ids": ["host-pid"]}], "match": {"clusterScoped": "yes"}}, "must be of type boolean"),
        ({"checks": [{"ids": ["host-pid"], "mode": True}]}, "spec.checks[0].mode: Unsupported value: true"),
        ({"checks": [{"ids": ["host-pid"]}], "onFault": "warn"}, 'Unsupported value: "warn"'),
        ({"checks": [{"ids": ["host-pid"]}], "onIncomplete": "allow"}, 'Unsupported value: "allow"'),
        ({"checks": [{"ids": ["host-pid"]}], "existing": "off"}, 'Unsupported value: "off"'),
        ({"checks": [{"ids": ["host-pid"]}], "images": "tag"}, 'Unsupported value: "tag"'),
        (
            {
                "checks": [{"ids": ["host-pid"]}],
                "exemptSubjects": [{"kind": "User", "name": "ci", "namespace": "build"}],
            },
            "a User or Group has none",
        ),
        ({"checks": [{"ids": ["host-pid"]}], "exemptSubjects": [{"kind": "Group", "name": ""}]}, "at least 1 chars"),
        (
            {"checks": [{"ids": ["host-pid"]}], "exemptSubjects": [{"kind": "Everyone", "name": "x"}]},
            "Unsupported value",
        ),
        ({"preset": "guard", "match": {"kinds": []}}, "should have at least 1 items"),
        ({"preset": "guard", "match": {"kinds": ["pods"]}}, "should match"),
        ({"preset": "guard", "match": {"kinds": ["Pod", "Pod."]}}, "should match"),
        ({"preset": "guard", "match": {"kinds": "Pod"}}, "must be of type array"),
        ({"preset": "guard", "match": {"operations": ["DELETE"]}}, 'Unsupported value: "DELETE"'),
        ({"preset": "guard", "match": {"operations": ["create"]}}, 'Unsupported value: "create"'),
        ({"preset": "guard", "match": {"operations": []}}, "should have at least 1 items"),
        ({"preset": "guard", "match": {"subjects": []}}, "should have at least 1 items"),
        ({"preset": "guard", "match": {"subjects": [{"kind": "User"}]}}, "subjects[0].name: Required value"),
        (
            {"preset": "guard", "match": {"subjects": [{"kind": "ServiceAccount", "name": "ci"}]}},
            "a ServiceAccount has a namespace",
        ),
        (
            {"preset": "guard", "match": {"excludeSubjects": [{"kind": "Group", "name": "a", "namespace": "b"}]}},
            "a User or Group has none",
        ),
        ({"preset": "guard", "match": {"subjects": [{"kind": "User", "name": "a[b]"}]}}, "should match"),
    ],
)
def test_invalid_policy_is_refused(crds: ControlPlane, spec: dict[str, Any], said: str) -> None:
    with pytest.raises(KubectlError) as refused:
        crds.kubectl("create", "--dry-run=server", "-f", "-", input=policy(spec))
    assert said in str(refused.value)
    if said not in BOUNDS:
        with pytest.raises(PolicyError):
            read_policy(json.loads(policy(spec)), CATALOGUE, str)


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
    assert stored["images"] == "repository"
    assert stored["checks"][0]["parameters"] == {"trusted": ["hooli.com/"]}


def test_an_unquoted_off_is_taken(crds: ControlPlane) -> None:
    text = """
apiVersion: iocaudit.io/v1alpha1
kind: AuditPolicy
metadata: {name: under-test}
spec: {checks: [{ids: [host-pid], mode: off}]}
"""
    answer = crds.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", input=text)
    assert read_policy(json.loads(answer.stdout), CATALOGUE).rules[0].mode is Mode.OFF


@pytest.mark.parametrize(
    "spec",
    [
        {"checks": [{"ids": ["host-pid"]}], "match": {"namespace": ["shop"]}},
        {"checks": [{"ids": ["host-pid"], "severty": "low"}]},
        {"checks": [{"ids": ["host-pid"]}], "onFualt": "deny"},
        {"preset": "guard", "exemptSubjects": [{"kind": "User", "name": "ci", "nmespace": "x"}]},
        {"preset": "guard", "match": {"namespaceSelector": {"matchLabel": {"a": "b"}}}},
        {"preset": "guard", "match": {"subject": [{"kind": "User", "name": "ci"}]}},
        {"preset": "guard", "match": {"subjects": [{"kind": "User", "name": "ci", "group": "x"}]}},
    ],
)
@pytest.mark.parametrize("how", [(), ("--validate=false",)], ids=["strict", "lenient"])
def test_an_unknown_field_is_stored_for_us_to_refuse(
    crds: ControlPlane, spec: dict[str, Any], how: tuple[str, ...]
) -> None:
    """Cut off it would widen the policy without a word, whoever writes it."""
    answer = crds.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", *how, input=policy(spec))
    with pytest.raises(PolicyError, match="there is no such field"):
        read_policy(json.loads(answer.stdout), CATALOGUE)


def denied_attempt(**change: Any) -> str:
    finding = {
        "check": "host-pid",
        "severity": "high",
        "rank": 2,
        "subject": {"kind": "Pod", "name": "web", "namespace": "default"},
        "state": "Denied",
        "type": "denied-attempt",
        "hitCount": 0,
        "count": 1,
        "user": "eve",
        "firstSeen": "2026-01-02T03:04:05Z",
        "lastSeen": "2026-01-02T03:04:05Z",
    } | change
    body = {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "IocFinding",
        "metadata": {"name": "under-test", "namespace": "default"},
        "finding": {key: value for key, value in finding.items() if value is not None},
    }
    return json.dumps(body)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"state": "Open"}, "a denied attempt, and nothing else, has the state Denied"),
        ({"type": "posture"}, "a denied attempt, and nothing else, has the state Denied"),
        ({"count": None}, "carries its count, its user and when it was last seen"),
        ({"user": None}, "carries its count, its user and when it was last seen"),
        ({"lastSeen": None}, "carries its count, its user and when it was last seen"),
        ({"replicas": [{"name": "a", "number": 0}]}, "greater than or equal to 1"),
    ],
)
def test_a_denied_attempt_has_to_be_whole(crds: ControlPlane, change: dict[str, Any], said: str) -> None:
    with pytest.raises(KubectlError) as error:
        crds.kubectl("apply", "--dry-run=server", "-f", "-", input=denied_attempt(**change))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"state": "Open"}, "what was seen at run time, and nothing else, has the state Seen"),
        ({"type": "posture"}, "what was seen at run time, and nothing else, has the state Seen"),
        ({"suppressed": None}, "carries its counts and when it was last seen"),
        ({"suppressed": -1}, "greater than or equal to 0"),
        ({}, ""),
    ],
)
def test_what_was_seen_at_run_time_has_to_be_whole(crds: ControlPlane, change: dict[str, Any], said: str) -> None:
    seen = {"type": "runtime", "state": "Seen", "user": None, "suppressed": 0} | change
    if not said:
        assert "created" in crds.kubectl("apply", "--dry-run=server", "-f", "-", input=denied_attempt(**seen)).stdout
        return
    with pytest.raises(KubectlError) as error:
        crds.kubectl("apply", "--dry-run=server", "-f", "-", input=denied_attempt(**seen))
    assert said in str(error.value)


def test_a_whole_denied_attempt_is_taken(crds: ControlPlane) -> None:
    assert "created" in crds.kubectl("apply", "--dry-run=server", "-f", "-", input=denied_attempt()).stdout


@pytest.mark.parametrize(
    ("repair", "said"),
    [
        ({"safe": False, "hits": 1, "patch": "[]"}, "what is resolved needs no repair"),
        ({"safe": False, "hits": 1}, "repair.patch: Required value"),
        ({"safe": False, "hits": 1, "patch": "x" * 8193}, "may not be more than 8192"),
    ],
)
def test_a_repair_has_a_bound_and_ends_with_what_it_repairs(
    crds: ControlPlane, repair: dict[str, Any], said: str
) -> None:
    change = {"type": "posture", "state": "Resolved", "resolvedAt": "2026-01-02T03:04:05Z", "repair": repair}
    with pytest.raises(KubectlError) as error:
        crds.kubectl("apply", "--dry-run=server", "-f", "-", input=denied_attempt(**change))
    assert said in str(error.value)


def waiver(name: str, **spec: Any) -> str:
    base = {
        "checks": ["privileged-container"],
        "namespaces": ["shop"],
        "owner": "team-shop",
        "reason": "until v2 is out",
        "expires": "2099-01-01T00:00:00Z",
    }
    body = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "IocWaiver", "metadata": {"name": name}}
    return json.dumps({**body, "spec": {**base, **spec}})


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"checks": []}, "should have at least 1 item"),
        ({"checks": ["*"]}, "should match"),
        ({"namespaces": ["*"]}, "should match"),
        ({"namespaces": ["?-*"]}, "should match"),
        ({"names": ["**"]}, "should match"),
        ({"namespaces": ["[!x]*"]}, "should match"),
        ({"names": ["[!-]*x"]}, "should match"),
        ({"namespaces": []}, "name at least one namespace, or set clusterScope"),
        ({"owner": ""}, "spec.owner"),
        ({"expires": "tomorrow"}, "must be of type date-time"),
        ({"expires": None}, "spec.expires: Required value"),
    ],
)
def test_invalid_waiver_is_refused(crds: ControlPlane, spec: dict[str, Any], said: str) -> None:
    with pytest.raises(KubectlError) as refused:
        crds.kubectl("create", "--dry-run=server", "-f", "-", input=waiver("under-test", **spec))
    assert said in str(refused.value)
    with pytest.raises(WaiverError):
        read_waiver(json.loads(waiver("under-test", **spec)), CATALOGUE, stored=False, now=datetime.now(UTC))


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": ["Pod"]},
        {"namspaces": ["lab"]},
        {"labels": {"matchlabels": {"a": "b"}}},
        {"labels": {"matchExpressions": [{"key": "a", "operator": "Exists", "vales": ["b"]}]}},
    ],
)
@pytest.mark.parametrize("how", [(), ("--validate=false",)], ids=["strict", "lenient"])
def test_an_unknown_field_of_a_waiver_is_stored_for_us_to_refuse(
    crds: ControlPlane, spec: dict[str, Any], how: tuple[str, ...]
) -> None:
    """Cut off it would widen the waiver without a word, whoever writes it."""
    given = waiver("under-test", **spec)
    answer = crds.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", *how, input=given)
    with pytest.raises(WaiverError, match="there is no such field"):
        read_waiver(json.loads(answer.stdout), CATALOGUE, stored=True, now=datetime.now(UTC))


def test_a_record_of_fewer_than_128_bits_is_refused(crds: ControlPlane) -> None:
    crds.kubectl("create", "-f", "-", input=waiver("recorded"))
    write = ("patch", "iocwaiver", "recorded", "--subresource=status", "--type=merge", "-p")
    try:
        for known, taken in ("0123456789abcdef", False), ("0123456789abcdef" * 2, True):
            status = {"status": {"covered": {"count": 1, "fingerprints": [known]}}}
            result = crds.kubectl(*write, json.dumps(status), check=False)
            assert ("fingerprints[0]" in result.stderr, result.returncode == 0) == (not taken, taken), result.stderr
    finally:
        crds.kubectl("delete", "iocwaiver", "recorded")


def test_a_waiver_may_be_shortened_and_nothing_else_of_what_it_covers(crds: ControlPlane) -> None:
    crds.kubectl("create", "-f", "-", input=waiver("edited", kinds=["Pod"]))
    try:
        shorter: dict[str, Any] = {"kinds": ["Pod"], "expires": "2098-01-01T00:00:00Z"}
        crds.kubectl("apply", "-f", "-", input=waiver("edited", **shorter))
        crds.kubectl("apply", "-f", "-", input=waiver("edited", **shorter, reason="more words"))
        for change in (
            {"expires": "2098-01-01T00:00:01Z"},
            {"checks": ["privileged-container", "host-pid"]},
            {"namespaces": ["shop", "shop-2"]},
            {"clusterScope": True},
            {"kinds": ["Pod", "Job"]},
            {"names": ["web"]},
            {"labels": {"matchLabels": {"a": "b"}}},
            {"images": ["hooli.com/"]},
            {"allowNew": True},
        ):
            with pytest.raises(KubectlError) as refused:
                crds.kubectl("apply", "-f", "-", input=waiver("edited", **{**shorter, **change}))
            assert "make a new waiver" in str(refused.value), change
    finally:
        crds.kubectl("delete", "iocwaiver", "edited")


def test_a_profile_is_taken_and_read_back_as_it_was_written(crds: ControlPlane, tmp_path: Path) -> None:
    crds.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(profile_object("default")))
    try:
        listed = tmp_path / "now.yaml"
        listed.write_text(crds.kubectl("get", "activityprofiles", "-n", "default", "-o", "yaml").stdout, "utf-8")
        (found,) = read_profile_files([str(listed)]).profiles
        assert found == read_profile(profile_object("default"))
    finally:
        crds.kubectl("delete", "activityprofile", "web", "-n", "default")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"mode": "deny"}, 'Unsupported value: "deny"'),
        ({"procesess": []}, "procesess"),
        ({"processes": [{"image": "nginx", "executables": ["/*"]}]}, "should match"),
        ({"destinations": [{"to": []}]}, "should have at least 1 item"),
        ({"processes": None, "destinations": None, "accounts": None}, "give processes, destinations or accounts"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused(crds: ControlPlane, spec: dict[str, Any], said: str) -> None:
    with pytest.raises(KubectlError, match=said):
        crds.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(profile_object("default", **spec)))
