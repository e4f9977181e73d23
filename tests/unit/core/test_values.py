"""The value types: image references, host paths, hit paths, selectors; spelled in many ways, judged once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core import paths
from iocaudit.core.errors import PathSyntaxError
from iocaudit.core.host_path import Danger, control_socket, danger, is_below, is_runtime, normalise
from iocaudit.core.host_places import CONTROL_SOCKETS, PUBLIC_FILES, RUNTIME_SOCKETS, SENSITIVE
from iocaudit.core.image import ImagePattern, ImageReference
from iocaudit.core.label_selector import selects
from iocaudit.core.severity import Severity
from tests.unit.checks.auditing import container, judge, pod

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("library/nginx:1", "docker.io/library/nginx:1"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("acme/app", "docker.io/acme/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("GHCR.io/acme/app", "ghcr.io/acme/app:latest"),
        ("a.io/b:1@" + DIGEST, "a.io/b:1@" + DIGEST),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        ("evil_host.io/app", "evil_host.io/app:latest"),
    ],
)
def test_an_image_has_one_canonical_spelling(text: str, canonical: str) -> None:
    assert ImageReference.parse(text).canonical == canonical
    assert ImageReference.parse(canonical).canonical == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.io/B",
        "a.io/b:",
        "a.io/b@sha256:1",
        "a.io/b@",
        "a.io/b@md5:" + "a" * 32,
        "a.io/b@" + DIGEST.upper(),
        "a b",
        "a.io//b",
        "${IMAGE}",
        "a" * 2000,
        "a_b.io:80/c",
        "_a.io/b",
    ],
)
def test_what_is_no_image_is_refused(text: str) -> None:
    assert ImageReference.parse_or_none(text) is None
    with pytest.raises(ValueError, match="not an image reference"):
        ImageReference.parse(text)


@pytest.mark.parametrize(
    ("pattern", "image", "matches"),
    [
        ("hooli.com/", "hooli.com/shop/web:1", True),
        ("hooli.com", "hooli.com/web", True),
        ("hooli.com/", "hooli.com.evil.io/web", False),
        ("docker.io/acme", "acme/app", True),
        ("docker.io/acme", "acmeevil/app", False),
        ("docker.io/acme", "docker.io/acme/team/app", True),
        ("acme/", "acme/app", True),
        ("*.gcr.io/team", "eu.gcr.io/team/app", True),
        ("*.gcr.io/team", "eu.gcr.io/teamx/app", False),
        ("ghcr.io/acme/*", "ghcr.io/acme/app", True),
        ("localhost:5000", "localhost:5001/app", False),
        ("HOOLI.com/", "hooli.com/web", True),
        ("nginx", "nginx:1.25", True),
        ("nginx", "evil/nginx", False),
    ],
)
def test_patterns_match_at_segment_borders(pattern: str, image: str, matches: bool) -> None:
    assert ImagePattern.parse(pattern).matches(ImageReference.parse(image)) is matches


@given(st.text(max_size=60))
def test_any_text_is_an_image_or_none(text: str) -> None:
    found = ImageReference.parse_or_none(text)
    if found is not None:
        assert ImageReference.parse(found.canonical).canonical == found.canonical


@given(
    st.sampled_from(["sha256", "sha384", "sha512", "sha1", "md5", "SHA256", "sha512+b64", ""]),
    st.sampled_from("0123456789abcdefABCDEFg-"),
    st.sampled_from([0, 32, 40, 63, 64, 65, 96, 127, 128, 129, 256]),
)
def test_a_digest_pins_an_image_only_as_runtimes_read_it(algorithm: str, digit: str, length: int) -> None:
    """Source: opencontainers/go-digest, which knows these three, in lower case and whole."""
    text = f"a.io/b:1@{algorithm}:{digit * length}"
    right = {"sha256": 64, "sha384": 96, "sha512": 128}.get(algorithm) == length and digit in "0123456789abcdef"
    found = ImageReference.parse_or_none(text)
    assert (found is not None) == right
    assert bool(ImageReference.fault(text)) == (not right)
    judged = judge("image-without-digest", pod(container(image=text)))
    assert [one.check for one in judged] == ([] if right else ["image-without-digest"])


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


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=5))
def test_paths_are_read_back_as_they_were_written(names: list[str]) -> None:
    text = ""
    for name in names:
        text = paths.field(text, name) if text else "root" + paths.key(name)
    parsed = paths.parse(text)
    spelled = [
        part.name if isinstance(part, paths.Field) else part.text for part in parsed if not isinstance(part, int)
    ]
    assert spelled[-len(names) :] == names


@pytest.mark.parametrize("text", ["a..b", "a[", 'a["x', "a[x]", ".a", "a b"])
def test_a_broken_path_names_the_position(text: str) -> None:
    with pytest.raises(PathSyntaxError, match="at "):
        paths.parse(text)


def test_label_selectors() -> None:
    labels = {"app": "web", "tier": "gold"}
    assert selects({}, labels)
    assert selects(None, {})
    assert selects({"matchLabels": {"app": "web"}}, labels)
    assert not selects({"matchLabels": {"app": "web", "x": "y"}}, labels)
    for operator, values, expected in (
        ("In", ["web"], True),
        ("In", ["db"], False),
        ("NotIn", ["db"], True),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
        ("Bogus", ["web"], False),
    ):
        assert (
            selects({"matchExpressions": [{"key": "app", "operator": operator, "values": values}]}, labels) is expected
        )
    assert selects({"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["x"]}]}, labels)


def test_dots_behind_a_link_do_not_hide_a_path() -> None:
    found = danger("/var/run/../etc/shadow")
    assert found is not None
    assert found.severity is Severity.CRITICAL
