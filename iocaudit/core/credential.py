"""Literal credentials, by their format or by the name they stand under. What was found is never repeated.

Sources: the published token formats of the services named below (prefix and length), RFC 7468 for private keys,
RFC 7519 for JWTs, RFC 3986 for user information in an URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from iocaudit.core.identity import fingerprint

LONGEST = 256 * 1024
"""How many characters of a value are read; beyond, whoever asks has to say so."""
_MOST_LINES = 5000


class Credential(NamedTuple):
    """What was found: the ``kind`` in words, how many characters it has, and the name it stood under."""

    kind: str
    length: int
    name: str = ""

    @property
    def words(self) -> str:
        under = f" under {self.name}" if self.name else ""
        return f"{self.kind} of {self.length} characters{under}"


_FORMATS: tuple[tuple[str, str], ...] = (
    ("a private key", r"-{3,5}BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-{3,5}"),
    ("an AWS access key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
    ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})\b"),
    ("a GitLab token", r"\bgl(?:pat|dt|rt|cbt|ptt|ft)-[A-Za-z0-9_-]{20,255}"),
    ("a Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,255}"),
    ("a Slack webhook", r"\bhooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9_/-]{20,255}"),
    ("a Google API key", r"\bAIza[A-Za-z0-9_-]{35}\b"),
    ("a Stripe key", r"\b(?:sk|rk)_live_[A-Za-z0-9]{20,255}\b"),
    ("an npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("a PyPI token", r"\bpypi-AgE[A-Za-z0-9_-]{50,255}"),
    ("a SendGrid key", r"\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}\b"),
    ("a Vault token", r"\bhv[sbr]\.[A-Za-z0-9_-]{24,255}"),
    ("an OpenAI key", r"\bsk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{32,255}\b"),
    ("a bearer token", r"\b[Bb]earer [A-Za-z0-9._~+/-]{20,1000}={0,2}"),
    ("an Azure storage key", r"AccountKey=[A-Za-z0-9+/]{60,100}={0,2}"),
    ("a JWT", r"\beyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{10,2000}"),
    ("a DigitalOcean token", r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{34}\b"),
    ("a registry login", r"\"auths\"\s{0,5}:(?s:.{0,500}?)\"auth\"\s{0,5}:\s{0,5}\"[A-Za-z0-9+/]{8,1000}={0,2}\""),
    (
        "a basic authorization",
        # Quotes may be those of a text within a text.
        r"\b[Aa]uthorization[\\\"']{0,2}\s{0,5}[:=]?\s{0,5}[\\\"']{0,2}"
        r"Basic (?=[a-z+/]{0,200}[A-Z0-9=])[A-Za-z0-9+/]{8,1000}={0,2}",
    ),
    # BEGIN … PRIVATE KEY in base64: plain, RSA, EC, OPENSSH, ENCRYPTED.
    (
        "a private key",
        r"LS0tLS1CRUdJTi(?:BQUklWQVRFIEtFWS|BSU0EgUFJJVkFURSBLRVkt|BFQyBQUklWQVRFIEtFWS"
        r"|BPUEVOU1NIIFBSSVZBVEUgS0VZ|BFTkNSWVBURUQgUFJJVkFURSBLRVkt)",
    ),
    (
        "a password in an URL",
        r"\b[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s/:@$<>{}\"']{0,100}:[^\s/:@$<>{}\"'*]{3,200}@[\w.\[-]",
    ),
    ("a password in a connection string", r"\b[\w.-]{1,64}:[^\s:@$<>{}\"'*]{3,200}@(?:tcp|unix)\("),
    (
        "a password in a connection string",
        r"[?&;]\s{0,3}(?:[Pp]assword|PASSWORD|[Pp]wd|PWD)=[^\s&;$<>{}\"'*]{3,200}",
    ),
)
_ASSIGNMENT = re.compile(r"""^\s{0,40}(?:export\s+)?["']?([A-Za-z][\w.-]{0,100})["']?\s{0,20}[:=]\s{0,20}(.*)$""")

_ITEM = re.compile(r"^\s{0,40}- ")  # an item of a YAML list
# A pair of JSON within a line, and an element of XML.
_WITHIN = re.compile(
    r""""([A-Za-z][\w.-]{0,100})"\s{0,5}:\s{0,5}"([^"\\\s]{1,500})\"|<([A-Za-z][\w.-]{0,100})>([^<>\s]{1,500})</\3>"""
)


# Each format's match holds one of these. Looking for them costs a hundredth of the patterns, and nearly every text
# of a cluster holds none: first the one character, which is a single memchr, then what stands around it.
_SIGNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("A", ("AKIA", "ASIA", "ABIA", "ACCA", "AIza", "AccountKey=")),
    ("_", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "_live_", "npm_", "_v1_", "hf_")),
    ("L", ("LS0tLS1CRUdJTi",)),
    ('"', ('"auths"',)),
    ("B", ("Basic ",)),
    ("-", ("PRIVATE KEY", "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "xox", "pypi-AgE", "sk-")),
    (".", ("SG.", "hvs.", "hvb.", "hvr.", "eyJ", "hooks.slack.com/")),
    ("@", ("://", "@tcp(", "@unix(")),
    (" ", ("earer ",)),
    ("=", ("assword=", "PASSWORD=", "wd=", "WD=")),
)
_NAME_SIGNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("p", ("pass", "pwd")),
    ("k", ("key", "token", "cookie")),
    ("c", ("secret", "cred")),
)


