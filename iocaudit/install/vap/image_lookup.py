"""Whether a list of image patterns covers an image, as CEL whose cost does not grow with the list.

An API server counts what evaluating costs: a regular expression its length times that of the text, a look-up in a map
next to nothing. So a reference is cut at what separates its parts, and what a pattern names literally is looked up as
a key: host, host and first segments, image and version. Patterns with globs are one regular expression.
Source of the grammar: `iocaudit.knowledge.image`, which this has to agree with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from iocaudit.install.vap.cel import any_of, either_of, exactly, keys, let, literals, pattern, quoted
from iocaudit.install.vap.prefix_lookup import prefix_lookup
from iocaudit.knowledge.image import DEFAULT_REGISTRY, DEFAULT_TAG, LEGACY_DEFAULTS, ImagePattern

_WORD = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = r"[a-z0-9]+(?:(?:[._/]|__|-+)[a-z0-9]+)*"
_TAG = r"\w[\w.-]{0,127}"
_DIGEST = r"sha(?:256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})"
_HOST = rf"(?:[a-zA-Z0-9]+(?:(?:\.|-+)[a-zA-Z0-9]+)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?|{_WORD}"
_PLAIN_HOST = re.compile(r"[a-z0-9]+(?:(?:\.|-+)[a-z0-9]+)*")
_LONGEST, _LONGEST_PATH = 1024, 255
_LIBRARY = "library/"
_LONGEST_ID = len(_LIBRARY) + 64
_HTTPS = "443"


class ImageCondition(NamedTuple):
    """``condition`` is that of a string to be covered; it uses the ``constants``, which are variables by name.

    ``notes`` say of which patterns it is not sure.
    """

    condition: str
    constants: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


class _Hosts:
    """Hosts and prefixes by their literal names."""

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self.prefixes: list[str] = []
        self.parents: list[str] = []
        """Prefixes below which something has to lie."""

    def add(self, host: str, parsed: ImagePattern) -> None:
        if not parsed.segments:
            self.hosts.append(host)
        else:
            (self.parents if parsed.below else self.prefixes).append("/".join((host, *parsed.segments)))

    def conditions(self, host: str, name: str) -> tuple[list[str], list[tuple[str, str]]]:
        """Those that ``host``, a variable of that name, and the path are among them; and the constants they use."""
        conditions, constants = [], []
        if self.hosts:
            constants.append((f"{name}Hosts", keys(self.hosts)))
            conditions.append(f"{host} in variables.{name}Hosts")
        below = (
            prefix_lookup(self.prefixes, f"{name}Prefixes"),
            prefix_lookup(self.parents, f"{name}Parents", below=True),
        )
        constants += [constant for one in below for constant in one.constants]
        if by_part := [condition for one in below for condition in one.conditions]:
            conditions.append(let("parts", f"({host} + '/' + piece[0]).split('/')", either_of(by_part)))
        return conditions, constants


class _Keys:
    """What is looked up: hosts, prefixes, single images; and what is searched for."""

    def __init__(self, refused: bool) -> None:
        self.refused = refused
        self.named = _Hosts()
        self.domains: dict[int, _Hosts] = {}
        """Patterns of every host in a domain, ``*.example.com``, by the number of labels that the domain has."""
        self.images: list[str] = []
        self.globs: list[str] = []
        self.addresses = False
        """Whether an address of IPv6 may be covered in another spelling."""
        self.notes: list[str] = []

    def add(self, text: str) -> None:
        parsed = ImagePattern.parse(text)
        version = parsed.tag or parsed.digest
        if not parsed.host or (version and not parsed.segments):
            return  # no reference is without a host, or has nothing else
        host, all_hosts = parsed.host, not parsed.host.strip("*")
        if "[" in host or (host[0] == "*" and host[-1] in "*]" and not all_hosts):
            self.addresses = True
            if not self.refused and "[" in host:
                self.notes.append(f"the image pattern {text!r}: no address of IPv6 is denied")
        if "[" in host and "*" not in host:
            if self.refused:
                self.notes.append(f"the image pattern {text!r}: addresses of IPv6 are compared by the webhook alone")
            return
        is_literal = "*" not in "".join((parsed.port, *parsed.segments, parsed.tag, parsed.digest))
        domain = host.removeprefix("*.")
        if is_literal and _PLAIN_HOST.fullmatch(host) and (not parsed.port or _is_number(parsed.port)):
            self._add_literal(parsed)
        elif is_literal and domain != host and _PLAIN_HOST.fullmatch(domain) and not parsed.port and not version:
            self.domains.setdefault(domain.count(".") + 1, _Hosts()).add(domain, parsed)
        elif (regex := self._host_regex(parsed, text)) is not None:
            self.globs.append(f"{regex}{self._rest_regex(parsed)}")

    def _add_literal(self, parsed: ImagePattern) -> None:
        host = f"{parsed.host}:{parsed.port}" if parsed.port else parsed.host
        name = "/".join((host, *parsed.segments))
        if parsed.digest:
            self.images.append(f"{name}@{parsed.digest}")
        elif parsed.tag:
            self.images.append(f"{name}:{parsed.tag}")
        else:
            self.named.add(host, parsed)

    def _host_regex(self, parsed: ImagePattern, text: str) -> str | None:
        """Host and port; None where no image has them, or where it is not sure and the list is of what is refused."""
        if not parsed.port:
            port = ""
        elif not parsed.port.strip("*"):
            port = "(?::[0-9]+)?"
        elif _is_number(parsed.port):
            port = f":{parsed.port}"
        elif "*" not in parsed.port:
            return None
        else:
            more = "is for the webhook alone" if self.refused else "counts as any port"
            self.notes.append(f"the image pattern {text!r}: the glob in its port {more}")
            if self.refused:
                return None
            port = "(?::[0-9]+)?"
        if not parsed.host.strip("*"):
            return rf"(?:[^/:]*|\[[^/\]]*\]){port}"
        return "[^/:]*".join(map(exactly, parsed.host.split("*"))) + port

    def _rest_regex(self, parsed: ImagePattern) -> str:
        path = "".join(
            "(?:/[^/:]+)*" if one == "**" else "/" + "[^/:]*".join(map(exactly, one.split("*")))
            for one in parsed.segments
        )
        if parsed.digest:
            return f"{path}:[^@]*@{'.*'.join(map(exactly, parsed.digest.split('*')))}$"
        if parsed.tag:
            tag = "[^@]*".join(map(exactly, parsed.tag.split("*")))
            return f"{path}:{tag}{'(?:@|$)' if self.refused else '$'}"
        return f"{path}{'/' if parsed.below or not parsed.segments else '[/:]'}"


def _is_number(port: str) -> bool:
    return port.isascii() and port.isdigit()


def image_lookup(text: str, patterns: Iterable[str], name: str, *, refused: bool = False) -> ImageCondition:
    """The condition that a string is a valid reference which one of the patterns covers, as `ImagePatterns` has it.

    ``name`` begins the names of its constants. ``refused`` is for lists of what is denied: a host without a port means
    every port there, and what is not sure is not covered. In other lists what is not sure is covered.
    """
    found = _covered(patterns, name, refused)
    return found if found.condition == "false" else found._replace(condition=_of_reference(text, found.condition))


def trusted_lookup(text: str, trusted: Iterable[str], refused: Iterable[str]) -> ImageCondition:
    """The condition that a string is a valid reference which the one list covers and the other does not."""
    good, bad = _covered(trusted, "trusted", False), _covered(refused, "refused", True)
    conditions = [good.condition, *([] if bad.condition == "false" else [f"!({bad.condition})"])]
    return ImageCondition(
        _of_reference(text, " && ".join(conditions)), (*good.constants, *bad.constants), (*good.notes, *bad.notes)
    )


def _covered(patterns: Iterable[str], name: str, refused: bool) -> ImageCondition:
    """The condition that a pattern covers a reference that `_of_reference` has cut."""
    found = _Keys(refused)
    for one in patterns:
        found.add(one)
    conditions, constants = found.named.conditions("host", name)
    if found.images:
        constants.append((f"{name}Images", keys(found.images)))
        of_tag = f"host + '/' + piece[0] + ':' + {_VERSION} in variables.{name}Images"
        conditions += [
            of_tag if refused else f"size(at) == 1 && {of_tag}",
            f"size(at) == 2 && host + '/' + piece[0] + '@' + at[1] in variables.{name}Images",
        ]
    # A host that is named is one by its looks, what fits a pattern may be anything.
    is_host = f"(!({_IS_HOST}) || cut[0].matches({pattern(f'^(?:{_HOST})$')}))"
    if found.domains:
        inside = []
        for labels, hosts in sorted(found.domains.items()):
            of_domain, more = hosts.conditions("domain", f"{name}Domain{labels}")
            constants += more
            domain = " + '.' + ".join(f"labels[size(labels) - {at}]" for at in range(labels, 0, -1))
            inside.append(f"size(labels) > {labels} && {let('domain', domain, either_of(of_domain))}")
        conditions.append(f"{let('labels', 'host.split({})'.format(quoted('.')), either_of(inside))} && {is_host}")
    if found.globs:
        whole = f"(host + '/' + piece[0] + ':' + {_VERSION} + (size(at) == 2 ? '@' + at[1] : ''))"
        conditions.append(f"{whole}.matches({pattern(f'^{any_of(found.globs)}')}) && {is_host}")
    if not conditions:
        covered = "false"
    elif refused:
        covered = f"{_HOSTS}.exists(host, {either_of(conditions)})"
    else:
        covered = let("host", "named[0]", either_of(conditions))
    if found.addresses and not refused:
        covered = f"(cut[0].startsWith('[') || {covered})"
    return ImageCondition(covered, tuple(constants), tuple(found.notes))


_DEFAULTS = literals([DEFAULT_REGISTRY, *sorted(LEGACY_DEFAULTS)])
_IS_HOST = (
    "size(cut) == 2 && (cut[0].contains('.') || cut[0].contains(':') || cut[0] == 'localhost' || "
    "cut[0] != cut[0].lowerAscii())"
)
"""Source: what of a reference is a host and what a user, `iocaudit.knowledge.image`."""
_NAME_OF_HOST = f"({{0}} in {_DEFAULTS} ? {quoted(DEFAULT_REGISTRY)} : {{0}})"
_HAS_PORT = "{0}.contains(':') && {0}.matches(r'^[^:]+:[0-9]+$')"
_WITH_PORT = (
    f"[cut[0].lowerAscii().split(':')].map(named, {_NAME_OF_HOST.format('named[0]')} + "
    f"(named[1] == '{_HTTPS}' ? '' : ':' + named[1]))[0]"
)
_REGISTRY = f"{_HAS_PORT.format('cut[0]')} ? {_WITH_PORT} : {_NAME_OF_HOST.format('cut[0].lowerAscii()')}"
_BELOW_LIBRARY = "(!{0}.contains('/') ? '" + _LIBRARY + "' + {0} : {0})"
_NAMED = (
    f"{_IS_HOST} ? [{_REGISTRY}, cut[0].lowerAscii() in {_DEFAULTS} ? {_BELOW_LIBRARY.format('cut[1]')} : cut[1]] : "
    f"[{quoted(DEFAULT_REGISTRY)}, {_BELOW_LIBRARY.format('at[0]')}]"
)
"""The host in one spelling, with its port unless that is the one of HTTPS, and the path with its tag."""
_HOSTS = f"({_HAS_PORT.format('named[0]')} ? [named[0], named[0].split(':')[0]] : [named[0]])"
"""What is refused without a port is so on every port."""
_VERSION = f"(size(piece) == 2 ? piece[1] : {quoted(DEFAULT_TAG)})"


def _of_reference(text: str, covered: str) -> str:
    """That a string is a valid reference of which a condition holds.

    There ``at`` is the string cut at @, ``cut`` what comes before that cut at the first slash, ``named`` the host and
    the rest, ``piece`` the path and the tag.
    """
    digest = f"(size(at) == 1 || size(at) == 2 && at[1].matches({pattern(f'^{_DIGEST}$')}))"
    is_id = f"size(cut) == 1 && size(piece[0]) == {_LONGEST_ID} && at[0].matches({pattern('^[0-9a-f]{64}(?::|$)')})"
    words = (
        f"size(piece) <= 2 && size(piece[0]) <= {_LONGEST_PATH} && piece[0].matches({pattern(f'^{_PATH}$')}) && "
        f"(size(piece) == 1 || piece[1].matches({pattern(f'^{_TAG}$')})) && !({is_id})"
    )
    named = let("named", _NAMED, let("piece", "named[1].split(':')", f"{words} && {covered}"))
    parts = f"{digest} && " + let("cut", "at[0].split('/', 2)", named)
    return f"size({text}) <= {_LONGEST} && " + let("at", f"{text}.split('@')", parts)
