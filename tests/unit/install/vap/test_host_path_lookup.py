"""Conditions on host paths say what `iocaudit.knowledge.host_path` says, as the API server's packages evaluate them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iocaudit.core.severity import Severity
from iocaudit.install.vap.host_path_lookup import (
    PathCondition,
    below,
    holds_cloud_credentials,
    holds_socket,
    is_sensitive,
    normalised,
)
from iocaudit.install.vap.rule import NotExpressibleError
from iocaudit.knowledge.host_path import (
    CONTAINING,
    HOLDING,
    cloud_credentials,
    control_socket,
    danger,
    is_below,
    normalise,
)
from iocaudit.knowledge.host_places import PUBLIC_FILES, SENSITIVE
from tests.support.cel_rules import pod
from tests.support.exported_cel import ExportedCel

CRITICAL = frozenset({Severity.CRITICAL})
EVERY = frozenset(Severity)
PATHS = normalised("object.spec.volumes")
CLOUD_PATHS = ("/etc/kubernetes/azure.json", "/var/lib/waagent", "/etc/gce.conf", "/etc/google", "/home/x/.oci")


@pytest.fixture(scope="module")
def judge() -> Iterator[ExportedCel]:
    made = ExportedCel()
    yield made
    made.close()


def mounting(paths: list[str]) -> dict[str, object]:
    return pod(volumes=[{"name": f"v{at}", "hostPath": {"path": path}} for at, path in enumerate(paths)])


def holds(judge: ExportedCel, lookup: PathCondition, paths: list[str]) -> list[bool]:
    return judge.holding(PATHS, lookup.condition, lookup.constants, mounting(paths))


def is_posix(path: str) -> bool:
    """A path of Windows may be spelled in more ways than are said here: what is said of one is never too much."""
    return normalise(path).startswith("/") and not normalise(path).startswith("//")


def paths() -> st.SearchStrategy[str]:
    known = {*SENSITIVE, *CONTAINING, *PUBLIC_FILES, *HOLDING, *CLOUD_PATHS, "/data", "/srv/x", "/opt", "/", "/var/lib"}
    bases = st.sampled_from(sorted(known))
    ends = st.sampled_from(
        ["", "", "/", "/.", "/x", "/x/y", "x", "/.ssh", "/.aws/c", "/root", "/docker.sock", "/sda1", "//x"]
    )
    starts = st.sampled_from(
        ["", "", "/proc/1/root", "/proc/self/root", "/proc/1/task/7/root", "/proc/x/root", "/var", "/./"]
    )
    plain = st.builds(lambda start, base, end: start + base + end, starts, bases, ends)
    return st.one_of(
        plain, plain.map(lambda path: path.replace("/usr", "", 1)), plain.map(lambda path: path.replace("/", "//"))
    )


many = st.lists(st.one_of(paths(), st.text("/.a~\\:C etcprovun", min_size=1, max_size=12)), min_size=1, max_size=40)
SPELLED = [
    "/var/run/docker.sock", "/proc/1/rootfs", "/lib64/x", "/libx", "/var/lib/rancher/k3s/storage/pvc-1", "/binx",
    "/bin",
    "/var/lib/rancher/k3s/storage/pvc-1/.kube", "//./pipe/docker_engine", "/var/runx", "/var/lock/", "/.", "//", "/./",
    "/proc/1/root", "/proc/1/root/proc/self/root/etc", "proc/1/root/etc", "etc", "/procx/1/root/etc", " /etc ",
    "/data/.",
    "/data/./.", "/a/.b", "/.b/c", "/dev/sda1", "/dev/sdx/y", "/var/log", "/var/logs", "/.aws", "/x/.awsx",
    "/run/api.sock",
    "/x/docker.sock", "/x/docker.socket", "/etc/kubernetes/cloud.conf/x", "/var/lib/waagentx",
]  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(many, st.sampled_from([EVERY, CRITICAL]))
@example(SPELLED, EVERY)
@example(SPELLED, CRITICAL)
def test_a_path_is_as_dangerous_as_knowledge_has_it(
    judge: ExportedCel, paths: list[str], severities: frozenset[Severity]
) -> None:
    for path, said in zip(paths, holds(judge, is_sensitive(severities), paths), strict=True):
        found = danger(path)
        wanted = found is not None and found.severity in severities
        assert said == wanted or (not is_posix(path) and wanted), (path, found)


@settings(max_examples=80, deadline=None)
@given(many)
@example(SPELLED)
def test_sockets_and_credentials_are_those_of_knowledge(judge: ExportedCel, paths: list[str]) -> None:
    sockets = holds(judge, holds_socket(), paths)
    clouds = holds(judge, PathCondition(holds_cloud_credentials()), paths)
    for path, socket, cloud in zip(paths, sockets, clouds, strict=True):
        assert socket == (control_socket(path) is not None) or (not is_posix(path) and not socket), path
        assert cloud == (cloud_credentials(path) is not None) or not is_posix(path), path


@settings(max_examples=80, deadline=None)
@given(many)
@example(SPELLED)
def test_normalising_is_that_of_knowledge(judge: ExportedCel, paths: list[str]) -> None:
    for path, at in zip(paths, judge.each(PATHS, "it.at", (), mounting(paths)), strict=True):
        if is_posix(path):
            assert at == normalise(path), path


@settings(max_examples=80, deadline=None)
@given(
    many,
    st.lists(st.sampled_from(["/", "/etc", "/var/run", "/bin", "/data/", "//etc//ssl", "/run/api.sock"]), max_size=3),
)
def test_below_is_by_whole_segments(judge: ExportedCel, paths: list[str], prefixes: list[str]) -> None:
    for path, said in zip(paths, holds(judge, below(prefixes, "allowed"), paths), strict=True):
        if is_posix(path):
            assert said == any(is_below(normalise(path), normalise(one)) for one in prefixes), path


def test_paths_of_windows_in_their_usual_spellings(judge: ExportedCel) -> None:
    paths = [
        r"C:\Windows",
        r"c:\\windows\system32",
        "C:/var/lib/kubelet/x",
        r"\\.\pipe\docker_engine",
        r"\windows",
        "C:\\",
    ]
    assert all(danger(path) is not None for path in paths)
    assert all(holds(judge, is_sensitive(EVERY), paths))


def test_what_cannot_be_said_is_told() -> None:
    with pytest.raises(NotExpressibleError, match="Windows"):
        below(["c:/data"], "allowed")
    with pytest.raises(NotExpressibleError, match="milder"):
        is_sensitive({Severity.HIGH})
    assert below([], "allowed").condition == "false"
    assert below(["/x", "/"], "allowed") == ("true", ())


def test_what_is_allowed_makes_no_condition_longer() -> None:
    few, many = below(["/srv/a"], "allowed"), below([f"/srv/{at}" for at in range(1000)], "allowed")
    assert few.condition == many.condition
