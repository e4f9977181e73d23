"""Evaluators of Rego as the doors make them: with an OPA of one's own, or with one that runs elsewhere."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from iocaudit.engine.languages.evaluator import EngineError, EngineMissingError
from iocaudit.engine.languages.rego.evaluator import RegoEvaluator
from iocaudit.engine.languages.rego.preparer import Preparer
from iocaudit.engine.languages.rego.probe import probe
from iocaudit.engine.languages.rego.servers import EmbeddedOpa, RemoteOpa
from iocaudit.engine.languages.rego.service import OpaKeeper

DEFAULT_OWNER: Final = "iocaudit"


def embedded(keeper: OpaKeeper, preparer: Preparer) -> RegoEvaluator:
    """One that asks a child of this process, which it ends with itself."""
    _require_client()
    return RegoEvaluator(EmbeddedOpa(keeper), preparer)


def remote(
    url: str,
    preparer: Preparer,
    *,
    token_file: Path | None = None,
    ca_file: Path | None = None,
    loads: bool = False,
    allow_reaching_out: bool = False,
    owner: str = DEFAULT_OWNER,
) -> RegoEvaluator:
    """One that asks an OPA that runs elsewhere; with ``loads`` it also loads it: one process of a cluster does.

    ``owner`` names the cluster where several share an OPA. ``allow_reaching_out`` takes an OPA whose rules can call
    out, such as by ``http.send``. Raises EngineMissingError, EngineError: it cannot be
    reached, or is not as it must be.
    """
    _require_client()
    server = RemoteOpa(url, token_file=token_file, ca_file=ca_file, loads=loads, owner=owner)
    prove = partial(probe, allow_reaching_out=allow_reaching_out)
    prove(server)
    return RegoEvaluator(server, preparer, prove)


def _require_client() -> None:
    try:
        import opa_client  # noqa: F401
    except ImportError as error:
        raise EngineMissingError(
            "rules in Rego need the Python package opa-python-client: pip install 'iocaudit[rego]'"
        ) from error


__all__ = ["DEFAULT_OWNER", "EngineError", "embedded", "remote"]
