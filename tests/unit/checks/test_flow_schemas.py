"""FlowSchemas that send many callers to the exempt level."""

import pytest

from tests.support.auditing import messages


def schema(
    subjects: str, level: str = "exempt", name: str = "fast", rules: str = "resourceRules: [{verbs: ['*']}]"
) -> str:
    return f"""
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {{name: {name}}}
spec:
  priorityLevelConfiguration: {{name: {level}}}
  rules: [{{subjects: {subjects}, {rules}}}]
"""


EVERYBODY = (
    "[{kind: Group, group: {name: 'system:unauthenticated'}}, {kind: Group, group: {name: 'system:authenticated'}}]"
)
PROBES = "nonResourceRules: [{verbs: [get], nonResourceURLs: [/healthz, /livez, /readyz]}]"


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        (schema(EVERYBODY), 2),
        (schema("[{kind: Group, group: {name: 'system:serviceaccounts'}}]"), 1),
        (schema("[{kind: Group, group: {name: 'system:serviceaccounts:build'}}]"), 1),
        (schema("[{kind: Group, group: {name: '*'}}]"), 1),
        (schema("[{kind: User, user: {name: '*'}}]"), 1),
        (schema("[{kind: User, user: {name: 'system:anonymous'}}]"), 1),
        (schema("[{kind: ServiceAccount, serviceAccount: {name: '*', namespace: build}}]"), 1),
        (schema("[{kind: ServiceAccount, serviceAccount: {name: ci, namespace: build}}]"), 0),
        (schema("[{kind: User, user: {name: alice}}]"), 0),
        (schema("[{kind: Group, group: {name: 'system:masters'}}]", name="exempt"), 0),
        (schema(EVERYBODY, level="workload-low"), 0),
        (schema(EVERYBODY, name="probes", rules=PROBES), 0),
        (schema(EVERYBODY, name="other", rules=PROBES), 2),
        (schema(EVERYBODY, name="probes"), 2),
        (schema(EVERYBODY, name="probes", rules=PROBES + ", resourceRules: [{verbs: [get]}]"), 2),
    ],
)
def test_who_is_exempt(text: str, hits: int) -> None:
    assert len(messages("apiserver-flow-exempt", text)) == hits
