"""Commands of containers and handlers, and what in them speaks of an attack.

The patterns are bounded (no run is longer than ``_RUN``), so the longest command costs little. Only the
name of what was found is ever shown: a command line may hold a password.
Sources: MITRE ATT&CK T1059.004, T1105, T1496.001, T1053.003, T1098.004; the rules of Falco's default set
for reverse shells, miners and the Stratum protocol.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import PurePosixPath
from typing import NamedTuple

from iocaudit.knowledge.network_shells import shell_on_the_network

_SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh", "busybox"})
LONGEST = 64 * 1024
"""How many characters of a command are read; beyond, the caller has to say so."""
LONGEST_IN_POD = 2 * LONGEST
"""How many of all commands of a pod: the patterns take up to a second for one that is made to cost as much."""
_LONGEST_KEPT = 4096
_RUN = "[^|;&\n]{0,500}"
_REVERSE_SHELL = "reverse-shell"
_SHELL = r"(?:/\S{0,40}/)?(?:ba|da|z|k|a)?sh\b"
_LANGUAGE = r"(?:python[0-9.]{0,5}|perl|ruby|node)"
# An interpreter that runs what it is sent: with a program or a module of its own it only reads that.
_FROM_STDIN = rf"{_LANGUAGE}(?:\s{{1,9}}-(?=[\s\"']|$)|\s{{0,9}}(?=$|[;&|\n\"')]))"
_AS = r"(?:(?:sudo|env|exec|nohup)\s{1,9}(?:(?:-\S{1,20}|\w{1,40}=\S{0,100})\s{1,9}){0,5}){0,2}"
_POWERSHELL = r"\b(?:downloadstring|invoke-webrequest|invoke-restmethod|iwr|irm)\b"
_FETCH = re.compile(r"(?<![\w./-])(curl|wget|fetch|aria2c)\s(?=[^|;&\n]{0,2000}?(?:https?|ftp)://)")

MINERS = frozenset(
    {
        "xmrig", "xmr-stak", "xmrig-cuda", "minerd", "cpuminer", "cpuminer-multi", "ethminer", "nbminer", "ccminer",
        "cgminer", "bfgminer", "lolminer", "t-rex", "phoenixminer", "claymore", "srbminer", "srbminer-multi",
        "teamredminer", "gminer", "nanominer", "minergate", "minergate-cli", "xmr-node-proxy", "xmrig-proxy",
        "cryptonight", "monerod-miner", "moneroocean", "kinsing", "kdevtmpfsi",
    }
)  # fmt: skip
"""Names of programs and images that mine."""


class Suspicion(NamedTuple):
    """What was found: ``id`` names it for ever, ``words`` say it."""

    id: str
    words: str


_PATTERNS: tuple[tuple[Suspicion, str], ...] = (
    (
        Suspicion("download-and-run", "downloads a program and runs it"),
        (
            rf"(?<![\w-])(?:curl|wget|fetch|aria2c)\b{_RUN}+(?:\|[^|;&\n]{{1,500}}+){{0,3}}\|\s{{0,20}}{_AS}(?:{_SHELL}|{_FROM_STDIN})"
            rf"|{_SHELL}\s{{1,9}}(?:-c\s{{1,9}})?[\"']?(?:<\(|\$\(|`)\s{{0,9}}(?:curl|wget)\b"
            rf"|{_LANGUAGE}\s{{1,9}}-[ce]\s{{1,9}}[\"']?(?:\$\(|`)\s{{0,9}}(?:curl|wget)\b"
            rf"|(?:^|[;&|\s\"'])(?:source|\.)\s{{1,9}}[\"']?<\(\s{{0,9}}(?:curl|wget)\b"
            rf"|(?i:\b(?:iex|invoke-expression)\b[^\n]{{0,300}}{_POWERSHELL})"
            rf"|(?i:{_POWERSHELL}[^\n]{{0,500}}\|\s{{0,20}}(?:iex|invoke-expression)\b)"
            rf"|eval\s{{1,9}}[\"']?(?:\$\(|`)\s{{0,9}}(?:curl|wget)\b"
            rf"|(?<![\w-])(?:curl|wget)\b[^\n]{{0,1000}}?(?:;|&&|\n)\s{{0,20}}(?:sudo\s{{1,9}})?"
            rf"(?:chmod\s{{1,9}}\S{{0,9}}[+7]\S{{0,9}}\s|{_SHELL}\s{{1,9}}\S)"
            rf"|base64\s{{1,9}}(?:-d|-D|--decode)\b{_RUN}\|\s{{0,20}}{_SHELL}"
            rf"|(?:urllib|requests)\b[^\n]{{0,300}}(?:urlopen|get|urlretrieve)\([^\n]{{0,500}}(?:exec|eval|os\.system)\("
            rf"|(?:exec|eval)\([^\n]{{0,100}}(?:urlopen|requests\.get)\("
        ),
    ),
    (
        Suspicion(_REVERSE_SHELL, "opens a reverse shell"),
        (
            rf"(?<![\w-])telnet\s[^\n|]{{1,200}}\|\s{{0,20}}{_SHELL}"
            rf"|socket\b[^\n]{{0,2000}}(?:pty\.spawn|subprocess|os\.dup2)"
            rf"|(?<![\w-])perl\b[^\n]{{0,500}}Socket[^\n]{{0,1000}}exec"
            rf"|fsockopen\([^\n]{{0,500}}(?:exec|proc_open|shell_exec)"
            rf"|TCPSocket[^\n]{{0,500}}(?:exec|spawn|popen)"
        ),
    ),
    (
        Suspicion("stratum", "talks to a mining pool"),
        (
            r"stratum(?:\+(?:tcp|ssl|tls|udp))?[12]?://|--donate-level\b|--nicehash\b"
            r"|(?:minexmr|supportxmr|nanopool|moneroocean|2miners|f2pool|hashvault|c3pool|unmineable|nicehash|dwarfpool"
            r"|minergate|ethermine|herominers)\.(?:com|org|net|pro|io|stream)"
            r"|(?:-o|--url|--pool)[ =]\S{1,200}:(?:3333|4444|5555|7777|8888|9999|14433|14444|45560|45700)\b"
        ),
    ),
    (
        Suspicion("persistence", "writes to cron or authorized_keys"),
        (
            r"(?:>{1,2}|(?<![\w-])(?:tee|cp|mv|install|ln|sed\s{1,9}-i|chmod|rsync))[^|;&\n]{0,300}"
            r"(?:/etc/cron|/var/spool/cron|authorized_keys)"
            r"|(?<![\w-])crontab\s{1,9}(?:-(?=\s|$)|-u\b|/)|\|\s{0,20}crontab\b"
        ),
    ),
)


def script_of(argv: Sequence[str]) -> str:
    """The script that an argv hands to a shell; empty where it starts no shell."""
    if not argv or PurePosixPath(argv[0]).name not in _SHELLS:
        return ""
    return "\n".join(argv[1:])


def fetches(script: str) -> str:
    """The tool with which a script fetches an URL; empty where it does not."""
    found = _FETCH.search(script[:LONGEST])
    return found[1] if found else ""


def suspicions(argv: Sequence[str]) -> tuple[Suspicion, ...]:
    """What speaks of an attack in an argv, in a fixed order."""
    if not argv:
        return ()
    joined = "\0".join(argv)[:LONGEST]
    return _kept(joined) if len(joined) <= _LONGEST_KEPT else _suspicions(joined)


@cache
def _patterns() -> tuple[tuple[Suspicion, re.Pattern[str]], ...]:
    """Compiled at the first command: many an object has none, and compiling them takes longer than its whole audit."""
    return tuple((suspicion, re.compile(pattern)) for suspicion, pattern in _PATTERNS)


@lru_cache(maxsize=1024)
def _kept(joined: str) -> tuple[Suspicion, ...]:
    return _suspicions(joined)


def _suspicions(joined: str) -> tuple[Suspicion, ...]:
    argv = joined.split("\0")
    line = " ".join(argv)
    found = [
        suspicion
        for suspicion, pattern in _patterns()
        if pattern.search(line) or (suspicion.id == _REVERSE_SHELL and shell_on_the_network(argv))
    ]
    if any(is_miner(word) for word in _programs(argv)):
        found.append(Suspicion("miner", "starts a known miner"))
    return tuple(found)


def is_miner(word: str) -> bool:
    """Whether a program or the last part of an image's name is one that mines."""
    return word.rstrip("/").rpartition("/")[2].lower().removesuffix(".exe") in MINERS


def _programs(argv: Sequence[str]) -> Iterator[str]:
    """The words that stand where a program's name does: first, and after what joins commands in a script."""
    yield argv[0]
    for part in argv[1:]:
        yield from (match[1] for match in _PROGRAM.finditer(part))


_PROGRAM = re.compile(
    r"(?:^|[|;&(\n])\s{0,20}(?:(?:exec|nohup|sudo|env|do|then|setsid|nice)\s{1,20}){0,5}([\w./-]{2,100})"
)
