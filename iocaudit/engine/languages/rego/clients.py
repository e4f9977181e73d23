"""opa-python-client, held to what an evaluator needs: a time for each call, bounded answers, no retries, no detours.

As it is, the client has one timeout for all calls, follows redirects, takes proxies and passwords from the environment,
reads answers of any size, and knows no certificate authority of one's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import requests
from opa_client.errors import DeletePolicyError, PolicyNotFoundError, RegoParseError
from opa_client.opa import OpaClient
from opa_client.opa_async import AsyncOpaClient
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NewConnectionError

from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.engine.languages.rego.endpoint import OpaEndpoint
from iocaudit.engine.languages.rego.loop_http import LoopHttp, NotConnectedError, NotHttpError, NotSentError
from iocaudit.engine.languages.rego.trouble import Trouble, TroubleKind

MOST_ANSWER: Final = 16 << 20
"""Bytes of one answer."""
MOST_CONNECTIONS: Final = 16
_CHUNK = 65_536
_MODULE_CODES = {"rego_parse_error", "rego_compile_error", "rego_type_error", "rego_unsafe_var_error"}
"""Of errors in what is loaded or asked, as opposed to errors while it is evaluated."""


def _settings(endpoint: OpaEndpoint) -> dict[str, Any]:
    """The arguments of a client. Raises EngineError where the URL is not one that it can use."""
    parts = urlsplit(endpoint.url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.username is not None or parts.password is not None:
        raise EngineError("the URL of an OPA holds a user or a password: give a token in a file instead")
    if parts.scheme not in ("http", "https") or not host or parts.path not in ("", "/") or parts.query:
        raise EngineError(f"{endpoint.url!r} is not the URL of an OPA: write it as https://opa.example.com:8181")
    return {
        "host": f"[{host}]" if ":" in host else host,
        "port": port or (443 if parts.scheme == "https" else 80),
        "ssl": parts.scheme == "https",
        "token": endpoint.token or None,
        "retries": 0,
    }


class _BoundedSession(requests.Session):
    """Reads an answer to its end within the time and the size of a call."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        timeout = float(options.get("timeout") or 0) or None
        end = time.monotonic() + timeout if timeout else None
        options["stream"] = True
        response = super().send(request, **options)
        try:
            parts: list[bytes] = []
            size = 0
            while part := response.raw.read1(_CHUNK, decode_content=True):
                size += len(part)
                if size > MOST_ANSWER:
                    raise Trouble(TroubleKind.ANSWER, f"its answer is larger than {MOST_ANSWER} bytes")
                if end is not None and time.monotonic() > end:
                    raise requests.exceptions.ReadTimeout()
                parts.append(part)
        except BaseException:
            response.close()
            raise
        # What `requests` itself sets once it has read an answer.
        response._content = b"".join(parts)
        response._content_consumed = True
        response.raw.release_conn()
        return response


class _CallTimes(threading.local):
    """The seconds that the call of this thread may take."""

    seconds = 10.0


class _Client(OpaClient):  # type: ignore[misc]  # it has no types
    """The synchronous one, with a time for each call."""

    def __init__(self, endpoint: OpaEndpoint) -> None:
        self._times, self._ca = _CallTimes(), endpoint.ca
        super().__init__(**_settings(endpoint))

    @property
    def timeout(self) -> float:
        return self._times.seconds

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        self._times.seconds = seconds

    def _init_session(self) -> requests.Session:
        session = _BoundedSession()
        session.trust_env = False
        session.max_redirects = 0
        session.headers["Accept-Encoding"] = "identity"
        session.headers.update(self.headers or {})
        session.verify = self._ca or True
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=MOST_CONNECTIONS, max_retries=0))
        return session


