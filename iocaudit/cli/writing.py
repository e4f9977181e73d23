"""Files that we write: whole at once or not at all, and never through a link."""

from __future__ import annotations

import contextlib
import os
import stat

from iocaudit.core.errors import IocauditError


def replace_file(path: str, data: bytes, status: os.stat_result | None) -> None:
    """Put a file with these bytes in the place of ``path``, with the mode, owner and group of ``status``.

    Without a status it is a new file, as the umask has it. Whatever goes wrong, what was there stays as it was.
    Raises OSError.
    """
    temporary = os.path.join(os.path.dirname(path), f".iocaudit-{os.urandom(8).hex()}")
    mode = 0o666 if status is None else 0o600
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
            if status is not None:
                made = os.fstat(stream.fileno())
                if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid):
                    os.fchown(stream.fileno(), status.st_uid, status.st_gid)
                os.fchmod(stream.fileno(), stat.S_IMODE(status.st_mode))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def save_file(path: str, data: bytes, error: type[IocauditError]) -> None:
    """``write_file``, or an error of this type that names the file and the reason."""
    try:
        refused = write_file(path, data)
    except OSError as failure:
        raise error(f"{path}: cannot be written: {failure.strerror}") from failure
    if refused:
        raise error(f"{path}: nothing is written: it {refused}")


def write_file(path: str, data: bytes) -> str:
    """Write a new file, or a regular file anew; returns why not, where something else has that name.

    A link is not followed: it may have been put there to have another file written. Raises OSError.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        status = None
    if status is not None and not stat.S_ISREG(status.st_mode):
        return "is a link: name the file itself" if stat.S_ISLNK(status.st_mode) else "is not a regular file"
    replace_file(path, data, status)
    return ""
