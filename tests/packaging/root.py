"""A folder that holds a Python and nothing else, and processes that have it as their root.

It stands for the base image ``python:X-slim``: the same layout (``/usr/local/bin/python``, pip beside it), with the
Python that runs the tests. It is poorer than the base image: no shell, no program but Python, only the libraries
that Python's own modules are linked to. What works here needs no more.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pip

from devcluster.build import any_go
from iocaudit.engine.languages.sources import Engine
from iocaudit.engine.languages.toolchain.console import ConsoleProgress
from iocaudit.engine.languages.toolchain.go import go_variable, needed_go

_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
_LEFT_OUT = ("test", "idlelib", "tkinter", "_tkinter*", "turtledemo", "site-packages", "dist-packages", "__pycache__")
# Wheels of kind manylinux rely on them (PEP 600), and every Debian has them.
_ALWAYS = (
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libstdc++.so.6",
    "libutil.so.1",
)
# As in the official images.
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
# In a container as well, at least.
_DEVICES = ("null", "urandom")

_ENTER = """
import json, os, subprocess, sys
how = json.loads(sys.argv[1])
root = how["root"]
mount = lambda *words: subprocess.run(["mount", *words], check=True)
mount("--bind", root, root)
for name in how["devices"]:
    mount("--bind", f"/dev/{name}", f"{root}/dev/{name}")
for place, folder in how["binds"].items():
    mount("--bind", folder, root + place)
for path in how["writable"]:
    mount("-t", "tmpfs", "-o", "mode=1777", "none", root + path)
if how["read_only"]:
    mount("-o", "remount,bind,ro", root)
os.chroot(root)
os.chdir(how["folder"])
if how["user"] is not None:
    user, group = how["user"]
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
os.umask(0o022)
os.execvpe(how["argv"][0], how["argv"], how["environment"])
"""


@dataclass(frozen=True)
class Root:
    """``path`` is ``/`` to the processes that are run in it; ``binds`` are folders of this machine that they see there.

    ``environment`` is what the base image sets.
    """

    path: Path
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    binds: Mapping[str, str] = field(default_factory=dict)

    def copy(self, path: Path) -> Root:
        """Another root with the same content. The files are shared: nothing writes into those of a base image."""
        shutil.copytree(self.path, path, symlinks=True, copy_function=os.link)
        return replace(self, path=path)

    def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: str = "/",
        user: tuple[int, int] | None = None,
        read_only: bool = False,
        text: str = "",
        code: int = 0,
    ) -> str:
        """What ``argv`` prints; an AssertionError with all of its output where it ends otherwise than with ``code``.

        ``user`` (uid, gid) is left out where the tests don't run as root: then their user, who is not root
        either, stands for it.
        """
        command = self._command(argv, environment, folder, user, read_only=read_only)
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=600)
        assert done.returncode == code, f"{argv} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextmanager
    def running(
        self,
        argv: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str],
        folder: str,
        user: tuple[int, int],
        writable: Sequence[str],
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A process that stays, the root read-only but for the empty folders ``writable``.

        Whatever a test does, it is ended with it.
        """
        with log.open("wb") as output:
            command = self._command(argv, environment, folder, user, read_only=True, writable=writable)
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(10)

    def _command(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        folder: str,
        user: tuple[int, int] | None,
        *,
        read_only: bool,
        writable: Sequence[str] = (),
    ) -> list[str]:
        privileged = os.getuid() == 0
        how = {
            "root": str(self.path),
            "argv": list(argv),
            "environment": dict(environment),
            "folder": folder,
            "user": user if privileged else None,
            "read_only": read_only,
            "writable": list(writable),
            "devices": _DEVICES,
            "binds": dict(self.binds),
        }
        # Mounts of its own, which end with the process; the process becomes argv, under the same id.
        command = ["unshare", "--mount", *([] if privileged else ["--map-root-user"])]
        return [*command, "--", sys.executable, "-I", "-c", _ENTER, json.dumps(how)]


