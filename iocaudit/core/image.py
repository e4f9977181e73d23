"""Image references as the container runtime resolves them, and the patterns policies match them with.

Source: the grammar of distribution/reference and its familiar-name rules, as containerd and CRI-O apply them.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from functools import lru_cache

DEFAULT_REGISTRY = "docker.io"
_LEGACY_DEFAULTS = frozenset({"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class ImageReference:
    """``registry/repository[:tag][@digest]`` with defaults filled in; ``tag`` and ``digest`` may be empty."""

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
        """One spelling for all that mean the same."""
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @staticmethod
    def parse(text: str) -> ImageReference:
        """Read a reference; raises ValueError with the reason where a runtime would refuse it."""
        found = _parse(text)
        if isinstance(found, str):
            raise ValueError(f"{text!r} is no image reference: {found}")
        return found

    @staticmethod
    def parse_or_none(text: str) -> ImageReference | None:
        """The reference, or None where a runtime would refuse it."""
        found = _parse(text)
        return None if isinstance(found, str) else found


@lru_cache(maxsize=4096)
def _parse(text: str) -> ImageReference | str:
    if not text:
        return "it is empty"
    if len(text) > 1024:
        return "it is longer than 1024 characters"
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        return "what follows @ is no digest"
    name, tag = rest, ""
    colon = rest.rfind(":")
    if colon > rest.rfind("/"):
        name, tag = rest[:colon], rest[colon + 1 :]
        if not _TAG.fullmatch(tag):
            return "what follows : is no tag"
    registry, slash, repository = name.partition("/")
    if not slash or not _is_host(registry):
        registry, repository = DEFAULT_REGISTRY, name
    elif not _HOST.fullmatch(registry):
        return "the registry is no host"
    registry = registry.lower()
    if registry in _LEGACY_DEFAULTS:
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    if not _REPOSITORY.fullmatch(repository):
        return "the repository must be lower-case words joined by / . _ or -"
    if len(repository) > _LONGEST_NAME:
        return f"the repository is longer than {_LONGEST_NAME} characters"
    return ImageReference(registry, repository, tag, digest.lower())


def _is_host(part: str) -> bool:
    """The first component is a host if it could be no Docker Hub user: a dot, a port, localhost, upper case."""
    return "." in part or ":" in part or part == "localhost" or part != part.lower()


@dataclass(frozen=True, slots=True)
class ImagePattern:
    """One entry of a policy's list of registries: a host, a path prefix or a glob.

    It matches at segment borders: ``docker.io/acme`` covers ``docker.io/acme/app`` and never
    ``docker.io/acmeevil``; ``hooli.com/`` never covers ``hooli.com.evil.io/``. ``*`` matches within a segment.
    """

    segments: tuple[str, ...]
    tag: str

    @staticmethod
    @lru_cache(maxsize=4096)
    def parse(text: str) -> ImagePattern:
        """Read a pattern. One without a host means Docker Hub, as in an image reference."""
        body = text.strip()
        for scheme in ("https://", "http://"):
            body = body.removeprefix(scheme)
        body = body.removesuffix("/*").removesuffix("/**").rstrip("/")
        tag = ""
        colon = body.rfind(":")
        if colon > body.rfind("/") and not body[colon + 1 :].isdigit():
            body, tag = body[:colon], body[colon + 1 :]
        head, slash, rest = body.partition("/")
        host = head.lower()
        if host in _LEGACY_DEFAULTS:
            host = DEFAULT_REGISTRY
        if not _is_host(head) and "*" not in head:
            parts = [DEFAULT_REGISTRY, head, *(rest.split("/") if rest else ())]
            if not slash and head:
                parts = [DEFAULT_REGISTRY, "library", head] if not text.strip().endswith("/") else parts
            return ImagePattern(tuple(parts), tag)
        return ImagePattern((host, *(rest.split("/") if rest else ())), tag)

    def matches(self, image: ImageReference) -> bool:
        """Whether the image's registry and repository lie at or below the pattern."""
        if self.tag and not fnmatch.fnmatchcase(image.tag, self.tag):
            return False
        parts = (image.registry, *image.repository.split("/"))
        if len(parts) < len(self.segments):
            return False
        return all(
            part == segment or ("*" in segment and fnmatch.fnmatchcase(part, segment))
            for part, segment in zip(parts, self.segments, strict=False)
        )
