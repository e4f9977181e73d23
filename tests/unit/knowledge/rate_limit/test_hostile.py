"""Any JSON-shaped object of a kind is judged without an error."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iocaudit.core.kinds import Kind
from iocaudit.core.resource import Origin, Resource
from iocaudit.core.world import World
from iocaudit.core.yaml_write import block
from iocaudit.engine.audit import Auditor
from iocaudit.engine.policy_set import PolicySet
from iocaudit.repairs.missing import documents as documents_of
from iocaudit.repairs.missing import wanted
from tests.support.auditing import CATALOGUE
from tests.support.bounded import cpu_within
from tests.unit.cli import test_generate
from tests.unit.knowledge.rate_limit import test_attachment, test_front_doors, test_gateways, test_policies
from tests.unit.knowledge.rate_limit.test_gateways import together

FAMILIES = (
    "no-rate-limit",
    "ineffective-rate-limit",
    "no-workload-rate-limit",
    "apiserver-flow-exempt",
    "ingress-without-tls",
    "ingress-host-without-tls",
    "ingress-wildcard-host",
    "ingress-snippet",
    "service-external-ip",
    "node-port-service",
    "load-balancer-open",
    "exposed-dashboard",
)
CHECKS = CATALOGUE.select(FAMILIES)
SUBJECTS = sorted({kind for check in CHECKS for kind in (*check.looks_at, *check.uses, *check.in_files)}, key=str)

# Keys that the gateways read, so that the walk goes deep before it meets a wrong type.
WORDS = sorted(
    {
        "spec routes rules http paths backend service name namespace middlewares services plugins config plugin enable",
        "rateLimit average period inFlightReq amount chain virtualhost rateLimitPolicy local global requests unit",
        "descriptors includes conditions prefix gateways selector parentRefs group kind sectionName filters",
        "extensionRef type backendRefs targetRef targetRefs targetSelectors matchLabels matchExpressions limit limits",
        "rates window when predicate defaults overrides strategy dryRun rate policies subroutes route path host tls",
        "configPatches match context patch value typed_config token_bucket max_tokens fill_interval resources",
        "workloadSelector labels requestsPerSecond total identity minute second window_size labels metadata",
        "listeners gatewayClassName controllerName controller ingressClassName defaultBackend mergeType shadowMode",
        "ports port nodePort externalIPs loadBalancerSourceRanges hosts secretName subjects resourceRules user",
        "infrastructure parametersRef parameters namespaces from to entryPoints template args data runtimeSettings",
        "rateLimitService defaultGlobalRateLimitPolicy provider _meta disable enabled targetSelectors helm.sh/chart",
        "securityPolicy secretRef disabled configFrom plugin_config_name priorityLevelConfiguration containers image",
    }
)
KEYS = st.sampled_from(sorted({word for line in WORDS for word in line.split()}))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True),
    st.sampled_from(
        [
            "",
            "a",
            "0",
            "10r/s",
            "shop-a@kubernetescrd",
            "Rule",
            "*",
            "0.0.0.0/0",
            "HTTPRoute",
            "Service",
            "LoadBalancer",
            "All",
        ]
    ),
    st.text(max_size=8),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=25,
)
ANNOTATIONS = st.dictionaries(
    st.sampled_from(
        [
            "nginx.ingress.kubernetes.io/limit-rps",
            "nginx.ingress.kubernetes.io/limit-whitelist",
            "nginx.ingress.kubernetes.io/configuration-snippet",
            "nginx.ingress.kubernetes.io/auth-url",
            "traefik.ingress.kubernetes.io/router.middlewares",
            "traefik.ingress.kubernetes.io/service.middlewares",
            "traefik.ingress.kubernetes.io/router.entrypoints",
            "konghq.com/plugins",
            "k8s.apisix.apache.org/plugin-config-name",
            "haproxy.com/rate-limit-requests",
            "alb.ingress.kubernetes.io/group.name",
            "nginx.org/policies",
            "cloud.google.com/backend-config",
            "kubernetes.io/ingress.class",
        ]
    ),
    JSON,
    max_size=4,
)


def resource(kind: Kind, spec: Any, annotations: Any, name: str = "a") -> Resource:
    raw = {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
        "spec": spec,
    }
    if isinstance(spec, dict):
        raw = {**spec, **raw}
    return Resource(raw, Origin("file", "hostile.yaml"))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(SUBJECTS), JSON, ANNOTATIONS), min_size=1, max_size=6))
def test_no_object_makes_a_check_raise(objects: list[tuple[Kind, Any, Any]]) -> None:
    world = World()
    subjects = [resource(kind, spec, annotations) for kind, spec, annotations in objects]
    for subject in subjects:
        world.add(subject)
    auditor = Auditor(CHECKS, PolicySet(CHECKS, profile="strict"), world)
    for subject in subjects:
        assert not auditor.audit(subject).faults


@pytest.mark.parametrize("kind", SUBJECTS, ids=str)
@pytest.mark.parametrize("junk", [None, 1, "x", [], {}, [[]], {"routes": 1}, {"rules": [1]}], ids=repr)
def test_junk_in_place_of_a_spec(kind: Kind, junk: Any) -> None:
    world = World()
    subject = resource(kind, junk, junk)
    world.add(subject)
    assert not Auditor(CHECKS, PolicySet(CHECKS, profile="strict"), world).audit(subject).faults


TEXTS = [
    *(row[1] for module in (test_attachment, test_gateways) for row in (*module.LIMITED, *module.OPEN)),
    *(text for _, text, *_ in (*test_generate.MADE, *test_generate.BETWEEN)),
    together(test_front_doors.PROXY, test_front_doors.running("kong:3.4")),
    together(test_policies.selecting(test_policies.SOME), test_policies.grant(), test_policies.TEAM),
]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a value with each of its keys."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from places(inner)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(TEXTS), st.data())
def test_no_wrong_type_anywhere_in_what_is_right_makes_anything_raise(text: str, data: st.DataObject) -> None:
    """Nor does what is made on request for what is still open."""
    documents = [one for one in yaml.safe_load_all(text) if one]
    holder, key = data.draw(st.sampled_from(list(places(documents))[1:]))
    holder[key] = data.draw(JSON)
    subjects = [Resource(one, Origin("file", "a.yaml", 1)) for one in documents if isinstance(one, dict)]
    world = World()
    for subject in subjects:
        world.add(subject)
    auditor = Auditor(CHECKS, PolicySet(CHECKS, profile="strict"), world)
    missing = []
    for subject in subjects:
        report = auditor.audit(subject)
        assert not report.faults
        missing += [one for found in report.found if (one := wanted(found, subject, world)) is not None]
    assert all(isinstance(block(one), str) for one in documents_of(missing))


def test_a_route_of_thousands_of_parents_and_rules_is_left_in_time_and_said_to_be() -> None:
    references = [{"name": f"g{number}"} for number in range(2000)]
    spec = {"parentRefs": references, "rules": [{"backendRefs": [one]} for one in references]}
    raw = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "a"}, "spec": spec}
    with cpu_within(4):
        report = Auditor(CHECKS, PolicySet(CHECKS), World()).audit(Resource(raw, Origin("admission")))
    assert [one.reason for one in report.skipped if one.check == "no-rate-limit"] == [
        "whether it has a rate limit was not judged: it has more parents and rules than any route may"
    ]


def test_filters_that_many_backends_share_are_found_in_time() -> None:
    filters = [
        {"type": "ExtensionRef", "extensionRef": {"group": "g", "kind": "K", "name": f"f{number}"}}
        for number in range(6000)
    ]
    backends = [{"name": "a", "filters": filters}, {"name": "b", "filters": [*reversed(filters)]}]
    spec = {"parentRefs": [{"name": "g"}], "rules": [{"backendRefs": backends}]}
    raw = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "a"}, "spec": spec}
    with cpu_within(4):
        report = Auditor(CHECKS, PolicySet(CHECKS), World()).audit(Resource(raw, Origin("admission")))
    assert not report.faults
    assert report.skipped
