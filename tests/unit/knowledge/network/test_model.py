"""Address blocks, ports and how much a rule covers."""

import ipaddress

import pytest

from iocaudit.knowledge.network.addresses import covers_every_address, read_network, read_networks
from iocaudit.knowledge.network.model import (
    EGRESS,
    INGRESS,
    AddressBlock,
    Breadth,
    Everyone,
    OutsidePeer,
    Peer,
    Pods,
    PodTarget,
    Port,
    RuleAction,
    Traffic,
    TrafficRule,
    UnknownPeer,
)
from iocaudit.knowledge.network.selectors import EVERYTHING, read_label_selector


@pytest.mark.parametrize(
    ("networks", "but", "whole"),
    [
        (["0.0.0.0/0"], [], True),
        (["::/0"], [], True),
        (["1.2.3.4/0"], [], True),
        (["0.0.0.0/1", "128.0.0.0/1"], [], True),
        (["0.0.0.0/1"], [], False),
        (["10.0.0.0/8"], [], False),
        (["0.0.0.0/0"], ["203.0.113.1/32"], True),
        (["0.0.0.0/0"], ["10.0.0.0/8"], True),
        (["0.0.0.0/0"], ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], False),
        (["0.0.0.0/0"], ["0.0.0.0/1"], False),
        (["0.0.0.0/0"], ["0.0.0.0/2", "64.0.0.0/2"], False),
        (["::/0"], ["fc00::/7"], False),
        (["::/0"], ["10.0.0.0/8"], True),
        (["0.0.0.0/0", "::/0"], ["0.0.0.0/0"], True),
        ([], [], False),
    ],
)
def test_when_blocks_are_everyone(networks: list[str], but: list[str], whole: bool) -> None:
    assert covers_every_address(read_networks(networks), read_networks(but)) is whole


@pytest.mark.parametrize("value", [None, 1, "", "10.0.0.0/33", "web", "10.0.0.0/8/8", [], "::1%eth0/0/1"])
def test_what_is_no_network_covers_nothing(value: object) -> None:
    assert read_network(value) is None


def test_a_plain_address_and_host_bits_are_read() -> None:
    assert read_network("10.1.2.3") == ipaddress.ip_network("10.1.2.3/32")
    assert read_network(" 10.1.2.3/8 ") == ipaddress.ip_network("10.0.0.0/8")


def _rule(*peers: Peer, ports: tuple[Port, ...] | None = None, narrowed: bool = False) -> TrafficRule:
    return TrafficRule(RuleAction.ALLOW, peers, ports, "spec.egress[0]", narrowed)


@pytest.mark.parametrize(
    ("rule", "breadth"),
    [
        (_rule(Everyone()), Breadth.EVERYONE),
        (_rule(), None),
        (_rule(Everyone(), ports=(Port("TCP", 443, 443),)), None),
        (_rule(Everyone(), ports=(Port("UDP"),)), None),
        (_rule(Everyone(), ports=(Port("TCP"),)), Breadth.EVERYONE),
        (_rule(Everyone(), ports=(Port("TCP", 1, 65535),)), Breadth.EVERYONE),
        (_rule(Everyone(), ports=(Port("TCP", name="http"),)), None),
        (_rule(Everyone(), narrowed=True), None),
        (_rule(Pods(EVERYTHING, EVERYTHING)), Breadth.EVERY_POD),
        (_rule(Pods(EVERYTHING, None)), None),
        (_rule(Pods(read_label_selector({"matchLabels": {"a": "b"}}), EVERYTHING)), None),
        (
            _rule(AddressBlock(read_networks(["0.0.0.0/1"])), AddressBlock(read_networks(["128.0.0.0/1"]))),
            Breadth.EVERY_ADDRESS,
        ),
        (_rule(Pods(EVERYTHING, EVERYTHING), AddressBlock(read_networks(["::/0"]))), Breadth.EVERY_ADDRESS),
        (_rule(UnknownPeer()), None),
    ],
)
def test_how_much_a_rule_covers(rule: TrafficRule, breadth: Breadth | None) -> None:
    assert rule.breadth is breadth


