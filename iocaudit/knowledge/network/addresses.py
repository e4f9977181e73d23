"""Addresses and networks: what amounts to all of them."""

import ipaddress
from collections.abc import Iterable

from iocaudit.core.ip import IpNetwork

WHOLE = 1 << 32
"""The number of addresses of IPv4."""

_PRIVATE = [ipaddress.IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
_LOCAL = ipaddress.IPv6Network("fc00::/7")


def whole_families(networks: Iterable[IpNetwork], but: Iterable[IpNetwork] = ()) -> frozenset[int]:
    """The IP versions all of which networks amount to.

    Two halves are the whole. Exceptions change that only where they take out half of the addresses, or all private
    ones: the rule then speaks of the Internet or of the inside, not of everyone.
    """
    given, taken = list(networks), list(but)
    found = set()
    for version, bits in ((4, 32), (6, 128)):
        ours = [network for network in given if network.version == version]
        if sum(1 << (bits - network.prefixlen) for network in ours) < 1 << bits:
            continue  # too few of them, so long lists need not be collapsed
        whole = list(ipaddress.collapse_addresses(ours))  # type: ignore[type-var]
        if len(whole) != 1 or whole[0].prefixlen:
            continue
        gone = list(ipaddress.collapse_addresses([n for n in taken if n.version == version]))  # type: ignore[type-var]
        if sum(network.num_addresses for network in gone) * 2 >= whole[0].num_addresses:
            continue
        inside = _PRIVATE if version == 4 else [_LOCAL]
        if all(any(private.subnet_of(network) for network in gone) for private in inside):  # type: ignore[arg-type]
            continue
        found.add(version)
    return frozenset(found)


def covers_every_address(networks: Iterable[IpNetwork], but: Iterable[IpNetwork] = ()) -> bool:
    """Whether networks amount to all of IPv4 or all of IPv6."""
    return bool(whole_families(networks, but))


def read_network(value: object) -> IpNetwork | None:
    """A CIDR or a plain address; None where it is neither, so it covers nothing."""
    if not isinstance(value, str):
        return None
    try:
        return ipaddress.ip_network(value.strip(), strict=False)
    except ValueError:
        return None


def read_networks(values: Iterable[object]) -> tuple[IpNetwork, ...]:
    return tuple(network for network in map(read_network, values) if network is not None)
