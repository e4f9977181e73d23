"""Image references as the container runtime resolves them, and the patterns policies match them with.

Source: the grammar of distribution/reference and its familiar-name rules, as containerd and CRI-O apply them; digests
as opencontainers/go-digest validates them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
# Names under which Docker Hub answers too; anyone who denies it means all of them.
LEGACY_DEFAULTS = frozenset({"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
# With an underscore it is a component like any other, yet containerd asks the host of that name.
_HOST = re.compile(rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?|{_COMPONENT}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
# The grammar of a reference takes any algorithm and length; what it then asks for a digest knows these alone.
_DIGESTS = {"sha256": 64, "sha384": 96, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+")
_IDENTIFIER = re.compile(r"[0-9a-f]{64}")
_LONGEST_NAME = 255
_LONGEST_TEXT = 1024
_HTTPS = "443"


class ImageReference(NamedTuple):
    """``registry/repository[:tag][@digest]`` with the registry filled in; ``tag`` and ``digest`` may be empty."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """Registry and repository, which is what a registry policy judges."""
        return f"{self.registry}/{self.repository}"

    @property
    def canonical(self) -> str:
        """One spelling for all that mean the same: with neither tag nor digest the runtime takes ``latest``."""
        tag = self.tag or ("" if self.digest else DEFAULT_TAG)
        return self.name + (f":{tag}" if tag else "") + (f"@{self.digest}" if self.digest else "")

    @staticmethod
    def parse(text: str) -> ImageReference:
        """Read a reference; raises ValueError with the reason where a runtime would refuse it."""
        found = _parse(text)
        if isinstance(found, str):
            raise ValueError(f"{text[:_LONGEST_TEXT]!r} is not an image reference: {found}")
        return found

    @staticmethod
    def parse_or_none(text: str) -> ImageReference | None:
        """The reference, or None where a runtime would refuse it."""
        found = _parse(text)
        return None if isinstance(found, str) else found

    @staticmethod
    def fault(text: str) -> str:
        """Why a runtime would refuse a text as a reference; empty where it would not."""
        found = _parse(text)
        return found if isinstance(found, str) else ""


def _parse(text: str) -> ImageReference | str:
    """The reference, or why there is none. What is too long is not kept in the cache."""
    return _parse_kept(text) if len(text) <= _LONGEST_TEXT else f"it is longer than {_LONGEST_TEXT} characters"


@lru_cache(maxsize=4096)
def _parse_kept(text: str) -> ImageReference | str:
    if not text:
        return "it is empty"
    rest, at, digest = text.partition("@")
    if at and (why := _digest_fault(digest)):
        return why
    name, tag = rest, ""
    colon = rest.rfind(":")
    if colon > rest.rfind("/"):
        name, tag = rest[:colon], rest[colon + 1 :]
        if not _TAG.fullmatch(tag):
            return "what follows : is not a tag"
    registry, slash, repository = name.partition("/")
    if not slash or not _is_host(registry):
        registry, repository = DEFAULT_REGISTRY, name
        if not slash and _IDENTIFIER.fullmatch(name):
            return "a name of 64 hexadecimal digits means an image ID, which cannot be pulled"
    elif not _HOST.fullmatch(registry):
        return "the registry is not a host"
    # A lower-case label alone would read as a Docker Hub user, so such a host keeps its upper case.
    registry = registry.lower() if _is_host(registry.lower()) else registry
    if registry in LEGACY_DEFAULTS:
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    if not _REPOSITORY.fullmatch(repository):
        return "the repository must be lower-case words joined by / . _ or -"
    if len(repository) > _LONGEST_NAME:
        return f"the repository is longer than {_LONGEST_NAME} characters"
    return ImageReference(registry, repository, tag, digest)


def _digest_fault(digest: str) -> str:
    """Why a runtime refuses what follows ``@``; empty where it is a digest."""
    algorithm, _, encoded = digest.partition(":")
    length = _DIGESTS.get(algorithm)
    if length is None:
        return f"what follows @ is not a digest of {', '.join(_DIGESTS)}"
    if len(encoded) != length or not _HEX.fullmatch(encoded):
        return f"a digest of {algorithm} has {length} hexadecimal digits, in lower case"
    return ""


def _is_host(part: str) -> bool:
    """The first component is a host if it cannot be a Docker Hub user: a dot, a port, localhost, upper case."""
    return "." in part or ":" in part or part == "localhost" or part != part.lower()


@lru_cache(maxsize=4096)
def repository_of(text: str) -> str:
    """The registry and path that an image comes from, in one spelling; what no runtime could read as it is written."""
    image = ImageReference.parse_or_none(text)
    if image is None:
        return text
    host, port = _host_and_port(image.registry)
    return f"{host}:{port}/{image.repository}" if port else f"{host}/{image.repository}"


@lru_cache(maxsize=4096)
def version_of(text: str) -> str:
    """The very image: its repository with the digest or, where it has none, the tag."""
    image = ImageReference.parse_or_none(text)
    if image is None:
        return text
    name = repository_of(text)
    return f"{name}@{image.digest}" if image.digest else f"{name}:{image.tag or DEFAULT_TAG}"


@lru_cache(maxsize=1024)
def _host_and_port(registry: str) -> tuple[str, str]:
    """The registry's host in one spelling, and its port; no port where it is that of HTTPS."""
    host, port = registry.lower(), ""
    colon = host.rfind(":")
    if colon > host.rfind("]"):
        host, port = host[:colon], host[colon + 1 :]
    if host.startswith("[") and host.endswith("]"):
        import ipaddress  # late: next to no registry is named by an IPv6 address

        try:
            host = f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            return host, port  # a glob, or digits and colons that are not an address: compared as written
    return (DEFAULT_REGISTRY if host in LEGACY_DEFAULTS else host), ("" if port == _HTTPS else port)


