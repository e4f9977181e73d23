"""Any JSON-shaped policy is read, and any pod judged by it, without an error."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iocaudit.core.kinds import Kind
from iocaudit.core.kinds.policies import CALICO_TIER
from iocaudit.core.resource import Origin, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.policy_set import PolicySet
from iocaudit.knowledge.network.coverage import POLICIES
from tests.support.auditing import CATALOGUE

CHECKS = CATALOGUE.select(
    (
        "no-ingress-policy",
        "no-egress-policy",
        "namespace-without-default-deny",
        "policy-allows-everything",
        "policy-selects-nothing",
        "dns-egress-blocked",
        "metadata-service-reachable",
    )
)
KINDS = (*POLICIES, CALICO_TIER)

# Keys that the readers look for, so that the walk goes deep before it meets a wrong type.
WORDS = (
    "podSelector policyTypes types ingress egress ingressDeny egressDeny from to ports port endPort protocol ipBlock",
    "cidr except namespaceSelector selector serviceAccountSelector tier order action source destination nets notNets",
    "notPorts ipVersion icmp notProtocol preDNAT doNotTrack defaultAction endpointSelector nodeSelector",
    "enableDefaultDeny fromEndpoints toEndpoints fromEntities toEntities toCIDR toCIDRSet toFQDNs matchPattern toPorts",
    "icmps rules dns subject namespaces pods networks priority portNumber portRange start end namedPort protocols tcp",
    "destinationPort number range matchLabels matchExpressions key operator values",
)
KEYS = st.sampled_from(sorted({word for line in WORDS for word in line.split()}))
TEXTS = (
    "all()|has(app)|app == 'web|Allow|Deny|Pass|Ingress|Egress|0.0.0.0/0|::/0|53|1:65535|9:1|TCP|all|world|*|In|Exists"
    "|app|web|k8s:app|Baseline|"
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True),
    st.sampled_from(TEXTS.split("|")),
    st.text(max_size=8),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=25,
)
SUBJECTS = [
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "hooli.com/web"}]},
    },
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.booleans(), JSON), min_size=1, max_size=6))
def test_no_policy_makes_a_check_raise(policies: list[tuple[Kind, bool, Any]]) -> None:
    world = World()
    subjects = [Resource(raw, Origin("file", "hostile.yaml")) for raw in SUBJECTS]
    for number, (kind, several, spec) in enumerate(policies):
        raw = {
            "apiVersion": kind.api_version,
            "kind": kind.name,
            "metadata": {"name": f"p{number}", **({"namespace": "shop"} if kind.namespaced else {})},
            "specs" if several else "spec": [spec] if several else spec,
        }
        subjects.append(Resource(raw, Origin("file", "hostile.yaml")))
    for subject in subjects:
        world.add(subject)
    auditor = Auditor(CHECKS, PolicySet(CHECKS, profile="strict"), world)
    for subject in subjects:
        assert not auditor.audit(subject).faults
