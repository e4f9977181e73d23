from __future__ import annotations

from iocaudit.core.kinds import DEPLOYMENT, POD, SERVICE
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.languages.as_checks import check_of
from iocaudit.engine.languages.rule import Language, Rule
from iocaudit.engine.languages.rule_groups import GroupedRules, RuleGroup, grouped
from iocaudit.engine.plan import AuditPlan
from iocaudit.engine.policy_reader import read_policies
from tests.support.rules import cel, rego


def _plan(*rules: Rule) -> AuditPlan:
    catalogue = Catalogue(map(check_of, rules))
    auditor = Auditor(catalogue, read_policies((), catalogue), World())
    deployment = Resource({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}, CLUSTER)
    return auditor._plan(DEPLOYMENT, auditor.settings_for(deployment), None)


def _names(groups: tuple[RuleGroup, ...]) -> list[list[str]]:
    assert all([one.rule for one in group.rules] == [one.rule for one in group.asked] for group in groups)
    return [[one.rule.id for one in group.asked] for group in groups]


def test_rules_are_asked_together_by_language_and_by_what_they_look_up() -> None:
    plan = _plan(
        rego("a"),
        rego("b", kinds=(DEPLOYMENT,)),
        rego("c", kinds=(POD, DEPLOYMENT)),
        rego("d", kinds=(DEPLOYMENT,), needs=(SERVICE,)),
        cel("e"),
    )
    found = plan.grouped
    assert _names(found.whole) == [["rego-b", "rego-c"], ["rego-d"]]
    assert _names(found.templates) == [["cel-e"], ["rego-a", "rego-c"]]
    assert [(group.language, group.needs) for group in found.whole] == [
        (Language.REGO, ()),
        (Language.REGO, (SERVICE,)),
    ]


def test_a_plan_has_them_in_one_value() -> None:
    plan = _plan(rego("a"))
    assert plan.grouped is plan.grouped


def test_without_rules_nothing_is_asked() -> None:
    assert grouped(()) == GroupedRules((), ())
