"""ConfigMaps with rules as they are made, changed and removed: allowed, and told and recorded where less is denied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from iocaudit.core.severity import Severity
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.as_checks import check_of
from iocaudit.engine.languages.rule import RegoSource, Rule
from iocaudit.engine.languages.rule_fields import key_of
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.posture import Verdict
from iocaudit.judging.review import decide
from tests.support.plain_reviews import Json, review
from tests.support.rules import rego

CATALOGUE = builtin_catalogue()
TEXT = 'package x\n\ndeny contains "a" if {\n  input.a\n}\n'
MORE = f'{TEXT}\ndeny contains "b" if {{\n  input.b\n}}\n'
OTHER = TEXT.replace("input.a", "false")
GONE = "takes away rego-a, which is denied: nothing is judged by it any more"


def config_map(data: Json | None = None, label: str | None = "true", namespace: str = "iocaudit") -> Json:
    labels = {"iocaudit.io/rego": label} if label is not None else {}
    metadata = {"name": "ours", "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or {}}


def read(texts: Mapping[str, str], where: str) -> tuple[Sequence[Rule], Mapping[str, str]]:
    """As modules are read, as far as these are: a rule in each with a denial."""
    rules = [
        rego(key.removesuffix(".rego"), source=RegoSource(text), where=f"{where}, data[{key!r}]")
        for key, text in texts.items()
        if "deny contains" in text and "broken" not in text
    ]
    return rules, {key: "line 3, column 1: broken" for key, text in texts.items() if "broken" in text}


def asked(
    operation: str,
    new: Json | None,
    old: Json | None = None,
    *,
    reader: Any = read,
    mode: str = "deny",
    named: str = "rego-a",
) -> Verdict:
    rules: list[Rule] = []
    if old is not None and old["metadata"]["labels"]:
        rules += reader(old["data"], "ConfigMap ours")[0] if reader else read(old["data"], "ConfigMap ours")[0]
    known = CATALOGUE.also(map(check_of, rules))
    policy = {"metadata": {"name": "p"}, "spec": {"checks": [{"ids": [named], "mode": mode}]}}
    policies = PolicySet(known, [read_policy(policy, known, live=True)])
    auditor = Auditor(known, policies, World())
    return decide(review(operation, new, old), auditor, Deadline.within(3), read_modules=reader)


@pytest.mark.parametrize(
    ("new", "note"),
    [
        (None, f"ConfigMap ours is removed, which {GONE}"),
        (config_map({"a.rego": TEXT}, label=None), f"ConfigMap ours is not read any more, which {GONE}"),
        (config_map({"a.rego": TEXT}, label="false"), f"ConfigMap ours is not read any more, which {GONE}"),
        (config_map({"b.rego": TEXT}), f"ConfigMap ours {GONE}"),
        (config_map({"renamed.rego": TEXT}), f"ConfigMap ours {GONE}"),
        (config_map({"a.rego": "package x\n\nhelper := 1\n"}), f"ConfigMap ours {GONE}"),
        (
            config_map({"a.rego": OTHER}),
            "ConfigMap ours changes what rego-a says, which is denied: it may deny less",
        ),
    ],
)
def test_what_denies_less_is_told_and_recorded(new: Json | None, note: str) -> None:
    verdict = asked("UPDATE" if new else "DELETE", new, config_map({"a.rego": TEXT}))
    assert (verdict.allowed, verdict.notes[0]) == (True, note)
    (kept,) = verdict.recorded
    assert (kept.check, kept.hit.path, kept.message) == ("policy-weakens-guard", "data", kept.message)
    assert note in kept.hit.message
    assert kept.severity >= Severity.MEDIUM
    assert (kept.subject.kind, kept.subject.name) == ("ConfigMap", "ours")
    warned = asked("UPDATE" if new else "DELETE", new, config_map({"a.rego": TEXT}), mode="warn")
    assert warned.recorded == ()


@pytest.mark.parametrize(
    "data",
    [{"a.rego": MORE}, {"a.rego": f"# why\n{TEXT}"}, {"a.rego": TEXT, "b.rego": TEXT}, {"a.rego": "broken"}],
)
def test_what_adds_or_is_broken_takes_nothing_away(data: Json) -> None:
    """Of a broken key the last good version stays in force."""
    verdict = asked("UPDATE", config_map(data), config_map({"a.rego": TEXT}))
    assert verdict.recorded == ()
    assert [note for note in verdict.notes if "denied" in note] == []


def test_the_author_of_a_broken_module_is_told_where_it_is_broken() -> None:
    (note,) = asked("CREATE", config_map({"a.rego": "broken", "b.rego": TEXT})).notes
    said = "ConfigMap ours: data['a.rego']: line 3, column 1: broken; this version of it is not put in force"
    assert note == said


def test_while_modules_cannot_be_read_any_other_text_may_deny_less() -> None:
    old = config_map({"a.rego": TEXT, "b.rego": TEXT})
    assert asked("UPDATE", config_map({"a.rego": TEXT}), old, reader=None).recorded == ()
    (kept,) = asked("UPDATE", config_map({"a.rego": MORE}), old, reader=None).recorded
    assert "its text could not be read" in kept.hit.message
    (kept,) = asked("UPDATE", config_map({"b.rego": TEXT}), old, reader=None).recorded
    assert GONE in kept.hit.message


@pytest.mark.parametrize(
    ("made", "note"),
    [
        (config_map({"a.rego": TEXT}, label=None), 'is not read: give it the label iocaudit.io/rego: "true"'),
        (config_map({"a.rego": TEXT}, label="yes"), 'is not read: give it the label iocaudit.io/rego: "true"'),
        (config_map({"a.rego": TEXT}, namespace="shop"), "is not read for rules: only those of namespace iocaudit are"),
        (config_map({"a": "b"}, label=None), ""),
        (config_map({"a.rego": TEXT}, label=None, namespace="shop"), ""),
    ],
)
def test_one_that_is_meant_to_be_read_and_is_not_is_told(made: Json, note: str) -> None:
    verdict = asked("CREATE", made)
    assert verdict.recorded == ()
    assert note in "".join(verdict.notes)
    assert bool(verdict.notes) is bool(note)


def test_the_same_again_and_any_other_object_is_left_alone() -> None:
    same = config_map({"a.rego": TEXT})
    assert asked("UPDATE", same, config_map({"a.rego": TEXT})).notes == ()
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "iocaudit"}, "spec": {}}
    assert asked("DELETE", None, pod | {"metadata": {**pod["metadata"], "labels": {}}, "data": {}}).notes == ()  # type: ignore[dict-item]
    assert key_of("ConfigMap ours, data['a.rego']") == "a.rego"
