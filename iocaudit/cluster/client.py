"""The Kubernetes API over raw bytes and orjson: paginated lists, watches and writes, from any thread.

The ``kubernetes`` package reads the kubeconfig and sets up TLS and credentials; its typed models cost eight
times the CPU of decoding bytes, so they are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import urlencode

import orjson
import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigMerger
from urllib3.exceptions import HTTPError, ReadTimeoutError
from yaml import YAMLError

from iocaudit.cluster.api import EVERYWHERE, JSON, PAGE, Api, ListScope, Page, path_of
from iocaudit.cluster.errors import (
    ApiError,
    ConfigError,
    UnreachableError,
    api_error,
)
from iocaudit.cluster.reading import LARGE_TEXTS, LARGEST, LARGEST_PAGE, Holder, read_ends, read_lines, read_whole
from iocaudit.core.kinds import Kind
from iocaudit.core.shape import Json, mapping, text
from iocaudit.core.wording import several
from iocaudit.decoding.answers import ListAnswer, decode_cut_event, decode_cut_list, decode_event, decode_list
from iocaudit.decoding.objects import NotJsonError, decode_object
from iocaudit.supervision.part import beat

_MOST_PASSED_OVER = 1024 * 1024 * 1024

S = TypeVar("S")
T = TypeVar("T")


class Client(Api):
    """A connection to one API server; safe to share between threads."""

    def __init__(self, api: ApiClient, *, timeout: float = 30.0, may_write: Callable[[], None] = lambda: None) -> None:
        self._api = api
        self._timeout = timeout
        self._may_write = may_write
        self._pool: urllib3.PoolManager = api.rest_client.pool_manager
        self._host = str(api.configuration.host).rstrip("/")
        self._sizes: dict[str, int] = {}

    @classmethod
    def connect(cls, kubeconfig: Path | None = None, context: str | None = None, *, timeout: float = 30.0) -> Self:
        """By the given kubeconfig; else as the pod's ServiceAccount; else by the default kubeconfig.

        Raises ConfigError where none of them can be used.
        """
        configuration = Configuration()
        try:
            if kubeconfig is None and context is None:
                try:
                    config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
                except config.ConfigException:
                    config.load_kube_config(  # type: ignore[no-untyped-call]
                        client_configuration=configuration, persist_config=False
                    )
            else:
                config.load_kube_config(  # type: ignore[no-untyped-call]
                    config_file=str(kubeconfig) if kubeconfig else None,
                    context=context,
                    client_configuration=configuration,
                    persist_config=False,
                )
        except (config.ConfigException, OSError, ValueError) as error:
            if (wrong := _unknown_context(kubeconfig, context)) is not None:
                raise ConfigError(wrong) from error
            where = str(kubeconfig) if kubeconfig else "no ServiceAccount and no default kubeconfig"
            raise ConfigError(f"{where}: {str(error).rstrip('.')}; set KUBECONFIG to a file that exists") from error
        # Retrying and concurrency are ours: urllib3's own retries would hide a lost watch.
        configuration.retries = False
        configuration.connection_pool_maxsize = 8
        return cls(ApiClient(configuration), timeout=timeout)

    @property
    def host(self) -> str:
        """``https://host:port`` of the API server."""
        return self._host

    @property
    def configuration(self) -> Configuration:
        """Server, CA and credentials, for libraries that bring their own connections."""
        configuration: Configuration = self._api.configuration
        return configuration

    def guarded(self, may_write: Callable[[], None]) -> Client:
        """This client, which asks before each request other than a GET; ``may_write`` raises to refuse it."""
        return Client(self._api, timeout=self._timeout, may_write=may_write)

    def close(self) -> None:
        self._pool.clear()

    # -- any request ---------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON,
        timeout: float | None = None,
        accept: str = JSON,
    ) -> Json:
        """Send a request and decode the answer. Raises ApiError by status, UnreachableError without one."""
        what, holder = f"{method} {path}", LARGE_TEXTS.holder()
        response = self._send(method, path, query, body, content_type, timeout, accept=accept)
        try:
            data = _reading(what, lambda: read_whole(response, holder, _MOST_PASSED_OVER)) or b""
            return _read(what, decode_object, data)
        finally:
            holder.free()

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object,
        content_type: str,
        timeout: float | None,
        *,
        accept: str = JSON,
    ) -> urllib3.BaseHTTPResponse:
        """The answer, whose body is still to be read."""
        beat()
        if method != "GET":
            self._may_write()
        what = f"{method} {path}"
        url = f"{self._host}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": accept, "User-Agent": "iocaudit"}
        self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            response = self._pool.request(
                method,
                url,
                body=orjson.dumps(body) if body is not None else None,
                headers=headers,
                timeout=urllib3.Timeout(connect=min(10.0, self._timeout), read=timeout or self._timeout),
                preload_content=False,
                retries=False,
                redirect=False,
            )
        except (HTTPError, OSError) as error:
            if isinstance(error, ReadTimeoutError):
                # What keeps this connection silent keeps the others so that wait for use: none of them is tried.
                self._pool.clear()
            raise UnreachableError(f"{what}: {self._host} does not answer: {error}") from error
        if response.status >= 400:
            raise api_error(what, response.status, _reading(what, response.read))
        return response

    # -- objects of a kind ---------------------------------------------------------------------------------

    def pages(
        self,
        kind: Kind,
        *,
        namespace: str | None = None,
        limit: int = PAGE,
        query: Mapping[str, str] | None = None,
    ) -> Iterator[Page]:
        """List a kind page by page, each item completed with apiVersion and kind.

        Raises ExpiredError when the list took too long to continue: start again.
        """
        path = path_of(kind, namespace)
        asked, size, holder = {**(query or {})}, min(limit, self._sizes.get(path, limit)), LARGE_TEXTS.holder()
        while True:
            try:
                found = self._page(path, {**asked, "limit": str(size)}, holder, whole=size == 1)
                if found is None:
                    holder.free()
                    size = max(1, size // 4)
                    continue
                answer, length = found
                yield Page(_completed(answer.items, kind), answer.resource_version, answer.following)
                following = answer.following
                # Nothing here may hold on to a page while the next is read: each takes megabytes.
                del answer, found
            finally:
                holder.free()
            if length * 4 < LARGEST_PAGE:
                size = min(limit, size * 2)
            self._sizes[path] = size
            if not following:
                return
            asked["continue"] = following

    def _page(
        self, path: str, query: Mapping[str, str], holder: Holder, *, whole: bool
    ) -> tuple[ListAnswer, int] | None:
        """A page and the bytes of its text; None where it is too large, unless it is ``whole`` as it cannot be less."""
        what = f"GET {path}"
        response = self._send("GET", path, query, None, JSON, None)
        data = _reading(what, lambda: read_whole(response, holder, LARGEST if whole else LARGEST_PAGE))
        if data is not None:
            return _read(what, decode_list, data), len(data)
        if not whole:
            return None
        again = self._send("GET", path, query, None, JSON, None)
        head, tail = _reading(what, lambda: read_ends(again, _MOST_PASSED_OVER))
        return _read(what, lambda ends: decode_cut_list(*ends), (head, tail)), LARGEST

    def watch(
        self, kind: Kind, resource_version: str, *, scope: ListScope = EVERYWHERE, seconds: int = 240
    ) -> Iterator[tuple[str, Json]]:
        """Changes after a version: ADDED, MODIFIED, DELETED or BOOKMARK and the object.

        Ends when the server ends it.

        Raises ExpiredError when the version is too old.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
            **scope.query,
        }
        path = path_of(kind, scope.namespace)
        what, holder = f"watch {path}", LARGE_TEXTS.holder()
        response = self._send("GET", path, query, None, JSON, seconds + 15.0)
        ended = False
        try:
            for line, is_whole in read_lines(response, holder):
                event = _read(what, decode_event if is_whole else decode_cut_event, line)
                del line
                if event is None:
                    continue
                name, found = event
                if name == "ERROR":
                    raise api_error(what, int(found.get("code") or 500), orjson.dumps(found))
                yield name, found
                del event, found
            ended = True
        except (HTTPError, OSError) as error:
            raise UnreachableError(f"{what}: {error}") from error
        finally:
            holder.free()
            if not ended:  # else the connection can serve the next one
                response.close()
            response.release_conn()


def _completed(items: Iterator[Json], kind: Kind) -> Iterator[Json]:
    """With apiVersion and kind, as the API leaves them out of list items."""
    for item in items:
        item["apiVersion"], item["kind"] = kind.api_version, kind.name
        yield item


def _reading(what: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (HTTPError, OSError) as error:
        raise UnreachableError(f"{what}: the answer breaks off: {error}") from error


def _read(what: str, decode: Callable[[S], T], data: S) -> T:
    try:
        return decode(data)
    except NotJsonError as error:
        raise ApiError(what, 502, "BadAnswer", f"not JSON: {error}") from error


def _unknown_context(kubeconfig: Path | None, context: str | None) -> str | None:
    """What to say of a context that a readable kubeconfig does not have; None for any other mistake."""
    file = str(kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION)
    try:
        merged = KubeConfigMerger(file).config  # type: ignore[no-untyped-call]
        whole = mapping(merged.value) if merged is not None else {}
    except (config.ConfigException, OSError, ValueError, YAMLError):
        return None
    wanted = context or text(whole.get("current-context"))
    contexts = whole.get("contexts")
    names = (
        sorted(text(mapping(getattr(one, "value", one)).get("name")) for one in contexts)
        if isinstance(contexts, list)
        else []
    )
    if not wanted or wanted in names:
        return None
    return f"no context {wanted!r} in {file} (there are: {several(names, 10) or 'none'})"
