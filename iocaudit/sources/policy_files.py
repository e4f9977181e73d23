"""The files of ``--policy``: the same AuditPolicy and IocWaiver objects as in a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iocaudit.core.errors import PolicyError
from iocaudit.core.kinds.ours import API_VERSION
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy import PolicySet
from iocaudit.engine.policy_reader import read_policies
from iocaudit.sources.documents import Document, Template, Unreadable, read_documents
from iocaudit.sources.files import read_bytes

if TYPE_CHECKING:
    from datetime import datetime

    from iocaudit.engine.audit import Accept
    from iocaudit.engine.waivers import Waivers

_KINDS = ("AuditPolicy", "IocWaiver")


def read_policy_files(files: tuple[str, ...]) -> list[dict[str, Any]]:
    """The AuditPolicies and IocWaivers as they are written; raises PolicyError naming the file."""
    raws: list[dict[str, Any]] = []
    for file in files:
        data = read_bytes(file, named=True)
        if isinstance(data, Unreadable):
            raise PolicyError(f"{file}: {data.reason}")
        before = len(raws)
        for outcome in read_documents(data, file, lambda _version, _kind: True):
            if isinstance(outcome, Unreadable | Template):
                raise PolicyError(f"{file}:{outcome.line or 1}: {outcome.reason}")
            if isinstance(outcome, Document) and outcome.value["apiVersion"] == API_VERSION:
                if outcome.value["kind"] not in _KINDS:
                    raise PolicyError(
                        f"{file}:{outcome.line}: {outcome.value['kind']} is neither an AuditPolicy nor an IocWaiver"
                    )
                raws.append(outcome.value)
        if len(raws) == before:
            raise PolicyError(f"{file}: holds no AuditPolicy or IocWaiver of {API_VERSION}")
    return raws


def make_policies(raws: list[dict[str, Any]], catalogue: Catalogue, profile: str) -> PolicySet:
    """The policies in force; raises PolicyError for one that is invalid or names a check nobody knows."""
    wanted = (raw for raw in raws if raw["kind"] == "AuditPolicy")
    policies = read_policies(wanted, catalogue, profile=profile)
    for policy in policies.policies:
        if policy.unknown_ids:
            raise PolicyError(f"AuditPolicy {policy.name}: unknown checks: {', '.join(policy.unknown_ids)}")
    return policies


def make_waivers(raws: list[dict[str, Any]], catalogue: Catalogue, now: datetime | None) -> Waivers | None:
    """The waivers among them, None where there is none; raises WaiverError for one that cannot be used."""
    wanted = [raw for raw in raws if raw["kind"] == "IocWaiver"]
    if not wanted or now is None:
        return None
    from iocaudit.engine.waiver_reader import read_waiver  # late: few scans have any
    from iocaudit.engine.waivers import Waivers

    # None is too long in a file: whoever may write the file may write its dates. It still expires.
    read = [read_waiver(raw, catalogue, stored=False, now=now) for raw in wanted]
    return Waivers((waiver for waiver in read if any(map(catalogue.find, waiver.checks))), longest=None)


def now_if_needed(raws: list[dict[str, Any]]) -> datetime | None:
    """The time a scan takes as now; None where nothing asks for it."""
    if not any(raw["kind"] == "IocWaiver" for raw in raws):
        return None
    from datetime import UTC, datetime

    return datetime.now(UTC)


def acceptor(waivers: Waivers | None, now: datetime | None) -> Accept | None:
    """What the auditor asks of each hit, as of one moment."""
    return None if waivers is None or now is None else waivers.acceptor(lambda: now)
