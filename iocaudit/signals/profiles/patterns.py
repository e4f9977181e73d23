"""What an entry of a profile can say: paths, images, destinations, ports and resources, each with the rules of its own.

A pattern that cannot be read raises ValueError with the reason. No wildcard but a whole ``**`` crosses a ``/``, and
none may stand where a path or an image begins: what matches everything would expect everything.
"""

from __future__ import annotations

import ipaddress
import re
from fnmatch import fnmatchcase
from typing import NamedTuple

from iocaudit.core.ip import IpAddress, IpNetwork
from iocaudit.knowledge.image import DEFAULT_REGISTRY, LEGACY_DEFAULTS, ImageReference

ANY = "*"
_DEEP = "**"
_WILD = re.compile(r"[*?]")
_DELETED = " (deleted)"
_CUT = "[...]"
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
_LOOKS_LIKE_ADDRESS = re.compile(r"[0-9.]+(?:/.*)?|[^/]*:.*|.*/.*")
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_HIGHEST_PORT = 65_535
_RESOURCE = re.compile(r"(\*|[a-z0-9-]+)(?:\.([a-z0-9.-]+))?(?:/(\*|[a-z0-9-]+))?")


class SegmentGlob(NamedTuple):
    """The parts of a path. ``*`` and ``?`` stay within a part; one ``**`` stands for one part or more."""

    segments: tuple[str, ...]

    def match(self, segments: tuple[str, ...]) -> bool:
        if _DEEP not in self.segments:
            return len(segments) == len(self.segments) and _each(segments, self.segments)
        at = self.segments.index(_DEEP)
        head, tail = self.segments[:at], self.segments[at + 1 :]
        if len(segments) <= len(head) + len(tail):
            return False
        return _each(segments[:at], head) and _each(segments[len(segments) - len(tail) :], tail)


