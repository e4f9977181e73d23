"""What the cluster's report says of rules in ConfigMaps: their version, what is wrong, and what is evaluated."""

from __future__ import annotations

from typing import Any

import pytest

from iocaudit.controller import rule_states as module
from iocaudit.controller.rule_states import rule_states
from iocaudit.core.kinds import CONFIG_MAP
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.engine.languages.rule import Language
from iocaudit.live.engines import Engines
from iocaudit.live.rulebook import Rulebook
from tests.support.fake_rego import FakeRego, engines_with

Json = dict[str, Any]


@pytest.fixture
def rego() -> FakeRego:
    return FakeRego(lambda _asked, _question: ())


@pytest.fixture
def engines(rego: FakeRego) -> Engines:
    return engines_with(rego)


@pytest.fixture
def book(engines: Engines) -> Rulebook:
    return Rulebook(builtin_catalogue(), engines)


def config_map(name: str, version: str, **data: str) -> Json:
    texts = {f"{key}.rego": text for key, text in data.items()}
    return {"metadata": {"name": name, "uid": name, "resourceVersion": version}, "data": texts}


def told(book: Rulebook, engines: Engines, *config_maps: Json) -> dict[str, Json]:
    book.replace(CONFIG_MAP, config_maps)
    book.settle()
    return {f"{one['configMap']}/{one['key']}": one for one in rule_states(book, engines)}


def test_each_rule_has_its_version_and_what_is_wrong_with_a_key(book: Rulebook, engines: Engines) -> None:
    found = told(book, engines, config_map("ours", "7", a="x", lib="library", b="broken"))
    loaded = {"id": "rego-a", "configMap": "ours", "key": "a.rego", "revision": "7", "state": "Loaded"}
    refused = {"configMap": "ours", "key": "b.rego", "state": "Refused", "reason": "line 1, column 1: broken"}
    assert found == {"ours/a.rego": loaded, "ours/b.rego": refused}
    found = told(book, engines, config_map("ours", "8", a="broken", c="y"), config_map("two", "9", c="z"))
    assert found["ours/a.rego"] == loaded | {"state": "Kept", "reason": "line 1, column 1: broken"}
    assert (found["ours/c.rego"]["revision"], found["ours/c.rego"]["state"]) == ("8", "Loaded")
    assert found["two/c.rego"]["state"] == "Refused"
    assert "ConfigMap ours" in found["two/c.rego"]["reason"]
    assert told(book, engines) == {}


def test_one_in_the_older_syntax_shows_what_is_evaluated_within_bounds(
    book: Rulebook, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(book, engines, config_map("ours", "7", a="v0"))["ours/a.rego"]["converted"] == "v1 of v0"
    monkeypatch.setattr(module, "_MOST_TEXT", 30)
    found = told(book, engines, config_map("ours", "7", a="v0", b=f"v0 {'x' * 40}"))
    assert found["ours/a.rego"]["converted"] == "v1 of v0"
    assert found["ours/b.rego"]["converted"] == "it is converted; the text is left out, as there is too much of it"


def test_one_that_cannot_be_evaluated_says_why(book: Rulebook, engines: Engines, rego: FakeRego) -> None:
    told(book, engines, config_map("ours", "7", a="x"))
    rego.unready = EngineError("OPA is away")
    book.put(CONFIG_MAP, config_map("more", "8", b="y"))
    book.settle()
    found = {one["key"]: (one["state"], one["reason"]) for one in rule_states(book, engines)}
    assert found == {"a.rego": ("Kept", "OPA is away"), "b.rego": ("Refused", "OPA is away")}
    rego.unready = None
    book.try_again()
    book.settle()
    assert {one["state"] for one in rule_states(book, engines)} == {"Loaded"}
    engines.evaluators[Language.REGO].failing["rego-a"] = "it is too slow"
    (failing, loaded) = sorted(rule_states(book, engines), key=lambda one: str(one["key"]))
    assert (failing["state"], failing["reason"], loaded["state"]) == ("Failing", "it is too slow", "Loaded")
