"""Limits that hold for some requests only: each gateway says whom it limits, and what is for everybody is whole."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.engine.causes import with_causes
from iocaudit.knowledge.rate_limit.conditions import EVERYBODY, RequestScope, covering, networks_of, nginx_key, share_of
from iocaudit.knowledge.rate_limit.verdict import Limit, above, all_of, any_of
from tests.support.auditing import CATALOGUE, audited, messages
from tests.unit.knowledge.rate_limit.test_gateways import (
    CALM_HOST,
    ENVOY,
    FABRIC,
    HAPROXY_IO,
    HAPROXY_ORG,
    INGRESS_GATEWAY,
    ISTIO_ROUTE,
    KONG,
    LIMITED,
    MINUTE,
    NAMED,
    PLAIN_HOST,
    ROUTES,
    TO_ROUTE,
    VIRTUAL_SERVICE,
    apisix_route,
    envoy_filter,
    fabric,
    ingress,
    kong,
    kuadrant,
    nginx_policy,
    object_of,
    proxy,
    routed,
    together,
    traffic_policy,
    virtual_server,
)

NIC = "nginx.org/ingress-controller"
NGINX = "k8s.io/ingress-nginx"
TIER = ", condition: {jwt: {claim: level, match: Premium}}"
REST = ", condition: {jwt: {claim: level, match: Basic}, default: true}"
MIXED = "{nginx.org/limit-req-rate: 5r/s, nginx.org/limit-req-key: '${http_x}${remote_addr}'}"
BY_CONSUMER = MINUTE.replace("60", "60, limit_by: consumer")
OWN_HOST = ", routeConfiguration: {vhost: {name: 'a.example:80'}}"


def _envoy(*rules: str) -> str:
    listed = ", ".join(
        f"{{limit: {{requests: 3, unit: Hour}}{rule and ', clientSelectors: [' + rule + ']'}}}" for rule in rules
    )
    return together(
        routed(ENVOY), traffic_policy("p", TO_ROUTE, f"rateLimit: {{type: Local, local: {{rules: [{listed}]}}}}")
    )


def _kuadrant(*conditions: str, more: str = "") -> str:
    limits = []
    for number, condition in enumerate(conditions):
        predicates = ", ".join(f"{{predicate: {one!r}}}" for one in condition.split(" && ") if one)
        when = f", when: [{predicates}]" if predicates else ""
        limits.append(f"l{number}: {{rates: [{{limit: 5, window: 10s}}]{when}}}")
    return together(routed(ISTIO_ROUTE), kuadrant(TO_ROUTE, f"limits: {{{', '.join(limits)}}}{more}"))


def _istio(config: str = "", match: str = "", apply: str = "HTTP_FILTER", more: str = "") -> str:
    whole = envoy_filter("istio-system", INGRESS_GATEWAY)
    whole = whole.replace("applyTo: HTTP_FILTER", f"applyTo: {apply}").replace(
        "context: GATEWAY", f"context: GATEWAY{match}"
    )
    return together(
        VIRTUAL_SERVICE,
        (whole.replace("            stat_prefix: http\n", f"            stat_prefix: http\n{config}")) + more,
    )


def _asks(actions: str) -> str:
    filters = object_of(
        "networking.istio.io/v1alpha3",
        "EnvoyFilter",
        "asks",
        f"""spec:
  {INGRESS_GATEWAY}
  configPatches:
  - applyTo: HTTP_FILTER
    match: {{context: GATEWAY}}
    patch:
      value:
        name: envoy.filters.http.ratelimit
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit
          domain: edge
""",
        "istio-system",
    )
    sends = object_of(
        "networking.istio.io/v1alpha3",
        "EnvoyFilter",
        "sends",
        f"""spec:
  {INGRESS_GATEWAY}
  configPatches:
  - applyTo: VIRTUAL_HOST
    match: {{context: GATEWAY, routeConfiguration: {{vhost: {{name: "", route: {{action: ANY}}}}}}}}
    patch: {{operation: MERGE, value: {{rate_limits: [{{actions: {actions}}}]}}}}
