"""The files of ``--policy``: the same AuditPolicy and IocWaiver objects as in a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from iocaudit.core.errors import IocauditError, PolicyError
from iocaudit.core.kinds.ours import API_VERSION
from iocaudit.core.wording import clip
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy import PolicySet
from iocaudit.engine.policy_reader import read_policy
from iocaudit.sources.documents import Document, Outcome, Template, Unreadable, read_documents
from iocaudit.sources.files import read_bytes
from iocaudit.sources.lines import LineTable

if TYPE_CHECKING:
    from datetime import datetime

    from iocaudit.engine.audit import Accept
    from iocaudit.engine.waivers import Waivers

_KINDS = ("AuditPolicy", "IocWaiver")
_Usable = TypeVar("_Usable")


class PolicyDocument(NamedTuple):
    """An AuditPolicy or IocWaiver as it is written in a file."""

    file: str
    document: Document

    @property
    def raw(self) -> dict[str, Any]:
        return self.document.value

    def place(self, path: str) -> str:
        """``file:line`` of a field."""
        return f"{self.file}:{LineTable.of(self.document).line(path)}"


def read_policy_files(files: tuple[str, ...]) -> list[PolicyDocument]:
    """The AuditPolicies and IocWaivers as they are written; raises PolicyError naming each file and what is wrong.

    A document of anything else is refused too: it may be meant for one of ours, and would not count.
    """
    found: list[PolicyDocument] = []
    wrong: list[str] = []
    for file in files:
        before = len(found) + len(wrong)
        for outcome in _documents(file):
            if isinstance(outcome, Document):
                version, kind = outcome.value["apiVersion"], outcome.value["kind"]
                if version == API_VERSION and kind in _KINDS:
                    found.append(PolicyDocument(file, outcome))
                    continue
                reason = f"{clip(f'{kind} of {version}')} is not an AuditPolicy or IocWaiver of {API_VERSION}"
            elif isinstance(outcome, Unreadable | Template):
                reason = outcome.reason
            else:
                reason = "a document without apiVersion and kind is not an AuditPolicy or IocWaiver"
            line = getattr(outcome, "line", None)
            wrong.append(f"{file}{f':{line}' if line else ''}: {reason}")
        if len(found) + len(wrong) == before:
            wrong.append(f"{file}: holds no AuditPolicy or IocWaiver of {API_VERSION}")
    if wrong:
        raise PolicyError("\n".join(wrong))
    return found


def _documents(file: str) -> Iterable[Outcome]:
    data = read_bytes(file, named=True)
    return [data] if isinstance(data, Unreadable) else read_documents(data, file, lambda _version, _kind: True)


def make_policies(documents: Iterable[PolicyDocument], catalogue: Catalogue, profile: str) -> PolicySet:
    """The policies in force; raises PolicyError naming every mistake in them, unknown checks included."""
    policies = _all_usable(
        (one for one in documents if one.raw["kind"] == "AuditPolicy"),
        lambda one: read_policy(one.raw, catalogue, one.place),
    )
    return PolicySet(catalogue, tuple(policies), profile)


def make_waivers(documents: Iterable[PolicyDocument], catalogue: Catalogue, now: datetime | None) -> Waivers | None:
    """The waivers among them, None where there is none; raises PolicyError naming every mistake in them."""
    wanted = [one for one in documents if one.raw["kind"] == "IocWaiver"]
    if not wanted or now is None:
        return None
    from iocaudit.engine.waiver_reader import read_waiver  # late: few scans have any
    from iocaudit.engine.waivers import Waivers

    # None is too long in a file: whoever may write the file may write its dates. It still expires.
    read = _all_usable(wanted, lambda one: read_waiver(one.raw, catalogue, stored=False, now=now, place=one.place))
    return Waivers((waiver for waiver in read if any(map(catalogue.find, waiver.checks))), longest=None)


def _all_usable(documents: Iterable[PolicyDocument], read: Callable[[PolicyDocument], _Usable]) -> list[_Usable]:
    """What is read of each; raises PolicyError with the mistakes of all, not of the first alone."""
    usable: list[_Usable] = []
    errors: list[IocauditError] = []
    for one in documents:
        try:
            usable.append(read(one))
        except IocauditError as error:
            errors.append(error)
    if errors:
        raise PolicyError("\n".join(map(str, errors))) from errors[0]
    return usable


def now_if_needed(documents: Iterable[PolicyDocument]) -> datetime | None:
    """The time a scan takes as now; None where nothing asks for it."""
    if not any(one.raw["kind"] == "IocWaiver" for one in documents):
        return None
    from datetime import UTC, datetime

    return datetime.now(UTC)


def acceptor(waivers: Waivers | None, now: datetime | None) -> Accept | None:
    """What the auditor asks of each hit, as of one moment."""
    return None if waivers is None or now is None else waivers.acceptor(lambda: now)
