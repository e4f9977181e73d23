"""Who may send signals: a file that binds each credential to sources and namespaces.

A sender proves itself by its client certificate, or by a bearer token over TLS where it can send one. What it may say
is what its entry says, whatever stands in the signal.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from iocaudit.core.errors import IocauditError
from iocaudit.engine.fields import FieldProblems, Fields
from iocaudit.engine.name_globs import name_globs
from iocaudit.signals.signal import SignalSource

MOST_SENDERS = 256
SHORTEST_TOKEN = 16
SHORTEST_SILENCE = 30
_LARGEST = 1 << 20
_LOOK_EVERY = 1.0
"""Seconds after which a token's file is looked at again."""
_KNOWN = {
    "": frozenset({"senders"}),
    "senders[]": frozenset(
        {"name", "sources", "certificate", "tokenFile", "namespaces", "silentAfterSeconds", "heartbeatSeconds"}
    ),
}
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_PATTERN = re.compile(r"[a-z0-9*?-]{1,63}")


class SendersError(IocauditError):
    """The file of senders cannot be used; names the file, the field and what to do."""


@dataclass(frozen=True, slots=True)
class Sender:
    """One entry. ``certificate`` is the common name of its client certificate, empty where it has a token.

    ``namespaces`` are names and globs; empty binds it to none, which is right for what proves each signal by itself.
    """

    name: str
    sources: frozenset[SignalSource]
    certificate: str
    token_file: Path | None
    namespaces: tuple[str, ...]
    silent_after: int | None = None
    """Seconds without a post after which it is missed; None for never."""
    heartbeat_within: int | None = None
    """Seconds within which it is to show that our rules are loaded; None where it need not."""

    def may_name(self, namespace: str) -> bool:
        """Whether it may say of a namespace what happened there; the empty name is the cluster as a whole."""
        if not namespace:
            return "*" in self.namespaces
        return name_globs(self.namespaces).match(namespace)


LOG_SENDER = Sender("audit-log-file", frozenset({SignalSource.AUDIT}), "", None, ("*",))
"""Who speaks in the audit log file that is followed: the API server, by the right to write there."""


class Senders:
    """Finds the sender behind a request. Tokens are read from their files when they are asked for: they may rotate."""

    def __init__(self, senders: Sequence[Sender]) -> None:
        self._senders = tuple(senders)
        self._certificates = {one.certificate: one for one in senders if one.certificate}
        self._tokens = _Tokens([(one, one.token_file) for one in senders if one.token_file is not None])

    @classmethod
    def from_file(cls, path: Path) -> Senders:
        """Raises SendersError."""
        found = cls(read_senders(path))
        found.check()
        return found

    def __iter__(self) -> Iterator[Sender]:
        return iter(self._senders)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self._senders)

    def named(self, name: str) -> Sender | None:
        """The sender of that name, as a stored batch has it; None where it was taken out of the file since."""
        return next((one for one in (*self._senders, LOG_SENDER) if one.name == name), None)

    def by_certificate(self, common_name: str) -> Sender | None:
        return self._certificates.get(common_name)

    def by_token(self, token: str) -> Sender | None:
        return self._tokens.find(token)

    def check(self) -> None:
        """Read every token once. Raises SendersError for a file that is absent or too short, or a token used twice."""
        self._tokens.load()


class _Tokens:
    """Digests of tokens; the time to compare them tells nothing of a token."""

    def __init__(self, files: Sequence[tuple[Sender, Path]]) -> None:
        self._files = files
        self._seen: dict[Path, tuple[int, int, int]] = {}
        self._digests: dict[Path, bytes] = {}
        self._looked: dict[Path, float] = {}

    def load(self) -> None:
        by_digest: dict[bytes, str] = {}
        for sender, path in self._files:
            digest = self._digest(path)
            if digest in by_digest:
                raise SendersError(f"{path}: {sender.name} has the token of {by_digest[digest]}: give it its own")
            by_digest[digest] = sender.name

    def find(self, token: str) -> Sender | None:
        given = _digest_of(token.encode("utf-8", "surrogatepass"))
        found: Sender | None = None
        for sender, path in self._files:
            try:
                digest = self._digest(path)
            except SendersError:
                continue  # it was readable at the start; without it this sender proves nothing
            if hmac.compare_digest(given, digest):
                found = sender
        return found

    def _digest(self, path: Path) -> bytes:
        now = time.monotonic()
        if now - self._looked.get(path, -_LOOK_EVERY) < _LOOK_EVERY:
            return self._digests[path]
        try:
            state = path.stat()
            seen = (state.st_ino, state.st_mtime_ns, state.st_size)
            if self._seen.get(path) == seen:
                self._looked[path] = now
                return self._digests[path]
            token = path.read_bytes()[:_LARGEST].strip()
        except OSError as error:
            raise SendersError(f"{path}: {error.strerror or error}: give the file with the sender's token") from error
        if len(token) < SHORTEST_TOKEN:
            raise SendersError(f"{path}: the token has fewer than {SHORTEST_TOKEN} characters")
        self._seen[path], self._digests[path], self._looked[path] = seen, _digest_of(token), now
        return self._digests[path]


