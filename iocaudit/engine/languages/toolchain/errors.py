"""What can go wrong while a program is compiled; each message says what to do about it."""

from iocaudit.core.errors import IocauditError


class ToolchainError(IocauditError):
    """Base of what goes wrong while a program is compiled."""


class NoGoError(ToolchainError):
    """No Go toolchain of the needed version could be found or installed."""


class NoNetworkError(ToolchainError):
    """Modules or packages are needed and could not be downloaded."""


class BuildError(ToolchainError):
    """The compiler failed; carries the tail of its log."""


class NoCacheError(ToolchainError):
    """There is no folder of the user's to keep compiled programs in."""
