"""Where the rules of a process are evaluated, as it is told at start."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class RegoMode(StrEnum):
    """Where OPA runs: as a child of each process, or elsewhere."""

    EMBEDDED = "embedded"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """``rego`` remote needs ``opa_url``; the others say how that OPA is asked.

    ``opa_owner`` tells the rules of this installation from those of others there.
    ``loads``: this process loads it. ``allow_reaching_out`` takes one whose rules can call out.
    """

    rego: RegoMode = RegoMode.EMBEDDED
    opa_url: str = ""
    opa_token_file: Path | None = None
    opa_ca_file: Path | None = None
    opa_owner: str = "iocaudit"
    loads: bool = False
    allow_reaching_out: bool = False
