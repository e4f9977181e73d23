"""The OPA that is asked: a child of this process, or one that runs elsewhere."""

from __future__ import annotations

import re
import secrets
import threading
from pathlib import Path
from typing import NamedTuple, Protocol

from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.engine.languages.rego.endpoint import OpaEndpoint
from iocaudit.engine.languages.rego.service import OpaAddress, OpaKeeper

_LONGEST_TOKEN = 65_536
_OWNER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class OpaAccess(NamedTuple):
    """How to ask, and how to load where that is ours to do. Another generation has nothing loaded."""

    ask: OpaEndpoint
    load: OpaEndpoint | None
    generation: int


class OpaServer(Protocol):
    """Where an OPA is. Safe to use from several threads."""

    name: str
    """For messages."""
    owner: str
    """Keeps what we load from what others load there: a part of the names of modules."""
    kept: int
    """How many sets of rules stay beside the newest, for questions on their way and for those who only ask."""

    def access(self, deadline: Deadline) -> OpaAccess:
        """How to reach it now; raises EngineError where it cannot be reached before the deadline."""
        ...

    def at_once(self) -> OpaAccess | None:
        """The same without waiting for anything; None where that is not possible."""
        ...

    def revision(self, digest: str) -> str:
        """The name of a set of rules with that digest."""
        ...

    def doubt(self) -> None:
        """It did not answer."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...


class EmbeddedOpa:
    """A child of this process."""

    name = "OPA"
    owner = "own"
    kept = 1

    def __init__(self, keeper: OpaKeeper) -> None:
        self._keeper = keeper
        # Once the child has ended another program may get its port: none of them can know this.
        self._secret = secrets.token_hex(16)

    def access(self, deadline: Deadline) -> OpaAccess:
        return _of_child(self._keeper.ensure(deadline).address)

    def at_once(self) -> OpaAccess | None:
        address = self._keeper.address
        return None if address is None else _of_child(address)

    def revision(self, digest: str) -> str:
        return f"{digest[:16]}-{self._secret}"

    def doubt(self) -> None:
        self._keeper.doubt()

    def close(self) -> None:
        self._keeper.close()


def _of_child(address: OpaAddress) -> OpaAccess:
    ask, load = (OpaEndpoint(address.url, token) for token in (address.ask_token, address.load_token))
    return OpaAccess(ask, load, address.generation)


class RemoteOpa:
    """One that runs elsewhere. Its token is read from its file again when it changed: tokens are rotated."""

    kept = 3

    def __init__(self, url: str, *, token_file: Path | None, ca_file: Path | None, loads: bool, owner: str) -> None:
        if not _OWNER.fullmatch(owner):
            raise EngineError(f"{owner!r} cannot name an owner of rules: write lower-case words joined by '-'")
        self.name, self.owner = f"OPA at {url}", owner
        self._url, self._token_file, self._ca, self._loads = url, token_file, ca_file, loads
        self._lock = threading.Lock()
        self._token, self._stamp = "", (-1, -1)
        if ca_file is not None and not ca_file.is_file():
            raise EngineError(f"{ca_file}: there is no such file (the certificate authority of {self.name})")

    def access(self, deadline: Deadline) -> OpaAccess:  # noqa: ARG002  nothing to wait for
        endpoint = OpaEndpoint(self._url, self._read_token(), str(self._ca or ""))
        return OpaAccess(endpoint, endpoint if self._loads else None, 0)

    def at_once(self) -> OpaAccess | None:
        try:
            return self.access(Deadline.within(0))
        except EngineError:
            return None

    def revision(self, digest: str) -> str:
        # Two owners without any rule have sets of one digest, which are not to be one.
        return f"{self.owner}-{digest[:32]}"

    def doubt(self) -> None:
        """Others look after it."""

    def close(self) -> None:
        """It goes on without us."""

    def _read_token(self) -> str:
        if self._token_file is None:
            return ""
        try:
            found = self._token_file.stat()
            with self._lock:
                stamp = (found.st_mtime_ns, found.st_ino)
                if stamp != self._stamp:
                    with self._token_file.open(encoding="ascii") as file:
                        token = file.read(_LONGEST_TOKEN).strip()
                    if not token or not token.isprintable():
                        raise EngineError(f"{self._token_file} does not hold the token for {self.name}")
                    self._token, self._stamp = token, stamp
                return self._token
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not plain text"
            raise EngineError(f"{self._token_file} with the token for {self.name} cannot be read: {reason}") from error
