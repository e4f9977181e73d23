"""How much of a profile was used, and what lies outside."""

from pathlib import Path

import pytest

from iocaudit.detecting import profile_check as module
from iocaudit.detecting.profile_check import check_profiles
from tests.support.profiles import profile_object, profiles_of, program_alert, request_event, write_log


def test_use_and_outside_are_counted(tmp_path: Path) -> None:
    log = write_log(
        tmp_path / "log",
        program_alert("/usr/sbin/nginx", second=1),
        program_alert("/usr/sbin/nginx", second=2),
        program_alert("/tmp/x", second=3),
        program_alert("/tmp/x", namespace="payments", second=4),
        request_event(1),
        request_event(2, verb="delete"),
    )
    profiles = profiles_of(profile_object())
    found = check_profiles(profiles, [log])
    (profile,) = profiles.profiles
    assert found.used_of(profile) == 2
    assert len(found.unused(profile)) == 6
    assert [(key.sort, key.what, span.count) for key, span in found.rows] == [
        ("account", "delete configmaps", 1),
        ("process", "/tmp/x", 1),
    ]
    assert (found.inside, found.is_broken) == (3, True)
    (nginx,) = [span for entry, span in found.used.items() if entry.shown.startswith("/usr/sbin/nginx")]
    assert nginx.count == 2
    assert nginx.first is not None
    assert nginx.last is not None
    assert nginx.first < nginx.last


def test_what_only_learns_is_not_broken(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", program_alert("/tmp/x"))
    found = check_profiles(profiles_of(profile_object(mode="learn")), [log])
    assert (len(found.outside), found.is_broken) == (1, False)


def test_rows_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 1)
    log = write_log(tmp_path / "log", *(program_alert(f"/tmp/{number}", second=number) for number in range(3)))
    found = check_profiles(profiles_of(profile_object()), [log])
    assert (len(found.outside), found.beyond) == (1, 2)
