"""Where records of evidence are kept, and the chain of each incident: one SQLite file beside the write-ahead file.

A record stands in it once, by the identity of its signal; an incident takes up those of its strands in the order in
which they came. What has been taken up is never changed. Bounds: records a strand, records an incident, bytes, days.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from iocaudit.core.errors import IocauditError
from iocaudit.core.shape import Json
from iocaudit.incidents.book import StrandSpan
from iocaudit.incidents.evidence_chain import canonical, first_digest, head_of, next_digest
from iocaudit.incidents.evidence_record import MOST_BYTES, without_object
from iocaudit.incidents.strand import StrandKey

FILE: Final = "evidence.db"
MOST_OF_STRAND: Final = 200
"""Records of one rule, account and target in a day: beyond it they are only counted, by the incident's signals."""
MOST_OF_INCIDENT: Final = 5_000
MOST_STORED: Final = 256 << 20
"""Bytes of records; beyond it the oldest go that no incident has."""
LOOSE: Final = timedelta(days=1)
"""For how long a record is kept that no incident has."""
KEPT: Final = timedelta(days=30)
"""For how long the evidence of an incident is kept after its last record."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    id INTEGER PRIMARY KEY, strand BLOB NOT NULL, identity BLOB NOT NULL UNIQUE, at REAL NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS record_of_strand ON record (strand, at);
CREATE INDEX IF NOT EXISTS record_by_time ON record (at);
CREATE TABLE IF NOT EXISTS link (
    incident TEXT NOT NULL, number INTEGER NOT NULL, record INTEGER NOT NULL, PRIMARY KEY (incident, number)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS link_of_record ON link (record, incident);
CREATE TABLE IF NOT EXISTS chain (
    incident TEXT PRIMARY KEY, count INTEGER NOT NULL, digest BLOB NOT NULL, last REAL NOT NULL,
    told BLOB NOT NULL DEFAULT x'7b7d'
) WITHOUT ROWID
"""


class EvidenceStoreError(IocauditError):
    """The file of evidence cannot be used; says why."""


class EvidenceHead(NamedTuple):
    """How many records an incident has, and the head of their chain."""

    records: int
    head: str


