"""The rules for Falco that we ship: Falco loads them, each fires on its sample, and iocaudit knows its indicator."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster.detections.evaluation import holds
from devcluster.detections.rule_file import FalcoRule, RuleFile, RuleFileError, problems
from devcluster.detections.shipped_rules import FOLDER, ioc_of, rule_files
from iocaudit.knowledge.command import MINERS
from iocaudit.signals.audit_event import LinePlace
from iocaudit.signals.detector import Detector
from iocaudit.signals.falco import read_alert
from iocaudit.signals.falco_rules import RULES, indicator_of
from iocaudit.signals.indicators.catalogue import all_detections
from iocaudit.signals.signal import SignalSource, signal_of

FILES = rule_files()
CASES = [(file, rule) for file in FILES for rule in file.rules]
DATA: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("falco_samples.yaml").read_text(encoding="utf-8"))
SEEN_BY_FALCO = frozenset(one.indicator for one in all_detections() if one.feeds is SignalSource.FALCO)


def sample(rule: FalcoRule) -> tuple[dict[str, Any], dict[str, Any]]:
    """An event that fires a rule, and one that does not."""
    given = DATA["samples"][rule.name]
    fires = {**DATA["bases"][given["from"]], **given["fires"]}
    quiet = {name: value for name, value in {**fires, **given["quiet"]}.items() if value is not None}
    return fires, quiet


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_falco_loads_the_file_without_a_warning(file: RuleFile) -> None:
    assert problems(file) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_name_can_be_one_of_falcos_own(file: RuleFile) -> None:
    assert {name for name in (*file.lists, *file.macros) if not name.startswith("iocaudit_")} == set()
    assert {rule.name for rule in file.rules if not rule.name.startswith("iocaudit ")} == set()
    assert {rule.name.casefold() for rule in file.rules} & set(RULES) == set()


def test_there_is_a_sample_for_each_rule_and_no_other() -> None:
    names = [rule.name for _, rule in CASES]
    assert sorted(DATA["samples"]) == sorted(names)
    assert len(names) >= 30


@pytest.mark.parametrize(("file", "rule"), CASES, ids=[rule.name for _, rule in CASES])
def test_a_rule_fires_on_its_sample_and_its_indicator_is_known(file: RuleFile, rule: FalcoRule) -> None:
    fires, quiet = sample(rule)
    assert holds(file, rule.condition, fires)
    assert not holds(file, rule.condition, quiet)
    alert = read_alert(
        {
            "rule": rule.name,
            "priority": rule.priority.title(),
            "source": rule.source,
            "output": rule.output,
            "tags": list(rule.tags),
            "output_fields": {name: value for name, value in fires.items() if name in rule.output},
        },
        LinePlace("sample", 1),
    )
    assert indicator_of(alert) is ioc_of(rule)
    seen = Detector().take(signal_of(alert))
    assert [one.iocs for one in seen] == [(ioc_of(rule),)]


def test_every_indicator_that_falco_can_see_has_a_rule() -> None:
    assert {ioc_of(rule) for _, rule in CASES} == SEEN_BY_FALCO


def test_what_both_know_is_the_same() -> None:
    (file,) = [file for file in FILES if "iocaudit_miners" in file.lists]
    assert set(file.values(("iocaudit_miners",))) == MINERS


def test_what_is_off_says_what_it_needs() -> None:
    text = (FOLDER / "iocaudit_rules.yaml").read_text(encoding="utf-8")
    off = [rule.name for _, rule in CASES if not rule.is_enabled]
    assert len(off) == 3
    page = (FOLDER.parents[2] / "docs" / "detections.md").read_text(encoding="utf-8")
    assert all(name in text and name in page for name in off)


@pytest.mark.parametrize("tags", [(), ("ioc-x",), ("ioc-11",), ("ioc-1", "ioc-2")])
def test_a_rule_without_one_indicator_is_refused(tags: tuple[str, ...]) -> None:
    with pytest.raises(RuleFileError, match="needs one tag"):
        ioc_of(replace(CASES[0][1], tags=tags))