@pytest.mark.parametrize(
    ("rule", "total"),
    [
        (_rule(AddressBlock(read_networks(["0.0.0.0/0"]))), True),
        (_rule(AddressBlock(read_networks(["::/0"]))), False),
        (
            _rule(
                AddressBlock(read_networks(["::/0"])),
                AddressBlock(read_networks(["0.0.0.0/1"])),
                AddressBlock(read_networks(["128.0.0.0/1"])),
            ),
            True,
        ),
        (_rule(OutsidePeer()), True),
        (_rule(Everyone(), ports=(Port("TCP", 1, 1023), Port("TCP", 1024, 65535))), True),
        (_rule(Everyone(), ports=(Port("TCP", 1, 1023), Port("TCP", 1025, 65535))), False),
        (_rule(Everyone(), ports=(Port("TCP", 1024, 65535), Port(None, 0, 2000))), True),
        (_rule(Everyone(), ports=(Port("TCP", 1, 40000), Port("UDP", 40001, 65535))), False),
    ],
)
def test_when_a_rule_decides_for_a_whole_direction(rule: TrafficRule, total: bool) -> None:
    assert rule.is_total(EGRESS) is total
    assert rule.is_total(INGRESS) is total


def test_exceptions_of_one_half_are_seen_with_the_other() -> None:
    low, high = read_networks(["0.0.0.0/1"]), read_networks(["128.0.0.0/1"])
    few = _rule(AddressBlock(low, read_networks(["10.0.0.0/8"])), AddressBlock(high))
    assert few.breadth is Breadth.EVERY_ADDRESS
    private = ["172.16.0.0/12", "192.168.0.0/16"]
    assert (
        _rule(AddressBlock(low, read_networks(["10.0.0.0/8"])), AddressBlock(high, read_networks(private))).breadth
        is None
    )


def test_all_pods_are_all_that_sends_but_not_all_that_can_be_sent_to() -> None:
    rule = _rule(Pods(EVERYTHING, EVERYTHING))
    assert rule.is_total(INGRESS)
    assert not rule.is_total(EGRESS)


DNS = PodTarget("kube-system", {"kubernetes.io/metadata.name": "kube-system"}, {"k8s-app": "kube-dns"}, False)


@pytest.mark.parametrize(
    ("peer", "covers"),
    [
        (Pods(EVERYTHING, EVERYTHING), True),
        (Pods(EVERYTHING, None), False),
        (Pods(read_label_selector({"matchLabels": {"k8s-app": "kube-dns"}}), EVERYTHING), True),
        (Pods(read_label_selector({"matchLabels": {"k8s-app": "other"}}), EVERYTHING), False),
        (Pods(read_label_selector({"matchLabels": {"app": "coredns"}}), EVERYTHING), None),
        (Pods(EVERYTHING, read_label_selector({"matchLabels": {"name": "kube-system"}})), None),
        (Pods(EVERYTHING, read_label_selector({"matchLabels": {"kubernetes.io/metadata.name": "x"}})), False),
        (AddressBlock(read_networks(["10.0.0.0/8"])), None),
        (UnknownPeer(), None),
    ],
)
def test_whether_a_peer_covers_the_dns_pods(peer: Peer, covers: bool | None) -> None:
    assert peer.covers(DNS, "shop") is covers


def test_traffic_matches_ports_by_number_range_and_name() -> None:
    traffic = Traffic(DNS, "UDP", (53,), ("dns",))
    for port, matches in (
        (Port("UDP", 53, 53), True),
        (Port("TCP", 53, 53), False),
        (Port(None, 50, 60), True),
        (Port("UDP", name="dns"), True),
        (Port("UDP", name="web"), False),
    ):
        assert _rule(Everyone(), ports=(port,)).matches(traffic, None) is matches
    assert _rule(Everyone(), narrowed=True).matches(traffic, None) is None
