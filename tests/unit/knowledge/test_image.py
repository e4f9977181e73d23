"""Image references: spelled in many ways, judged once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.knowledge.image import ImagePattern, ImageReference
from tests.support.auditing import container, judge, pod

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
