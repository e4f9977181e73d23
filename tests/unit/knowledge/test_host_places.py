"""What a path of the node is worth to who mounts it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.severity import Severity
from iocaudit.knowledge.host_path import Danger, control_socket, danger, is_below, is_runtime, normalise
from iocaudit.knowledge.host_places import CONTROL_SOCKETS, PUBLIC_FILES, RUNTIME_SOCKETS, SENSITIVE
from tests.support.auditing import container, judge, pod


@given(st.sampled_from(RUNTIME_SOCKETS), st.data())
def test_each_folder_that_holds_a_runtime_s_socket_counts_as_the_socket(socket: str, data: st.DataObject) -> None:
    """However it is written, and up to the root of the node."""
    parts = socket.strip("/").split("/")
    depth = data.draw(st.integers(0, len(parts)))
    path = "/" + "/".join(parts[:depth])
    spelled = data.draw(st.sampled_from([path, path.replace("/run", "/var/run", 1), path + "/", path + "/x/.."]))
    volume = {"name": "rt", "hostPath": {"path": spelled}}
    (found,) = judge("runtime-socket-mount", pod(volumes=[volume]))
    assert found.severity is Severity.CRITICAL
    assert ("which holds" in found.message) == (normalise(spelled) != socket)


@given(st.sampled_from(sorted(PUBLIC_FILES)), st.lists(st.sampled_from([True, False, None]), max_size=3))
def test_a_public_file_of_the_node_is_as_harmless_as_its_mounts_are_read_only(
    path: str, read_only: list[bool | None]
) -> None:
    mounts = [{"name": "f", "mountPath": f"/f{n}", "readOnly": one} for n, one in enumerate(read_only)]
    subject = pod(container(volumeMounts=mounts), volumes=[{"name": "f", "hostPath": {"path": path}}])
    harmless = all(one is True for one in read_only)
    assert bool(judge("host-path-mount", subject)) == harmless
    severities = {one.severity for one in judge("sensitive-host-path", subject)}
    assert not severities if harmless else severities <= {Severity.HIGH, Severity.CRITICAL}
    assert bool(judge("writable-host-path", subject)) == (not harmless)


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/shadow", "/etc/fstab", "/proc/kcore", "/etc/ssl", "/dev/kmsg"])
def test_other_files_of_the_node_stay_sensitive_though_nobody_writes_to_them(path: str) -> None:
    mounts = [{"name": "f", "mountPath": "/f", "readOnly": True}]
    subject = pod(container(volumeMounts=mounts), volumes=[{"name": "f", "hostPath": {"path": path}}])
    assert judge("sensitive-host-path", subject)


@pytest.mark.parametrize(
    ("path", "severity"),
    [
        ("/", Severity.CRITICAL),
        ("/etc", Severity.CRITICAL),
        ("/etc/kubernetes/pki", Severity.CRITICAL),
        ("/etc/localtime", Severity.HIGH),
        ("/var", Severity.CRITICAL),
        ("/var/lib", Severity.CRITICAL),
        ("/var/log/pods", Severity.HIGH),
        ("/opt", Severity.HIGH),
        ("/dev/sda1", Severity.CRITICAL),
        ("/home/me/.aws", Severity.HIGH),
        ("/data", None),
        ("/etcetera", None),
        ("/database", None),
        ("/root/.ssh/authorized_keys", Severity.CRITICAL),
        ("/run/systemd/resolve", None),
        ("/run/udev", Severity.HIGH),
        ("/run/udev/data", None),
        ("/run/udev/rules.d", Severity.CRITICAL),
        ("/run/containerd/io.containerd.runtime.v2.task", Severity.CRITICAL),
        ("/lib/systemd/system", Severity.CRITICAL),
        ("/etc/ssl/certs", Severity.HIGH),
        ("/dev/mmcblk0p1", Severity.CRITICAL),
        ("/dev/fuse", Severity.HIGH),
        ("/opt/app", None),
    ],
)
def test_how_dangerous_a_path_is(path: str, severity: Severity | None) -> None:
    found = danger(path)
    assert (found.severity if found else None) == severity


@pytest.mark.parametrize(
    "path",
    [f"/etc/cron.{when}" for when in ("d", "hourly", "daily", "weekly", "monthly")]
    + ["/etc/init.d", "/etc/profile.d", "/etc/pam.d", "/etc/ld.so.conf.d", "/etc/udev/rules.d", "/etc/rc.local"]
    + ["/var/spool/cron", "/var/spool/cron/crontabs/root", "/var/spool/anacron", "/var/spool/at"]
    + ["/sysroot", "/ostree", "/var/roothome", "/run/crio", "/run/k3s", "/var/lib/rancher", "/run/user/0"]
    + ["/etc/NetworkManager/dispatcher.d", "/etc/update-motd.d", "/etc/environment", "/etc/default/kubelet"],
)
def test_what_hands_the_node_over_is_critical_with_all_in_it_and_all_that_hold_it(path: str) -> None:
    found = [danger(one) for one in (path, f"{path}/x", path.rsplit("/", 1)[0] or "/")]
    assert [one.severity for one in found if one is not None] == [Severity.CRITICAL] * 3


@pytest.mark.parametrize("socket", [*RUNTIME_SOCKETS, *CONTROL_SOCKETS])
def test_a_socket_counts_with_every_folder_that_holds_it(socket: str) -> None:
    assert control_socket(socket) == socket
    assert is_runtime(socket) is (socket in RUNTIME_SOCKETS)
    folder = socket
    while folder != "/":
        folder = folder.rpartition("/")[0] or "/"
        found, worst = control_socket(folder), danger(folder)
        assert found is not None
        assert is_below(found, folder)
        assert worst is not None
        assert worst.severity is Severity.CRITICAL


def test_runtime_sockets_by_other_names() -> None:
    assert control_socket("/var/run/docker.sock") == "/run/docker.sock"
    assert control_socket("/run/containerd") == "/run/containerd/containerd.sock"
    assert control_socket("/run/user/1000/docker.sock") == "/run/user/1000/docker.sock"
    assert control_socket("\\\\.\\pipe") == "//./pipe/docker_engine"
    assert control_socket("/run/nothing") is None
    assert is_below("/data/x", "/data")
    assert not is_below("/database", "/data")


def test_places_are_written_as_they_are_compared() -> None:
    assert [place for place in SENSITIVE if normalise(place) != place] == []


_SEGMENTS = st.sampled_from(sorted({part for place in SENSITIVE for part in place.split("/") if part} | {"x"}))


@given(st.lists(_SEGMENTS, max_size=5))
def test_the_tables_by_parent_say_what_comparing_with_every_place_says(segments: list[str]) -> None:
    where = normalise("/" + "/".join(segments))
    found = danger(where)
    if where in SENSITIVE:
        assert found == Danger(SENSITIVE[where][0], where, "is")
        return
    above = [place for place in SENSITIVE if is_below(where, place)]
    said = [SENSITIVE[max(above, key=len)][1] if above else None]
    said += [SENSITIVE[place][0] for place in SENSITIVE if is_below(place, where)]
    expected = max((one for one in said if one is not None), default=None)
    assert (found.severity if found else None) == expected