def python_root(path: Path) -> Root:
    """A new root at ``path``, with this Python as a base image has it."""
    programs, libraries = path / "usr/local/bin", path / "usr/local" / sys.platlibdir / _VERSION
    programs.mkdir(parents=True)
    own = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(own, libraries, ignore=shutil.ignore_patterns(*_LEFT_OUT, "config-*"))
    base = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    shutil.copy2(base, programs / _VERSION)
    for name in ("python3", "python"):
        (programs / name).symlink_to(_VERSION)
    _copy_libraries([base, *libraries.glob("lib-dynload/*.so")], path)
    _copy_pip(path)
    _complete(path)
    return Root(path)


def go_root(path: Path) -> Root:
    """A new root at ``path``, with Go as a base image has it: this machine's, and its caches, which spare minutes."""
    go = any_go(needed_go(Engine.OPA.sources), ConsoleProgress())
    binds = {}
    for place, name in (
        ("/usr/local/go", "GOROOT"),
        ("/caches/GOCACHE", "GOCACHE"),
        ("/caches/GOMODCACHE", "GOMODCACHE"),
    ):
        folder = go_variable(go, name)
        assert folder, f"go env {name} says nothing"
        Path(folder).mkdir(parents=True, exist_ok=True)
        (path / place[1:]).mkdir(parents=True)
        binds[place] = folder
    _complete(path)
    environment = {"PATH": f"/go/bin:/usr/local/go/bin:{_PATH}", "GOPATH": "/go", "GOTOOLCHAIN": "local"}
    # A container has /proc, where Go finds itself.
    environment["GOROOT"] = "/usr/local/go"
    return Root(path, environment, binds)


def _complete(path: Path) -> None:
    """What every base image has, or a container engine brings."""
    for name in (
        "etc/resolv.conf",
        "etc/hosts",
        "etc/nsswitch.conf",
        "etc/pip.conf",
        "etc/ssl/certs/ca-certificates.crt",
    ):
        _take(Path("/", name), path)
    for name in ("PIP_CERT", "SSL_CERT_FILE"):
        if name in os.environ:
            _take(Path(os.environ[name]), path)
    for name in ("dev", "root", "tmp"):
        (path / name).mkdir(exist_ok=True)
    for name in _DEVICES:
        (path / "dev" / name).touch()
    (path / "tmp").chmod(0o1777)
    path.chmod(0o755)


def _copy_libraries(binaries: Sequence[Path], root: Path) -> None:
    """The shared libraries that ``binaries`` are linked to, the loader among them, under the names they ask for."""
    for name in ("lib", "lib64"):
        if Path("/", name).is_symlink():
            (root / name).symlink_to(os.readlink(Path("/", name)))
            (root / name).resolve().mkdir(parents=True, exist_ok=True)
    printed = subprocess.run(["ldd", *binaries], check=True, capture_output=True, text=True).stdout
    libraries = {Path(word) for line in printed.splitlines() for word in line.split() if word.startswith("/")}
    (libc,) = (path for path in libraries if path.name.startswith("libc."))
    libraries |= {libc.with_name(name) for name in _ALWAYS}
    for path in libraries - set(binaries):
        _take(path, root)


def _take(path: Path, root: Path) -> None:
    """The file itself under the name ``path``, whatever links there are on the way to it."""
    if path.is_file():
        place = root / str(path).lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)


def _copy_pip(root: Path) -> None:
    folder = "/usr/local/share/pip"
    shutil.copytree(Path(pip.__file__).parent, root / folder[1:] / "pip", ignore=shutil.ignore_patterns("__pycache__"))
    script = root / "usr/local/bin/pip"
    lines = ["#!/usr/local/bin/python", "import sys", f"sys.path.insert(0, {folder!r})"]
    lines += ["from pip._internal.cli.main import main", "sys.exit(main())"]
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
