"""The write-ahead file: what was acknowledged stands in it until the operator has what became of it.

One SQLite file in WAL mode with ``synchronous=FULL``: a commit is on the disk when it returns. It holds the bodies of
posts, the identities of their entries, the post to the operator that is under way, and a checkpoint of what detections
remember. So a process that is killed at any moment goes on where it was, and counts nothing twice.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from iocaudit.core.errors import IocauditError

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE: Final = "signals.db"
MOST_IDENTITIES = 1_000_000
"""Identities that are kept, so what is sent again counts once."""
IDENTITY_SECONDS = 24 * 3600.0
_VERSION = 1
_WAL_PAGES = 1000
_DROPPED_TOGETHER, _PAUSE = 8, 0.001
_SCHEMA = """
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batch (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL, sender TEXT NOT NULL, received REAL NOT NULL, body BLOB NOT NULL, left_out BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS identity (
    key BLOB PRIMARY KEY, received REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS identity_received ON identity (received);
"""


class JournalError(IocauditError):
    """The file cannot be used; says why and what to do."""


class JournalFullError(IocauditError):
    """There is no room for what came; nothing of it was stored."""


class NewBatch(NamedTuple):
    """A body to be stored. ``received`` is Unix seconds by our clock; ``identities`` are those of its entries."""

    source: str
    sender: str
    received: float
    body: bytes
    identities: Sequence[bytes]


class StoredBatch(NamedTuple):
    """A body that was stored; the entries at the positions in ``left_out`` had been stored before."""

    id: int
    source: str
    sender: str
    received: float
    body: bytes
    left_out: frozenset[int]


class Journal:
    """The file. Safe to use from several threads; one process has it at a time.

    ``most_bytes`` bounds the bodies that wait: beyond it nothing more is taken.
    """

    def __init__(self, folder: Path, *, most_bytes: int, most_identities: int = MOST_IDENTITIES) -> None:
        """Opens or makes the file. Raises JournalError."""
        self._path = folder / FILE
        self._most_bytes, self._most_identities = most_bytes, most_identities
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = self._opened()
        except (OSError, sqlite3.Error) as error:
            raise JournalError(
                f"{self._path}: cannot be opened ({error}): give a folder that this process may write to, with free "
                "space, and run one receiver in it"
            ) from error
        self._bytes = self._one("SELECT coalesce(sum(length(body)), 0) FROM batch")
        self._identities = self._one("SELECT count(*) FROM identity")
        self._last = self._one("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'batch'")

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
        connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        row = connection.execute("SELECT value FROM fact WHERE name = 'version'").fetchone()
        if row is None:
            connection.execute("INSERT INTO fact VALUES ('version', ?)", (str(_VERSION).encode(),))
        connection.execute("COMMIT")
        if row is not None and bytes(row[0]) != str(_VERSION).encode():
            raise JournalError(
                f"{self._path}: was written by another version ({bytes(row[0]).decode()}): give another folder"
            )

    # -- what arrives --------------------------------------------------------------------------------------

    def append(self, batches: Sequence[NewBatch], facts: Mapping[str, bytes] | None = None) -> list[int]:
        """Store bodies in one commit; how many entries of each are new. ``facts`` are put with them, as by `note`.

        Raises JournalFullError: nothing was stored.
        """
        with self._lock:
            coming = sum(len(batch.body) for batch in batches)
            if self._bytes + coming > self._most_bytes:
                raise JournalFullError(f"{self._bytes} bytes wait, and {self._most_bytes} may")
            added, identities, last = 0, 0, self._last
            news = []
            with self._transaction() as connection:
                _put(connection, facts or {})
                for batch in batches:
                    left_out = _noted(connection, batch)
                    new = len(batch.identities) - len(left_out)
                    news.append(new)
                    identities += new
                    if new:
                        cursor = connection.execute(
                            "INSERT INTO batch (source, sender, received, body, left_out) VALUES (?, ?, ?, ?, ?)",
                            (batch.source, batch.sender, batch.received, batch.body, orjson.dumps(left_out)),
                        )
                        added += len(batch.body)
                        last = cursor.lastrowid or last
            self._bytes += added
            self._identities += identities
            self._last = last
            return news

    def forget_identities(self, now: float) -> int:
        """Drop the identities that are old or too many; how many those were. Raises JournalFullError."""
        with self._lock:
            too_many = max(self._identities - self._most_identities, 0)
            with self._transaction() as connection:
                gone = connection.execute("DELETE FROM identity WHERE received < ?", (now - IDENTITY_SECONDS,)).rowcount
                if too_many > gone:
                    gone += connection.execute(
                        "DELETE FROM identity WHERE key IN (SELECT key FROM identity ORDER BY received LIMIT ?)",
                        (too_many - gone,),
                    ).rowcount
            self._identities -= gone
            return gone

    # -- what becomes of it --------------------------------------------------------------------------------

    def after(self, last: int, most_bytes: int = 4 << 20) -> list[StoredBatch]:
        """The batches after an id in their order, up to so many bytes but at least one where there is one."""
        with self._lock:
            found: list[StoredBatch] = []
            size = 0
            query = "SELECT id, source, sender, received, body, left_out FROM batch WHERE id > ? ORDER BY id"
            try:
                for number, source, sender, received, body, left_out in self._connection.execute(query, (last,)):
                    size += len(body)
                    if found and size > most_bytes:
                        break
                    left = frozenset(orjson.loads(left_out))
                    found.append(StoredBatch(number, source, sender, received, bytes(body), left))
            except sqlite3.Error as error:
                raise JournalError(f"{self._path}: cannot be read ({error})") from error
            return found

    def facts(self) -> dict[str, bytes]:
        """All that was put by `note`."""
        with self._lock:
            try:
                return {name: bytes(value) for name, value in self._connection.execute("SELECT name, value FROM fact")}
            except sqlite3.Error as error:
                raise JournalError(f"{self._path}: cannot be read ({error})") from error

    def note(self, facts: dict[str, bytes | None]) -> None:
        """Put facts, or remove those that are None: all of it or nothing. Raises JournalFullError."""
        with self._lock, self._transaction() as connection:
            _put(connection, facts)

    def drop(self, until: int) -> None:
        """Drop the batches up to an id, a few at a time: what arrives does not wait for it. Raises JournalFullError."""
        rows: list[tuple[int, int]] = [(0, 0)]
        while rows:
            with self._lock, self._transaction() as connection:
                query = "SELECT id, length(body) FROM batch WHERE id <= ? ORDER BY id LIMIT ?"
                rows = connection.execute(query, (until, _DROPPED_TOGETHER)).fetchall()
                connection.executemany("DELETE FROM batch WHERE id = ?", [(number,) for number, _ in rows])
                self._bytes -= sum(size for _, size in rows)
            time.sleep(_PAUSE)

    @property
    def last(self) -> int:
        """The id of the batch that was stored last; 0 before the first."""
        return self._last

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the bodies in the file."""
        return self._bytes

    @property
    def has_room(self) -> bool:
        """Whether a body of usual size would be taken."""
        return self._bytes < self._most_bytes

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise JournalFullError(f"{self._path}: {error}") from error

    def _one(self, query: str) -> int:
        found: Any = self._connection.execute(query).fetchone()[0]
        return int(found)


def _put(connection: sqlite3.Connection, facts: Mapping[str, bytes | None]) -> None:
    for name, value in facts.items():
        if value is None:
            connection.execute("DELETE FROM fact WHERE name = ?", (name,))
        else:
            connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))


def _noted(connection: sqlite3.Connection, batch: NewBatch) -> list[int]:
    """Note the identities of a batch; the positions of those that were noted before."""
    query = "INSERT OR IGNORE INTO identity VALUES (?, ?)"
    return [
        index
        for index, identity in enumerate(batch.identities)
        if not connection.execute(query, (identity, batch.received)).rowcount
    ]
