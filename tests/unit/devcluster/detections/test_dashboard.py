"""The dashboard asks for what the rules record, has a panel for each indicator in figures, and overlaps nowhere."""

import json
import re
from pathlib import Path

from devcluster.detections.dashboard import PANELS, dashboard
from devcluster.detections.metric_rules import FOLDER, groups
from iocaudit.core.severity import IoC

ROOT = Path(__file__).parents[4]
RULES = [rule for group in groups(ROOT) for rule in group["rules"]]


def test_the_file_is_what_is_generated() -> None:
    text = (ROOT / FOLDER / "dashboard.json").read_text(encoding="utf-8")
    assert text == dashboard()
    assert [panel["targets"][0]["expr"] for panel in json.loads(text)["panels"]] == [one.expression for one in PANELS]


def test_what_is_asked_for_is_recorded() -> None:
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    asked = {name for one in PANELS for name in re.findall(r"iocaudit:\w+(?::\w+)*", one.expression)}
    assert asked
    assert asked <= recorded


def test_each_indicator_that_has_an_alert_has_a_panel() -> None:
    # Those of the detectors' own health belong to no indicator, and say so.
    of_indicators = [rule for rule in RULES if "alert" in rule and "iocaudit_health" not in rule["labels"]]
    alerts = {IoC(int(rule["labels"]["ioc"])) for rule in of_indicators}
    assert {one.ioc for one in PANELS if one.ioc is not None} == alerts


def test_no_panel_covers_another() -> None:
    seen: set[tuple[int, int]] = set()
    for panel in json.loads(dashboard())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & seen, panel["title"]
        assert max(x for x, _ in cells) < 24
        seen |= cells
