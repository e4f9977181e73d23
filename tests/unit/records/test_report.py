"""When a report is written."""

from datetime import UTC, datetime, timedelta

from iocaudit.live.summary import Summary
from iocaudit.records.report import REFRESH, report_write

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_written_only_if_it_says_something_else() -> None:
    content = Summary().content([])
    first = report_write("shop", content, None, NOW)
    assert first is not None
    assert report_write("shop", content, first, NOW + timedelta(days=30)) is None
    assert report_write("shop", Summary().content(["p"]), first, NOW) is not None


def test_clusters_time_is_refreshed_coarsely() -> None:
    content = Summary().content([])
    first = report_write(None, content, None, NOW)
    assert first is not None
    assert report_write(None, content, first, NOW + REFRESH - timedelta(seconds=1)) is None
    again = report_write(None, content, first, NOW + REFRESH)
    assert again is not None
    assert again["report"]["lastSweep"] == "2026-01-02T03:14:05Z"
