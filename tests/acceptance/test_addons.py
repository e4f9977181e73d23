"""What an installation does to a cluster: stock add-ons under each preset, and what their first report says."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from iocaudit.core.namespaces import SYSTEM_NAMESPACES
from tests.acceptance.addons import DATA, Applied, addons, applied, files, hits_before
from tests.acceptance.labelled import ROOT
from tests.support.running import run

Json = dict[str, Any]
PRESETS = ("observe", "warn", "guard", "lockdown")
OURS = re.compile(
    r"; see iocaudit explain [a-z0-9-]+( \(\d+ more checks?\))?\Z|and \d+ more: kubectl get [a-z,]+( -.*)?\Z"
)
"""How each of our warnings ends."""


@pytest.fixture(scope="module", params=PRESETS)
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Applied]]:
    """A preset, and what became of each object under it."""
    preset: str = request.param
    return preset, applied(preset, tmp_path_factory.mktemp(preset))


def test_a_preset_denies_what_is_stated_and_nothing_else(outcome: tuple[str, list[Applied]]) -> None:
    preset, answers = outcome
    assert len({one.addon for one in answers}) == len(addons())
    denied = [one for one in answers if one.answer.denial is not None]
    assert [one.title for one in denied if one.namespace in SYSTEM_NAMESPACES] == []
    stated: Json = DATA["denied"][preset]
    if preset == "lockdown":
        assert dict(Counter(one.addon for one in denied)) == stated
    else:
        assert {one.title: one.answer.denial for one in denied}.keys() == stated.keys()
        assert all(len(reason) > 20 for reason in stated.values())


def test_the_rollout_page_states_these_numbers() -> None:
    page = (ROOT / "docs" / "rollout.md").read_text("utf-8")
    assert DATA["denied"]["observe"] == DATA["denied"]["warn"] == {}
    assert "| `observe`, `warn` | 0 |" in page
    assert f"| `guard` | {len(DATA['denied']['guard'])}: " in page
    many: dict[str, int] = DATA["denied"]["lockdown"]
    assert f"| `lockdown` | {sum(many.values())}, of {len(many)} add-ons: " in page


def test_everything_else_is_stored(outcome: tuple[str, list[Applied]]) -> None:
    """Or there is a reason that has nothing to do with us."""
    _, answers = outcome
    refused = {one.title: one.answer for one in answers if one.answer.status >= 400 and one.answer.denial is None}
    assert {title: answer for title, answer in refused.items() if title not in DATA["refused"]} == {}


def test_every_warning_ends(outcome: tuple[str, list[Applied]]) -> None:
    preset, answers = outcome
    ours = [line for one in answers for line in one.answer.warnings if "iocaudit" in line or " more: kubectl" in line]
    assert [line for line in ours if not OURS.search(line)] == []
    assert all(len(line) <= 256 for line in ours)
    cut = [line for line in ours if "…" in line]
    assert len(cut) <= DATA["warnings"]["cut"], "\n".join(cut)
    assert (preset == "observe") == (not ours)
    for one in answers:
        assert len([line for line in one.answer.warnings if line in ours]) <= 4


# -- the first report --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report() -> Json:
    code, said, errors = run("scan", *map(str, files()), "-o", "json")
    assert code == 1, errors
    found: Json = json.loads(said)
    return found


def test_one_cause_is_one_finding(report: Json) -> None:
    """As far as the checks go that were there before; what others find is counted apart."""
    standing = [one for one in report["findings"] if "impliedBy" not in one]
    known = {check for check, _ in hits_before()}
    causes = [one for one in standing if one["check"] in known]
    critical = [one for one in causes if one["severity"] == "critical"]
    measured = {
        "causes": len(set(map(_finding, causes))),
        "objects": len(set(map(_object, causes))),
        "criticalCauses": len(set(map(_finding, critical))),
        "criticalObjects": len(set(map(_object, critical))),
    }
    assert {
        name: (number, DATA["report"][name]) for name, number in measured.items() if number > DATA["report"][name]
    } == {}
    apart = Counter(one["check"] for one in standing if one["check"] not in known)
    assert {check: count for check, count in apart.items() if count > DATA["apart"].get(check, 0)} == {}
    assert report["summary"]["causes"] == len(set(map(_finding, standing)))


def test_every_hit_that_was_found_before_stays(report: Json) -> None:
    """Of the same check on the same object, but for those that were wrong: of these something else is said."""
    now = Counter(map(_finding, report["findings"]))
    skipped = set(map(_finding, report["skipped"]))
    gone = hits_before() - now
    mended: list[dict[str, str]] = DATA["mended"]
    assert gone == Counter((one["check"], one["object"]) for one in mended)
    for one in mended:
        assert len(one["reason"]) > 20
        if one["instead"] == "not judged":
            assert (one["check"], one["object"]) in skipped
        else:
            assert now[one["instead"], one["object"]]


def _object(one: Json) -> str:
    """An object as the data writes it: ``addon: Kind namespace/name``."""
    subject = one["subject"]
    place = f"{subject['namespace']}/" if subject["namespace"] else ""
    return f"{Path(one['file']).stem}: {subject['kind']} {place}{subject['name']}"


def _finding(one: Json) -> tuple[str, str]:
    return (one["check"], _object(one))
