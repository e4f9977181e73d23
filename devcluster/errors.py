"""What can go wrong with the native tools and the control plane; each message says what to do about it."""

from iocaudit.core.errors import IocauditError


class DevclusterError(IocauditError):
    """Base of the development cluster's errors."""


class ManifestError(DevclusterError):
    """``native.toml`` is broken; names the tool and the field."""


class ControlPlaneError(DevclusterError):
    """A process of the control plane did not come up or died; carries the tail of its log."""


class KubectlError(DevclusterError):
    """A kubectl call failed; carries the arguments and what it printed on stderr."""