class OpaCalls:
    """The calls that we make of an OPA, from any thread; each raises Trouble."""

    def __init__(self, endpoint: OpaEndpoint) -> None:
        self.endpoint = endpoint
        self._slots = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._client = _Client(endpoint)

    def query(self, package: str, rule: str, question: object, seconds: float) -> Mapping[str, Any]:
        """What a rule of a package answers; a map without ``result`` where it is undefined."""
        with self._call(seconds):
            return _mapping(self._client.query_rule(question, package, rule))

    def ad_hoc(self, query: str, seconds: float) -> Mapping[str, Any]:
        """What a query answers."""
        with self._call(seconds):
            return _mapping(self._client.ad_hoc_query(query))

    def data(self, path: str, seconds: float) -> Any:
        """The document at a path; None where there is none."""
        with self._call(seconds):
            try:
                return self._client.get_data(path).get("result")
            except PolicyNotFoundError as error:
                if error.expression != "PolicyNotFoundError":
                    raise Trouble(TroubleKind.REFUSED, f"it answers {error.expression}: {error.message}") from error
                return None

    def put(self, policy: str, module: str, seconds: float) -> None:
        """Load a module."""
        with self._call(seconds):
            self._client.update_policy_from_string(module, policy, rego_compat=False)

    def put_all(self, modules: Mapping[str, str], gone: Sequence[str], seconds: float) -> bool:
        """Load and take away many modules at once; False where this OPA does not know how (only our own does)."""
        with self._call(seconds):
            # OPA's own interface takes one module at a time, so the client has no call for it.
            url = f"{self._client.schema}{self._client.host}:{self._client.port}/iocaudit/load"
            load = {"put": dict(modules), "delete": list(gone)}
            response = self._client._session.post(url, json=load, timeout=self._client.timeout)
            # One that lets our token load modules need not let it anywhere else.
            if response.status_code in (401, 403, 404, 405):
                return False
            response.raise_for_status()
            return True

    def delete(self, policy: str, seconds: float) -> None:
        """Take a module away; one that another has taken away by now is gone, too."""
        with self._call(seconds):
            try:
                self._client.delete_policy(policy)
            except DeletePolicyError as error:
                if error.expression != "resource_not_found":
                    raise said_error(error.expression, error.message, None) from error

    def close(self) -> None:
        self._client.close_connection()

    @contextlib.contextmanager
    def _call(self, seconds: float) -> Iterator[None]:
        end = time.monotonic() + seconds
        if not self._slots.acquire(timeout=max(seconds, 0.0)):
            raise Trouble(
                TroubleKind.LATE,
                f"it did not answer within {seconds:.1f} s: too many questions are on the way",
                heard=False,
            )
        try:
            self._client.timeout = max(end - time.monotonic(), 0.001)
            yield
        except Trouble:
            raise
        except requests.exceptions.HTTPError as error:
            body = error.response.content if error.response is not None else b""
            raise said_trouble(error.response.status_code if error.response is not None else 0, body) from error
        except requests.exceptions.Timeout as error:
            raise Trouble(TroubleKind.LATE, f"it did not answer within {seconds:.1f} s") from error
        except requests.exceptions.SSLError as error:
            raise Trouble(TroubleKind.AWAY, f"its certificate is not trusted ({_root_cause(error)})") from error
        except requests.exceptions.TooManyRedirects as error:
            raise Trouble(TroubleKind.REFUSED, "it answers with a redirect: give the URL that it leads to") from error
        except requests.exceptions.InvalidJSONError as error:
            raise Trouble(TroubleKind.ANSWER, "its answer is not JSON, or what it was asked cannot be JSON") from error
        except requests.exceptions.RequestException as error:
            heard = not _is_refused(error)
            raise Trouble(TroubleKind.AWAY, f"it cannot be reached ({_root_cause(error)})", heard=heard) from error
        except RegoParseError as error:
            raise said_error(error.expression, error.message, error.errors) from error
        except Exception as error:  # the client has errors without a common base, and passes on those of others
            raise Trouble(TroubleKind.ANSWER, f"its answer is not as that of OPA ({_words(error)})") from error
        finally:
            self._slots.release()


_seconds: ContextVar[float] = ContextVar("_seconds", default=10.0)


class _AsyncClient(AsyncOpaClient):  # type: ignore[misc]  # it has no types
    """The asynchronous one, likewise, over connections of our own: its session costs more than a query."""

    def __init__(self, endpoint: OpaEndpoint) -> None:
        settings = _settings(endpoint)
        super().__init__(**settings)
        host, port = settings["host"], settings["port"]
        lines = {"Host": f"{host}:{port}", "Accept-Encoding": "identity", **(self.headers or {})}
        lines["Content-Type"] = "application/json"
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        tls = ssl.create_default_context(cafile=endpoint.ca or None) if self.ssl else None
        self._begin = f"{self.schema}{host}:{port}"
        self.http = LoopHttp(host.strip("[]"), port, head, tls=tls, most=MOST_CONNECTIONS, largest=MOST_ANSWER)

    @contextlib.asynccontextmanager
    async def _request(self, method: str, url: str, *, json: object) -> AsyncIterator[_ReadResponse]:
        assert method == "POST", "nothing else is asked here"
        # A question holds a whole object: the standard library takes longer to write it than OPA to answer.
        reply = await self.http.post(url.removeprefix(self._begin), orjson.dumps(json), _seconds.get())
        if reply.status != 200:
            raise said_trouble(reply.status, reply.body)
        yield _ReadResponse(reply.body)


