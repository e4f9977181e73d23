"""The comparison with the rules of others holds: each has a counterpart that exists, or a reason."""

from devcluster.coverage import counterparts, page
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.signals.indicators.catalogue import all_detections
from iocaudit.sinks.blocks.markdown import as_markdown


def test_each_rule_has_a_counterpart_or_a_reason() -> None:
    known = {one.id for one in all_detections()} | {check.id for check in builtin_catalogue()}
    for one in counterparts():
        assert set(one.ours) <= known, one.rule
        assert one.ours or len(one.note) > 20, one.rule


def test_no_set_lost_a_rule() -> None:
    sets: dict[str, int] = {}
    for one in counterparts():
        sets[one.set] = sets.get(one.set, 0) + 1
    assert list(sets.values()) == [48, 45, 16]


def test_the_page_links_what_answers() -> None:
    text = as_markdown(page(builtin_catalogue()))
    assert "[`wildcard-rule`](checks/wildcard-rule.md)" in text
    assert "(indicators/user-activity.md#session-opened)" in text
