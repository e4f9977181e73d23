"""Evaluators as the doors make them: an embedded OPA and one elsewhere say the same, and its loss is said."""

from __future__ import annotations

import asyncio
import builtins
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.embedded import EMBEDDED, read_folder
from iocaudit.engine.languages.evaluator import EngineError, EngineMissingError
from iocaudit.engine.languages.rego.evaluator import RegoEvaluator
from iocaudit.engine.languages.rego.preparer import Preparer
from iocaudit.engine.languages.rego.service import OpaKeeper
from iocaudit.engine.languages.rego.setup import embedded, remote
from iocaudit.engine.languages.rule import Language, RegoSource, Rule
from tests.support.rego import (
    REGISTRY_V0,
    REGISTRY_V1,
    answer_of,
    creation,
    messages_of,
    pod_with,
    question_of,
    reason_of,
    rego_rule,
)
from tests.support.remote_opa import OTHER_OWNER, RemoteFiles, remote_opa

RULES = [
    rego_rule(REGISTRY_V0, name="old"),
    rego_rule(REGISTRY_V1, name="new"),
    rego_rule("package a\n\ndeny contains 1 if true\n", name="mistyped"),
    rego_rule("package a\n\ndeny contains x if x := foo(1)\n", name="broken"),
    rego_rule(
        'package a\n\nf(1) := 1\n\nf(x) := 2 if x == 1\n\ndeny contains "x" if f(count([1])) == 1\n', name="conflict"
    ),
    rego_rule('package a\n\nviolation[{"msg": "x"}] { data.inventory.cluster.v1 }\n', name="inventory"),
]


def loader(files: RemoteFiles, preparer: Preparer) -> RegoEvaluator:
    return remote(files.url, preparer, token_file=files.loads, ca_file=files.ca, loads=True)


def asker(files: RemoteFiles, preparer: Preparer) -> RegoEvaluator:
    return remote(files.url, preparer, token_file=files.asks, ca_file=files.ca)


def test_an_opa_elsewhere_says_the_same(
    remote_files: RemoteFiles, evaluator: RegoEvaluator, preparer: Preparer
) -> None:
    loads, asks = loader(remote_files, preparer), asker(remote_files, preparer)
    question = question_of(
        *RULES, request=creation(pod_with("nginx", "hooli.com/a")), inventory={"cluster": {"v1": {"Namespace": {}}}}
    )
    for one in (evaluator, loads, asks):
        one.load(RULES)
    wanted = evaluator.ask(question, Deadline.within(10))
    assert messages_of(wanted["rego-old"]) == messages_of(wanted["rego-new"])
    assert messages_of(wanted["rego-inventory"]) == ["x"]
    assert "conflicting values" in reason_of(wanted["rego-conflict"])

    async def soon() -> Any:
        return [await one.ask_soon(question, Deadline.within(10)) for one in (loads, asks)]

    try:
        assert loads.ask(question, Deadline.within(10)) == wanted
        assert asks.ask(question, Deadline.within(10)) == wanted
        assert asyncio.run(soon()) == [wanted, wanted]
    finally:
        loads.close()
        asks.close()


def test_one_that_only_asks_waits_for_the_rules(remote_files: RemoteFiles, preparer: Preparer) -> None:
    loads, asks = loader(remote_files, preparer), asker(remote_files, preparer)
    rule = rego_rule('package waits\n\ndeny contains "x"\n')
    try:
        with pytest.raises(EngineError, match="does not have 1 of 1 rules yet"):
            asks.load([rule])
        assert reason_of(answer_of(asks, rule))
        loads.load([rule])
        asks.load([rule])
        assert messages_of(answer_of(asks, rule)) == ["x"]
        # What it asks stays for a while after it is replaced, and then its absence is a failure.
        for n in range(5):
            loads.load([rego_rule(f'package waits\n\ndeny contains "{n}"\n')])
        assert "does not have this rule" in reason_of(answer_of(asks, rule))
    finally:
        loads.close()
        asks.close()


def test_it_may_have_a_restart_and_owners_that_do_not_disturb_each_other(
    opa_program: Path, preparer: Preparer, tmp_path: Path
) -> None:
    rule = rego_rule('package a\n\ndeny contains "x"\n')
    with remote_opa(opa_program, tmp_path) as files:
        first = loader(files, preparer)
        second = remote(files.url, preparer, token_file=files.other, ca_file=files.ca, loads=True, owner=OTHER_OWNER)
        first.load([])
        second.load([])
        assert reason_of(answer_of(first, rule)) == "the rule is not loaded"
        first.load([rule])
        for n in range(6):
            second.load([rego_rule(f'package a\n\ndeny contains "{n}"\n')])
        assert messages_of(answer_of(first, rule)) == ["x"]
        second.close()
    assert "cannot be reached" in reason_of(answer_of(first, rule, 2.0))
    port = int(files.url.rpartition(":")[2])
    with remote_opa(opa_program, tmp_path, port=port):
        assert messages_of(answer_of(first, rule)) == ["x"]
    first.close()


