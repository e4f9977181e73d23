"""An id lives for ever: waivers, policies, baselines and findings name it."""

from pathlib import Path

from devcluster.generate import with_ids
from iocaudit.engine.catalogue import builtin_catalogue

CATALOGUE = builtin_catalogue()
IDS = Path(__file__).parents[3] / "docs" / "ids"


def listed() -> list[str]:
    return [line for line in IDS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


def test_no_id_is_ever_taken_back() -> None:
    """An id that a check gave up has to be an alias of the check that took its place."""
    assert [name for name in listed() if CATALOGUE.find(name) is None] == []


def test_every_id_and_every_alias_is_listed_once_and_in_order() -> None:
    ids = listed()
    assert ids == sorted(set(ids))
    assert set(ids) >= {name for check in CATALOGUE for name in (check.id, *check.aliases)}


def test_the_list_only_grows() -> None:
    text = with_ids("gone-check\n", CATALOGUE)
    assert "\ngone-check\n" in text
    assert with_ids(text, CATALOGUE) == text
    assert with_ids(IDS.read_text(encoding="utf-8"), CATALOGUE) == IDS.read_text(encoding="utf-8")
