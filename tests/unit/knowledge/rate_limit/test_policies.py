"""How policies of several levels come together: Envoy Gateway's and Kuadrant's, by their translators."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.core.kinds import NAMESPACE
from iocaudit.core.kinds.gateway_api import REFERENCE_GRANT
from tests.support.auditing import messages
from tests.unit.knowledge.rate_limit.test_gateways import (
    ENVOY,
    FIVE,
    ISTIO_ROUTE,
    TEN,
    TO_GATEWAY,
    TO_ROUTE,
    kuadrant,
    object_of,
    routed,
    together,
    traffic_policy,
)

RULES = "[{name: a}, {name: b}]"
LISTENER = TO_GATEWAY.replace("}", ", sectionName: http}")
RULE = TO_ROUTE.replace("}", ", sectionName: a}")
MERGED = "mergeType: StrategicMerge"
SHADOW = "rateLimit: {type: Local, local: {rules: [{shadowMode: true, limit: {requests: 1, unit: Second}}]}}"
SHADOW_GLOBAL = "rateLimit: {type: Global, global: {rules: [{shadowMode: true, limit: {requests: 1, unit: Second}}]}}"


def gate(*documents: str, rules: str = "[{name: all}]") -> list[str]:
    return messages("no-rate-limit", together(routed(ENVOY, rules), *documents))


def wide(rest: str, target: str = TO_GATEWAY, name: str = "wide") -> str:
    return traffic_policy(name, target, rest, "infra")


@pytest.mark.parametrize(
    ("policies", "open_ones"),
    [
        ((wide(TEN), traffic_policy("own", TO_ROUTE, f"{MERGED}, timeout: {{}}")), 0),
        ((wide(TEN), traffic_policy("own", TO_ROUTE, "timeout: {}")), 1),
        # The nearest policy above is the one to be merged into: that of the listener, be it without a limit.
        ((wide(TEN), wide("timeout: {}", LISTENER, "near"), traffic_policy("own", TO_ROUTE, MERGED)), 1),
        ((wide("timeout: {}"), wide(TEN, LISTENER, "near"), traffic_policy("own", TO_ROUTE, MERGED)), 0),
        # A policy above is merged into nothing itself, whatever it says.
        ((wide(TEN), wide(f"{MERGED}, timeout: {{}}", LISTENER, "near")), 1),
        # Merged strategically the rules of both hold, as JSON those of the same scope are replaced.
        ((wide(TEN), traffic_policy("own", TO_ROUTE, f"{MERGED}, {SHADOW}")), 0),
        ((wide(TEN), traffic_policy("own", TO_ROUTE, f"mergeType: JSONMerge, {SHADOW}")), 1),
        ((wide(TEN), traffic_policy("own", TO_ROUTE, f"mergeType: JSONMerge, {SHADOW_GLOBAL}")), 0),
        ((wide(TEN), traffic_policy("own", TO_ROUTE, SHADOW)), 1),
        ((wide(TEN), traffic_policy("own", TO_ROUTE, f"mergeType: Other, {SHADOW}")), 1),
    ],
)
def test_a_policy_of_a_route_replaces_the_one_above_or_is_merged_into_it(
    policies: tuple[str, ...], open_ones: int
) -> None:
    assert len(gate(*policies)) == open_ones


def test_a_policy_of_a_rule_is_merged_into_the_gateways_and_not_the_routes() -> None:
    one = traffic_policy("rule", RULE, f"{MERGED}, timeout: {{}}")
    (said,) = gate(one, traffic_policy("own", TO_ROUTE, TEN), rules=RULES)
    assert "rule a has no rate limit" in said
    assert gate(one, traffic_policy("own", TO_ROUTE, TEN), wide(TEN), rules=RULES) == []


def test_a_route_that_names_no_listener_is_limited_by_all_of_them_or_not() -> None:
    text = routed(ENVOY).replace(", sectionName: http", "")
    assert len(messages("no-rate-limit", together(text, wide(TEN, LISTENER)))) == 1
    both = (wide(TEN, LISTENER), wide(TEN, TO_GATEWAY.replace("}", ", sectionName: other}"), "second"))
    assert messages("no-rate-limit", together(text, *both)) == []


def selecting(namespaces: str, kind: str = "HTTPRoute", labels: str = "{app: web}", namespace: str = "policies") -> str:
    spec = f"spec: {{targetSelectors: [{{kind: {kind}, matchLabels: {labels}{namespaces}}}], {TEN}}}"
    return object_of("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", "some", spec, namespace)


def grant(
    to: str = "{group: gateway.networking.k8s.io, kind: HTTPRoute}", source: str = "policies", where: str = "shop"
) -> str:
    giver = f"{{group: gateway.envoyproxy.io, kind: BackendTrafficPolicy, namespace: {source}}}"
    spec = f"spec: {{from: [{giver}], to: [{to}]}}"
    return object_of("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", "policies", spec, where)


ALL = ", namespaces: {from: All}"
SOME = ", namespaces: {from: Selector, selector: {matchLabels: {team: web}}}"
NAMED = ", namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: shop}}}"
TEAM = "\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: web}}\n"
TO_NAMED = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: web}"


@pytest.mark.parametrize(
    "documents",
    [
        (selecting(ALL), grant()),
        (selecting(ALL), grant(TO_NAMED)),
        (selecting(SOME), grant(), TEAM),
        (selecting(NAMED), grant()),
        (selecting(", namespaces: {from: Same}", namespace="shop"),),
        (selecting(ALL, namespace="shop"),),
        (
            selecting(ALL, "Gateway", "{tier: front}"),
            grant("{group: gateway.networking.k8s.io, kind: Gateway}", where="infra"),
        ),
    ],
)
def test_a_selector_may_reach_other_namespaces_that_let_it(documents: tuple[str, ...]) -> None:
    assert gate(*documents) == []
    assert messages("ineffective-rate-limit", together(routed(ENVOY), *documents)) == []


@pytest.mark.parametrize(
    "documents",
    [
        (selecting(ALL),),
        (selecting(", namespaces: {from: Same}"), grant()),
        (selecting(""), grant()),
        (selecting(", namespaces: {from: Elsewhere}"), grant()),
        (selecting(ALL), grant(source="other")),
        (selecting(ALL), grant(where="other")),
        (selecting(ALL), grant("{group: gateway.networking.k8s.io, kind: GRPCRoute}")),
        (selecting(ALL), grant("{group: gateway.networking.k8s.io, kind: HTTPRoute, name: other}")),
        (selecting(SOME), grant()),
        (selecting(SOME), grant(), TEAM.replace("team: web", "team: other")),
        (selecting(", namespaces: {from: Selector}"), grant(), TEAM),
        (selecting(ALL, labels="{app: other}"), grant()),
    ],
)
def test_a_selector_that_reaches_nothing_limits_nothing_and_is_said(documents: tuple[str, ...]) -> None:
    (said,) = gate(*documents)
    assert "Envoy Gateway needs" in said
    (said,) = messages("ineffective-rate-limit", together(routed(ENVOY), *documents))
    assert "matches no HTTPRoute" in said


def test_grants_and_namespaces_that_could_not_be_read_leave_it_open() -> None:
    for kind in (REFERENCE_GRANT, NAMESPACE):
        text = together(routed(ENVOY), selecting(SOME))
        for check in ("no-rate-limit", "ineffective-rate-limit"):
            (said,) = messages(check, text, incomplete={kind: "forbidden"})
            assert said.startswith("skipped: ")
        (said,) = messages("no-rate-limit", routed(ENVOY), incomplete={kind: "forbidden"})
        assert "Envoy Gateway needs" in said, "nothing selects across namespaces"


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (wide(TEN, TO_GATEWAY.replace("}", ", sectionName: gone}")), "names section gone of Gateway infra/edge"),
        (
            traffic_policy("own", TO_ROUTE.replace("}", ", sectionName: gone}"), TEN),
            "section gone of HTTPRoute shop/web",
        ),
        (kuadrant(TO_ROUTE.replace("}", ", sectionName: rule-2}"), FIVE), "section rule-2 of HTTPRoute shop/web"),
    ],
)
def test_a_section_that_is_not_there_is_said(policy: str, said: str) -> None:
    (message,) = messages("ineffective-rate-limit", together(routed(ENVOY), policy))
    assert said in message
    assert "which has none of that name" in message


# -- Kuadrant -------------------------------------------------------------------------------------------------

NEVER = "when: [{predicate: 'false'}]"
NOTHING = "limits: {own: {rates: []}}"
SAME = "limits: {all: {rates: []}}"


def above(rest: str, target: str = TO_GATEWAY, name: str = "wide") -> str:
    return kuadrant(target, rest, "infra", name)


@pytest.mark.parametrize(
    ("policies", "limited"),
    [
        ((above(FIVE),), True),
        ((above(FIVE), kuadrant(TO_ROUTE, "limits: {}")), True),
        ((above(FIVE), kuadrant(TO_ROUTE, NOTHING)), False),
        ((above(f"defaults: {{{FIVE}}}"), kuadrant(TO_ROUTE, NOTHING)), False),
        ((above(f"defaults: {{strategy: atomic, {FIVE}}}"), kuadrant(TO_ROUTE, NOTHING)), False),
        ((above(f"defaults: {{strategy: merge, {FIVE}}}"), kuadrant(TO_ROUTE, NOTHING)), True),
        ((above(f"defaults: {{strategy: merge, {FIVE}}}"), kuadrant(TO_ROUTE, SAME)), False),
        ((above(f"overrides: {{{FIVE}}}"), kuadrant(TO_ROUTE, NOTHING)), True),
        ((above(f"overrides: {{strategy: merge, {FIVE}}}"), kuadrant(TO_ROUTE, SAME)), True),
        ((above(f"overrides: {{{SAME}}}"), kuadrant(TO_ROUTE, FIVE)), False),
        ((above(f"overrides: {{strategy: merge, {SAME}}}"), kuadrant(TO_ROUTE, FIVE)), False),
        ((above(f"overrides: {{strategy: merge, {NOTHING}}}"), kuadrant(TO_ROUTE, FIVE)), True),
        ((above(f"overrides: {{{NEVER}, {FIVE}}}"),), False),
        ((above(f"defaults: {{strategy: merge, {NEVER}, {FIVE}}}"), kuadrant(TO_ROUTE, FIVE)), False),
        ((above(FIVE, LISTENER),), True),
        ((above(FIVE, TO_GATEWAY.replace("}", ", sectionName: other}")),), False),
        ((above(FIVE), above(NOTHING, LISTENER, "near")), False),
        ((kuadrant(TO_ROUTE.replace("}", ", sectionName: rule-1}"), FIVE),), True),
        ((kuadrant(TO_ROUTE.replace("}", ", sectionName: all}"), FIVE),), True),
        ((kuadrant(TO_ROUTE.replace("}", ", sectionName: rule-2}"), FIVE),), False),
    ],
)
def test_defaults_and_overrides_of_kuadrant(policies: tuple[str, ...], limited: bool) -> None:
    assert bool(messages("no-rate-limit", together(routed(ISTIO_ROUTE), *policies))) is not limited


def test_kuadrant_limits_every_listener_that_a_route_enters_by_or_not() -> None:
    text = routed(ISTIO_ROUTE).replace(", sectionName: http", "")
    assert len(messages("no-rate-limit", together(text, above(FIVE, LISTENER)))) == 1
    assert messages("no-rate-limit", together(text, above(FIVE))) == []


def test_conditions_that_never_hold_are_said_wherever_they_stand() -> None:
    for block in ("defaults", "overrides"):
        text = together(routed(ISTIO_ROUTE), above(f"{block}: {{{NEVER}, {FIVE}}}"))
        (said,) = messages("ineffective-rate-limit", text)
        assert f"spec.{block}.when never holds" in said


LIMIT_BODIES = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([{"rates": [{"limit": 5, "window": "1s"}]}, {"rates": []}]),
    max_size=2,
)
BLOCKS = st.tuples(
    st.sampled_from(["bare", "defaults", "overrides"]),
    st.sampled_from(["atomic", "merge"]),
    LIMIT_BODIES,
    st.booleans(),
)
Block = tuple[str, str, dict[str, Any], bool]


def spec_of(block: Block) -> dict[str, Any]:
    sort, strategy, limits, never = block
    body: dict[str, Any] = {"limits": limits, **({"when": [{"predicate": "false"}]} if never else {})}
    return body if sort == "bare" else {sort: {"strategy": strategy, **body}}


def folded(blocks: list[Block]) -> bool:
    """As the operator does it: from the most specific policy to the least, rule by rule, ``when`` being one."""
    rules: dict[str, Any] | None = None
    for sort, strategy, limits, never in reversed(blocks):
        mine = {**limits, **({"when": "false"} if never else {})}
        if rules is None:
            rules = mine
        elif sort == "overrides":
            rules = {**rules, **mine} if strategy == "merge" else mine
        elif sort == "defaults" and strategy == "merge":
            rules = {**mine, **rules}
        elif not [name for name in rules if name != "when"]:
            rules = mine
    rules = rules or {}
    return "when" not in rules and any(one["rates"] for name, one in rules.items())


@settings(max_examples=300, deadline=None)
@given(st.lists(BLOCKS, max_size=4), st.lists(BLOCKS, max_size=2))
def test_any_policies_of_kuadrant_are_folded_as_its_operator_does(gateway: list[Block], route: list[Block]) -> None:
    policies = []
    for target, namespace, blocks in ((TO_GATEWAY, "infra", gateway), (TO_ROUTE, "shop", route)):
        for number, block in enumerate(blocks):
            raw = yaml.safe_load(kuadrant(target, "x: y", namespace, f"p{number}"))
            raw["spec"] = {"targetRef": raw["spec"]["targetRef"], **spec_of(block)}
            policies.append(yaml.safe_dump(raw))
    limited = not messages("no-rate-limit", "\n---\n".join([routed(ISTIO_ROUTE), *policies]))
    assert limited == folded([*gateway, *route])
