"""`iocaudit export`: the group."""

from __future__ import annotations

from iocaudit.cli.export_command import command
from tests.support.running import run


def test_the_group_lists_what_it_writes() -> None:
    assert sorted(command.commands) == ["vap"]
    code, out, _ = run("export", "--help")
    assert code == 0
    assert "ValidatingAdmissionPolicies" in out
