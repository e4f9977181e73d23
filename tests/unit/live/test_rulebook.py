"""Policies and the rules that come with them: loaded first, in force together."""

from __future__ import annotations

from typing import Any

import pytest

from iocaudit.core.kinds import CONFIG_MAP
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.languages.evaluator import EngineError, EngineMissingError
from iocaudit.live.engines import Engines
from iocaudit.live.rulebook import Rulebook
from tests.support.fake_rego import FakeRego, engines_with
from tests.support.rules import policy_with, rego_entry

CATALOGUE = builtin_catalogue()


@pytest.fixture
def rego() -> FakeRego:
    return FakeRego(lambda _asked, _question: ())


@pytest.fixture
def book(rego: FakeRego) -> Rulebook:
    return Rulebook(CATALOGUE, engines_with(rego))


def config_map(text: str = "x") -> dict[str, Any]:
    return {"metadata": {"name": "one"}, "data": {"from-map.rego": text}}


def entry(text: str) -> dict[str, Any]:
    return rego_entry(rego={"module": text})


def ids(book: Rulebook) -> set[str]:
    return {rule.id for rule in book.rules}


def test_rules_of_policies_and_configmaps_are_loaded_before_they_are_in_force(book: Rulebook, rego: FakeRego) -> None:
    book.replace(AUDIT_POLICY, [policy_with([rego_entry()])])
    book.replace(CONFIG_MAP, [config_map()])
    assert ids(book) == set(), "nothing is in force until all of it is"
    assert book.settle()
    assert ids(book) == {"rego-registry", "rego-from-map"}
    assert rego._loaded == ids(book)
    assert not book.settle()
    book.remove(CONFIG_MAP, "one")
    assert book.settle()
    assert ids(book) == {"rego-registry"} == rego._loaded
    book.remove(AUDIT_POLICY, "own")
    assert book.settle()
    assert ids(book) == set()
    assert not book.current.catalogue.asks


def test_a_rule_of_a_configmap_is_judged_by_presets_and_named_by_policies(book: Rulebook) -> None:
    named = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": "named"}}
    book.replace(AUDIT_POLICY, [{**named, "spec": {"checks": [{"ids": ["rego-from-map"], "mode": "deny"}]}}])
    book.settle()
    assert book.refused == {}, "the ConfigMap may come later"
    book.put(CONFIG_MAP, config_map())
    book.settle()
    assert book.current.settings("shop", {})["rego-from-map"].policy == "named"
    book.remove(AUDIT_POLICY, "named")
    book.settle()
    assert book.current.settings("shop", {})["rego-from-map"].policy is None


def test_a_policy_with_a_broken_rule_is_refused_and_its_last_good_version_stays(book: Rulebook) -> None:
    book.put(AUDIT_POLICY, policy_with([entry("good")]))
    book.settle()
    book.put(AUDIT_POLICY, policy_with([entry("broken")]))
    assert not book.settle()
    assert "line 1, column 1: broken" in book.refused["own"]
    assert "spec.rules[0].rego.module" in book.refused["own"]
    assert ids(book) == {"rego-registry"}
    assert book.usable == 0
    assert book.get("own") is not None


def test_without_the_program_policies_with_rules_are_refused_until_it_is_there(book: Rulebook, rego: FakeRego) -> None:
    rego.unready = EngineMissingError("Install it with: iocaudit engines install opa")
    book.put(AUDIT_POLICY, policy_with([rego_entry()]))
    book.put(CONFIG_MAP, config_map())
    book.settle()
    assert "iocaudit engines install opa" in book.refused["own"]
    assert [one.reason for one in book.problems] == ["Install it with: iocaudit engines install opa"]
    assert book.is_unsure
    rego.unready = None
    book.try_again()
    assert book.settle()
    assert (ids(book), dict(book.refused), book.is_unsure) == ({"rego-registry", "rego-from-map"}, {}, False)


def test_while_what_evaluates_them_is_away_rules_are_in_force_and_fail(book: Rulebook, rego: FakeRego) -> None:
    rego.unready = EngineError("OPA is away")
    book.put(AUDIT_POLICY, policy_with([rego_entry()]))
    assert book.settle(), "nothing that was to be denied is let through for it"
    assert ids(book) == {"rego-registry"}
    assert list(book.trouble.values()) == ["OPA is away"]
    rego.unready = None
    book.try_again()
    book.settle()
    assert rego._loaded == {"rego-registry"}
    assert not book.is_unsure


def test_without_any_engine_rules_are_refused_and_the_rest_holds() -> None:
    book = Rulebook(CATALOGUE, Engines({}))
    plain = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": "plain"}}
    book.replace(AUDIT_POLICY, [policy_with([rego_entry()]), {**plain, "spec": {"preset": "guard"}}])
    book.settle()
    assert book.refused.keys() == {"own"}
    assert [policy.name for policy in book.current.policies] == ["plain"]
