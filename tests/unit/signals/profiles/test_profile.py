"""A profile speaks for its namespace alone, and of the sorts of activity that it names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.signals.profiles.activity import AccountRequest, OutboundConnection, RunningProgram
from iocaudit.signals.profiles.patterns import address_of
from iocaudit.signals.profiles.profile import ProfileMode
from tests.support.profiles import IMAGE, WEB, profile_object, profiles_of

PROGRAM = RunningProgram("shop", IMAGE, "/usr/sbin/nginx")
CONNECTION = OutboundConnection("shop", address_of("10.1.2.3"), (), 5432)
REQUEST = AccountRequest("shop", WEB, "get", "configmaps", "", "")
INSIDE = (PROGRAM, CONNECTION, REQUEST)


@pytest.mark.parametrize("activity", INSIDE)
def test_what_is_expected_is_inside_by_an_entry(activity: RunningProgram) -> None:
    verdict = profiles_of(profile_object()).judge(activity)
    assert verdict is not None
    assert not verdict.is_outside
    assert [one.profile for one in verdict.by] == ["shop/web"]


@pytest.mark.parametrize(
    "activity",
    [
        PROGRAM._replace(path="/tmp/x"),
        PROGRAM._replace(path="/opt/app/../../tmp/x"),
        PROGRAM._replace(image="registry.example.com/shop/other"),
        PROGRAM._replace(image="not an image"),
        PROGRAM._replace(image="", path="/tmp/x"),
        CONNECTION._replace(port=22),
        CONNECTION._replace(port=None),
        CONNECTION._replace(address=address_of("198.51.100.7")),
        REQUEST._replace(verb="delete"),
        REQUEST._replace(resource="secrets"),
        REQUEST._replace(resource="pods", subresource="exec"),
        REQUEST._replace(account="alice"),
    ],
)
def test_anything_else_is_outside(activity: RunningProgram) -> None:
    verdict = profiles_of(profile_object()).judge(activity)
    assert verdict is not None
    assert verdict.is_outside


@given(st.sampled_from(INSIDE), st.sampled_from(["payments", "shop-2", "", "Shop", "sho"]))
def test_other_namespaces_are_not_spoken_of(activity: RunningProgram, namespace: str) -> None:
    other = activity._replace(namespace=namespace)
    assert profiles_of(profile_object()).judge(other) is None


def test_what_is_expected_in_one_namespace_is_not_in_another() -> None:
    profiles = profiles_of(profile_object(), profile_object("payments", processes=[]))
    verdict = profiles.judge(PROGRAM._replace(namespace="payments"))
    assert verdict is not None
    assert verdict.is_outside


def test_a_sort_that_no_profile_speaks_of_is_not_judged() -> None:
    profiles = profiles_of(profile_object(destinations=None, accounts=None))
    assert [profiles.judge(one) is not None for one in INSIDE] == [True, False, False]


def test_what_any_profile_of_the_namespace_expects_is_inside_and_the_strictest_mode_holds() -> None:
    other = profile_object(name="b", mode="warn", processes=[{"image": IMAGE, "executables": ["/tmp/x"]}])
    verdict = profiles_of(profile_object(), other).judge(PROGRAM._replace(path="/tmp/x"))
    assert verdict is not None
    assert [one.profile for one in verdict.by] == ["shop/b"]
    assert verdict.mode is ProfileMode.ENFORCE


def test_an_image_that_is_not_known_may_be_any() -> None:
    verdict = profiles_of(profile_object()).judge(PROGRAM._replace(image=""))
    assert verdict is not None
    assert not verdict.is_outside
