"""no-early-drop: what Calico and Cilium are told to drop before connection tracking."""

import pytest

from iocaudit.core.kinds.policies import CALICO_HOST_ENDPOINT
from tests.support.auditing import messages

EARLY = "no-early-drop"


def _felix(spec: str = "{}", group: str = "projectcalico.org/v3", name: str = "default") -> str:
    return f"apiVersion: {group}\nkind: FelixConfiguration\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n"


_ENDPOINT = (
    "apiVersion: projectcalico.org/v3\nkind: HostEndpoint\nmetadata: {name: node-eth0, labels: {role: node}}\n"
    "spec: {node: node, interfaceName: eth0}\n---\n"
)


def _policy(spec: str) -> str:
    return f"apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {{name: p}}\nspec: {spec}\n---\n"


_UNTRACKED = "{selector: role == 'node', doNotTrack: true, applyOnForward: true, ingress: [{action: Deny}]}"
_PRE_DNAT = "{selector: role == 'node', preDNAT: true, applyOnForward: true, ingress: [{action: Deny}]}"


@pytest.mark.parametrize("spec", [_UNTRACKED, _PRE_DNAT])
def test_an_early_policy_on_a_host_endpoint_is_enough(spec: str) -> None:
    assert messages(EARLY, _felix() + _ENDPOINT + _policy(spec)) == []
    # On no endpoint at all, or on others, it drops nothing.
    assert messages(EARLY, _felix() + _policy(spec))
    assert messages(EARLY, _felix() + _ENDPOINT + _policy(spec.replace("role == 'node'", "role == 'x'")))
    assert messages(EARLY, _felix() + _ENDPOINT + _policy(spec.replace("Deny", "Allow")))


def test_a_plain_policy_is_not_early() -> None:
    (said,) = messages(EARLY, _felix() + _ENDPOINT + _policy("{ingress: [{action: Deny}]}"))
    assert "no policy with doNotTrack or preDNAT" in said


def test_untracked_policies_want_xdp_and_pre_dnat_ones_do_not() -> None:
    off = _felix("{xdpEnabled: false}")
    (said,) = messages(EARLY, off + _ENDPOINT + _policy(_UNTRACKED))
    assert "xdpEnabled is false" in said
    assert messages(EARLY, off + _ENDPOINT + _policy(_PRE_DNAT)) == []


def test_one_configuration_is_spoken_of_once() -> None:
    stored = _felix(group="crd.projectcalico.org/v1")
    assert len(messages(EARLY, stored)) == 1
    assert len(messages(EARLY, stored + _felix())) == 1
    assert messages(EARLY, _felix(name="node.worker-1")) == []


@pytest.mark.parametrize(
    ("data", "early"),
    [
        ("{enable-policy: default}", False),
        ("{bpf-lb-acceleration: disabled, enable-host-firewall: 'false'}", False),
        ("{bpf-lb-acceleration: native}", True),
        ("{node-port-acceleration: best-effort}", True),
        ("{enable-xdp-prefilter: 'true'}", True),
        ("{enable-host-firewall: 'true'}", True),
        ("null", False),
    ],
)
def test_cilium_is_judged_by_its_configmap(data: str, early: bool) -> None:
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: cilium-config, namespace: kube-system}}\ndata: {data}\n"
    assert (messages(EARLY, text) == []) is early
    assert messages(EARLY, text.replace("cilium-config", "other")) == []


def test_what_cannot_be_read_is_skipped() -> None:
    (said,) = messages(EARLY, _felix(), incomplete={CALICO_HOST_ENDPOINT: "forbidden"})
    assert said.startswith("skipped: needs all hostendpoints")
