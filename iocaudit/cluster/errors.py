"""What can go wrong when speaking to an API server."""

from iocaudit.core.errors import IocauditError


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
