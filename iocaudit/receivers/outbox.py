"""The sightings that were counted since the last post, and the post that is under way, which survives a restart.

A post is made together with how far the journal was read for it, in one commit. So after a restart the same post is
sent again, and what came after it is counted again, each signal once.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable
from typing import Final

from iocaudit.evidence.key import MOST_KEYS, EvidenceKey, EvidenceTally, other
from iocaudit.evidence.post import Post, read_post, to_bytes
from iocaudit.evidence.post_fields import PostError
from iocaudit.evidence.reporter import PostDelayedError
from iocaudit.receivers.journal import Journal, JournalError, JournalFullError

SOURCE: Final = "receivers"
_REPLICA, _NUMBER, _POST, _PENDING = "replica", "number", "post", "pending"
PODS: Final = "pods"
"""The name of the fact that holds the pods that were known."""
INCIDENTS: Final = "incidents"
"""The name of the fact that holds the incidents with what they consist of."""
_COUNTED, _MEMORY, _REMEMBERED = "counted", "memory", "remembered"


class Outbox:
    """`count` and `make_post` are the reader's, the rest is what a Reporter asks."""

    def __init__(
        self,
        journal: Journal,
        host: str,
        *,
        most: int = MOST_KEYS,
        overflowed: Callable[[], None] = lambda: None,
    ) -> None:
        """``host`` begins the sender's name, which is made once for a file. Raises JournalError."""
        self._journal, self._most, self._overflowed = journal, most, overflowed
        self._lock = threading.Lock()
        self._tallies: dict[EvidenceKey, EvidenceTally] = {}
        self._posting: Post | None = None
        facts = journal.facts()
        try:
            if _PENDING in facts:
                self._tallies = dict(read_post(facts[_PENDING]).attempts)
            self._number = int(facts.get(_NUMBER, b"0"))
            self.counted = int(facts.get(_COUNTED, b"0"))
            """The last batch whose sightings are in a post, or were kept for the next."""
            self.remembered = int(facts.get(_REMEMBERED, b"0"))
            self._posting = read_post(facts[_POST]) if _POST in facts else None
            self.replica = facts[_REPLICA].decode() if _REPLICA in facts else f"{host[:100]}-{secrets.token_hex(4)}"
        except (ValueError, PostError) as error:
            raise JournalError(f"the file of signals is damaged ({error}): move it away to begin anew") from error
        self.memory = facts.get(_MEMORY)
        """What detections remembered when the batches up to ``remembered`` had been read."""
        if _REPLICA not in facts:
            journal.note({_REPLICA: self.replica.encode()})

    # -- the reader ----------------------------------------------------------------------------------------

    def count(self, key: EvidenceKey, tally: EvidenceTally) -> None:
        """Add to what the next post holds."""
        with self._lock:
            if key not in self._tallies and len(self._tallies) >= self._most and not key.is_other:
                self._overflowed()
                key = other(key)
            known = self._tallies.get(key)
            self._tallies[key] = tally if known is None else known.plus(tally)

    def make_post(self, read: int) -> bool:
        """Make a post of what was counted in the batches up to ``read``; whether one was made.

        None is made while one is under way. Raises JournalFullError.
        """
        with self._lock:
            if self._posting is not None or not self._tallies:
                return False
            post = Post(self.replica, self._number + 1, self._tallies, source=SOURCE)
            self._journal.note(
                {
                    _COUNTED: str(read).encode(),
                    _NUMBER: str(post.number).encode(),
                    _POST: to_bytes(post),
                    _PENDING: None,
                }
            )
            self._number, self._posting, self._tallies = post.number, post, {}
            self.counted = read
            return True

    def keep(self, read: int, memory: bytes, pods: bytes | None = None, incidents: bytes | None = None) -> None:
        """Keep what was counted, and what detections remember, when the batches up to ``read`` had been read.

        Those are dropped then. ``pods`` and ``incidents`` are kept where they are given. Raises JournalFullError.
        """
        with self._lock:
            pending = to_bytes(Post(self.replica, max(self._number, 1), self._tallies, source=SOURCE))
            position = str(read).encode()
            facts: dict[str, bytes | None] = {_COUNTED: position, _REMEMBERED: position, _MEMORY: memory}
            facts |= {_PENDING: pending, **({PODS: pods} if pods is not None else {})}
            facts |= {INCIDENTS: incidents} if incidents is not None else {}
            self._journal.note(facts)
            self.counted = self.remembered = read
        self._journal.drop(read)

    # -- the reporter --------------------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether no post is ready: one is made by the reader alone."""
        return self._posting is None

    @property
    def posting(self) -> bool:
        return self._posting is not None

    @property
    def under_way(self) -> int | None:
        """The number of the post that the operator has not taken yet; None where there is none."""
        posting = self._posting
        return posting.number if posting is not None else None

    @property
    def is_new(self) -> bool:
        return self._number == 0

    @property
    def waiting(self) -> int:
        """Sightings that were counted and are not known to be stored by the operator."""
        with self._lock:
            under_way = self._posting.attempts.values() if self._posting is not None else ()
            return sum(tally.count for tally in (*self._tallies.values(), *under_way))

    @property
    def heartbeat(self) -> float | None:
        """It need not speak: its silence loses nothing, as it keeps what it has not posted."""
        return None

    def next_post(self, *, last: bool = False) -> Post:  # noqa: ARG002  what is left is kept for the next start
        """The post under way, else an empty one that says that this receiver is there. Raises PostDelayedError."""
        with self._lock:
            if self._posting is None:
                post = Post(self.replica, self._number + 1, {}, source=SOURCE)
                try:
                    self._journal.note({_NUMBER: str(post.number).encode(), _POST: to_bytes(post)})
                except JournalFullError as error:
                    raise PostDelayedError(str(error)) from error
                self._number, self._posting = post.number, post
            return self._posting

    def stored(self, number: int) -> int:
        """The operator has stored a post; how many sightings were in it. Anything but the one under way is old."""
        with self._lock:
            if self._posting is None or self._posting.number != number:
                return 0
            posted, self._posting = self._posting, None
        # Where that fails it is sent once more after a restart, and the operator knows its number.
        with contextlib.suppress(JournalFullError):
            self._journal.note({_POST: None})
        return sum(tally.count for tally in posted.attempts.values())
