"""Aggregation unites what the plain reading of it does, whoever aggregates whom, in time."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.label_selector import selects
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.roles import effective_rules, selectors_of
from iocaudit.knowledge.rbac.rules import PolicyRule, rules_of
from tests.support.bounded import cpu_within
from tests.support.rbac_objects import Json, role, rule

NAMES = ("a", "b", "c", "d", "e")
KEYS = st.sampled_from(("x", "y"))
VALUES = st.sampled_from(("1", "2", "", None))
LABELS = st.dictionaries(KEYS, VALUES, max_size=2)
EXPRESSIONS = st.fixed_dictionaries(
    {"key": KEYS, "operator": st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist", "in"))},
    optional={"values": st.lists(VALUES, max_size=2)},
)
SELECTORS = st.one_of(
    st.fixed_dictionaries({}, optional={"matchLabels": LABELS, "matchExpressions": st.lists(EXPRESSIONS, max_size=2)}),
    st.just({"matchLabels": {"x": "1"}}),
)


def aggregating(name: str, labels: Json, selectors: list[Json]) -> Resource:
    found = role(name, rule("get", name), labels=labels)
    found.raw["aggregationRule"] = {"clusterRoleSelectors": selectors}
    return found


def plainly(start: Resource, roles: list[Resource]) -> set[PolicyRule]:
    """The rules of a role and of each it leads to, by one look at every role for every selector."""
    reached, waiting = {start.name: start}, [start]
    while waiting:
        for selector in selectors_of(waiting.pop()):
            for one in roles:
                if one.name not in reached and selects(selector, one.labels):
                    reached[one.name] = one
                    waiting.append(one)
    return {found for one in reached.values() for found in rules_of(one) if found.resources & set(NAMES)}


@given(st.lists(st.tuples(LABELS, st.lists(SELECTORS, max_size=2)), min_size=1, max_size=5))
def test_it_unites_what_the_plain_reading_does(given_roles: list[tuple[Json, list[Json]]]) -> None:
    roles = [aggregating(name, *one) for name, one in zip(NAMES, given_roles, strict=False)]
    world = World()
    for one in roles:
        world.put(one)
    for one in roles:
        found = effective_rules(one, world, one)
        assert {rule for rule in found if rule.resources & set(NAMES)} == plainly(one, roles)
        assert len(found) == len(set(found))


def test_a_role_aggregates_nothing() -> None:
    plain = role("a", rule("get", "pods"), namespace="shop")
    plain.raw["aggregationRule"] = {"clusterRoleSelectors": [{}]}
    world = World()
    for one in (plain, role("other", rule("get", "secrets"))):
        world.put(one)
    assert effective_rules(plain, world, plain) == rules_of(plain)


def resolve_a_thousand(labels: Any, selectors: Any) -> None:
    world, roles = World(), [aggregating(f"r{number}", labels(number), selectors(number)) for number in range(1000)]
    for one in roles:
        world.put(one)
    with cpu_within(4):
        for one in roles:
            assert effective_rules(one, world, one)


def test_a_thousand_that_aggregate_each_other_or_one_each_are_resolved_in_time() -> None:
    resolve_a_thousand(lambda _: {"all": "x"}, lambda _: [{"matchLabels": {"all": "x"}}])
    resolve_a_thousand(lambda n: {"of": f"{n}"}, lambda n: [{"matchLabels": {"of": f"{n + 1}"}}])
    resolve_a_thousand(lambda n: {"of": f"{n % 2}"}, lambda n: [{"matchLabels": {"of": f"x{n}"}}])
