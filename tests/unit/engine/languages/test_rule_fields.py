"""How a rule says which policy it stands in."""

from iocaudit.engine.languages.rule_fields import owner_of
from iocaudit.engine.policy_reader import read_policy
from tests.support.auditing import CATALOGUE
from tests.support.rules import policy_with, rego_entry


def test_a_rule_stands_in_its_policy_and_in_no_other() -> None:
    (one,) = read_policy(policy_with([rego_entry()], "own"), CATALOGUE).declared
    assert one.rule.where.startswith(owner_of("own"))
    assert not one.rule.where.startswith(owner_of("ow"))
