"""The files of ActivityProfiles: the same objects as in a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from iocaudit.core.errors import IocauditError
from iocaudit.core.kinds.ours import API_VERSION
from iocaudit.core.shape import Json
from iocaudit.knowledge.clipping import clip
from iocaudit.signals.profiles.profile import NamespaceProfile, ProfileSet
from iocaudit.signals.profiles.reader import KIND, ProfileError, read_profile
from iocaudit.sources.documents import Document, ParseResult, ReadFailure, Template, read_documents
from iocaudit.sources.files import read_bytes
from iocaudit.sources.lines import LineTable


def read_profile_files(files: Sequence[str]) -> ProfileSet:
    """The profiles in the files; raises ProfileError with all that is wrong in any of them, by file, line and field.

    A document of anything else is refused too: it may be meant for a profile, and would not count. So is a second
    profile of one name: in a cluster it would take the place of the first.
    """
    found: dict[tuple[str, str], NamespaceProfile] = {}
    wrong: list[str] = []
    for file in files:
        before = len(found) + len(wrong)
        for outcome in _documents(file):
            if not isinstance(outcome, Document):
                wrong.append(_refused(file, outcome))
                continue
            for raw, above in _objects(outcome.value):
                place = partial(_place, file, outcome, above)
                version, kind = raw.get("apiVersion"), raw.get("kind")
                if (version, kind) != (API_VERSION, KIND):
                    what = clip(f"{kind} of {version}")
                    wrong.append(f"{place('kind')}: {what} is not an {KIND} of {API_VERSION}")
                    continue
                try:
                    one = read_profile(raw, place)
                except IocauditError as error:
                    wrong.append(str(error))
                    continue
                if (one.namespace, one.name) in found:
                    wrong.append(f"{place('metadata.name')}: {KIND} {one.title} is given twice")
                found[one.namespace, one.name] = one
        if len(found) + len(wrong) == before:
            wrong.append(f"{file}: holds no {KIND} of {API_VERSION}")
    if wrong:
        raise ProfileError("\n".join(wrong))
    return ProfileSet(found.values())


def _objects(raw: Json) -> Iterator[tuple[Json, str]]:
    """The object of a document, or those of a list as ``kubectl get -o yaml`` writes it, each with where it stands."""
    if raw.get("kind") != "List" or not isinstance(raw.get("items"), list):
        yield raw, ""
        return
    for index, item in enumerate(raw["items"]):
        yield (item if isinstance(item, dict) else {}), f"items[{index}]"


def _place(file: str, document: Document, above: str, path: str) -> str:
    """``file:line`` of a field."""
    return f"{file}:{LineTable.of(document).line('.'.join(filter(None, (above, path))))}"


def _refused(file: str, outcome: ParseResult) -> str:
    line = getattr(outcome, "line", None)
    reason = (
        outcome.reason
        if isinstance(outcome, ReadFailure | Template)
        else f"a document without apiVersion and kind is not an {KIND}"
    )
    return f"{file}{f':{line}' if line else ''}: {reason}"


def _documents(file: str) -> Iterable[ParseResult]:
    data = read_bytes(file, named=True)
    return [data] if isinstance(data, ReadFailure) else read_documents(data, file, lambda _version, _kind: True)
