from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from iocaudit.engine.deadline import NO_DEADLINE
from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.engine.languages.rego import loading
from iocaudit.engine.languages.rego.clients import OpaCalls
from iocaudit.engine.languages.rego.evaluator import RegoEvaluator
from iocaudit.engine.languages.rego.loading import RuleSet, digest_of, modules_of, put
from iocaudit.engine.languages.rego.preparer import LoadedModule, PreparedRule, Preparer, root_of
from iocaudit.engine.languages.rego.trouble import Trouble, TroubleKind
from iocaudit.engine.languages.rule import RegoSource
from tests.support.rego import REGISTRY_V0, REGISTRY_V1


class OneByOne:
    """The real calls, of an OPA that takes one module at a time; ``fails`` breaks the call of that number."""

    def __init__(self, calls: OpaCalls, fails: int = -1) -> None:
        self.calls, self.fails, self.done = calls, fails, 0

    def data(self, path: str, seconds: float) -> Any:
        return self.calls.data(path, seconds)

    def put(self, policy: str, module: str, seconds: float) -> None:
        self.done += 1
        if self.done == self.fails:
            raise Trouble(TroubleKind.AWAY, "it is gone")
        self.calls.put(policy, module, seconds)

    def put_all(self, modules: Mapping[str, str], gone: Sequence[str], seconds: float) -> bool:
        return False

    def delete(self, policy: str, seconds: float) -> None:
        self.calls.delete(policy, seconds)


@pytest.fixture
def calls(evaluator: RegoEvaluator) -> OpaCalls:
    access = evaluator._server.access(NO_DEADLINE).load
    assert access is not None
    return OpaCalls(access)


def rule_set(preparer: Preparer, revision: str, *modules: str, owner: str = "own") -> RuleSet:
    sources = [RegoSource(one) for one in modules]
    return RuleSet(revision, dict(zip(sources, preparer.prepare(sources, owner), strict=True)))


def there(calls: OpaCalls, owner: str) -> set[str]:
    found = calls._client._session.get(f"{calls._client.root_url}/policies", timeout=10).json()["result"]
    return {one["id"] for one in found if one["id"].startswith(f"iocaudit/{owner}/")}


@pytest.mark.parametrize("at_once", [True, False])
def test_a_set_is_put_and_the_oldest_goes(calls: OpaCalls, preparer: Preparer, at_once: bool) -> None:
    owner = f"owner-{at_once}".lower()
    used = calls if at_once else OneByOne(calls)
    texts = [f'package a\n\ndeny contains data.b.f("{n}")\n' for n in range(4)]
    for n, text in enumerate(texts):
        source = RegoSource(text, ("package b\n\nf(x) := x\n",))
        wanted = RuleSet(f"{owner}-{n}", {source: preparer.prepare([source], owner)[0]})
        put(used, wanted, owner, 1, "OPA")
    held = there(calls, owner)
    assert {name for name in held if "/sets/" in name} == {f"iocaudit/{owner}/sets/{owner}-{n}" for n in (2, 3)}
    roots = {root_of(RegoSource(text, ("package b\n\nf(x) := x\n",)), owner) for text in texts[2:]}
    assert {name.split("/")[3] for name in held if "/rules/" in name} == roots
    assert len(held) == 2 + 2 * 3


def test_a_set_that_is_there_is_not_put_again(calls: OpaCalls, preparer: Preparer) -> None:
    counting = OneByOne(calls)
    wanted = rule_set(preparer, "again", REGISTRY_V0, owner="again")
    put(counting, wanted, "again", 1, "OPA")
    before = counting.done
    put(counting, wanted, "again", 1, "OPA")
    assert counting.done == before > 0


@pytest.mark.parametrize("fails", [1, 2, 3, 4, 5])
def test_a_load_that_breaks_leaves_what_was_there(calls: OpaCalls, preparer: Preparer, fails: int) -> None:
    owner = f"breaks{fails}"
    put(calls, rule_set(preparer, f"{owner}-good", REGISTRY_V0, owner=owner), owner, 1, "OPA")
    before = there(calls, owner)
    more = rule_set(
        preparer, f"{owner}-more", REGISTRY_V0, REGISTRY_V1, 'package x\n\ndeny contains "x"\n', owner=owner
    )
    with pytest.raises(EngineError, match="OPA at x cannot be loaded: it is gone"):
        put(OneByOne(calls, fails), more, owner, 1, "OPA at x")
    assert there(calls, owner) == before


def test_a_module_that_opa_refuses_costs_its_rule_alone(calls: OpaCalls, preparer: Preparer) -> None:
    wanted = rule_set(preparer, "refuses", REGISTRY_V0, REGISTRY_V1, owner="refuses")
    old, new = (RegoSource(text) for text in (REGISTRY_V0, REGISTRY_V1))
    root = wanted.rules[old].root
    bad = PreparedRule(root, (LoadedModule(0, "package broken {"),))
    broken = RuleSet("refuses", {**wanted.rules, old: bad})
    put(calls, broken, "refuses", 1, "OPA")
    assert set(broken.broken) == {root}
    assert "OPA does not take it: " in str(broken.trouble(old))
    assert broken.trouble(new) is None
    assert broken.trouble(RegoSource("other")) == "the rule is not loaded"


def test_a_set_that_is_too_large_is_refused(
    calls: OpaCalls, preparer: Preparer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "MOST_LOADED", 100)
    with pytest.raises(EngineError, match=r"bytes together, and may have 100"):
        put(calls, rule_set(preparer, "large", REGISTRY_V0, owner="large"), "large", 1, "OPA")
    assert there(calls, "large") == set()


def test_the_digest_is_that_of_the_rules_in_any_order() -> None:
    a, b = PreparedRule("ra"), PreparedRule("rb")
    assert digest_of([a, b]) == digest_of([b, a, a]) != digest_of([a])
    assert list(modules_of([PreparedRule("r", (LoadedModule(0, "x"),))], "o")) == ["iocaudit/o/rules/r/0"]
