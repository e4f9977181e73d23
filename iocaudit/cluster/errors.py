"""What can go wrong when speaking to an API server."""

from collections.abc import Mapping
from typing import Any

from iocaudit.core.errors import IocauditError
from iocaudit.core.shape import text
from iocaudit.decoding.objects import NotJsonError, decode_object


class ClusterError(IocauditError):
    """Base of the errors of this package."""


class ConfigError(ClusterError):
    """No usable kubeconfig or ServiceAccount; says which was tried."""


class UnreachableError(ClusterError):
    """The API server could not be reached or did not answer in time."""


class ApiError(ClusterError):
    """The API server answered with an error. ``status`` is the HTTP status, ``reason`` the API's own word."""

    def __init__(self, request: str, status: int, reason: str, message: str) -> None:
        super().__init__(f"{request}: {status} {reason}: {message}")
        self.status = status
        self.reason = reason


class NotFoundError(ApiError):
    """404: no such object, or the kind is not served."""


class ForbiddenError(ApiError):
    """403: our ServiceAccount lacks the right."""


class ConflictError(ApiError):
    """409: the object was changed or created meanwhile."""


class ExpiredError(ApiError):
    """410: a list's continuation or a watch's version is too old; list again."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: ExpiredError,
}


def api_error(request: str, status: int, data: bytes) -> ApiError:
    """The error of an answer by its status and its body, which is a Status of the API or any text."""
    try:
        body: Mapping[str, Any] = decode_object(data)
    except NotJsonError:
        body = {"message": data[:200].decode("utf-8", "replace")}
    return _BY_STATUS.get(status, ApiError)(
        request, status, text(body.get("reason")) or "Error", text(body.get("message")) or "no message"
    )
