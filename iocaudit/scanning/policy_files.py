"""The files of ``--policy``: the same AuditPolicy and IocWaiver objects as in a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from iocaudit.core.errors import IocauditError, PolicyError
from iocaudit.core.kinds.ours import API_VERSION
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy_reader import read_policy, with_rules
from iocaudit.engine.policy_set import PolicySet
from iocaudit.knowledge.clipping import clip
from iocaudit.sources.documents import Document, ParseResult, ReadFailure, Template, read_documents
from iocaudit.sources.files import read_bytes
from iocaudit.sources.lines import LineTable

if TYPE_CHECKING:
    from datetime import datetime

    from iocaudit.engine.audit import HitAcceptor
    from iocaudit.engine.languages.asking import Compile
    from iocaudit.engine.waivers import Waiver, Waivers

_KINDS = ("AuditPolicy", "IocWaiver")


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


def read_policy_files(
    files: tuple[str, ...], catalogue: Catalogue, compile_rules: Compile | None = None
) -> list[PolicyDocument]:
    """The AuditPolicies and IocWaivers as they are written; raises PolicyError with all that is wrong in any file.

    A document of anything else is refused too: it may be meant for one of ours, and would not count. Each may name the
    rules that another declares. ``compile_rules`` says which rules are broken.
    """
    found: list[PolicyDocument] = []
    wrong: list[str] = []
    files_read = [(file, list(_documents(file))) for file in files]
    known = with_rules(_policies(files_read), catalogue)
    for file, outcomes in files_read:
        before = len(found) + len(wrong)
        for outcome in outcomes:
            if isinstance(outcome, Document):
                version, kind = outcome.value["apiVersion"], outcome.value["kind"]
                if version == API_VERSION and kind in _KINDS:
                    found.append(one := PolicyDocument(file, outcome))
                    wrong += _mistakes(one, known, compile_rules)
                    continue
                reason = f"{clip(f'{kind} of {version}')} is not an AuditPolicy or IocWaiver of {API_VERSION}"
            elif isinstance(outcome, ReadFailure | Template):
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


def with_rules_of(files: tuple[str, ...], catalogue: Catalogue) -> Catalogue:
    """The checks that policies in files may name: theirs, and the rules that they declare. What cannot be read is not
    told.
    """
    return with_rules(_policies((file, list(_documents(file))) for file in files), catalogue)


def _policies(files: Iterable[tuple[str, Iterable[ParseResult]]]) -> list[dict[str, Any]]:
    documents = (one for _, outcomes in files for one in outcomes if isinstance(one, Document))
    return [one.value for one in documents if one.value["kind"] == "AuditPolicy"]


def _mistakes(one: PolicyDocument, catalogue: Catalogue, compile_rules: Compile | None) -> list[str]:
    """Why a document cannot be used; nothing where it can."""
    try:
        if one.raw["kind"] == "AuditPolicy":
            read_policy(one.raw, catalogue, one.place, compile_rules=compile_rules)
        else:
            _read_waiver(one, catalogue)
    except IocauditError as error:
        return [str(error)]
    return []


def _read_waiver(one: PolicyDocument, catalogue: Catalogue, now: datetime | None = None) -> Waiver:
    from datetime import UTC, datetime  # late: few scans have any

    from iocaudit.engine.waiver_reader import read_waiver

    # None is too long in a file: anyone who may write the file may write its dates. It still expires.
    return read_waiver(one.raw, catalogue, stored=False, now=now or datetime.now(UTC), place=one.place)


def _documents(file: str) -> Iterable[ParseResult]:
    data = read_bytes(file, named=True)
    return [data] if isinstance(data, ReadFailure) else read_documents(data, file, lambda _version, _kind: True)


def make_policies(documents: Iterable[PolicyDocument], catalogue: Catalogue, profile: str) -> PolicySet:
    """The policies in force, of documents that were read with this catalogue."""
    written = [one for one in documents if one.raw["kind"] == "AuditPolicy"]
    known = with_rules((one.raw for one in written), catalogue)
    policies = (read_policy(one.raw, known, one.place) for one in written)
    return PolicySet(catalogue, tuple(policies), profile)


def make_waivers(documents: Iterable[PolicyDocument], catalogue: Catalogue, now: datetime | None) -> Waivers | None:
    """The waivers among them, None where there is none."""
    wanted = [one for one in documents if one.raw["kind"] == "IocWaiver"]
    if not wanted or now is None:
        return None
    from iocaudit.engine.waivers import Waivers  # late: few scans have any

    read = [_read_waiver(one, catalogue, now) for one in wanted]
    return Waivers((waiver for waiver in read if any(map(catalogue.find, waiver.checks))), longest=None)


def now_if_needed(documents: Iterable[PolicyDocument]) -> datetime | None:
    """The time a scan takes as now; None where nothing asks for it."""
    if not any(one.raw["kind"] == "IocWaiver" for one in documents):
        return None
    from datetime import UTC, datetime

    return datetime.now(UTC)


def acceptor(waivers: Waivers | None, now: datetime | None) -> HitAcceptor | None:
    """What the auditor asks of each hit, as of one moment."""
    return None if waivers is None or now is None else waivers.acceptor(lambda: now)
