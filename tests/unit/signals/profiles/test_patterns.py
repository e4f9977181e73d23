"""What entries match, and above all what they do not: no wildcard lets everything pass."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.signals.profiles.patterns import (
    address_of,
    host_pattern,
    image_pattern,
    image_segments,
    path_pattern,
    path_segments,
    port_range,
    resource_pattern,
)

PART = st.text(st.characters(codec="utf-8", exclude_characters="/*?[]\0"), min_size=1).filter(
    lambda one: one not in (".", "..") and not one.endswith((" (deleted)", "[...]"))
)
PARTS = st.lists(PART, min_size=1, max_size=5)
ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6)


def runs(pattern: str, path: str) -> bool:
    segments = path_segments(path)
    return segments is not None and path_pattern(pattern).match(segments)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/usr/bin/*", "/usr/bin/ls", True),
        ("/usr/bin/*", "/usr/bin/sub/ls", False),
        ("/usr/bin/*", "/usr/bin/../../tmp/x", False),
        ("/usr/bin/*", "/tmp/x", False),
        ("/usr/bin/*", "/usr/bin/ls (deleted)", False),
        ("/usr/bin/*", "/usr/bin/l[...]", False),
        ("/usr/**", "/usr/lib/jvm/bin/java", True),
        ("/usr/**", "/usr", False),
        ("/usr/**/java", "/usr/lib/jvm/bin/java", True),
        ("/usr/**/java", "/usr/java", False),
        ("/usr/lib/jvm-??/bin/java", "/usr/lib/jvm-17/bin/java", True),
        ("//usr/./bin//ls", "/usr/bin/ls", True),
        ("/usr/bin/ls", "usr/bin/ls", False),
        ("/usr/bin/*", "memfd:x", False),
    ],
)
def test_paths(pattern: str, path: str, matches: bool) -> None:
    assert runs(pattern, path) is matches


@pytest.mark.parametrize(
    "pattern", ["*", "/*", "/**", "/?mp/x", "/t*/x", "nginx", "", "/", "/usr/[a]", "/usr/b**", "/a/**/b/**"]
)
def test_a_path_that_would_expect_everything_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"is not the absolute|must begin|bracket|may hold"):
        path_pattern(pattern)


@given(PARTS, PARTS)
def test_a_path_without_wildcards_matches_itself_alone(one: list[str], other: list[str]) -> None:
    pattern, path = "/" + "/".join(one), "/" + "/".join(other)
    assert runs(pattern, pattern)
    assert runs(pattern, path) is (one == other)


@given(PARTS, PARTS)
def test_what_is_below_a_directory_never_leaves_it(one: list[str], other: list[str]) -> None:
    inside, outside = "/opt/" + "/".join(one), "/tmp/" + "/".join(other)
    climbing = "/opt/" + "../" * (len(one) + 1) + "tmp/" + "/".join(other)
    assert runs("/opt/**", inside)
    assert not runs("/opt/**", outside)
    assert not runs("/opt/**", climbing)


@given(st.text())
def test_whatever_a_path_holds_it_is_read_or_refused(text: str) -> None:
    try:
        segments = path_pattern(text).segments
    except ValueError:
        return
    assert not set(segments[0]) & set("*?")
    assert path_segments("/" + "/".join(segments)) == segments


@pytest.mark.parametrize(
    ("pattern", "image", "matches"),
    [
        ("nginx", "docker.io/library/nginx", True),
        ("nginx", "index.docker.io/library/nginx:1.27", True),
        ("nginx", "registry.example.com/nginx", False),
        ("registry.example.com/shop/*", "registry.example.com/shop/web@sha256:" + "a" * 64, True),
        ("registry.example.com/shop/*", "registry.example.com/shop/sub/web", False),
        ("registry.example.com/**", "registry.example.com/shop/sub/web", True),
        ("registry.example.com/**", "registry.example.com.evil.com/shop/web", False),
        ("REGISTRY.example.com/shop/web", "registry.example.com/shop/web", True),
        ("bitnami/*", "docker.io/bitnami/redis", True),
        ("localhost:5000/*", "localhost:5000/web", True),
    ],
)
def test_images(pattern: str, image: str, matches: bool) -> None:
    segments = image_segments(image)
    assert segments is not None
    assert image_pattern(pattern).match(segments) is matches


@pytest.mark.parametrize(
    "text",
    ["*", "*/web", "**", "nginx:1.27", "a.example/web@sha256:x", "a.example/*:1", "Bad Image", "", "a.example//*"],
)
def test_an_image_that_would_match_everything_or_never_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an image|must begin|has a tag"):
        image_pattern(text)


@given(ADDRESSES, ADDRESSES)
def test_an_address_matches_itself_alone_in_either_spelling(
    one: ipaddress.IPv4Address | ipaddress.IPv6Address, other: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> None:
    assert host_pattern(str(one)).match(address_of(str(one)), ())
    assert host_pattern(str(one)).match(address_of(str(other)), ()) is (address_of(str(one)) == address_of(str(other)))
    if one.version == 4:
        assert host_pattern(str(one)).match(address_of(f"::ffff:{one}"), ())


@given(ADDRESSES, st.integers(0, 128))
def test_a_network_holds_what_is_in_it(address: ipaddress.IPv4Address | ipaddress.IPv6Address, bits: int) -> None:
    network = ipaddress.ip_network((address, min(bits, address.max_prefixlen)), strict=False)
    assert host_pattern(str(network)).match(address_of(str(address)), ()) or network.prefixlen < 96 <= bits + 96


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "evilexample.com", False),
        ("DB.shop.svc.", "db.shop.svc", True),
        ("db.shop.svc", "db.shop.svc.evil.com", False),
    ],
)
def test_names(pattern: str, name: str, matches: bool) -> None:
    assert host_pattern(pattern).match(None, (name,)) is matches


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.0.0.1/8", "write 10.0.0.0/8"),
        ("10.0.0.256", "is not an address or a CIDR"),
        ("http://example.com", "is not an address or a CIDR"),
        ("*", "is not an address, a CIDR or a name"),
        ("a.*.com", "is not an address, a CIDR or a name"),
    ],
)
def test_a_destination_that_is_none_says_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        host_pattern(text)


@given(st.text())
def test_whatever_a_destination_holds_it_is_read_or_refused(text: str) -> None:
    try:
        found = host_pattern(text)
    except ValueError:
        return
    assert (found.network is None) != (not found.name)


@given(st.integers(1, 65_535), st.integers(1, 65_535), st.integers(0, 70_000))
def test_a_range_holds_what_is_in_it(one: int, other: int, port: int) -> None:
    first, last = sorted((one, other))
    assert port_range(f"{first}-{last}").match(port) is (first <= port <= last)
    assert port_range(one) == port_range(str(one)) == (one, one)


@pytest.mark.parametrize("value", [0, 65_536, "9-1", True, 1.5, "http", "", None, "1-2-3", "123456"])
def test_what_is_not_a_port_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"is not a port|is not within"):
        port_range(value)


@pytest.mark.parametrize(
    ("pattern", "asked", "matches"),
    [
        ("pods", ("pods", "", ""), True),
        ("pods", ("pods", "metrics.k8s.io", ""), False),
        ("pods", ("pods", "", "exec"), False),
        ("pods/*", ("pods", "", "exec"), True),
        ("pods/*", ("pods", "", ""), False),
        ("*", ("secrets", "", ""), True),
        ("*", ("deployments", "apps", ""), True),
        ("*", ("pods", "", "exec"), False),
        ("*.apps", ("deployments", "apps", ""), True),
        ("*.apps", ("pods", "", ""), False),
        ("deployments.apps/scale", ("deployments", "apps", "scale"), True),
    ],
)
def test_resources(pattern: str, asked: tuple[str, str, str], matches: bool) -> None:
    assert resource_pattern(pattern).match(*asked) is matches


@pytest.mark.parametrize("text", ["", "Pods", "pods/", "/exec", "pod*", "pods.", "a b"])
def test_what_is_not_a_resource_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a resource"):
        resource_pattern(text)
