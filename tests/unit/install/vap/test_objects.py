"""The objects of an export: deterministic, with what they need and nothing else, and a digest that tells them apart."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from iocaudit.install.vap.objects import digest_of, subjects_named
from iocaudit.install.vap.translations import TRANSLATIONS
from tests.support.exporting import CATALOGUE, denying, exported
from tests.support.running import run

GOLDEN = Path(__file__).parent / "golden.yaml"


def test_the_whole_of_one_export_is_as_the_golden_file_has_it(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    spec = {
        **denying("privileged-container", "host-port"),
        "exemptSubjects": [
            {"kind": "Group", "name": "ops"},
            {"kind": "ServiceAccount", "name": "ci", "namespace": "b"},
        ],
        "match": {"namespaces": ["shop", "team-*"]},
    }
    raw = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": "p"}, "spec": spec}
    policy.write_text(yaml.safe_dump(raw))
    code, out, _ = run("export", "vap", "--policy", str(policy))
    assert code == 0
    assert out == GOLDEN.read_text()


def test_every_variable_is_used_and_made_before_it_is_used() -> None:
    specs = [{"checks": [{"ids": [name], "mode": "deny"}]} for name in TRANSLATIONS]
    for one in exported(*specs).objects:
        if one["kind"] != "ValidatingAdmissionPolicy":
            continue
        known: set[str] = set()
        used: set[str] = set()
        for variable in one["spec"]["variables"]:
            here = set(re.findall(r"variables\.(\w+)", variable["expression"]))
            assert here <= known, variable
            used |= here
            known.add(variable["name"])
        for validation in one["spec"]["validations"]:
            used |= set(re.findall(r"variables\.(\w+)", validation["expression"] + validation["messageExpression"]))
        assert used == known, one["metadata"]["name"]
        assert "@" not in re.sub(r"'(?:\\.|[^'\\])*'", "", str([v["expression"] for v in one["spec"]["variables"]]))


def test_controllers_are_judged_where_a_policy_denies_what_exists() -> None:
    (policy,) = (one for one in exported(denying("host-pid")).objects if one["kind"] == "ValidatingAdmissionPolicy")
    assert policy["spec"]["matchConditions"][0]["name"] == "not-made-of-a-template"
    strict = exported({**denying("host-pid"), "existing": "deny"}).objects
    assert all("matchConditions" not in one["spec"] for one in strict)


def test_digests_tell_specs_apart() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1}) != digest_of({"a": 1})
    assert exported(denying("host-pid")).objects == exported(denying("host-pid")).objects


def test_exempt_subjects_are_named() -> None:
    policies = exported({**denying("host-pid"), "exemptSubjects": [{"kind": "User", "name": "u"}]})
    assert policies.objects[0]["metadata"]["annotations"]["iocaudit.io/left-out"] == "requests of User u (exempt)"
    assert subjects_named([]) == []
    assert CATALOGUE.find("host-pid") is not None
