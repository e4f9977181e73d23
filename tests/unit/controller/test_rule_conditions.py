"""What an AuditPolicy's status says of the rules that it declares."""

from __future__ import annotations

from typing import Any

from iocaudit.controller.policies import Policies
from iocaudit.core.kinds import KINDS
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.answer import RuleFailure
from iocaudit.engine.languages.evaluator import EngineError, EngineMissingError
from iocaudit.engine.languages.question import AskedRule, Question
from iocaudit.engine.languages.rule import Language
from iocaudit.live.needs import with_grant
from tests.support.api import FakeApi
from tests.support.fake_rego import FakeRego, engines_with
from tests.support.rules import policy_with, rego_entry

CATALOGUE = builtin_catalogue()


class Setting:
    def __init__(self, *policies: dict[str, Any], rego: FakeRego | None = None) -> None:
        self.rego = rego or FakeRego(lambda _asked, _question: RuleFailure("a deadline was missed"))
        self.engines = engines_with(self.rego)
        self.policies = Policies(CATALOGUE, engines=self.engines)
        self.api = FakeApi()
        self.raws = [self.api.put(AUDIT_POLICY, one["metadata"]["name"], spec=one["spec"]) for one in policies]

    def conditions(self, name: str = "own") -> dict[str, tuple[str, str, str]]:
        self.policies.load(self.raws, [])
        self.policies.write_status(self.api)
        status = self.api.get(AUDIT_POLICY, None, name)["status"]
        return {one["type"]: (one["status"], one["reason"], one["message"]) for one in status["conditions"]}

    def ask(self) -> None:
        checks = [one.rule for policy in self.policies.current.policies for one in policy.declared]
        question = Question(tuple(AskedRule(rule, {}) for rule in checks), {})
        self.engines.evaluators[Language.REGO].ask(question, Deadline.within(3))


def test_a_policy_without_rules_says_nothing_of_them() -> None:
    plain = {"metadata": {"name": "own"}, "spec": {"preset": "guard"}}
    assert "RulesReady" not in Setting(plain).conditions()


def test_rules_are_ready_once_they_are_loaded() -> None:
    found = Setting(policy_with([rego_entry(), rego_entry("other")])).conditions()
    assert found["RulesReady"] == ("True", "Loaded", "2 rules are evaluated")
    assert found["Accepted"][0] == "True"


def test_a_rule_that_could_not_be_evaluated_is_named_until_it_can() -> None:
    setting = Setting(policy_with([rego_entry(), rego_entry("other")]))
    setting.conditions()
    setting.ask()
    status, reason, message = setting.conditions()["RulesReady"]
    assert (status, reason) == ("False", "RulesFail")
    assert "rego-registry: a deadline was missed; rego-other: a deadline was missed" in message
    setting.rego._given = lambda _asked, _question: ()
    setting.ask()
    assert setting.conditions()["RulesReady"][0] == "True"


def test_what_evaluates_them_being_away_is_told() -> None:
    rego = FakeRego(lambda _asked, _question: ())
    rego.unready = EngineError("OPA is away: it was killed by SIGKILL")
    found = Setting(policy_with([rego_entry()]), rego=rego).conditions()
    assert found["Accepted"][0] == "True"
    assert found["RulesReady"][:2] == ("False", "EngineNotReady")
    assert "Rego: OPA is away: it was killed by SIGKILL" in found["RulesReady"][2]


def test_a_missing_program_is_a_policy_that_is_not_accepted_with_the_command() -> None:
    rego = FakeRego(lambda _asked, _question: ())
    rego.unready = EngineMissingError("Install it with: iocaudit engines install opa")
    found = Setting(policy_with([rego_entry()]), rego=rego).conditions()
    assert found["Accepted"][:2] == ("False", "Invalid")
    assert "iocaudit engines install opa" in found["Accepted"][2]
    assert "RulesReady" not in found, "it has none in force"


def test_a_name_that_another_policy_has_first_is_told() -> None:
    setting = Setting(policy_with([rego_entry()], name="first"), policy_with([rego_entry()], name="second"))
    assert setting.conditions("first")["RulesReady"][0] == "True"
    status, reason, message = setting.conditions("second")["RulesReady"]
    assert (status, reason) == ("False", "NameTaken")
    assert "AuditPolicy first, spec.rules[0]" in message


def test_a_rule_in_v0_is_shown_as_it_is_evaluated_within_bounds() -> None:
    setting = Setting(policy_with([rego_entry(rego={"module": "v0 " + "x" * 5000})]))
    status, reason, message = setting.conditions()["Converted"]
    assert (status, reason) == ("True", "RegoV0")
    assert message.startswith("rego-registry is written in Rego v0, and evaluated as:\nv1 of v0")
    assert len(message) <= 2048
    assert "Converted" not in Setting(policy_with([rego_entry()])).conditions()


def test_a_rule_that_is_skipped_for_what_it_looks_up_is_named_with_what_grants_it() -> None:
    setting = Setting(policy_with([rego_entry(needs=["ResourceQuota"]), rego_entry("other")]))
    quota = KINDS["", "ResourceQuota"]
    setting.policies.lacking = {quota: with_grant(quota, "forbidden: no")}
    status, reason, message = setting.conditions()["RulesReady"]
    assert (status, reason) == ("False", "NeedsMissing")
    assert message.startswith("rego-registry is skipped, as onIncomplete has it: it needs ResourceQuota, and forbidden")
    assert "iocaudit manifests --rules-need resourcequotas" in message
    setting.policies.lacking = {}
    assert setting.conditions()["RulesReady"][1] == "Loaded"
