"""The pages of the indicators."""

from iocaudit.signals.indicators.catalogue import all_detections, all_indicators
from iocaudit.sinks.blocks.markdown import as_markdown
from iocaudit.sinks.catalogue.indicators import index, page


def test_every_detection_is_in_the_index_and_on_its_page() -> None:
    listed = as_markdown(index(all_indicators()))
    pages = {one.ioc: as_markdown(page(one)) for one in all_indicators()}
    for detection in all_detections():
        assert f"`{detection.id}`" in listed
        assert f"## {detection.id}\n" in pages[detection.indicator]
        assert detection.title in pages[detection.indicator]


def test_a_page_says_what_nothing_sees_and_links_weaknesses() -> None:
    text = as_markdown(page(all_indicators()[3]))
    assert "What nothing here sees: " in text
    assert "(../checks/exec-permission.md)" in text
    assert "https://attack.mitre.org/techniques/T1609/" in text