def _each(segments: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    return all(fnmatchcase(one, pattern) for one, pattern in zip(segments, patterns, strict=True))


def _glob(segments: tuple[str, ...], begins_with: str) -> SegmentGlob:
    text = "/".join(segments)
    if "[" in text or "]" in text:
        raise ValueError("holds a bracket, which is not part of a glob here")
    if _WILD.search(segments[0]):
        raise ValueError(f"must begin with {begins_with} without a wildcard")
    if sum(_DEEP in one for one in segments) > 1 or any(_DEEP in one and one != _DEEP for one in segments):
        raise ValueError("may hold ** once, between slashes")
    return SegmentGlob(segments)


def path_segments(path: str) -> tuple[str, ...] | None:
    """The parts of an absolute path, without ``.``, ``..`` and doubled slashes.

    None for what is not a whole path of a file that is there: relative, cut on the way, or deleted since.
    """
    if not path.startswith("/") or path.endswith((_DELETED, _CUT)) or "\0" in path:
        return None
    found: list[str] = []
    for one in path.split("/"):
        if one == "..":
            del found[-1:]
        elif one not in ("", "."):
            found.append(one)
    return tuple(found) or None


def path_pattern(text: str) -> SegmentGlob:
    """An executable by its absolute path, perhaps with wildcards below its first directory."""
    segments = path_segments(text)
    if segments is None:
        raise ValueError("is not the absolute path of a program")
    return _glob(segments, "a directory")


def image_segments(text: str) -> tuple[str, ...] | None:
    """Registry and repository of an image as a runtime names it; None for what is not a reference."""
    found = ImageReference.parse_or_none(text)
    if found is None:
        return None
    registry = found.registry.lower()
    return (DEFAULT_REGISTRY if registry in LEGACY_DEFAULTS else registry, *found.repository.split("/"))


def image_pattern(text: str) -> SegmentGlob:
    """An image by its repository, perhaps with wildcards below its registry. Tag and digest do not count."""
    last = text.rpartition("/")[2]
    if "@" in text or (":" in last and "/" in text) or (":" in text and "/" not in text):
        raise ValueError("has a tag or a digest: name the repository alone")
    if not _WILD.search(text):
        exact = image_segments(text)
        if exact is None:
            raise ValueError(f"is not an image: {ImageReference.fault(text)}")
        return _glob(exact, "a registry")
    segments = tuple(text.split("/"))
    if not all(segments):
        raise ValueError("is not an image: a part of it is empty")
    first = segments[0].lower()
    if "." in first or ":" in first or first == "localhost" or _WILD.search(first):
        registry = DEFAULT_REGISTRY if first in LEGACY_DEFAULTS else first
        if len(segments) == 1:
            raise ValueError("must begin with a registry or a folder of Docker Hub without a wildcard")
        return _glob((registry, *segments[1:]), "a registry")
    return _glob((DEFAULT_REGISTRY, *segments), "a registry")


class HostPattern(NamedTuple):
    """A destination: a network, or a name. ``*.`` before a name stands for all names below it, at any depth."""

    network: IpNetwork | None
    name: str

    def match(self, address: IpAddress | None, names: tuple[str, ...]) -> bool:
        if self.network is not None:
            return address is not None and address.version == self.network.version and address in self.network
        if self.name.startswith("*."):
            return any(one.endswith(self.name[1:]) and one != self.name[1:] for one in names)
        return self.name in names


def host_pattern(text: str) -> HostPattern:
    """An address, a CIDR or a name of DNS."""
    try:
        return HostPattern(_unmapped(ipaddress.ip_network(text)), "")
    except ValueError as error:
        if _LOOKS_LIKE_ADDRESS.fullmatch(text):
            try:
                near = ipaddress.ip_network(text, strict=False)
            except ValueError:
                raise ValueError("is not an address or a CIDR") from error
            raise ValueError(f"has bits beyond its mask (write {near})") from error
    name = dns_name(text)
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise ValueError("is not an address, a CIDR or a name of DNS, before which *. may stand")
    return HostPattern(None, name)


def dns_name(text: str) -> str:
    """One spelling of a name of DNS."""
    return text.lower().removesuffix(".")


def _unmapped(network: IpNetwork) -> IpNetwork:
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


def address_of(text: str) -> IpAddress | None:
    """An address; one of IPv4 that is written as IPv6 is the former. None for anything else."""
    try:
        found = ipaddress.ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped if mapped is not None else found


class PortRange(NamedTuple):
    """Ports from ``first`` to ``last``, both included."""

    first: int
    last: int

    def match(self, port: int | None) -> bool:
        return port is not None and self.first <= port <= self.last


def port_range(value: object) -> PortRange:
    """A port (443, ``"443"``) or a range of them (``"8000-8100"``)."""
    found = _RANGE.fullmatch(str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
    if found is None:
        raise ValueError("is not a port such as 443 or a range such as 8000-8100")
    first, last = int(found[1]), int(found[2] or found[1])
    if not 1 <= first <= last <= _HIGHEST_PORT:
        raise ValueError(f"is not within 1 and {_HIGHEST_PORT}, or ends before it begins")
    return PortRange(first, last)


class ResourcePattern(NamedTuple):
    """``pods``, ``deployments.apps``, ``deployments.apps/scale``; any of the three parts may be a ``*``.

    ``*`` alone means the resources of all groups, never their subresources: a session into a pod is one of these.
    """

    resource: str
    group: str | None
    subresource: str

    def match(self, resource: str, group: str, subresource: str) -> bool:
        if self.resource not in (ANY, resource) or self.group not in (None, group):
            return False
        return self.subresource == subresource or (self.subresource == ANY and bool(subresource))


def resource_pattern(text: str) -> ResourcePattern:
    """A resource with its group, and its subresource where it is about one."""
    found = _RESOURCE.fullmatch(text)
    if found is None:
        raise ValueError("is not a resource such as pods, deployments.apps or pods/exec")
    resource, group, subresource = found[1], found[2] or "", found[3] or ""
    return ResourcePattern(resource, None if resource == ANY and not group else group, subresource)
