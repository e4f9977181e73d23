"""A profile is read whole, or refused with every mistake in it by field."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from iocaudit.core.kinds.ours import ACTIVITY_PROFILE, GROUP
from iocaudit.signals.profiles.profile import ProfileMode
from iocaudit.signals.profiles.reader import BOUNDS, FIELDS, VERBS, ProfileError, read_profile
from tests.support.detection_samples import ANYTHING
from tests.support.profiles import profile_object

CRD: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[4] / "manifests/crds/activityprofiles.yaml").read_text(encoding="utf-8")
)
SCHEMA: dict[str, Any] = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


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


def parts(schema: dict[str, Any], at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of the schema that a person writes, by its path."""
    yield at, schema
    for name, field in schema.get("properties", {}).items():
        if name != "metadata":
            yield from parts(field, f"{at}.{name}".lstrip("."))
    if "items" in schema:
        yield from parts(schema["items"], f"{at}[]")


def test_fields_words_and_bounds_are_those_of_the_reader() -> None:
    found = dict(parts(SCHEMA))
    assert {at: frozenset(one["properties"]) for at, one in found.items() if "properties" in one} == FIELDS
    assert {at: frozenset(one["enum"]) for at, one in found.items() if "enum" in one} == {
        "spec.mode": frozenset(ProfileMode),
        "spec.accounts[].rules[].verbs[]": {*VERBS, "*"},
    }
    bounds = {at: one[word] for at, one in found.items() for word in ("maxItems", "maxLength") if word in one}
    assert bounds == BOUNDS


def test_what_the_reader_takes_is_valid() -> None:
    Draft202012Validator(SCHEMA).validate(profile_object())
    assert CRD["metadata"]["name"] == f"{ACTIVITY_PROFILE.plural}.{GROUP}"
    assert CRD["spec"]["scope"] == "Namespaced"
