"""The mode that a setting gives a hit, and which of two is the stricter."""

import pytest

from iocaudit.core.check import Check
from iocaudit.core.severity import Severity
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.presets import Mode, Preset
from iocaudit.engine.setting import Setting, is_stricter

CATALOGUE = builtin_catalogue()


def check(name: str) -> Check:
    found = CATALOGUE.find(name)
    assert found is not None
    return found


GUARDED, OTHER = check("privileged-container"), check("mutable-image-tag")


def test_a_mode_that_is_given_holds_for_every_severity() -> None:
    given = Setting(OTHER, Mode.DENY, None, {})
    assert {given.mode_for(severity) for severity in Severity} == {Mode.DENY}


def test_without_a_mode_the_preset_has_it_by_severity() -> None:
    follows = Setting(OTHER, None, None, {}, preset=Preset.LOCKDOWN)
    assert [follows.mode_for(severity) for severity in (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM)] == [
        Mode.DENY,
        Mode.WARN,
        Mode.AUDIT,
    ]


@pytest.mark.parametrize(
    ("asked", "keeps_guard", "expected"),
    [(GUARDED, False, Mode.WARN), (GUARDED, True, Mode.DENY), (OTHER, False, Mode.WARN), (OTHER, True, Mode.WARN)],
)
def test_nothing_is_above_the_ceiling_but_what_guard_denies(asked: Check, keeps_guard: bool, expected: Mode) -> None:
    lowered = Setting(asked, Mode.DENY, None, {}, ceiling=Mode.WARN, keeps_guard=keeps_guard)
    assert lowered.mode_for(Severity.CRITICAL) is expected
    assert lowered.is_lowered is (expected is not Mode.DENY)


def test_a_ceiling_raises_nothing() -> None:
    quiet = Setting(OTHER, Mode.AUDIT, None, {}, ceiling=Mode.WARN)
    assert quiet.mode_for(Severity.CRITICAL) is Mode.AUDIT
    assert not quiet.is_lowered


def test_the_stricter_of_two_settings_is_worse_for_some_hit() -> None:
    denies, warns = Setting(GUARDED, Mode.DENY, None, {}), Setting(GUARDED, Mode.WARN, None, {})
    assert is_stricter(denies, warns)
    assert not is_stricter(warns, denies)
    assert not is_stricter(denies, denies)
    mild = Setting(GUARDED, None, Severity.LOW, {}, preset=Preset.LOCKDOWN)
    assert is_stricter(mild._replace(severity=None), mild)
