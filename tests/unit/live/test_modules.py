"""ConfigMaps with modules: what is broken costs its own rule, whose last good version stays."""

from __future__ import annotations

from typing import Any

import pytest

from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.live import modules
from iocaudit.live.modules import ModuleStore
from tests.support.fake_rego import FakeRego, engines_with


def config_map(name: str, **data: str) -> dict[str, Any]:
    texts = {f"{key.replace('_', '-')}.rego": text for key, text in data.items()}
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "data": texts}


@pytest.fixture
def rego() -> FakeRego:
    return FakeRego(lambda _asked, _question: ())


@pytest.fixture
def store(rego: FakeRego) -> ModuleStore:
    return ModuleStore(engines_with(rego))


def texts(store: ModuleStore) -> dict[str, str]:
    store.settle()
    return {rule.id: rule.source.module for rule in store.rules}  # type: ignore[union-attr]


def test_each_key_is_a_rule_until_its_configmap_goes(store: ModuleStore) -> None:
    store.replace([config_map("one", a="x", lib="library"), config_map("two", b="y")])
    assert texts(store) == {"rego-a": "x", "rego-b": "y"}
    before = store.rules
    store.put(config_map("two", b="y"))
    store.settle()
    assert store.rules is before, "the same rules are the same value"
    store.remove("one")
    assert texts(store) == {"rego-b": "y"}
    assert store.problems == ()


@pytest.mark.parametrize("bad", ["broken", "unreadable"])
def test_a_broken_key_keeps_its_last_good_version_and_costs_no_other(store: ModuleStore, bad: str) -> None:
    store.replace([config_map("one", a="x", b="y")])
    assert texts(store) == {"rego-a": "x", "rego-b": "y"}
    store.put(config_map("one", a=bad, b="y2", c=bad))
    assert texts(store) == {"rego-a": "x", "rego-b": "y2"}
    assert [(one.key, one.kept, one.uid) for one in sorted(store.problems)] == [
        ("a.rego", True, "uid-one"),
        ("c.rego", False, "uid-one"),
    ]
    assert store.problems[0].message.startswith("data['a.rego']: line 1")
    assert "its last good version stays in force" in store.problems[0].message
    assert "it is not in force" in store.problems[1].message
    store.put(config_map("one", b="y2"))
    assert texts(store) == {"rego-b": "y2"}, "what its author took away is gone, whatever it was"
    store.put(config_map("one", a="x2"))
    assert (texts(store), store.problems) == ({"rego-a": "x2"}, ())


def test_of_two_rules_of_one_name_the_first_by_configmap_is_in_force(store: ModuleStore) -> None:
    store.replace([config_map("zulu", a="last"), config_map("alpha", a="first")])
    assert texts(store) == {"rego-a": "first"}
    (problem,) = store.problems
    assert (problem.config_map, problem.key) == ("zulu", "a.rego")
    assert "ConfigMap alpha, data['a.rego']" in problem.reason
    store.remove("alpha")
    assert (texts(store), store.problems) == ({"rego-a": "last"}, ())


def test_bytes_and_rules_are_bounded_and_what_was_in_force_stays(
    store: ModuleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules, "MOST_BYTES", 10)
    monkeypatch.setattr(modules, "MOST_RULES", 3)
    store.replace([config_map("one", a="x" * 6), config_map("two", b="y" * 4)])
    assert texts(store).keys() == {"rego-a", "rego-b"}
    store.put(config_map("two", b="z" * 5))
    assert texts(store)["rego-b"] == "yyyy"
    assert ["10 bytes" in one.message for one in store.problems] == [True]
    store.replace([config_map("one", a="1", b="2", c="3", d="4")])
    assert texts(store).keys() == {"rego-a", "rego-b", "rego-c"}
    assert ["3 rules" in one.message for one in store.problems] == [True]


def test_what_could_not_be_read_is_read_when_that_is_asked(store: ModuleStore, rego: FakeRego) -> None:
    rego.unready = EngineError("OPA is away")
    store.replace([config_map("one", a="x")])
    assert texts(store) == {}
    assert [one.reason for one in store.problems] == ["OPA is away"]
    rego.unready = None
    assert texts(store) == {}, "nothing has changed"
    store.read_again()
    assert texts(store) == {"rego-a": "x"}


def test_data_that_is_not_text_is_left_alone(store: ModuleStore) -> None:
    store.replace([{"metadata": {"name": "one"}, "data": {"a.rego": 3}}, {"metadata": {"name": "two"}, "data": None}])
    assert texts(store) == {}
