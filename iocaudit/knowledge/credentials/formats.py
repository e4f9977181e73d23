"""The formats by which a credential is known wherever it stands.

Sources: the published token formats of the services named below (prefix and length), RFC 7468 for private keys,
RFC 7519 for JWTs, RFC 7617 for basic authorization, RFC 3986 for user information in an URL, the connection strings of
Go's MySQL driver, ADO.NET and JDBC.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from iocaudit.core.late_pattern import compiled, late
from iocaudit.knowledge.credentials.signs import Signs


class Format(NamedTuple):
    """A format: what it is called in a message; one of ``signs`` is in whatever matches, and ``mark`` too.

    A group of the pattern is a password, or only stands for one: a reference, a place to be filled in.
    """

    kind: str
    mark: str
    signs: tuple[str, ...]
    pattern: str

    def search(self, text: str) -> re.Match[str] | None:
        """The first match in a text."""
        holds = text.__contains__
        if not holds(self.mark) or not any(map(holds, self.signs)):
            return None
        if self.kind == URL and not _IN_URL.search(text):
            return None
        return compiled(self.pattern).search(text)


URL = "a password in an URL"
_IN_URL = late(r"://[^\s/:@$<>{}\"']{0,100}:[^\s/:@$<>{}\"'*]{3,200}@[\w.\[-]")
"""Begins with a fixed text, which is found faster than a scheme is."""


FORMATS: tuple[Format, ...] = (
    Format("a private key", "-", ("PRIVATE KEY",), r"-{3,5}BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-{3,5}"),
    Format("an AWS access key", "A", ("AKIA", "ASIA", "ABIA", "ACCA"), r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
    Format(
        "a GitHub token",
        "_",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})\b",
    ),
    Format(
        "a GitLab token",
        "-",
        ("glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-"),
        r"\bgl(?:pat|dt|rt|cbt|ptt|ft)-[A-Za-z0-9_-]{20,255}",
    ),
    Format("a Slack token", "-", ("xox",), r"\bxox[abeoprs]-[A-Za-z0-9-]{10,255}"),
    Format(
        "a Slack webhook",
        ".",
        ("hooks.slack.com/",),
        r"\bhooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9_/-]{20,255}",
    ),
    Format("a Google API key", "A", ("AIza",), r"\bAIza[A-Za-z0-9_-]{35}\b"),
    Format("a Stripe key", "_", ("_live_",), r"\b(?:sk|rk)_live_[A-Za-z0-9]{20,255}\b"),
    Format("an npm token", "_", ("npm_",), r"\bnpm_[A-Za-z0-9]{36}\b"),
    Format("a PyPI token", "-", ("pypi-AgE",), r"\bpypi-AgE[A-Za-z0-9_-]{50,255}"),
    Format("a SendGrid key", ".", ("SG.",), r"\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}\b"),
    Format("a Vault token", ".", ("hvs.", "hvb.", "hvr."), r"\bhv[sbr]\.[A-Za-z0-9_-]{24,255}"),
    Format("an OpenAI key", "-", ("sk-",), r"\bsk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{32,255}\b"),
    Format("a bearer token", " ", ("earer ",), r"\b[Bb]earer [A-Za-z0-9._~+/-]{20,1000}={0,2}"),
    Format("an Azure storage key", "A", ("AccountKey=",), r"AccountKey=[A-Za-z0-9+/]{60,100}={0,2}"),
    Format("a JWT", ".", ("eyJ",), r"\beyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{10,2000}"),
    Format("a DigitalOcean token", "_", ("_v1_",), r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    Format("a Hugging Face token", "_", ("hf_",), r"\bhf_[A-Za-z0-9]{34}\b"),
    Format(
        "a registry login",
        '"',
        ('"auths"',),
        r"\"auths\"\s{0,5}:(?s:.{0,500}?)\"auth\"\s{0,5}:\s{0,5}\"[A-Za-z0-9+/]{8,1000}={0,2}\"",
    ),
    Format(
        "a basic authorization",
        "B",
        ("Basic ",),
        (
            r"\b[Aa]uthorization[\\\"']{0,2}\s{0,5}[:=]?\s{0,5}[\\\"']{0,2}"
            r"Basic (?=[a-z+/]{0,200}[A-Z0-9=])[A-Za-z0-9+/]{8,1000}={0,2}"
        ),
    ),
    Format(
        "a private key",
        "L",
        ("LS0tLS1CRUdJTi",),
        (
            r"LS0tLS1CRUdJTi(?:BQUklWQVRFIEtFWS|BSU0EgUFJJVkFURSBLRVkt|BFQyBQUklWQVRFIEtFWS"
            r"|BPUEVOU1NIIFBSSVZBVEUgS0VZ|BFTkNSWVBURUQgUFJJVkFURSBLRVkt)"
        ),
    ),
    Format(
        "a password in an URL",
        "@",
        ("://",),
        r"\b[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s/:@$<>{}\"']{0,100}:([^\s/:@$<>{}\"'*]{3,200})@[\w.\[-]",
    ),
    Format(
        "a password in a connection string",
        "@",
        ("@tcp(", "@unix("),
        r"\b[\w.-]{1,64}:([^\s:@$<>{}\"'*]{3,200})@(?:tcp|unix)\(",
    ),
    Format(
        "a password in a connection string",
        "=",
        ("assword=", "PASSWORD=", "wd=", "WD="),
        r"[?&;]\s{0,3}(?:[Pp]assword|PASSWORD|[Pp]wd|PWD)=([^\s&;$<>{}\"'*]{3,200})",
    ),
    Format(
        "a password in a connection string",
        "@",
        ("oracle:", "sqlplus "),
        r"(?:\boracle:thin:|\boracle:oci:|\bsqlplus (?:-\w{1,2} ){0,3})"
        r"[\w$#]{1,30}/([^\s/@$<>{}\"']{3,200})@[\w/(]",
    ),
    Format(
        "a password in a statement",
        " ",
        ("dentified by ", "DENTIFIED BY ", "dentified By "),
        r"\b(?:[Ii]dentified by (?:password )?|IDENTIFIED BY (?:PASSWORD )?)[\"']([^\s\"'$<>{}]{3,200})[\"']",
    ),
)


def _signs() -> Signs:
    by_mark: dict[str, tuple[str, ...]] = {}
    for one in FORMATS:
        by_mark[one.mark] = by_mark.get(one.mark, ()) + one.signs
    return tuple(by_mark.items())


FORMAT_SIGNS = _signs()
