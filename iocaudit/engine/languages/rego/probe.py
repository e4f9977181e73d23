"""Whether an OPA that runs elsewhere is one that rules may be given to."""

from __future__ import annotations

from typing import Final

from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.engine.languages.rego.servers import OpaServer
from iocaudit.engine.languages.rego.trouble import Trouble, TroubleKind

REACHING: Final = ("http.send", "net.lookup_ip_addr", "opa.runtime")
"""Functions by which a rule reaches out of its evaluation, or sees the environment of the process."""
_CALLS = {
    "http.send": 'http.send({"method": "get", "url": "http://127.0.0.1:1"})',
    "net.lookup_ip_addr": 'net.lookup_ip_addr("localhost")',
    "opa.runtime": "opa.runtime()",
}
_SECONDS = 5.0


def probe(server: OpaServer, *, allow_reaching_out: bool) -> None:
    """Ask an OPA what its rules can do. Raises EngineError: it is away, or they can reach out, which is not allowed.

    One that loads tries modules, one that asks tries queries; where neither is let, the other has tried.
    """
    from iocaudit.engine.languages.rego.clients import OpaCalls

    access = server.access(Deadline.within(_SECONDS))
    calls = OpaCalls(access.load or access.ask)
    try:
        for name in REACHING:
            if _has(calls, name, server, loads=access.load is not None) and not allow_reaching_out:
                raise EngineError(
                    f"{server.name} has {name}, by which a rule can reach out: start it without, or allow it"
                )
    except Trouble as error:
        raise EngineError(f"{server.name}: {error.reason}") from error
    finally:
        calls.close()


def _has(calls: object, name: str, server: OpaServer, *, loads: bool) -> bool:
    from iocaudit.engine.languages.rego.clients import OpaCalls

    assert isinstance(calls, OpaCalls)
    try:
        if loads:
            policy = f"iocaudit/{server.owner}/probe"
            # It is never evaluated: nothing asks for it.
            calls.put(policy, f"package iocaudit.probe\n\nreached := {_CALLS[name]}\n", _SECONDS)
            calls.delete(policy, _SECONDS)
        else:
            # What comes first is false, so what follows is compiled and not called.
            calls.ad_hoc(f"1 == 2; {_CALLS[name]}", _SECONDS)
    except Trouble as error:
        if error.kind is TroubleKind.MODULE:
            return False
        if error.kind is TroubleKind.REFUSED and not loads:
            return False
        raise
    return True
