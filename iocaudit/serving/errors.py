"""The errors of the HTTP edge."""

from iocaudit.core.errors import IocauditError


class ServingError(IocauditError):
    """Base of the errors of this package."""


class CertificateError(ServingError):
    """A certificate or key cannot be used; names the file or field, never its content."""


class ListenError(ServingError):
    """An address cannot be listened on; names the address and the reason."""


class DurationError(ServingError, ValueError):
    """A text is not a duration in the syntax of Go's time.ParseDuration."""