def glob(pattern: str, text: str) -> bool:
    """Whether the whole text fits a pattern in which ``*`` stands for any run; in linear time, unlike a regex."""
    head, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    if not text.startswith(head):
        return False
    *middle, tail = rest
    position = len(head)
    for piece in middle:
        found = text.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return text.endswith(tail) and len(text) - len(tail) >= position


class ImagePattern(NamedTuple):
    """One entry of a policy's list of images: a host, a path prefix, an image, or a glob of these.

    - ``hooli.com``, ``docker.io/acme``: whatever lies there or below, at segment borders only, so never
      ``hooli.com.evil.io/`` nor ``docker.io/acmeevil``. With ``/`` or ``/*`` at the end: only what lies below.
    - ``ubuntu:22.04``, ``hooli.com/app:1.*``, ``hooli.com/app@sha256:…``: this very image. A digest overrules a
      tag, as it does for the runtime.
    - ``*`` stands for any run within a segment (in a host across its dots), ``**`` for any number of segments.
    - Without a host it means Docker Hub, as in an image reference: ``acme/`` is docker.io/acme, ``nginx`` is
      docker.io/library/nginx. ``registry:5000/`` is a host; ``redis:7`` is an image with its tag.
    - A host without a port means the port of HTTPS; where ``any_port`` is asked (denied lists), every port.
    """

    host: str
    port: str
    segments: tuple[str, ...]
    below: bool = False
    tag: str = ""
    digest: str = ""

    @staticmethod
    @lru_cache(maxsize=4096)
    def parse(text: str) -> ImagePattern:
        """Read a pattern; raises ValueError where there is nothing in it."""
        body = text.strip()
        for scheme in ("https://", "http://"):
            body = body.removeprefix(scheme)
        bare = body
        while bare.endswith(("/", "/*", "/**")):
            bare = bare.rstrip("*").rstrip("/")
        if not bare:
            raise ValueError(f"{text!r} is not an image pattern: it names nothing")
        below = bare != body
        bare, _, digest = bare.partition("@")
        tag = ""
        colon = bare.rfind(":")
        if not below and colon > bare.rfind("/") and not _ends_in_port(bare, colon):
            bare, tag = bare[:colon], bare[colon + 1 :]
        head, slash, rest = bare.partition("/")
        if _is_host(head) or not head.strip("*"):
            host, port = _host_and_port(head)
            path = rest if slash else ""
        else:
            host, port = DEFAULT_REGISTRY, ""
            path = bare if slash or below else f"library/{bare}"
        if host == DEFAULT_REGISTRY and path and "/" not in path and not below and (tag or digest):
            path = f"library/{path}"
        if not host.strip("*"):
            port = port or "*"
        segments = tuple(part for part in path.lower().split("/") if part)
        return ImagePattern(host, port, segments, below, tag, digest.lower())

    def matches(self, image: ImageReference, *, any_port: bool = False) -> bool:
        """Whether the image is, or lies below, what the pattern names."""
        return self.is_of(image, any_port=any_port) and self._matches_version(image, any_port)

    def is_of(self, image: ImageReference, *, any_port: bool = False) -> bool:
        """The same whatever the image's tag and digest."""
        host, port = _host_and_port(image.registry)
        if not (self.host == host or glob(self.host, host)):
            return False
        if not (self.port == port or glob(self.port, port) or (any_port and not self.port)):
            return False
        return self._matches_path(image.repository.split("/"))

    def _matches_path(self, parts: Sequence[str]) -> bool:
        """Follow every reading of the globs at once, so the cost is segments times parts at most."""
        reached = {0}
        for segment in self.segments:
            if segment == "**":
                reached = set(range(min(reached), len(parts) + 1))
            else:
                reached = {at + 1 for at in reached if at < len(parts) and glob(segment, parts[at])}
            if not reached:
                return False
        if self.below:
            return min(reached) < len(parts)
        return len(parts) in reached if self.tag or self.digest else True

    def _matches_version(self, image: ImageReference, loosely: bool) -> bool:
        if self.digest and not glob(self.digest, image.digest):
            return False
        if self.tag and not self.digest:
            if image.digest and not loosely:
                return False
            return glob(self.tag, image.tag or DEFAULT_TAG)
        return True