def _digest_of(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def read_senders(path: Path) -> list[Sender]:
    """The entries of a file in YAML or JSON. Raises SendersError with every mistake in it."""
    try:
        data = path.read_bytes()[: _LARGEST + 1]
    except OSError as error:
        raise SendersError(f"{path}: {error.strerror or error}") from error
    if len(data) > _LARGEST:
        raise SendersError(f"{path}: is larger than {_LARGEST} bytes")
    if re.search(rb"^[^#\n]*?[&*][A-Za-z0-9_-]+\s*$", data, re.MULTILINE):
        raise SendersError(f"{path}: has an anchor or an alias, which this file may not have")
    try:
        raw = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise SendersError(f"{path}{line}: not YAML: {getattr(error, 'problem', None) or error}") from error
    problems = FieldProblems(str(path))
    document = Fields(raw, _KNOWN, problems)
    senders = [_sender(entry, path.parent) for entry in document.maps("senders")]
    if not senders and not problems.count:
        problems.add("senders", "must have at least one entry: without one nobody may send anything")
    if len(senders) > MOST_SENDERS:
        problems.add("senders", f"must have at most {MOST_SENDERS} entries")
    _check_unique(senders, "name", lambda one: one.name, problems)
    _check_unique(senders, "certificate", lambda one: one.certificate, problems)
    _check_unique(senders, "tokenFile", lambda one: str(one.token_file or ""), problems)
    problems.conclude(SendersError)
    return senders


def _sender(entry: Fields, folder: Path) -> Sender:
    name = entry.text("name", required=True)
    if name and not _NAME.fullmatch(name):
        entry.wrong("must be 1 to 63 small letters, digits, dots and dashes", "name")
    if name == LOG_SENDER.name:
        entry.wrong("is what the audit log file is called: take another", "name")
    sources = entry.words("sources", [source.value for source in SignalSource])
    if not sources:
        entry.wrong(f"must name at least one of {', '.join(SignalSource)}", "sources")
    certificate, token_file = entry.text("certificate"), entry.text("tokenFile")
    if bool(certificate) == bool(token_file):
        entry.wrong("give either certificate (the common name of its client certificate) or tokenFile")
    namespaces = entry.patterns("namespaces", _PATTERN, "a namespace, or a glob of one")
    if namespaces is None:
        # The API server alone vouches for all that it logs; nobody else speaks for a namespace unasked.
        namespaces = ("*",) if sources == {SignalSource.AUDIT.value} else ()
    heartbeat = entry.integer("heartbeatSeconds", SHORTEST_SILENCE, 7 * 24 * 3600)
    if heartbeat is not None and not sources & {SignalSource.FALCO.value, SignalSource.ALERTMANAGER.value}:
        entry.wrong("goes with the sources falco and alertmanager, whose rules it is about", "heartbeatSeconds")
    return Sender(
        name,
        frozenset(map(SignalSource, sources & {source.value for source in SignalSource})),
        certificate,
        folder / token_file if token_file else None,
        namespaces,
        entry.integer("silentAfterSeconds", SHORTEST_SILENCE, 7 * 24 * 3600),
        heartbeat,
    )


def _check_unique(
    senders: Sequence[Sender], field: str, value_of: Callable[[Sender], str], problems: FieldProblems
) -> None:
    first: dict[str, int] = {}
    for index, sender in enumerate(senders):
        value = value_of(sender)
        if value and first.setdefault(value, index) != index:
            problems.add(f"senders[{index}].{field}", f"is that of senders[{first[value]}]: each needs its own")
