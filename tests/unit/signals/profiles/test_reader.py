"""A profile is read whole, or refused with every mistake in it by field."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.signals.profiles.profile import ProfileMode
from iocaudit.signals.profiles.reader import ProfileError, read_profile
from tests.support.detection_samples import ANYTHING
from tests.support.profiles import profile_object


def refused(raw: dict[str, Any]) -> str:
    with pytest.raises(ProfileError) as found:
        read_profile(raw)
    return str(found.value)


def test_a_profile_is_read() -> None:
    found = read_profile(profile_object())
    assert (found.title, found.mode) == ("shop/web", ProfileMode.ENFORCE)
    assert [(one.path, one.shown) for one in found.entries][:3] == [
        ("spec.processes[0].executables[0]", "/usr/sbin/nginx of registry.example.com/shop/web"),
        ("spec.processes[0].executables[1]", "/opt/app/** of registry.example.com/shop/web"),
        ("spec.destinations[0].to[0]", "10.0.0.0/8 port 443, 5432-5433"),
    ]
    assert len(list(found.entries)) == 8
    assert read_profile(profile_object(mode=None)).mode is ProfileMode.WARN


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"mode": "deny"}, "spec.mode: 'deny' is not one of learn, warn, enforce"),
        ({"proceses": []}, "spec.proceses: there is no such field (did you mean processes?)"),
        (
            {"processes": [{"image": "nginx", "executables": ["*"]}]},
            "spec.processes[0].executables[0]: '*' is not the absolute path of a program",
        ),
        (
            {"processes": [{"image": "nginx:1", "executables": ["/x/y"]}]},
            "spec.processes[0].image: 'nginx:1' has a tag",
        ),
        ({"processes": [{"image": "nginx"}]}, "spec.processes[0].executables: needs at least one item"),
        ({"destinations": [{"to": ["10.0.0.1/8"]}]}, "spec.destinations[0].to[0]: '10.0.0.1/8' has bits beyond"),
        ({"destinations": [{"to": ["10.0.0.0/8"], "ports": [0]}]}, "spec.destinations[0].ports[0]: 0 is not within"),
        ({"destinations": [{"to": ["10.0.0.0/8"], "ports": []}]}, "spec.destinations[0].ports: is empty"),
        ({"accounts": [{"account": "a*", "rules": []}]}, "spec.accounts[0].account: is one username"),
        ({"accounts": [{"account": "a", "rules": []}]}, "spec.accounts[0].rules: needs at least one rule"),
        (
            {"accounts": [{"account": "a", "rules": [{"verbs": ["gte"], "resources": ["pods"]}]}]},
            "spec.accounts[0].rules[0].verbs[0]: 'gte' is not one of",
        ),
        ({"processes": None, "destinations": None, "accounts": None}, "spec: says nothing"),
    ],
)
def test_mistakes_are_named_by_field(spec: dict[str, Any], said: str) -> None:
    assert f"ActivityProfile web: {said}" in refused(profile_object(**spec))


def test_a_profile_needs_a_namespace() -> None:
    raw = profile_object()
    del raw["metadata"]["namespace"]
    assert "metadata.namespace: is required" in refused(raw)
    assert "metadata.namespace: 'Shop' is not the name" in refused(profile_object("Shop"))


def test_all_mistakes_are_named_at_once() -> None:
    said = refused(profile_object(mode="x", processes=[{"image": "*", "executables": ["x"]}]))
    assert len(said.splitlines()) == 3


@given(st.data())
def test_whatever_a_profile_holds_it_is_read_or_refused(data: st.DataObject) -> None:
    raw = profile_object()
    spec = raw["spec"]
    name = data.draw(st.sampled_from(sorted(spec)))
    if isinstance(spec[name], list) and data.draw(st.booleans()):
        spec[name][0] = {**spec[name][0], data.draw(st.sampled_from(sorted(spec[name][0]))): data.draw(ANYTHING)}
    else:
        spec[name] = data.draw(ANYTHING)
    with contextlib.suppress(ProfileError):
        assert read_profile(raw).title == "shop/web"
