"""The CEL of a list of image patterns covers what `ImagePatterns` covers, as the API server's packages evaluate it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iocaudit.install.vap.image_lookup import ImageCondition, image_lookup
from iocaudit.knowledge.image import ImagePatterns, ImageReference
from tests.support.cel_rules import pod
from tests.support.exported_cel import ExportedCel

TEXT = "it.?image.orValue('')"
SHA = "@sha256:" + "a" * 64
HOSTS = (
    "hooli.com", "HOOLI.com", "hooli.com:443", "hooli.com:80", "hooli.com.evil.io", "docker.io", "index.docker.io",
    "registry-1.docker.io", "docker.io:443", "index.docker.io:443", "Docker.io:5000", "index.docker.io:5000",
    "eu.gcr.io", "gcr.io", "a..gcr.io", "a.b.gcr.io", "x.gcr.io:443", "registry:5000", "registry", "localhost",
    "LOCALHOST", "localhost:5000", "quay.io:8443", "kiosk.io", "\u212aiosk.io", "[::1]", "[::1]:5000",
    "[0:0:0:0:0:0:0:1]:5000", "[fd00::A]:443", "[abc]", "Acme", "acme", "my_host.io", "MY_host.io", "my_host.io:80",
    "a--b.io", "a..b", "-a.io", "a.io-", "library", "a:b", "h.io:", "1.2.3.4",
)  # fmt: skip
PATHS = (
    "nginx", "library/nginx", "library", "shop", "shop/web", "shopping/web", "acme/app", "acme", "acmeevil/app",
    "app", "a/b", "a/b/c", "a/x/y/b", "ab/x", "team-a/x", "team-a/x/y", "team/app", "x", "foo.bar/x", "UP/x", "a_b/c",
    "a__b/c", "a___b/c", "a--b", "f" * 64, "-x", "a..b/x", "a/", "/a", "a//b", "a" * 255, "a" * 247, "a" * 256,
    "\u212a/x", "é",
)  # fmt: skip
VERSIONS = (
    "", ":1", ":1.2", ":22.04", ":latest", ":", ":a b", ":" + "t" * 128, ":" + "t" * 129, ":-", SHA, ":1" + SHA,
    ":latest" + SHA, "@sha256:a", "@sha256:" + "A" * 64, "@sha512:" + "b" * 128, "@sha384:" + "b" * 64, "@", SHA + SHA,
    ":1:2", "\n", " ",
)  # fmt: skip
EXACT = (
    *HOSTS, "hooli.com/", "hooli.com/shop", "HOOLI.com/shop/", "docker.io/", "docker.io/acme", "acme/", "nginx",
    "nginx:1", "library/", "docker.io/library", "ubuntu:22.04", "app:latest", "registry:5000/a/b", "a/b/c/",
    "hooli.com/app" + SHA, "quay.io:8443/x", "acme/app:1", "docker.io:443/nginx", "hooli.com/a/b:1.2",
    "my_host.io/x/", "Foo/", "Acme/x", "https://hooli.com/a", "hooli.com/UP/", "nginx:1" + SHA,
)  # fmt: skip
GLOBS = (
    "*.gcr.io", "*.gcr.io/team/", "*.gcr.io/team-a/x", "*.com/shop", "*.hooli.com", "*.evil.io/", "*.com.evil.io/x",
    "hooli.com/*", "hooli.com/shop/*", "docker.io/acme/**", "*.io/library/nginx", "*.2.3.4", "*.my_host.io",
    "*.gcr.io/team-*/", "*.gcr.io/*/app", "eu.*/x", "*", "*/app", "docker.io/a*", "docker.io/*/x:2",
    "hooli.com/app@*", "nginx:1.*", "hooli.com/*:1.2", "a/**/b", "**/b", "hooli.com/**/web", "*:5000/", "*:443/",
    "hooli.com:*/x", "*.io", "docker.*", "index.*", "*.docker.io", "hooli.com/a/*b", "*.io:80", "k*.io", "*/a*b/c",
    "hooli.com/app@sha256:a*", "*:*/x", "*:1.2", "[*", "*]:5000", "my_*", "a..*", "*_host.io/x:*",
)  # fmt: skip
LOOSE = ("[::1]/x", "[::1]:5000", "[fd00::a]/", "hooli.com:8*/", "*:4*/")
"""What is not sure: see ``notes``."""

images = st.lists(
    st.one_of(
        st.builds(
            lambda host, path, version: f"{host}/{path}{version}", *map(st.sampled_from, (HOSTS, PATHS, VERSIONS))
        ),
        st.builds(lambda path, version: path + version, *map(st.sampled_from, (PATHS, VERSIONS))),
        st.text("aZ0._-/:@[]*kK \n", max_size=20),
        st.text(max_size=12),
    ),
    min_size=1,
    max_size=30,
)


@pytest.fixture(scope="module")
def judge() -> Iterator[ExportedCel]:
    made = ExportedCel()
    yield made
    made.close()


def covered_by(judge: ExportedCel, lookup: ImageCondition, images: list[str]) -> list[bool]:
    judged = pod(containers=[{"name": f"c{at}", "image": image} for at, image in enumerate(images)])
    return judge.holding("object.spec.containers", lookup.condition, lookup.constants, judged)


def wanted(patterns: list[str], image: str, refused: bool) -> bool:
    parsed = ImageReference.parse_or_none(image)
    return parsed is not None and ImagePatterns(patterns, any_port=refused).cover(parsed)


def parses(text: str) -> bool:
    try:
        ImagePatterns([text])
    except ValueError:
        return False
    return True


written = st.one_of(
    st.sampled_from(EXACT),
    st.sampled_from(GLOBS),
    st.builds(lambda path, version: path + version, *map(st.sampled_from, (PATHS, VERSIONS))),
    st.text("aZ0._-/:@*k", min_size=1, max_size=10),
).filter(parses)


@settings(max_examples=150, deadline=None)
@given(st.lists(written, min_size=1, max_size=5), images, st.booleans())
@example(["docker.io"], ["localhost/x", "f" * 64, "f" * 64 + ":1", "index.docker.io/x", "docker.io/x:1"], False)
@example(["acme/"], ["docker.io/acme/x", "acme/x", "Acme/x", "index.docker.io:443/acme/x"], False)
@example(["nginx"], ["docker.io:443/nginx", "nginx", "library/nginx", "docker.io/nginx:1"], False)
@example(["docker.*"], ["index.docker.io:443/nginx", "index.docker.io:80/nginx", "x"], True)
@example(["hooli.com/old:1"], ["hooli.com:5000/old:1", "hooli.com/old:1" + SHA, "hooli.com/old"], True)
def test_a_reference_is_covered_as_the_patterns_cover_it(
    judge: ExportedCel, patterns: list[str], images: list[str], refused: bool
) -> None:
    lookup = image_lookup(TEXT, patterns, "known", refused=refused)
    found = covered_by(judge, lookup, images)
    sure = not lookup.notes and not (any("*" in one for one in patterns) and any("[" in one for one in images))
    for image, covered in zip(images, found, strict=True):
        told = wanted(patterns, image, refused)
        if sure:
            assert covered == told, (patterns, image)
        else:
            assert covered >= told if not refused else covered <= told, (patterns, image)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(LOOSE), st.lists(written, max_size=2), images, st.booleans())
def test_what_is_not_sure_is_told_and_never_denied(
    judge: ExportedCel, loose: str, more: list[str], images: list[str], refused: bool
) -> None:
    lookup = image_lookup(TEXT, [loose, *more], "known", refused=refused)
    assert any(repr(loose) in note for note in lookup.notes)
    found = covered_by(judge, lookup, images)
    for image, covered in zip(images, found, strict=True):
        told = wanted([loose, *more], image, refused)
        assert covered <= told if refused else covered >= told or ImageReference.parse_or_none(image) is None


@pytest.mark.parametrize("image", ["hooli.com/", "a/b", "nginx:1", "*.gcr.io/", "", "a" * 1024, "a" * 1025, "A" * 2000])
@pytest.mark.parametrize("pattern", ["docker.io/", "hooli.com", "*"])
def test_no_text_is_too_long_or_too_short_to_be_judged(judge: ExportedCel, pattern: str, image: str) -> None:
    lookup = image_lookup(TEXT, [pattern], "known")
    assert covered_by(judge, lookup, [image]) == [wanted([pattern], image, False)]


def test_a_thousand_registries_are_keys_of_one_map() -> None:
    few = image_lookup(TEXT, ["registry-0.example.com/"], "known")
    many = image_lookup(TEXT, [f"registry-{at}.example.com/" for at in range(1000)], "known")
    assert few.condition == many.condition
    assert [name for name, _ in many.constants] == ["knownHosts"]


def test_nothing_is_covered_by_patterns_that_no_image_fits(judge: ExportedCel) -> None:
    lookup = image_lookup(TEXT, ["*:1.2", "hooli.com:abc/"], "known")
    assert lookup == ("false", (), ())