class EvidenceStore:
    """The file. One thread writes; another process may read it meanwhile."""

    def __init__(self, folder: Path, *, is_read_only: bool = False, most_bytes: int = MOST_STORED) -> None:
        """Opens or makes the file; to read only, it has to be there. Raises EvidenceStoreError."""
        self._path, self._most_bytes = folder / FILE, most_bytes
        self._waiting: list[tuple[bytes, bytes, float, bytes]] = []
        self._added: Counter[bytes] = Counter()
        try:
            if is_read_only:
                self._connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                self._connection = sqlite3.connect(
                    self._path, timeout=5.0, isolation_level=None, check_same_thread=False
                )
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=NORMAL")
                for statement in _SCHEMA.split(";"):
                    self._connection.execute(statement)
        except (OSError, sqlite3.Error) as error:
            raise EvidenceStoreError(f"{self._path}: cannot be opened ({error})") from error

    def close(self) -> None:
        self._connection.close()

    def has_room(self, key: StrandKey) -> bool:
        """Whether another record of a strand may find room; asked before one is made."""
        return self._added[_digest(*key)] < MOST_OF_STRAND

    def add(self, key: StrandKey, when: datetime, identity: str, record: Json) -> None:
        """Have a record stored with the next `flush`; one of the same identity and strand is the same."""
        body = canonical(record)
        if len(body) > MOST_BYTES:
            body = canonical(without_object(record))
        strand = _digest(*key)
        self._added[strand] += 1
        self._waiting.append((strand, _digest(identity, strand.hex()), when.timestamp(), body))

    def flush(self) -> None:
        """Store what was added. Raises EvidenceStoreError; what was added waits on then."""
        if not self._waiting:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT OR IGNORE INTO record (strand, identity, at, body) SELECT ?1, ?2, ?3, ?4 "
                f"WHERE (SELECT count(*) FROM record WHERE strand = ?1 AND at > ?3 - 86400) < {MOST_OF_STRAND}",
                self._waiting,
            )
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up()
            del self._waiting[: max(0, len(self._waiting) - 10_000)]
            raise EvidenceStoreError(f"{self._path}: evidence cannot be stored ({error})") from error
        self._waiting.clear()

    def take_up(self, incident: str, spans: Iterable[StrandSpan]) -> EvidenceHead:
        """Add the records of an incident's strands to its chain. Raises EvidenceStoreError."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            count, digest, last = self._chain(incident)
            for at, number, body in self._new(incident, spans):
                if count >= MOST_OF_INCIDENT:
                    break
                count, digest, last = count + 1, next_digest(digest, body), max(last, at)
                self._connection.execute("INSERT INTO link VALUES (?, ?, ?)", (incident, count, number))
            self._connection.execute(
                "INSERT INTO chain (incident, count, digest, last) VALUES (?, ?, ?, ?) ON CONFLICT (incident) "
                "DO UPDATE SET count = excluded.count, digest = excluded.digest, last = excluded.last",
                (incident, count, digest, last),
            )
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up()
            raise EvidenceStoreError(f"{self._path}: evidence cannot be stored ({error})") from error
        return EvidenceHead(count, head_of(digest, count))

    def _chain(self, incident: str) -> tuple[int, bytes, float]:
        row = self._connection.execute(
            "SELECT count, digest, last FROM chain WHERE incident = ?", (incident,)
        ).fetchone()
        return (row[0], bytes(row[1]), row[2]) if row is not None else (0, first_digest(incident), 0.0)

    def _new(self, incident: str, spans: Iterable[StrandSpan]) -> Sequence[tuple[float, int, bytes]]:
        found: list[tuple[float, int, bytes]] = []
        for span in spans:
            found += self._connection.execute(
                "SELECT at, id, body FROM record WHERE strand = ? AND at BETWEEN ? AND ? "
                "AND NOT EXISTS (SELECT 1 FROM link WHERE link.record = record.id AND link.incident = ?)",
                (_digest(*span.key), span.first.timestamp() - 1e-3, span.last.timestamp() + 1e-3, incident),
            ).fetchall()
        return sorted(found, key=lambda row: (row[0], row[1]))

    def records(self, incident: str) -> list[bytes]:
        """The records of an incident in the order of its chain. Raises EvidenceStoreError."""
        try:
            rows = self._connection.execute(
                "SELECT body FROM link JOIN record ON record.id = link.record WHERE incident = ? ORDER BY number",
                (incident,),
            ).fetchall()
        except sqlite3.Error as error:
            raise EvidenceStoreError(f"{self._path}: cannot be read ({error})") from error
        return [bytes(row[0]) for row in rows]

    def describe(self, incident: str, content: Json) -> None:
        """Keep what was told of an incident last, for its export. Raises EvidenceStoreError."""
        try:
            self._connection.execute("UPDATE chain SET told = ? WHERE incident = ?", (canonical(content), incident))
        except sqlite3.Error as error:
            raise EvidenceStoreError(f"{self._path}: evidence cannot be stored ({error})") from error

    def description(self, incident: str) -> Json:
        """What was told of an incident last. Raises EvidenceStoreError."""
        try:
            row = self._connection.execute("SELECT told FROM chain WHERE incident = ?", (incident,)).fetchone()
        except sqlite3.Error as error:
            raise EvidenceStoreError(f"{self._path}: cannot be read ({error})") from error
        return dict(orjson.loads(row[0])) if row is not None else {}

    def incidents(self) -> list[str]:
        """The names of those that have a chain. Raises EvidenceStoreError."""
        try:
            return [row[0] for row in self._connection.execute("SELECT incident FROM chain ORDER BY incident")]
        except sqlite3.Error as error:
            raise EvidenceStoreError(f"{self._path}: cannot be read ({error})") from error

    def tidy(self, now: datetime) -> None:
        """Forget what is too old, and where there is too much the oldest that no incident has."""
        self._added.clear()
        loose, kept = (now - LOOSE).timestamp(), (now - KEPT).timestamp()
        unlinked = "NOT EXISTS (SELECT 1 FROM link WHERE link.record = record.id)"
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(
                "DELETE FROM link WHERE incident IN (SELECT incident FROM chain WHERE last < ?)", (kept,)
            )
            self._connection.execute("DELETE FROM chain WHERE last < ?", (kept,))
            self._connection.execute(f"DELETE FROM record WHERE at < ? AND {unlinked}", (loose,))
            size = self._connection.execute("SELECT coalesce(sum(length(body)), 0) FROM record").fetchone()[0]
            if size > self._most_bytes:
                self._connection.execute(
                    f"DELETE FROM record WHERE id IN (SELECT id FROM record WHERE {unlinked} ORDER BY at, id "
                    "LIMIT (SELECT count(*) / 4 + 1 FROM record))"
                )
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up()
            raise EvidenceStoreError(f"{self._path}: cannot be tidied ({error})") from error

    def _give_up(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _digest(*parts: str) -> bytes:
    """16 bytes that stand for the parts, each by itself."""
    found = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        found.update(len(data).to_bytes(8, "big") + data)
    return found.digest()[:16]
