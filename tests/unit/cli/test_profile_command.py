"""``iocaudit profile``: learned, read, checked, and asked by ``iocaudit detect``."""

import json
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from iocaudit.cli.detect_command import NoSignalError
from iocaudit.cli.detect_command import command as detect
from iocaudit.cli.profile_command import NothingLearnedError, command
from iocaudit.signals.profiles.reader import ProfileError
from tests.support.profiles import profile_object, program_alert, request_event, write_log
from tests.support.signal_posts import exec_event


def run(*words: str) -> Result:
    return CliRunner().invoke(command, list(words), standalone_mode=False)


def written(path: Path, mode: str) -> str:
    path.write_text(yaml.safe_dump(profile_object(mode=mode)), encoding="utf-8")
    return str(path)


def test_what_was_learned_has_nothing_outside(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", request_event(1), program_alert("/usr/sbin/nginx"))
    target = str(tmp_path / "learned.yaml")
    result = run("learn", log, "-o", target)
    assert result.exception is None, result.exception
    checked = run("check", target, log, "--unused")
    assert checked.return_value == 0
    assert "2 of 2" in checked.stdout
    assert "every entry was used" in checked.stdout
    assert run("learn", log, "-o", "-").stdout == Path(target).read_text(encoding="utf-8")


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    mining = {**exec_event(3), "requestURI": "/exec?command=xmrig"}
    log = write_log(tmp_path / "log", request_event(1), mining)
    said = run("learn", log, "-o", "-").stderr
    assert "left out, held by an incident: 1" in said
    assert "not learned from incident of severity high: mallory" in said


@pytest.mark.parametrize(("mode", "code"), [("learn", 0), ("warn", 1), ("enforce", 1)])
def test_the_exit_code_of_a_check_says_whether_something_lies_outside(tmp_path: Path, mode: str, code: int) -> None:
    log = write_log(tmp_path / "log", program_alert("/tmp/x"))
    result = run("check", written(tmp_path / "p.yaml", mode), log)
    assert result.return_value == code
    assert "/tmp/x" in result.stdout
    assert "0 inside, 1 outside; 1 signal read" in result.stdout


def test_a_line_that_cannot_be_read_gives_3(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", request_event(1))
    with Path(log).open("a", encoding="utf-8") as file:
        file.write("nonsense\n")
    assert run("check", written(tmp_path / "p.yaml", "warn"), log).return_value == 3
    assert run("learn", log, "-o", str(tmp_path / "x.yaml")).return_value == 3


def test_json_holds_the_same(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", program_alert("/tmp/x"), request_event(1))
    found = json.loads(run("check", written(tmp_path / "p.yaml", "warn"), log, "-o", "json").stdout)
    assert [one["what"] for one in found["outside"]] == ["/tmp/x"]
    assert found["profiles"][0]["used"] == 1
    assert [one["count"] for one in found["profiles"][0]["entries"]].count(1) == 1


def test_detect_asks_profiles(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", program_alert("/tmp/x"))
    words = [log, "--profile", written(tmp_path / "p.yaml", "enforce")]
    result = CliRunner().invoke(detect, words, standalone_mode=False)
    assert result.return_value == 1
    assert "program-outside-profile" in result.stdout


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("learn", "-", "-o", "x"), click.UsageError),
        (("learn", "LOG", "-o", "x", "--window", "7 weeks"), click.UsageError),
        (("check", "LOG"), click.UsageError),
        (("check", "BAD.yaml", "LOG"), ProfileError),
        (("check", "PROFILE.yaml", "EMPTY"), NoSignalError),
        (("learn", "EMPTY", "-o", "x"), NoSignalError),
        (("learn", "CLUSTER", "-o", "x"), NothingLearnedError),
    ],
)
def test_mistakes(tmp_path: Path, words: tuple[str, ...], error: type[Exception]) -> None:
    write_log(tmp_path / "LOG", request_event(1))
    write_log(tmp_path / "EMPTY")
    write_log(tmp_path / "CLUSTER", request_event(1, user="system:kube-scheduler"))
    written(tmp_path / "BAD.yaml", "deny")
    written(tmp_path / "PROFILE.yaml", "warn")
    places = [str(tmp_path / one) if one.partition(".")[0].isupper() or one == "x" else one for one in words]
    result = run(*places)
    assert isinstance(result.exception, error)
    assert not (tmp_path / "x").exists()