@dataclass(frozen=True)
class _ReadResponse:
    """What the client sees of an answer that was read."""

    body: bytes
    status: int = 200

    def raise_for_status(self) -> None:
        """Done before."""

    async def json(self) -> Any:
        return orjson.loads(self.body)


class OpaAsyncCalls:
    """Queries from one event loop; each raises Trouble."""

    def __init__(self, endpoint: OpaEndpoint) -> None:
        self.endpoint = endpoint
        self.loop = asyncio.get_running_loop()
        self._client = _AsyncClient(endpoint)

    async def query(self, package: str, rule: str, question: object, seconds: float) -> Mapping[str, Any]:
        """What a rule of a package answers; a map without ``result`` where it is undefined."""
        _seconds.set(max(seconds, 0.001))
        try:
            return _mapping(await self._client.query_rule(question, package, rule))
        except Trouble:
            raise
        except TimeoutError as error:
            heard = not isinstance(error, NotSentError)
            raise Trouble(TroubleKind.LATE, f"it did not answer within {seconds:.1f} s", heard=heard) from error
        except NotHttpError as error:
            raise Trouble(TroubleKind.ANSWER, str(error)) from error
        except ssl.SSLError as error:
            raise Trouble(TroubleKind.AWAY, f"its certificate is not trusted ({_words(error)})") from error
        except OSError as error:
            heard = not isinstance(error, NotConnectedError)
            raise Trouble(TroubleKind.AWAY, f"it cannot be reached ({_words(error)})", heard=heard) from error
        except Exception as error:
            raise Trouble(TroubleKind.ANSWER, f"its answer is not as that of OPA ({_words(error)})") from error

    def close(self) -> None:
        """Close the connections, from any thread."""
        if self.loop.is_closed():
            self._client.http.close()
        else:
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._client.http.close)


def _mapping(answer: object) -> Mapping[str, Any]:
    if not isinstance(answer, dict):
        raise Trouble(TroubleKind.ANSWER, "its answer is not an object")
    return answer


def said_trouble(status: int, body: bytes) -> Trouble:
    """The error that an OPA answers with a status."""
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        said = {}
    if status in (401, 403):
        return Trouble(TroubleKind.REFUSED, f"it refuses our token (status {status})")
    return said_error(said.get("code") or f"status {status}", said.get("message") or "", said.get("errors"))


def said_error(code: object, message: object, errors: object) -> Trouble:
    """An error of OPA, with those of the evaluation or the compilation that are in it."""
    if code in ("unauthorized", "forbidden"):
        return Trouble(TroubleKind.REFUSED, "it refuses our token")
    details = [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
    codes = {str(one.get("code")) for one in details}
    if not details:
        return Trouble(TroubleKind.ANSWER, f"it answers {code}{f': {message}' if message else ''}")
    first = details[0]
    location = first.get("location")
    place = location if isinstance(location, dict) else {}
    kind = TroubleKind.MODULE if codes & _MODULE_CODES else TroubleKind.EVALUATION
    return Trouble(kind, str(first.get("message")), str(place.get("file") or ""), int(place.get("row") or 0))


def _is_refused(error: requests.exceptions.RequestException) -> bool:
    """Whether no connection was made."""
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError)


def _root_cause(error: BaseException) -> str:
    cause: Any = error
    for _ in range(5):
        inner = getattr(cause, "reason", None) or (cause.args[0] if getattr(cause, "args", None) else None)
        if not isinstance(inner, BaseException):
            break
        cause = inner
    return _words(cause)


def _words(error: BaseException) -> str:
    said = str(error).rsplit(": ", 1)[-1]
    return (said or type(error).__name__)[:200]
