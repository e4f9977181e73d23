"""Paths of the node: spelled in many ways, judged once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.severity import Severity
from iocaudit.knowledge.host_path import danger, normalise


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("//etc//", "/etc"),
        ("/etc/./x/../", "/etc"),
        ("/var/run/docker.sock", "/run/docker.sock"),
        ("/bin", "/usr/bin"),
        ("/lib/modules", "/usr/lib/modules"),
        ("/proc/1/root/etc", "/etc"),
        ("/proc/self/root", "/"),
        ("etc", "/etc"),
        ("/../..", "/"),
        ("", "/"),
        ("C:\\Windows\\", "c:/windows"),
        ("\\\\.\\pipe\\docker_engine", "//./pipe/docker_engine"),
        ("//./PIPE/docker_engine", "//./pipe/docker_engine"),
        ("//?/C:/Windows", "c:/windows"),
        ("//./etc/kubernetes", "/etc/kubernetes"),
        ("//./var/run/docker.sock", "/run/docker.sock"),
        ("//./pipeline", "/pipeline"),
        ("//./", "/"),
    ],
)
def test_a_host_path_has_one_spelling(path: str, normal: str) -> None:
    assert normalise(path) == normal


@given(st.text(alphabet="/.abetcrunvl1proot", max_size=40))
def test_normalising_twice_changes_nothing(path: str) -> None:
    once = normalise(path)
    assert normalise(once) == once
    assert once.startswith("/")


def test_dots_behind_a_link_do_not_hide_a_path() -> None:
    found = danger("/var/run/../etc/shadow")
    assert found is not None
    assert found.severity is Severity.CRITICAL
