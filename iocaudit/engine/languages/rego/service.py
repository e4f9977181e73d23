"""OPA as a child of this process: where it answers, and how it proves that it is the one that was started.

It serves this process alone: it binds a free port of 127.0.0.1 and proves by a nonce from its standard input that it
is the one that was started. Its two tokens lie in files of mode 0600 in a private folder, which is removed as soon as
it has read them.
"""

from __future__ import annotations

import hmac
import http.client
import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from iocaudit.core.shape import Json
from iocaudit.engine.languages.child import Child
from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.engine.languages.keeper import ServiceKeeper
from iocaudit.engine.languages.service import ProbePace

NAME: Final = "OPA"
MEMORY: Final = 192 << 20
"""Bytes for GOMEMLIMIT."""
_ADDRESS = re.compile(r"127\.0\.0\.1:[0-9]{1,5}")
_LONGEST_ANSWER: Final = 4096


@dataclass(frozen=True)
class OpaAddress:
    """Where one generation of the child answers, with the token that changes what is loaded and the one that asks.

    A new generation has nothing loaded. Once it has ended, another program of this machine may get its port: an answer
    counts only with what nobody else can know, such as a random revision that was loaded with ``load_token``.
    """

    url: str
    ask_token: str = field(repr=False)
    load_token: str = field(repr=False)
    generation: int


class OpaService:
    """A process that has proven itself."""

    def __init__(self, program: Path, memory: int, generation: int, within: float) -> None:
        """Start it within so many seconds. Raises EngineError."""
        self._nonce, load, ask = (secrets.token_hex(32) for _ in range(3))
        try:
            with tempfile.TemporaryDirectory(prefix="iocaudit-opa-") as folder:
                command = [str(program), "serve"]
                for name, token in (("load", load), ("ask", ask)):
                    path = os.path.join(folder, name)
                    _write_privately(path, token)
                    command += [f"--{name}-token-file", path]
                self.child = Child(NAME, command, memory=memory, within=within, first_line=self._nonce)
        except OSError as error:
            raise EngineError(f"{NAME} did not start: {error}") from error
        self.address = OpaAddress(self._proven_url(), ask, load, generation)

    def trouble(self, within: float) -> str | None:
        """Why it is not well: what answers has to be OPA that can evaluate, and the process that we started."""
        challenge = secrets.token_hex(16)
        connection = http.client.HTTPConnection(self.address.url.removeprefix("http://"), timeout=within)
        try:
            connection.request("GET", f"/iocaudit/alive?challenge={challenge}")
            answer = connection.getresponse()
            body = answer.read(_LONGEST_ANSWER)
        except TimeoutError:
            return f"no answer within {within:g} s"
        except (OSError, http.client.HTTPException) as error:
            return str(error) or type(error).__name__
        finally:
            connection.close()
        if answer.status != 200:
            return f"it answers with status {answer.status}"
        if not self._proves(_said(body), f"alive {challenge}"):
            return "what answers is not the program that was started"
        return None

    def close(self) -> None:
        self.child.end()

    def let_go(self) -> None:
        self.child.let_go()

    def _proven_url(self) -> str:
        """Where it says that it answers. Raises EngineError where it does not prove that it is ours."""
        address = self.child.greeting.get("address")
        if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
            self.child.end()
            raise self.child.refused("it did not say where it answers")
        if not self._proves(self.child.greeting, address):
            self.child.end()
            raise self.child.refused("what answers is not the program that was started")
        return f"http://{address}"

    def _proves(self, said: Json, text: str) -> bool:
        proof = said.get("proof")
        known = hmac.new(self._nonce.encode(), text.encode(), "sha256").hexdigest()
        return isinstance(proof, str) and hmac.compare_digest(proof.encode(), known.encode())


class OpaKeeper(ServiceKeeper[OpaService]):
    """Keeps an OPA running. ``memory`` is in bytes."""

    def __init__(
        self,
        program: Path,
        *,
        memory: int = MEMORY,
        pace: ProbePace = ProbePace(),  # noqa: B008  immutable
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(NAME, partial(OpaService, program, memory), pace=pace, clock=clock)

    @property
    def address(self) -> OpaAddress | None:
        """Where it answers now, or None where it has ended or is being started."""
        service = self.service
        return service.address if service is not None else None


def _write_privately(path: str, token: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, token.encode())
    finally:
        os.close(descriptor)


def _said(text: bytes) -> Json:
    """An object of JSON; an empty one where it is not one."""
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
