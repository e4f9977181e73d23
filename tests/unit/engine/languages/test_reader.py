"""The rules of a policy as they are written: every mistake is named at its field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.errors import PolicyError
from iocaudit.core.kinds import DEPLOYMENT, INGRESS, NAMESPACE, POD, SECRET
from iocaudit.core.request import Operation
from iocaudit.core.severity import IoC, Severity
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.languages.as_checks import check_of
from iocaudit.engine.languages.reader import judgeable
from iocaudit.engine.languages.rule import CelCondition, CelSource, CelValidation, Language, RegoSource, Rule
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.presets import Mode
from tests.support.auditing import CATALOGUE
from tests.support.rules import cel_entry, policy_with, rego, rego_entry


def _read(*entries: dict[str, Any], in_file: bool = False, **given: Any) -> Policy:
    place = (lambda path: f"p.yaml:{path}") if in_file else None
    return read_policy(policy_with(entries), CATALOGUE, place, **given)


def _rule(entry: dict[str, Any], **given: Any) -> Rule:
    (one,) = _read(entry, **given).declared
    return one.rule


def _refused(entry: dict[str, Any], **given: Any) -> str:
    with pytest.raises(PolicyError) as raised:
        _read(entry, **given)
    return str(raised.value)


def test_a_rule_in_rego_is_read_whole() -> None:
    rule = _rule(
        rego_entry(
            rego={"module": "package a", "libraries": ["package b"]},
            severity="critical",
            title="t",
            description="d",
            fix="f",
            iocs=[9, 3],
            operations=["UPDATE"],
            needs=["Ingress", "Namespace"],
            podTemplates=False,
            parameters={"a": {"b": [1]}},
        )
    )
    assert (rule.id, rule.language) == ("rego-registry", Language.REGO)
    assert rule.source == RegoSource("package a", ("package b",))
    assert (rule.severity, rule.title, rule.description, rule.fix) == (Severity.CRITICAL, "t", "d", "f")
    assert (rule.iocs, rule.operations) == ((IoC.UNKNOWN_BINARY, IoC.CLUSTER_ADMIN), (Operation.UPDATE,))
    assert (rule.kinds, rule.needs, rule.pod_templates) == ((POD,), (INGRESS, NAMESPACE), False)
    assert rule.parameters == {"a": {"b": [1]}}
    assert rule.where == "AuditPolicy own, spec.rules[0]"


def test_a_rule_in_cel_is_read_whole() -> None:
    source = {
        "validations": [{"expression": "object.x", "message": "m", "messageExpression": "'a' + object.y"}],
        "variables": [{"name": "v", "expression": "1"}],
        "matchConditions": [{"name": "acme.io/only-web", "expression": "true"}],
    }
    rule = _rule(cel_entry(cel=source))
    assert rule.source == CelSource(
        (CelValidation("object.x", "m", "'a' + object.y"),),
        (CelCondition("v", "1"),),
        (CelCondition("acme.io/only-web", "true"),),
    )
    assert (rule.id, rule.severity, rule.pod_templates) == ("cel-no-latest", Severity.HIGH, True)
    assert rule.operations == (Operation.CREATE, Operation.UPDATE)


def test_its_own_policy_names_it_and_checks_may_say_otherwise() -> None:
    raw = policy_with([rego_entry()], checks=[{"ids": ["rego-registry"], "mode": "warn", "parameters": {"any": 1}}])
    for written, mode in ((policy_with([rego_entry()]), Mode.DENY), (raw, Mode.WARN)):
        policy = read_policy(written, CATALOGUE)
        rule = policy.rule_for(policy.declared[0].check)
        assert rule is not None
        assert rule.mode is mode


@pytest.mark.parametrize(
    ("entry", "path", "said"),
    [
        ({"name": "A_b"}, "spec.rules[0].name", "lower-case"),
        ({"name": None}, "spec.rules[0].name", "no value"),
        ({"nam": "x"}, "spec.rules[0].nam", "no such field (did you mean name?)"),
        ({"rego": {"module": ""}}, "spec.rules[0].rego.module", "must not be empty"),
        ({"rego": {"module": 3}}, "spec.rules[0].rego.module", "must be a string"),
        ({"rego": {"module": "x" * 65537}}, "spec.rules[0].rego.module", "65537"),
        ({"rego": {"modul": "x"}}, "spec.rules[0].rego.modul", "did you mean module?"),
        ({"cel": {"validations": []}}, "spec.rules[0]", "both rego and cel"),
        ({"rego": None}, "spec.rules[0].rego", "has no value"),
        ({"kinds": []}, "spec.rules[0].kinds", "is empty"),
        ({"kinds": ["pods"]}, "spec.rules[0].kinds[0]", "is not a Kind"),
        ({"kinds": ["Deploymant"]}, "spec.rules[0].kinds[0]", "did you mean Deployment?"),
        ({"kinds": ["Widget"]}, "spec.rules[0].kinds[0]", "those it reads are"),
        ({"kinds": ["Secret"]}, "spec.rules[0].kinds[0]", "Secrets are never read"),
        ({"needs": ["Secret"]}, "spec.rules[0].needs[0]", "Secrets are never read"),
        ({"needs": ["Widget"]}, "spec.rules[0].needs[0]", "reads no objects"),
        ({"needs": ["AuditPolicy.iocaudit.io"]}, "spec.rules[0].needs[0]", "reads no objects"),
        ({"severity": "grave"}, "spec.rules[0].severity", "'grave' is not one of"),
        ({"mode": "block"}, "spec.rules[0].mode", "'block' is not one of"),
        ({"operations": ["DELETE"]}, "spec.rules[0].operations[0]", "'DELETE' is not one of CREATE, UPDATE"),
        ({"operations": []}, "spec.rules[0].operations", "is empty"),
        ({"iocs": [11]}, "spec.rules[0].iocs[0]", "from 1 to 10"),
        ({"iocs": [True]}, "spec.rules[0].iocs[0]", "from 1 to 10"),
        ({"podTemplates": "yes"}, "spec.rules[0].podTemplates", "true or false"),
        ({"parameters": []}, "spec.rules[0].parameters", "must be a map"),
    ],
)
def test_each_mistake_is_named_at_its_field(entry: dict[str, Any], path: str, said: str) -> None:
    error = _refused({**rego_entry(), **entry})
    assert f"{path}: " in error
    assert said in error


@pytest.mark.parametrize(
    ("cel", "path", "said"),
    [
        ({}, "cel.validations", "at least one"),
        ({"validations": [{"message": "x"}]}, "cel.validations[0].expression", "is required"),
        ({"variables": [{"name": "a b", "expression": "1"}]}, "cel.variables[0].name", "a variable"),
        ({"matchConditions": [{"name": "a/", "expression": "1"}]}, "cel.matchConditions[0].name", "qualified"),
        ({"variables": [{"name": "a", "expression": "1"}] * 2}, "cel.variables[1].name", "another"),
    ],
)
def test_each_mistake_in_cel_is_named_too(cel: dict[str, Any], path: str, said: str) -> None:
    error = _refused(cel_entry(cel=cel))
    assert f"spec.rules[0].{path}: " in error
    assert said in error


def test_a_rule_without_language_or_kinds_is_refused() -> None:
    error = _refused({"name": "x"})
    assert "spec.rules[0]: needs either rego or cel" in error
    assert "spec.rules[0].kinds: is required" in error


def test_two_rules_of_one_id_are_refused() -> None:
    with pytest.raises(PolicyError, match=r"spec\.rules\[1\]\.name: rules\[0\] has the same name"):
        _read(rego_entry(), rego_entry())
    assert len(_read(rego_entry("a"), cel_entry("a")).declared) == 2


def test_a_policy_of_more_text_than_the_cluster_stores_is_refused() -> None:
    large = [rego_entry(f"r{number}", rego={"module": "x" * 65_000}) for number in range(9)]
    with pytest.raises(PolicyError, match=r"spec\.rules: hold 585\d+ characters together"):
        _read(*large)


def test_in_files_a_rule_may_be_for_any_kind() -> None:
    (kind,) = _rule(rego_entry(kinds=["Widget.acme.io"]), in_file=True).kinds
    assert (kind.group, kind.name) == ("acme.io", "Widget")


def test_globs_name_kinds_and_pod_means_pods_alone() -> None:
    assert _rule(rego_entry(kinds=["Pod"])).kinds == (POD,)
    assert set(_rule(rego_entry(kinds=["*"])).kinds) == set(judgeable())
    assert DEPLOYMENT in _rule(rego_entry(kinds=["*.apps"])).kinds
    assert SECRET not in judgeable()


def test_broken_text_is_refused_where_it_stands() -> None:
    def broken(rules: Any) -> dict[str, str]:
        return {rule.id: f"{rule.id} 1:2: unexpected token" for rule in rules}

    with pytest.raises(PolicyError) as raised:
        read_policy(policy_with([rego_entry(), cel_entry()]), CATALOGUE, compile_rules=broken)
    assert "spec.rules[0].rego.module: rego-registry 1:2: unexpected token" in str(raised.value)
    assert "spec.rules[1].cel: cel-no-latest 1:2: unexpected token" in str(raised.value)


def test_what_cannot_be_read_is_not_compiled() -> None:
    def never(rules: Any) -> dict[str, str]:
        raise AssertionError("compiled")

    with pytest.raises(PolicyError):
        read_policy(policy_with([rego_entry(kinds=["pods"])]), CATALOGUE, compile_rules=never)


def test_a_policy_of_a_cluster_may_name_a_rule_before_it_is_known() -> None:
    raw = policy_with([], checks=[{"ids": ["rego-elsewhere"], "mode": "warn", "parameters": {"a": 1}}])
    del raw["spec"]["rules"]
    assert read_policy(raw, CATALOGUE, live=True).rules[0].ids == {"rego-elsewhere"}
    with pytest.raises(PolicyError, match=r"no rule 'rego-elsewhere': it is known where"):
        read_policy(raw, CATALOGUE)
    known = Catalogue((*CATALOGUE, check_of(rego("elsewhere"))))
    assert read_policy(raw, known).rules[0].params == {"a": 1}


def test_two_that_say_the_same_are_equal() -> None:
    assert _read(rego_entry(), cel_entry()) == _read(rego_entry(), cel_entry())
    assert _read(rego_entry()) != _read(rego_entry(rego={"module": "package y"}))
    assert _read(rego_entry()) != _read(rego_entry(mode="warn"))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.lists(st.dictionaries(st.sampled_from(sorted({*rego_entry(), *cel_entry(), "needs", "iocs"})), _VALUES)))
def test_whatever_is_written_is_read_or_refused(entries: list[dict[str, Any]]) -> None:
    try:
        policy = read_policy(policy_with(entries), CATALOGUE)
    except PolicyError:
        return
    assert len(policy.declared) == len(entries)
