"""What supervision raises."""

from iocaudit.core.errors import IocauditError


class PartLostError(IocauditError):
    """A part of the process came to its end, or makes no progress, and could not be restarted."""
