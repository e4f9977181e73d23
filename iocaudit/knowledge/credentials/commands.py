"""Passwords that programs take through an option of one letter, which says nothing by itself.

Sources: the manuals of mysql(1) and mariadb(1) (``-p`` with the password right behind it), redis-cli (``-a``),
sshpass(1) (``-p``), curl(1) (``-u user:password``), the MongoDB tools (``-p``), ldapsearch(1) (``-w``), docker-login(1)
and its likes (``-p``), sqlcmd and mosquitto_pub(1) (``-P``), openssl-passphrase-options(1) (``pass:``), smbclient(1)
(``-U user%password``), the Redis ACL (``>password``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from iocaudit.core.late_pattern import compiled, late
from iocaudit.knowledge.credentials.names import NameStrength
from iocaudit.knowledge.credentials.text import Literal
from iocaudit.knowledge.credentials.values import is_literal

_BETWEEN = r"(?:[^\n|;&\"'\\]|\\\n|\\.|\"[^\"\n]{0,200}\"|'[^'\n]{0,200}'){0,300}?\s"
_GIVEN = r"(?:\"([^\"\n]{1,500})\"|'([^'\n]{1,500})'|([^\s\"'`;|<>]{1,500}))"
_USER = r"[\w.@+-]{1,64}"


class _Command(NamedTuple):
    """A family of programs: one of ``signs`` starts each of their names; ``option`` tells the password in a message."""

    signs: tuple[str, ...]
    option: str
    pattern: str


_COMMANDS = (
    _Command(
        ("mysql", "mariadb"),
        "-p of mysql",
        rf"(?:mysql|mariadb)(?:-?(?:dump|admin|import|check|show|slap)|pump|sh)?\b{_BETWEEN}"
        rf"-p(?![\s=]|ort\b|rotocol\b|ipe\b){_GIVEN}",
    ),
    _Command(("redis-cli", "valkey-cli"), "-a of redis-cli", rf"(?:redis|valkey)-cli\b{_BETWEEN}-a\s{{1,9}}{_GIVEN}"),
    _Command(("sshpass",), "-p of sshpass", rf"sshpass\b{_BETWEEN}-p\s{{0,9}}{_GIVEN}"),
    _Command(
        ("curl",),
        "-u of curl",
        rf"curl\b{_BETWEEN}(?:-[a-zA-Z]{{0,6}}[uU]|--user|--proxy-user)(?:\s{{1,9}}|=)?"
        rf"(?:\"{_USER}:([^\"\n]{{1,500}})\"|'{_USER}:([^'\n]{{1,500}})'|{_USER}:([^\s\"'`;|<>]{{1,500}}))",
    ),
    _Command(
        ("mongo",),
        "-p of mongo",
        rf"mongo(?:sh|dump|restore|export|import|stat|top|files)?\b{_BETWEEN}-p\s{{0,9}}(?!ort\b){_GIVEN}",
    ),
    _Command(
        ("ldap",),
        "-w of ldap",
        rf"ldap(?:search|modify|add|delete|passwd|whoami|compare|modrdn)\b{_BETWEEN}-w\s{{0,9}}{_GIVEN}",
    ),
    _Command(("login ",), "-p of login", rf"login{_BETWEEN}-p\s{{0,9}}{_GIVEN}"),
    _Command(
        ("sqlcmd", "bcp", "mosquitto_", "ipmitool"),
        "-P of the command",
        rf"(?:sqlcmd|bcp|mosquitto_[ps]ub|ipmitool)\b{_BETWEEN}-P\s{{0,9}}{_GIVEN}",
    ),
    _Command(("pass:",), "pass: of openssl", rf"pass:{_GIVEN}"),
    _Command(("smbclient",), "-U of smbclient", rf"smbclient\b{_BETWEEN}-U\s{{0,9}}[\"']?[\w.\\/-]{{1,64}}%{_GIVEN}"),
    _Command(
        ("user ", "SETUSER ", "setuser "),
        "a user of Redis",
        rf"(?:user|SETUSER|setuser)\s{{1,9}}[\w-]{{1,64}}\s{{1,9}}(?:[^\n>]{{0,200}}\s)?>{_GIVEN}",
    ),
)  # fmt: skip
# What logs in with -p, and starts with what; openssl's own options.
_BEFORE = {
    "-p of login": late(
        r"\b(?:docker|podman|nerdctl|helm\s{1,9}registry|buildah|skopeo|auth|oras|az|oc|argocd)\s{1,9}$"
    ),
    "pass: of openssl": late(r"\s-{1,2}(?:passin|passout|pass|k)\s{1,9}[\"']?$"),
    "a user of Redis": late(r"(?:^|\n|ACL\s{1,9})\s{0,9}$"),
}


def in_commands(text: str) -> Iterator[Literal]:
    """The passwords that a command in a text is given by an option of one letter."""
    for command in _COMMANDS:
        for sign in command.signs:
            at = text.find(sign)
            while at >= 0:
                yield from _at(text, at, command)
                at = text.find(sign, at + len(sign))


def _at(text: str, at: int, command: _Command) -> Iterator[Literal]:
    before = text[max(0, at - 200) : at]
    must = _BEFORE.get(command.option)
    if must is not None and not must.search(before):
        return
    if before[-1:].isalnum() or before[-1:] in ("-", "_", "."):
        return
    found = compiled(command.pattern).match(text, at)
    if found is None or before.rpartition("\n")[2].lstrip().startswith("#"):
        return
    group = found.lastindex or 0
    if is_literal(found[group], NameStrength.PASSWORD):
        yield Literal(command.option, len(found[group]), found.start(group))
