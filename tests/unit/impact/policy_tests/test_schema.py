"""The schema for editors takes what the reader takes, and refuses words that it does not know."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from iocaudit.impact.policy_tests.reader import FIELDS
from iocaudit.impact.policy_tests.schema import schema
from tests.support.policy_tests import document, pod
from tests.unit.impact.policy_tests.test_reader import WHOLE, at, maps

DOCS = Path(__file__).parents[4] / "docs"
VALIDATOR = jsonschema.Draft202012Validator(schema())


def test_it_is_a_schema_and_the_committed_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert json.loads((DOCS / "policytest.schema.json").read_text(encoding="utf-8")) == schema()


def test_it_takes_what_the_reader_takes() -> None:
    VALIDATOR.validate(WHOLE)
    VALIDATOR.validate(yaml.safe_load((DOCS / "policy-tests" / "shop.policytest.yaml").read_text(encoding="utf-8")))
    VALIDATOR.validate(document({"name": "a", "objects": [pod(), "a.yaml#b"], "expect": ["allow", "warn"]}))


@pytest.mark.parametrize("place", maps(WHOLE), ids=str)
def test_it_refuses_an_unknown_word_wherever_it_stands(place: tuple[str | int, ...]) -> None:
    changed = copy.deepcopy(WHOLE)
    at(changed, place)["unknownWord"] = "x"
    assert not VALIDATOR.is_valid(changed)


@pytest.mark.parametrize("expect", [{}, {"denied": []}, {"denied": {}}, {"verdict": []}, {"message": ""}, "denied", []])
def test_it_refuses_what_expects_nothing(expect: object) -> None:
    assert not VALIDATOR.is_valid(document({"name": "a", "object": pod(), "expect": expect}))


def test_maps_of_one_name_are_alike() -> None:
    """The schema has one of each, whatever test or case it stands in."""
    for name in ("request", "expect"):
        known = {fields for path, fields in FIELDS.items() if path.rpartition(".")[2] == name}
        assert len(known) == 1, name