""",
        "istio-system",
    )
    return together(VIRTUAL_SERVICE, filters, sends)


def _contour(*entries: str, host: bool = False) -> str:
    policy = "rateLimitPolicy: {global: {descriptors: [" + ", ".join(f"{{entries: [{one}]}}" for one in entries) + "]}}"
    if host:
        return proxy("web", f"{{virtualhost: {{fqdn: a.example, {policy}}}, {ROUTES}")
    return proxy("web", f"{PLAIN_HOST}routes: [{{services: [{{name: web, port: 80}}], {policy}}}]}}")


def _apisix(config: str, plugin: str = "limit-count") -> str:
    return apisix_route(f"plugins: [{{name: {plugin}, enable: true, config: {{{config}}}}}]")


def _tiers(*conditions: str) -> str:
    names = ", ".join(f"{{name: calm{n}}}" for n in range(len(conditions)))
    policies = [
        nginx_policy(f"rate: 5r/s, key: $binary_remote_addr{one}").replace("name: calm", f"name: calm{n}")
        for n, one in enumerate(conditions)
    ]
    return together(virtual_server(f"policies: [{names}]", "action: {pass: web}"), *policies)


def _consumer(kind: str = "KongConsumer") -> str:
    return f"""
apiVersion: configuration.konghq.com/v1{"beta1" if kind.endswith("Group") else ""}
kind: {kind}
metadata: {{name: alice, namespace: shop, annotations: {{konghq.com/plugins: calm}}}}
"""


def _ingress_limits(prefix: str, annotation: str, exempt: str, addresses: str) -> str:
    return f'{{{prefix}{annotation}: "5", {prefix}{exempt}: "{addresses}"}}'


def _cilium_route(match: str) -> str:
    limit = """{
      "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit,
      filter_enabled: {default_value: {numerator: 100}}, filter_enforced: {default_value: {numerator: 100}},
      token_bucket: {max_tokens: 10, tokens_per_fill: 10, fill_interval: 1s}}"""
    own = f"typed_per_filter_config: {{envoy.filters.http.local_ratelimit: {limit}}}"
    route = f"{{match: {match}, route: {{cluster: x}}, {own}}}"
    spec = f"""spec:
  services: [{{name: web, namespace: shop}}]
  resources:
  - "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
    virtual_hosts: [{{name: x, domains: ["*"], routes: [{route}]}}]