def _ends_in_port(bare: str, colon: int) -> bool:
    """Whether ``host:port`` was written, which a pattern may be, and not ``name:tag``."""
    name, port = bare[:colon], bare[colon + 1 :]
    if "/" in name:
        return False
    return name.startswith("[") or (_is_host(name) and (port.isdigit() or not port.strip("*")))


class ImagePatterns:
    """A list of patterns, indexed by host so that a long one costs little.

    ``any_port`` is for lists of what is denied: there a host without a port means it on every port, and an image
    by tag means it even where a digest is added.
    """

    __slots__ = ("_any_port", "_by_host", "_globs")

    def __init__(self, patterns: Iterable[str], *, any_port: bool = False) -> None:
        self._any_port = any_port
        self._by_host: dict[str, list[ImagePattern]] = {}
        self._globs: list[ImagePattern] = []
        for text in patterns:
            pattern = ImagePattern.parse(text)
            if "*" in pattern.host:
                self._globs.append(pattern)
            else:
                self._by_host.setdefault(pattern.host, []).append(pattern)

    @staticmethod
    @lru_cache(maxsize=128)
    def of(patterns: tuple[str, ...], *, any_port: bool = False) -> ImagePatterns:
        """The list of these patterns, kept for the next asker."""
        return ImagePatterns(patterns, any_port=any_port)

    def __bool__(self) -> bool:
        return bool(self._by_host or self._globs)

    def cover(self, image: ImageReference) -> bool:
        """Whether any pattern matches the image."""
        return any(pattern.matches(image, any_port=self._any_port) for pattern in self._near(image))

    def tell_versions(self, image: ImageReference) -> bool:
        """Whether any pattern names some images of its repository by tag or digest, so it depends on those."""
        return any(
            (pattern.tag or pattern.digest) and pattern.is_of(image, any_port=self._any_port)
            for pattern in self._near(image)
        )

    def _near(self, image: ImageReference) -> Iterator[ImagePattern]:
        host, _ = _host_and_port(image.registry)
        yield from self._by_host.get(host, ())
        yield from self._globs
