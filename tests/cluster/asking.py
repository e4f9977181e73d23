"""Raw requests to the API server, with all that a user is told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import orjson
import urllib3

from iocaudit.cluster.client import Client
from iocaudit.core.shape import mapping, text

_WARNING = re.compile(r'^299 \S+ "(.*)"$', re.DOTALL)
DENIED = 'admission webhook "deny.iocaudit.io" denied the request: '


@dataclass(frozen=True)
class Answer:
    """``denial`` is our webhook's message; ``message`` whatever else was wrong."""

    status: int
    message: str
    warnings: tuple[str, ...]
    body: Any = None
    """What was answered, as JSON."""

    @property
    def denial(self) -> str | None:
        return self.message.removeprefix(DENIED) if self.message.startswith(DENIED) else None


class User:
    """Somebody with a client certificate; safe to share between threads."""

    def __init__(self, host: str, pool: urllib3.PoolManager) -> None:
        self._host, self._pool = host, pool

    @classmethod
    def of(cls, kubeconfig: Path, connections: int = 4) -> Self:
        found = Client.connect(kubeconfig).configuration
        pool = urllib3.PoolManager(
            maxsize=connections,
            block=True,
            ca_certs=found.ssl_ca_cert,
            cert_file=found.cert_file,
            key_file=found.key_file,
        )
        return cls(str(found.host).rstrip("/"), pool)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: dict[str, str] | None = None,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        response = self._pool.request(
            method,
            f"{self._host}{path}" + (f"?{urlencode(query)}" if query else ""),
            body=orjson.dumps(body) if body is not None else None,
            headers={**(headers or {}), **({"Content-Type": content_type} if body is not None else {})},
            timeout=30.0,
            retries=False,
        )
        found: Any = {}
        try:
            found = orjson.loads(response.data)
        except orjson.JSONDecodeError:
            if response.status >= 400:
                found = {"message": response.data.decode("utf-8", "replace")}
        # A header's bytes are read as Latin-1; the API server writes UTF-8.
        lines = (line.encode("latin-1").decode("utf-8") for line in response.headers.getlist("Warning"))
        warnings = [_WARNING.match(line) for line in lines]
        said = (re.sub(r"\\(.)", r"\1", match.group(1)) for match in warnings if match)
        message = text(mapping(found).get("message")) if response.status >= 400 else ""
        return Answer(response.status, message, tuple(said), found)
