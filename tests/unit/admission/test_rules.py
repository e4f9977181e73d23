"""The part of the webhook that reads policies and modules aside: in order, and handed over once they are loaded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from admission import rules
from admission.rules import RulePart
from iocaudit.core.kinds import CONFIG_MAP
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.engine.policy_set import PolicySet
from iocaudit.live.rulebook import Rulebook
from iocaudit.supervision.supervisor import Supervisor
from tests.support.fake_rego import FakeRego, engines_with
from tests.support.rules import policy_with, rego_entry

CATALOGUE = builtin_catalogue()


class Running:
    """The part in a thread of its own, and what it handed over."""

    def __init__(self) -> None:
        self.rego = FakeRego(lambda _asked, _question: ())
        self.book = Rulebook(CATALOGUE, engines_with(self.rego))
        self.used: list[PolicySet] = []
        self.told: list[str | None] = []
        self.part = RulePart(self.used.append, self.told.append)

    def put(self, raw: dict[str, Any]) -> None:
        self.part.read(self.book, lambda book: book.put(AUDIT_POLICY, raw))

    @property
    def rules(self) -> set[str]:
        return {check.id for check in self.used[-1].catalogue if check.asks} if self.used else set()


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(rules, "_TRY_AGAIN", 0.05)
    supervisor = Supervisor(cut_off=lambda _code: None)
    found = Running()
    supervisor.thread("rules", found.part.run)
    yield found
    supervisor.close()


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.01)


def test_what_is_in_force_is_handed_over_once_its_rules_are_loaded(running: Running) -> None:
    loaded: list[set[str]] = []

    def use(policies: PolicySet) -> None:
        loaded.append(set(running.rego._loaded))
        running.used.append(policies)

    running.part._use = use
    running.put(policy_with([rego_entry()]))

    def changing() -> bool:
        return running.part.is_changing

    assert changing()
    until(lambda: running.rules == {"rego-registry"}, "the rule")
    assert loaded[-1] == {"rego-registry"}
    assert changing(), "it is not in force before the event loop says so"
    running.part.in_force()
    assert not changing()
    running.put(policy_with([rego_entry()]))
    until(lambda: not changing(), "nothing that changed")
    assert len(running.used) == 1


def test_it_is_ready_once_all_that_there_was_is_loaded(running: Running) -> None:
    running.rego.unready = EngineError("OPA is being started")
    running.put(policy_with([rego_entry()]))
    until(lambda: running.rules, "the rule in force, to fail")
    assert running.told == [], "the ConfigMaps have not come yet"
    running.part.start_loading()
    until(lambda: running.told, "the reason")
    assert set(running.told) == {"OPA is being started"}
    running.rego.unready = None
    until(lambda: running.told[-1] is None, "the rules to be loaded")
    assert running.rego._loaded == {"rego-registry"}
    running.rego.unready = EngineError("away")
    running.put(policy_with([rego_entry("other")]))
    until(lambda: running.rules == {"rego-other"}, "the other")
    assert running.told[-1] is None, "what was ready once stays so"


def test_without_any_rule_it_is_ready_at_once(running: Running) -> None:
    running.part.read(running.book, lambda book: book.replace(CONFIG_MAP, []))
    running.part.start_loading()
    until(lambda: running.told == [None], "readiness")


def test_rules_that_cannot_be_loaded_do_not_keep_it_from_answering_for_ever(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "LONGEST_WAIT", 0.2)
    running.rego.unready = EngineError("it ends again and again")
    running.put(policy_with([rego_entry()]))
    running.part.start_loading()
    until(lambda: running.told and running.told[-1] is None, "readiness")
    assert running.rules == {"rego-registry"}, "its rules are in force, and fail"


def test_changes_are_made_in_their_order_and_none_is_lost(running: Running) -> None:
    gate = threading.Event()

    def wait(_book: Rulebook) -> None:
        gate.wait(5)

    running.part.read(running.book, wait)
    for text in ("good", "broken"):
        running.put(policy_with([rego_entry(rego={"module": text})]))
    gate.set()
    until(lambda: running.rules == {"rego-registry"}, "the last good version, which came and went meanwhile")
    until(lambda: running.book.refused, "the refusal")
