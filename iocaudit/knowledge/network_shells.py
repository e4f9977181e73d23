"""Programs that hand a shell to the network: netcat, socat, and bash's files below /dev/tcp.

A connection that leads out and runs a program is a reverse shell; one that is waited for only if what it runs reads
commands. A check that a port is open (``: > /dev/tcp/db/5432`` in a loop) is neither.
Sources: manuals of ncat, GNU and traditional netcat, BusyBox nc and socat; bash manual, Redirections; MITRE ATT&CK
T1059.004.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from iocaudit.core.late_pattern import late

_LONGEST = 500
"""How many characters of a command are read after the name of its program."""
_NETCATS = frozenset({"nc", "ncat", "netcat", "nc.traditional", "nc.openbsd"})
_PROGRAM = late(r"(?<![\w.-])(nc\.traditional|nc\.openbsd|ncat|netcat|nc|socat)(?:\.exe)?(?=\s)")
_PIECE = late(r"\"((?:[^\"\\]|\\.){0,500}+)\"|'([^']{0,500}+)'|((?:[^\s;|&\"']|(?<=[<>])&){1,500}+)|(.)", re.DOTALL)
_STAGE = late(r"[;|\n(){}`]|(?<![<>])&(?!>)")

_SHELL = r"(?:/\S{0,60}/)?(?:busybox\s{1,9})?(?:(?:ba|da|z|k|a|c|tc|fi)?sh|cmd|powershell|pwsh)(?:\.exe)?(?![\w.-])"
_LANGUAGE = r"(?:/\S{0,60}/)?(?:python[0-9.]{0,5}|perl|ruby|node)(?![\w.-])"
_BEFORE = r"\s{0,9}(?:(?:sudo|env|exec|nohup|setsid|do|then|!|-\w{1,20}|\w{1,40}=\S{0,100})\s{1,9}){0,6}[\"']?"
# With a script or a command of its own a shell runs only that; without, it runs what it is sent.
_OPTIONS = r"(?:\s{1,9}(?:-[abd-zA-Z]{1,5}|--[a-z]{1,20}|-))*+"
_READS = late(rf"{_BEFORE}(?:{_SHELL}|{_LANGUAGE}|\$\{{?SHELL\}}?){_OPTIONS}\s{{0,9}}(?=$|[\"',]|\d{{0,3}}[<>])")
_INNER = late(rf"{_BEFORE}{_SHELL}{_OPTIONS}\s{{1,9}}-[a-zA-Z]{{0,5}}c\s{{1,9}}[\"']?")

_LISTENS = late(r"-[A-Za-z]{0,9}[lL][A-Za-z]{0,9}|--listen")
_RUNS = late(r"-[A-Za-z]{0,9}?([ec])(/.*)?|--(?:sh-)?(exec)(?:=(.*))?", re.DOTALL)
_ECHOES = frozenset({"cat", "true", "false", "echo", ":"})
_SOCAT_RUNS = late(r"(?:exec|system|shell):(.*)", re.IGNORECASE | re.DOTALL)
_SOCAT_LISTENS = late(r"(?:[a-z0-9]{1,20}-(?:listen|l|recv|recvfrom)|listen):", re.IGNORECASE)
_SOCAT_OPTIONS = late(r",(?=[a-z])")

_DEVICE = late(r"/dev/(?:tcp|udp)/[^\s/]{1,200}/[^\s/;|&)\"'`]{1,100}")
_REDIRECTION = late(r"(?:\d{1,3}|\{\w{1,20}\}|&)?(?:<>|>>|>\||>&|<&|<|>)\s{0,9}[^\s;|<>]{0,200}")
_KEYWORDS = late(r"(?:\s|[\"']|(?:do|then|else|elif|if|while|until|!|time)(?=\s|$)|timeout\s(?:\s*-\S+)*\s*\S+)+")
_TALKS = frozenset({"", "echo", "printf", ":", "true", "read"})
"""What, sent to such a file, asks no more than whether someone listens, or says something fixed."""
_READ_INTO = late(r"\bread\s{1,9}(?:-\w{1,9}\s{1,9}(?:\d{1,9}\s{1,9})?){0,5}(\w{1,60})")
_OBEYS = late(
    rf"{_SHELL}[^|;&\n]{{0,100}}<&|\|{_BEFORE}{_SHELL}{_OPTIONS}\s{{0,9}}(?=$|[;|&)\n\"']|\d?[<>])"
    rf"|(?:\beval|-c|\bsource|\s\.)\s{{1,9}}[\"']?(?:\$\(|`|<\()[^)`]{{0,200}}(?:<&|/dev/(?:tcp|udp)/)"
)
_PIPES = late(r"(?<![\w-])(?:mkfifo\b|mknod\s{1,9}\S{1,200}\s{1,9}p\b)")
_PIPED_TO = late(r"(?<![\w-])(?:nc|ncat|netcat|telnet|openssl)\b")


def shell_on_the_network(argv: Sequence[str]) -> bool:
    """Whether an argv, or a script in it, hands a shell to the network, or what a client may command."""
    return any(_hands_over(command) for command in _commands(argv)) or any(
        _by_device(part) or _by_pipes(part) for part in (*argv, " ".join(argv))
    )


class _Command(NamedTuple):
    """A netcat or socat with its words, and the stages of the pipeline that reads from it."""

    program: str
    words: Sequence[str]
    stages: Sequence[str] = ()


def _commands(argv: Sequence[str]) -> Iterator[_Command]:
    for index, part in enumerate(argv):
        name = part.rpartition("/")[2].removesuffix(".exe")
        if name in _NETCATS or name == "socat":
            yield _Command(name, argv[index + 1 :])
        position = 0
        while found := _PROGRAM.search(part, position):
            words, position = _words(part, found.end())
            rest = part[position : position + _LONGEST]
            piped = rest[1:] if rest[:1] == "|" and rest[1:2] != "|" else ""
            end = re.search(r"[;\n]|(?<![<>])&(?!>)", piped)
            yield _Command(found[1], words, (piped[: end.start()] if end else piped).split("|") if piped else ())


def _words(script: str, start: int) -> tuple[list[str], int]:
    """The words of a command from a place on, without their quotes, and where it ends."""
    words: list[str] = []
    position, limit, joined = start, min(len(script), start + _LONGEST), False
    while position < limit:
        found = _PIECE.match(script, position)
        if found is None:
            break
        piece = found[1] if found[1] is not None else found[2] if found[2] is not None else found[3]
        if piece is None:
            if found[4] in ";|&\n":
                break
            joined = False
        else:
            words[-1:] = [words[-1] + piece] if joined else [*words[-1:], piece]
            joined = True
        position = found.end()
    return words, position


def _hands_over(command: _Command) -> bool:
    if any(_READS.match(stage) for stage in command.stages):
        return True
    runs, listens = _socat(command.words) if command.program == "socat" else _netcat(command.words)
    return any(_reads_commands(what) or not (listens or _echoes(what)) for what in runs)


def _netcat(words: Sequence[str]) -> tuple[list[str], bool]:
    """What it runs for a connection, and whether it waits for one."""
    runs = []
    for index, word in enumerate(words):
        found = _RUNS.fullmatch(word)
        if found is None:
            continue
        what = found[2] or found[4] or next(iter(words[index + 1 : index + 2]), "")
        after = next(iter(words[index + 2 : index + 3]), "")
        if " " not in what and not found[4] and (after == "-c" or "/" in after):
            what = f"{what} {after}"  # BusyBox takes all that follows
        # To other netcats -c means to close the connection, or to encrypt it.
        if found[1] != "c" or " " in what or "/" in what or _reads_commands(what):
            runs.append(what)
    return runs, any(_LISTENS.fullmatch(word) for word in words)


def _socat(words: Sequence[str]) -> tuple[list[str], bool]:
    found = (_SOCAT_RUNS.match(word) for word in words)
    runs = [_SOCAT_OPTIONS.split(match[1], maxsplit=1)[0] for match in found if match is not None]
    return runs, any(_SOCAT_LISTENS.match(word) for word in words)


def _echoes(what: str) -> bool:
    """Whether a program only sends back what it gets, or something fixed."""
    program = what.strip("\"' ").partition(" ")[0].rpartition("/")[2]
    return program.strip("\"',") in _ECHOES


def _reads_commands(what: str) -> bool:
    """Whether a command line has a shell in it that runs what comes in."""
    inner = _INNER.match(what)
    text = what[inner.end() :] if inner else what
    return "pty.spawn" in text or any(_READS.match(stage) for stage in _STAGE.split(text))


def _by_device(script: str) -> bool:
    """Whether more is done with a connection that bash opens than to ask whether the port is open."""
    found = False
    for device in _DEVICE.finditer(script):
        found = True
        if not _talks(script[max(0, device.start() - _LONGEST) : device.end()]):
            return True
    return found and (_OBEYS.search(script) is not None or _runs_what_it_reads(script))


def _talks(before: str) -> bool:
    """Whether the command that ends in such a file only opens it, or sends something fixed."""
    stage = _STAGE.split(re.sub(r"\{(\w{1,20})\}(?=[<>])", "3", before))[-1]
    inner = re.split(r"\s-[a-z]{0,5}c\s{1,9}[\"']?", stage)[-1]
    words = _REDIRECTION.sub(" ", inner).strip("\"' ")
    words = words[found.end() :] if (found := _KEYWORDS.match(words)) else words
    program, _, rest = words.strip("\"' ").partition(" ")
    return program in _TALKS or (program in ("exec", "cat") and not rest.strip("\"' -"))


def _runs_what_it_reads(script: str) -> bool:
    """Whether a variable that is read into is then run as a command."""
    return any(
        re.search(rf"(?:\bdo|[;\n]|\beval|-c)\s{{0,9}}[\"']?\$\{{?{re.escape(name)}\b", script)
        for name in dict.fromkeys(_READ_INTO.findall(script[:_LONGEST]))
    )


def _by_pipes(script: str) -> bool:
    """Whether a named pipe leads what comes from the network to a shell."""
    pipe = _PIPES.search(script)
    if pipe is None or not _PIPED_TO.search(script, pipe.end()):
        return False
    return any(_READS.match(stage) for stage in _STAGE.split(script[pipe.end() : pipe.end() + 4 * _LONGEST]))
