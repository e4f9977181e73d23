from __future__ import annotations

from pathlib import Path

import pytest

from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.engine.languages.rego.probe import REACHING, probe
from iocaudit.engine.languages.rego.servers import RemoteOpa
from iocaudit.engine.languages.rego.setup import DEFAULT_OWNER
from tests.support.remote_opa import RemoteFiles, remote_opa

ALL_QUERIES = """
allow if {
	client.loads
	input.path == ["v1", "query"]
}
"""


def server(files: RemoteFiles, *, loads: bool) -> RemoteOpa:
    token = files.loads if loads else files.asks
    return RemoteOpa(files.url, token_file=token, ca_file=files.ca, loads=loads, owner=DEFAULT_OWNER)


@pytest.mark.parametrize("loads", [True, False])
def test_ours_passes(remote_files: RemoteFiles, loads: bool) -> None:
    probe(server(remote_files, loads=loads), allow_reaching_out=False)


def test_one_that_everything_is_let_is_asked_by_queries(stock_opa: Path, tmp_path: Path) -> None:
    with remote_opa(stock_opa, tmp_path, more=ALL_QUERIES) as files:
        asks = RemoteOpa(files.url, token_file=files.loads, ca_file=files.ca, loads=False, owner=DEFAULT_OWNER)
        # OPA itself lets no query send requests: the others show what modules can do.
        with pytest.raises(EngineError, match=f"has {REACHING[1]}"):
            probe(asks, allow_reaching_out=False)
        probe(asks, allow_reaching_out=True)
        # One that may not query cannot tell: what loads has tried.
        probe(server(files, loads=False), allow_reaching_out=False)