def test_two_that_load_under_one_name_take_nothing_away_that_is_in_use(
    remote_files: RemoteFiles, preparer: Preparer
) -> None:
    loaders = [loader(remote_files, preparer) for _ in range(2)]
    rules = [rego_rule(f'package a\n\ndeny contains "{n}"\n') for n in range(12)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: [one.load([rule]) for rule in rules[:: 1 if one is loaders[0] else -1]], loaders))
    for one, rule in zip(loaders, (rules[-1], rules[0]), strict=True):
        assert messages_of(answer_of(one, rule)) == [rule_message(rule)]
        one.close()


def rule_message(rule: Rule) -> str:
    assert isinstance(rule.source, RegoSource)
    return rule.source.module.split('"')[1]


def test_what_was_lost_is_loaded_again_before_anybody_asks(
    opa_program: Path, stock_opa: Path, preparer: Preparer, tmp_path: Path
) -> None:
    rule = rego_rule('package a\n\ndeny contains "x"\n')
    with remote_opa(opa_program, tmp_path) as files:
        loads, asks = loader(files, preparer), asker(files, preparer)
        assert (loads.look(), asks.look()) == ("", ""), "nothing is in force yet"
        loads.load([rule])
        asks.load([rule])
        assert (loads.look(), asks.look()) == ("", "")
    port = int(files.url.rpartition(":")[2])
    assert "cannot be reached" in loads.look()
    assert "cannot be reached" in asks.look()
    with remote_opa(stock_opa, tmp_path, port=port):
        assert "has http.send" in loads.look(), "what comes back may be another"
        assert "does not have" in reason_of(answer_of(loads, rule)) or "http.send" in reason_of(answer_of(loads, rule))
    with remote_opa(opa_program, tmp_path, port=port):
        assert "does not have 1 of 1 rules" in asks.look()
        assert reason_of(answer_of(asks, rule))
        assert loads.look() == ""
        assert asks.look() == ""
        assert messages_of(answer_of(asks, rule)) == ["x"]
    loads.close()
    asks.close()


def test_its_loss_and_what_is_wrong_with_it_are_said(
    remote_files: RemoteFiles, preparer: Preparer, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    files = remote_files
    cases: list[tuple[dict[str, Any], str]] = [
        ({"url": "https://127.0.0.1:1"}, "OPA at https://127.0.0.1:1: it cannot be reached"),
        ({"url": files.url}, "its certificate is not trusted"),
        ({"url": files.url, "ca_file": files.ca}, "it refuses our token"),
        ({"url": files.url, "ca_file": tmp_path / "none"}, "there is no such file"),
        ({"url": files.url, "ca_file": files.ca, "token_file": tmp_path / "none"}, "cannot be read: No such file"),
        ({"url": files.url, "ca_file": files.ca, "token_file": empty}, "does not hold the token"),
        ({"url": files.url, "ca_file": files.ca, "token_file": files.asks, "loads": True}, "it refuses our token"),
        ({"url": files.url.replace("https", "http")}, "OPA at http://"),
        ({"url": "opa.example.com"}, "is not the URL of an OPA"),
        ({"url": "https://opa:x/"}, "is not the URL of an OPA"),
        ({"url": "https://opa/below"}, "is not the URL of an OPA"),
    ]

    def use(url: str, **settings: Any) -> None:
        evaluator = remote(url, preparer, **settings)
        evaluator.load(RULES[:1])

    for settings, said in cases:
        with pytest.raises(EngineError) as raised:
            use(**settings)
        assert said in str(raised.value), raised.value
    with pytest.raises(EngineError) as raised:
        remote("https://ann:hunter2@opa", preparer)
    assert "hunter2" not in str(raised.value)


def test_one_whose_rules_can_reach_out_is_refused_unless_allowed(
    stock_opa: Path, preparer: Preparer, tmp_path: Path
) -> None:
    with remote_opa(stock_opa, tmp_path) as files:
        with pytest.raises(EngineError, match=r"has http\.send, by which a rule can reach out"):
            loader(files, preparer)
        allowed = remote(
            files.url, preparer, token_file=files.loads, ca_file=files.ca, loads=True, allow_reaching_out=True
        )
        rule = rego_rule(REGISTRY_V0)
        allowed.load([rule])
        assert messages_of(answer_of(allowed, rule))
        # Allowed or not, no rule of ours is let reach out.
        reaching = rego_rule('package a\n\ndeny contains "x" if http.send({})\n')
        assert "http.send" in allowed.check([reaching])[reaching.id]
        allowed.close()


def test_without_the_client_it_says_what_to_install(
    opa_program: Path, preparer: Preparer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("opa_client"):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(EngineMissingError, match=r"pip install 'iocaudit\[rego\]'"):
        embedded(OpaKeeper(opa_program), preparer)


def test_the_command_line_finds_the_program_by_itself(opa_program: Path, tmp_path: Path) -> None:
    (tmp_path / "images.rego").write_text(REGISTRY_V0)
    (rule,) = read_folder(tmp_path)
    evaluator = EMBEDDED[Language.REGO]()
    try:
        evaluator.load([rule])
        assert messages_of(answer_of(evaluator, rule)) == ["image 'nginx' comes from untrusted registry"]
    finally:
        evaluator.close()