"""
    return together(
        routed("io.cilium/gateway-controller"), object_of("cilium.io/v2", "CiliumEnvoyConfig", "calm", spec)
    )


ONE = "{headers: [{name: x-user-id, value: one}]}"
REMOTE = "remoteAddress: {}"
PARTLY = [
    ("envoy gateway, header", _envoy(ONE), "limits only requests with header x-user-id: one"),
    (
        "envoy gateway, distinct header",
        _envoy("{headers: [{name: x-user-id, type: Distinct}]}"),
        "with header x-user-id",
    ),
    ("envoy gateway, path", _envoy("{path: {value: /login}}"), "limits only requests of path /login"),
    ("envoy gateway, method", _envoy("{methods: [{value: POST}]}"), "limits only requests of method POST"),
    ("envoy gateway, query", _envoy("{queryParams: [{name: q, value: a}]}"), "with query parameter q: a"),
    ("envoy gateway, address", _envoy("{sourceCIDR: {value: 10.0.0.0/8}}"), "limits only clients in 10.0.0.0/8"),
    ("envoy gateway, two", _envoy(ONE, "{path: {value: /login}}"), "x-user-id: one, requests of path /login"),
    (
        "envoy gateway, both",
        _envoy("{headers: [{name: a, value: b}], methods: [{value: GET}]}"),
        "a: b and requests of",
    ),
    ("envoy gateway, all but most", _envoy("{sourceCIDR: {value: 0.0.0.0/1, invert: true}}"), "outside 0.0.0.0/1"),
    ("kuadrant", _kuadrant('request.headers["x-user"] == "alice"'), 'where request.headers["x-user"] == "alice"'),
    ("kuadrant, two", _kuadrant("request.method == 'GET'", "request.path == '/x'"), "request.path == '/x'"),
    ("kuadrant, all of it", _kuadrant("", more=", when: [{predicate: 'a == b'}]"), "limits only requests where a == b"),
    ("istio, chance", _istio().replace("numerator: 100", "numerator: 10", 1), "0.1 of all requests by chance"),
    (
        "istio, host",
        _istio(match=", routeConfiguration: {vhost: {name: 'b.example:80'}}", apply="VIRTUAL_HOST"),
        "to b.example",
    ),
    (
        "istio, route",
        _istio(match=", routeConfiguration: {vhost: {name: 'a.example:80', route: {name: login}}}", apply="HTTP_ROUTE"),
        "route login",
    ),
    (
        "istio, descriptor",
        _istio(
            "            descriptors:\n            - entries: [{key: client, value: one}]\n"
            "              token_bucket: {max_tokens: 1, tokens_per_fill: 1, fill_interval: 60s}\n"
        ).replace("            token_bucket: {max_tokens: 100, tokens_per_fill: 100, fill_interval: 60s}\n", ""),
        "with descriptor client one",
    ),
    (
        "istio, service asked for a header",
        _asks("[{request_headers: {header_name: x-user, descriptor_key: u}}]"),
        "x-user",
    ),
    (
        "istio, service asked for a match",
        _asks("[{remote_address: {}}, {header_value_match: {descriptor_value: v, headers: [{name: a}]}}]"),
        "whose headers match v",
    ),
    (
        "kong, consumerRef",
        together(ingress(KONG, NAMED), kong("calm", f"consumerRef: alice\n{MINUTE}")),
        "consumer alice",
    ),
    ("kong, consumer", together(ingress(KONG, NAMED), kong("calm", MINUTE), _consumer()), "requests of consumer alice"),
    (
        "kong, group",
        together(ingress(KONG, NAMED), kong("calm", MINUTE), _consumer("KongConsumerGroup")),
        "requests of consumer group alice",
    ),
    (
        "contour, header",
        _contour("{requestHeader: {headerName: X-User, descriptorKey: u}}"),
        "requests with header X-User",
    ),
    ("contour, host", _contour("{requestHeader: {headerName: X-User, descriptorKey: u}}", host=True), "header X-User"),
    (
        "contour, value",
        _contour(f"{{{REMOTE}}}, {{requestHeaderValueMatch: {{headers: [{{name: X-A, exact: b}}], value: v}}}}"),
        "with header X-A of a certain value",
    ),
    (
        "apisix, filter",
        _apisix('count: 5, time_window: 1, _meta: {filter: [["arg_v", "==", "1"]]}'),
        '["arg_v", "==", "1"]',
    ),
    (
        "apisix, workflow",
        _apisix(
            'rules: [{case: [["uri", "==", "/a"]], actions: [[limit-count, {count: 1, time_window: 1}]]}]', "workflow"
        ),
        '"uri"',
    ),
    (
        "apisix, rules",
        _apisix("rules: [{count: 1, time_window: 1, key: $http_x}]"),
        "requests that $http_x is not empty for",
    ),
    ("nginx inc, claim", _tiers(TIER), "where claim level is Premium"),
    (
        "nginx inc, variable",
        _tiers(", condition: {variables: [{name: $method, match: POST}]}"),
        "where $method is POST",
    ),
    (
        "nginx inc, key",
        ingress(NIC, "{nginx.org/limit-req-rate: 5r/s, nginx.org/limit-req-key: '${http_x_user}'}"),
        "${http_x_user}",
    ),
    (
        "nginx fabric, key",
        together(routed(FABRIC), fabric(TO_ROUTE, "local: {rules: [{rate: 5r/s, key: $arg_token}]}")),
        "$arg_token",
    ),
    ("cilium, route", _cilium_route("{prefix: /login}"), "limits only requests of path /login"),
]
WHOLE = [
    ("envoy gateway", _envoy("")),
    ("envoy gateway, one rule of two", _envoy(ONE, "")),
    ("envoy gateway, every address", _envoy("{sourceCIDR: {type: Distinct, value: 0.0.0.0/0}}")),
    ("envoy gateway, two halves", _envoy("{sourceCIDR: {value: 0.0.0.0/1}}", "{sourceCIDR: {value: 128.0.0.0/1}}")),
    ("envoy gateway, all but our own", _envoy("{sourceCIDR: {value: 10.0.0.0/8, invert: true}}")),
    ("envoy gateway, opposites", _envoy(ONE, "{headers: [{name: X-User-Id, value: one, invert: true}]}")),
    ("envoy gateway, what all send", _envoy("{headers: [{name: ':authority', type: Distinct}]}")),
    ("envoy gateway, every path", _envoy("{path: {value: /}}")),
    ("envoy gateway, any path", _envoy("{path: {type: RegularExpression, value: /.*}}")),
    ("kuadrant", _kuadrant("")),
    ("kuadrant, one of two", _kuadrant("a == b", "")),
    ("kuadrant, opposites", _kuadrant("request.method == 'GET'", "request.method != 'GET'")),
    ("kuadrant, always", _kuadrant("true")),
    ("istio, its own host", _istio(match=OWN_HOST, apply="VIRTUAL_HOST")),
    ("istio, every host", _istio(match=", routeConfiguration: {vhost: {name: '*:80'}}", apply="VIRTUAL_HOST")),
    ("istio, service asked by address", _asks("[{remote_address: {}}]")),
    ("istio, service asked by path", _asks("[{request_headers: {header_name: ':path', descriptor_key: p}}]")),
    (
        "istio, header where there is one",
        _asks("[{request_headers: {header_name: x-user, descriptor_key: u, skip_if_absent: true}}]"),
    ),
    ("kong, by consumer", together(ingress(KONG, NAMED), kong("calm", BY_CONSUMER))),
    (
        "kong, another consumer",
        together(ingress(KONG, NAMED), kong("calm", MINUTE), _consumer().replace("plugins: calm", "plugins: x")),
    ),
    ("contour", _contour(f"{{{REMOTE}}}")),
    (
        "contour, one of two",
        _contour("{requestHeader: {headerName: X-User, descriptorKey: u}}", "{genericKey: {value: x}}"),
    ),
    (
        "contour, opposites",
        _contour(
            "{requestHeaderValueMatch: {headers: [{name: X-A}], value: v}}",
            "{requestHeaderValueMatch: {headers: [{name: X-A}], value: w, expectMatch: false}}",
        ),
    ),
    ("contour, a part of its host", proxy("web", CALM_HOST + ROUTES)),
    ("apisix, key", _apisix("count: 5, time_window: 1, key: http_x_user")),
    (
        "apisix, workflow for all",
        _apisix("rules: [{actions: [[limit-count, {count: 1, time_window: 1}]]}]", "workflow"),
    ),
    ("nginx inc, default tier", _tiers(TIER, REST)),
    ("nginx inc, mixed key", ingress(NIC, MIXED)),
    (
        "ingress-nginx, a few exempt",
        ingress(NGINX, _ingress_limits("nginx.ingress.kubernetes.io/", "limit-rps", "limit-whitelist", "10.0.0.0/8")),
    ),
    ("cilium, every route", _cilium_route("{prefix: /}")),
]
EXEMPT = [
    (NGINX, "nginx.ingress.kubernetes.io/", "limit-rps", "limit-whitelist"),
    (NGINX, "nginx.ingress.kubernetes.io/", "limit-rpm", "limit-allowlist"),
    (HAPROXY_ORG, "haproxy.org/", "rate-limit-requests", "rate-limit-whitelist"),
    (HAPROXY_IO, "haproxy-ingress.github.io/", "limit-rps", "limit-whitelist"),
]


@pytest.mark.parametrize(("text", "said"), [row[1:] for row in PARTLY], ids=[row[0] for row in PARTLY])
def test_a_limit_for_some_requests_says_which(text: str, said: str) -> None:
    (message,) = messages("no-rate-limit", text)
    assert "has no rate limit for all requests" in message
    assert "limits only" in message
    assert said in message
    assert messages("ineffective-rate-limit", text) == [], "it does what it says"


@pytest.mark.parametrize("text", [row[1] for row in WHOLE], ids=[row[0] for row in WHOLE])
def test_a_limit_for_everybody_is_whole(text: str) -> None:
    assert messages("no-rate-limit", text) == []


@pytest.mark.parametrize(("controller", "prefix", "annotation", "exempt"), EXEMPT)
@pytest.mark.parametrize(
    ("addresses", "whole"),
    [("10.0.0.0/8, 192.168.0.1", True), ("0.0.0.0/0", False), ("0.0.0.0/1,128.0.0.0/1", False), ("::/0", False)],
)
def test_a_list_of_exempt_addresses_counts_where_it_exempts_most(
    controller: str, prefix: str, annotation: str, exempt: str, addresses: str, whole: bool
) -> None:
    text = ingress(controller, _ingress_limits(prefix, annotation, exempt, addresses))
    assert (messages("no-rate-limit", text) == []) == whole
    assert (messages("ineffective-rate-limit", text) == []) == whole


@pytest.mark.parametrize(("name", "text"), LIMITED, ids=[row[0] for row in LIMITED])
def test_a_rate_that_nobody_reaches_is_none_and_one_cause(name: str, text: str) -> None:
    """Whatever the gateway: where its own check calls a rate too high, the route is not limited by it."""
    low = {"maximumPerSecond": 1e-9}
    absurd = audited("ineffective-rate-limit", text, parameters=low)
    absurd.found = [one for one in absurd.found if "more than" in one.message]
    open_ways = audited("no-rate-limit", text, parameters=low)
    assert bool(absurd.found) >= bool(open_ways.found)
    if absurd.found and open_ways.found:
        open_ways.extend(absurd)
        told = with_causes(open_ways.sorted(), CATALOGUE)
        homes = {one.subject.namespace for one in told.hits}
        assert {one.check for one in told.found} == {"ineffective-rate-limit"} or len(homes) > 1


# -- what several rules and limits come to --------------------------------------------------------------------

_SCOPES = st.builds(
    RequestScope,
    st.sampled_from(["", "a", "b"]),
    st.sampled_from([(), tuple(networks_of("0.0.0.0/1")), tuple(networks_of("128.0.0.0/1"))]),
    st.sampled_from([None, "x"]),
    st.booleans(),
)
_RULES = st.lists(st.tuples(_SCOPES, st.sampled_from([0.5, 1.0, 20_000.0])), max_size=5)


@given(_RULES, _RULES)
def test_more_rules_never_limit_less(
    rules: Sequence[tuple[RequestScope, float]], more: Sequence[tuple[RequestScope, float]]
) -> None:
    few, many = covering("P p", rules), covering("P p", [*rules, *more])
    assert many.effective or not few.effective
    assert not (few.effective and many.effective) or many.rate <= few.rate
    if rules and not any(not scope.words for scope, _ in rules) and not few.effective:
        assert few.only


@given(st.lists(_RULES, max_size=4), st.sampled_from([0.6, 10_000.0]))
def test_limits_side_by_side_and_in_every_part(
    many: Sequence[Sequence[tuple[RequestScope, float]]], ceiling: float
) -> None:
    limits = [covering(f"P p{n}", rules) for n, rules in enumerate(many)]
    counted = [above(one, ceiling) for one in limits]
    assert above(any_of(limits), ceiling).effective == any(one.effective for one in counted)
    assert above(all_of(limits), ceiling).effective == (bool(limits) and all(one.effective for one in counted))


@given(
    st.lists(
        st.sampled_from(["$http_a", "${arg_b}", "$cookie_c", "$binary_remote_addr", "${host}", "-x", ":"]), max_size=4
    )
)
def test_nginx_counts_nobody_by_an_empty_key(parts: list[str]) -> None:
    may_be_empty = bool(parts) and all(part.strip("${}").startswith(("http_", "arg_", "cookie_")) for part in parts)
    assert (nginx_key("".join(parts)) != EVERYBODY) == may_be_empty


@given(st.lists(st.integers(0, 32), max_size=40))
def test_addresses_cover_what_they_are(lengths: list[int]) -> None:
    share = share_of(networks_of(",".join(f"{n << 24 & 0xFF}.0.0.0/{length}" for n, length in enumerate(lengths))))
    assert 0 <= share <= 1
    assert (share == 1) == (0 in lengths or share >= 1)


def test_a_limit_of_no_known_rate_is_not_too_high() -> None:
    assert above(Limit(True), 1.0).effective
