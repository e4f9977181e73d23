from __future__ import annotations

import os
from pathlib import Path

import pytest

from iocaudit.engine.deadline import NO_DEADLINE
from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.engine.languages.rego.servers import EmbeddedOpa, RemoteOpa
from iocaudit.engine.languages.rego.service import OpaKeeper


def test_a_token_is_read_again_once_it_changed(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    server = RemoteOpa("https://opa", token_file=file, ca_file=None, loads=True, owner="own")
    assert server.access(NO_DEADLINE).ask.token == "first"
    new = tmp_path / "new"
    new.write_text("second\n")
    os.replace(new, file)
    access = server.access(NO_DEADLINE)
    assert (access.ask.token, access.load) == ("second", access.ask)
    assert "second" not in repr(access)
    file.write_text("not ascii: ä")
    with pytest.raises(EngineError, match="cannot be read: it is not plain text"):
        server.access(NO_DEADLINE)
    assert server.at_once() is None


def test_one_that_does_not_load_has_nothing_to_load_with(tmp_path: Path) -> None:
    server = RemoteOpa("http://opa", token_file=None, ca_file=None, loads=False, owner="own")
    assert server.access(NO_DEADLINE).load is None


def test_what_the_child_has_loaded_has_a_name_that_nobody_can_guess(opa_program: Path) -> None:
    first, second = (EmbeddedOpa(OpaKeeper(opa_program)) for _ in range(2))
    assert first.revision("a" * 64) == first.revision("a" * 64) != second.revision("a" * 64)
    assert first.at_once() is None
    access = first.access(NO_DEADLINE)
    assert first.at_once() == access
    assert access.load is not None
    assert access.load.token != access.ask.token
    first.close()
    with pytest.raises(EngineError):
        first.access(NO_DEADLINE)
    second.close()