@cache
def formats() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """The formats; compiled at the first text that may hold one, as few do and every scan would wait for it."""
    return tuple((kind, re.compile(pattern)) for kind, pattern in _FORMATS)


def may_hold_format(text: str) -> bool:
    """False where ``by_format`` finds nothing in any part of a text: for asking about many values at once."""
    return _holds_one(text, _SIGNS)


def may_hold_name(text: str) -> bool:
    """False where ``by_name`` finds nothing under any name that stands in a text."""
    return _holds_one(text.lower(), _NAME_SIGNS)


def _holds_one(text: str, signs: tuple[tuple[str, tuple[str, ...]], ...]) -> bool:
    holds = text.__contains__  # mapped, not iterated: a generator costs more than the search
    return any(holds(mark) and any(map(holds, around)) for mark, around in signs)


def by_format(value: str) -> Credential | None:
    """The credential whose format a text holds; None where there is none."""
    text = value[:LONGEST]
    if not may_hold_format(text):
        return None
    for kind, pattern in formats():
        found = pattern.search(text)
        if found:
            length = len(text) if kind == "a private key" else len(found[0])
            return Credential(kind, length)
    return None


_harmless: set[str] = set()
"""Short texts that hold no credential: what is told of objects is told of thousands of them in the same words."""
_MOST_HARMLESS, _LONGEST_HARMLESS = 4096, 200


def _is_harmless(text: str) -> bool:
    if text in _harmless:
        return True
    if may_hold_format(text):
        return False
    if len(text) <= _LONGEST_HARMLESS:
        if len(_harmless) >= _MOST_HARMLESS:
            _harmless.clear()
        _harmless.add(text)
    return True


def redacted(text: str) -> str:
    """The text with every credential of a known format in it named in place of shown."""
    if _is_harmless(text):
        return text
    for kind, pattern in formats():
        if kind == "a private key":  # what matches is its first line only
            match = pattern.search(text)
            text = text if match is None else f"{text[: match.start()]}({kind}, not shown)"
        else:
            text = pattern.sub(f"({kind}, not shown)", text)
    return text


def told_apart(value: str) -> str:
    """Evidence for a value that may hold a credential: what tells it from another, and nothing of itself."""
    return fingerprint("value", value)


def evidence_of(value: str) -> str:
    """The value as evidence: itself, unless it holds a credential of a known format."""
    return value if _is_harmless(value) or by_format(value) is None else told_apart(value)


def by_name(name: str, value: str, *, whole_name: bool = True) -> Credential | None:
    """A literal that stands under the name of a credential. ``whole_name`` False: only where the name ends in it."""
    if not may_hold_name(name):
        return None
    from iocaudit.core.credential_names import is_literal  # late: next to no scan meets a name that asks for it

    bare = value.strip().strip("\"'")
    return Credential("a literal", len(bare), name) if is_literal(name, bare, whole_name) else None


def in_text(value: str) -> Iterator[Credential]:
    """The credentials in a configuration file of any kind: by format, and line by line by name."""
    found = by_format(value)
    if found is not None:
        yield found
    if not any(mark in value for mark in "\n=:<") or not may_hold_name(value[:LONGEST]):
        return
    for line in value[:LONGEST].split("\n", _MOST_LINES)[:_MOST_LINES]:
        if not may_hold_name(line):
            continue
        line = _ITEM.sub("", line, 1)
        if line.lstrip()[:1] in ("#", ";", "/", "!", "-"):
            continue
        match = _ASSIGNMENT.match(line) if len(line) <= 2000 else None
        if match is None:
            for within in _WITHIN.finditer(line):
                name, given = within[1] or within[3], within[2] or within[4]
                credential = by_name(name, given, whole_name=False)
                if credential is not None:
                    yield credential
            continue
        given = match[2].strip().rstrip(",;")
        # A comment after the value, or a value of several words, is prose or code.
        if not given or " " in given.strip("\"'") or given[:1] in "{[(&*|>":
            continue
        credential = by_name(match[1], given, whole_name=False)
        if credential is not None:
            yield credential
