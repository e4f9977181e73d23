"""The bytes of one file taken apart into documents. One broken document does not lose the others.

A document of a kind that nobody wants is not parsed at all (most bytes of real repositories are
CustomResourceDefinitions), so a mistake inside one goes unnoticed; in doubt a document is parsed.
One that may wait is handed over as text; ``read_later`` parses it when its turn has come.
"""

import posixpath
import re
from array import array
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from iocaudit.core.wording import counted
from iocaudit.knowledge.pods.by_shape import may_hold_pods
from iocaudit.sources.json_text import MOST_BROKEN, BrokenJson, read_json
from iocaudit.sources.yaml_builder import AliasBudget, BuiltDocument, YamlError, build
from iocaudit.sources.yaml_text import DEFINITION, defined_group, named_in, sniff, split


class Document(NamedTuple):
    """A map that says apiVersion and kind. ``line`` is where it starts; ``text`` holds it, from ``text_line`` on.

    ``value`` may be shared with documents of the same text: nobody may change it. ``places`` are as in Built.
    """

    value: dict[str, Any]
    line: int
    text: str
    text_line: int
    number: int
    places: "array[int] | None" = None


class DeferredDocument(NamedTuple):
    """A document that was not parsed yet; its kind is certain, and ``text`` starts on ``line``."""

    text: str
    line: int
    number: int


class ReadFailure(NamedTuple):
    """A document, or a whole file, that cannot be read. ``line`` is None where there is none to name."""

    line: int | None
    reason: str


class OtherKind(NamedTuple):
    """A Kubernetes document of a kind that was not wanted, and was not parsed.

    ``installs`` is the API group of a CustomResourceDefinition; ``namespace`` and ``name`` are those of any other
    object of a custom group.
    """

    api_version: str
    kind: str
    installs: str = ""
    namespace: str = ""
    name: str = ""


class ForeignDocument(NamedTuple):
    """A document without apiVersion and kind. ``left_out`` says what it holds that someone may have meant to apply."""

    line: int
    left_out: str = ""


class Template(NamedTuple):
    """Something that has to be rendered first, and the command that does it.

    ``tool`` (``helm`` or ``kustomize``) and ``folder`` are what the command is made of.
    """

    line: int
    reason: str
    tool: str
    folder: str
    value: dict[str, Any] | None = None
    """What a kustomization says."""


ReadResult = Document | ReadFailure | ForeignDocument | Template
ParseResult = ReadResult | OtherKind | DeferredDocument
KindFilter = Callable[[str, str], bool]

_MOST_CACHED = 4_000_000


class TextCache:
    """What was read from a text, for as long as that text is likely to come again.

    Install variants and overlays repeat whole documents: of argo-cd's 1 MB that is parsed, 0.7 are repetitions.
    Bounded by the characters of the texts, the oldest leaving first.
    """

    __slots__ = ("_kept", "_size")

    def __init__(self) -> None:
        self._kept: dict[str, list[BuiltDocument]] = {}
        self._size = 0

    def build(self, text: str, budget: AliasBudget) -> Iterator[BuiltDocument]:
        """As ``yaml_builder.build``. A text with aliases is read each time: it has to pay from the budget."""
        kept = self._kept.get(text)
        if kept is not None:
            yield from kept
            return
        built = []
        left = budget.left
        for one in build(text, budget):
            built.append(one)
            yield one
        if budget.left != left or len(text) > _MOST_CACHED:
            return
        self._kept[text] = built
        self._size += len(text)
        while self._size > _MOST_CACHED:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._size -= len(oldest)


_NO_UTF8 = re.compile("[\udc80-\udcff]")
_LINE_BOM = re.compile("^\ufeff", re.MULTILINE)


def _nothing(_version: str, _kind: str) -> bool:
    return False


def read_documents(
    data: bytes, name: str, wanted: KindFilter, *, may_wait: KindFilter = _nothing, cache: TextCache | None = None
) -> Iterator[ParseResult]:
    """Every document of a file, in order; ``wanted`` is asked with apiVersion and kind. Never raises on any input.

    Of the wanted ones those for which ``may_wait`` says so come as Later, where their kind is certain unparsed.
    """
    broken = 0
    for outcome in _outcomes(data, name, wanted, may_wait, cache or TextCache()):
        yield outcome
        if isinstance(outcome, ReadFailure):
            broken += 1
            if broken == MOST_BROKEN:
                yield given_up(outcome.line)
                return


def given_up(line: int | None) -> ReadFailure:
    """What is said of a file with more broken documents than anybody will read about."""
    return ReadFailure(line, f"{MOST_BROKEN} broken documents up to here: the rest is not read")


def read_later(later: DeferredDocument, name: str, budget: AliasBudget, cache: TextCache) -> Iterator[ReadResult]:
    """What a document that had to wait holds."""
    try:
        for built in cache.build(later.text, budget):
            outcome = _classify(built, later.text, later.line, later.number, name)
            if outcome is not None:
                yield outcome
    except YamlError as error:
        yield _broken(error, later.text, later.line, name)


def _outcomes(
    data: bytes, name: str, wanted: KindFilter, may_wait: KindFilter, cache: TextCache
) -> Iterator[ParseResult]:
    decoded = _decode(data)
    if isinstance(decoded, ReadFailure):
        yield decoded
        return
    start = decoded.lstrip()[:1] if decoded[:1].isspace() else decoded[:1]
    if start in ("{", "[") or name.endswith(".json"):
        yield from _json(decoded, name, wanted, cache)
    else:
        yield from _yaml(decoded, name, wanted, may_wait, cache)


def _decode(data: bytes) -> str | ReadFailure:
    """The text of a file: UTF-8, or UTF-16 and UTF-32 with a byte order mark, as YAML allows.

    Bytes that are not UTF-8 become lone surrogates, so only the documents that hold them are lost.
    """
    encoding = "utf-8-sig"
    if data.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        encoding = "utf-32"
    elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\x00" in data:
        return ReadFailure(None, "a binary file (it holds NUL bytes): leave it out, or name the manifests")
    try:
        text = data.decode(encoding, "surrogateescape" if encoding == "utf-8-sig" else "strict")
    except UnicodeDecodeError as error:
        return ReadFailure(None, f"not {encoding.upper()} text (at byte {error.start}): save it as UTF-8")
    # A byte order mark may also start a line, where files were put one after another.
    return _LINE_BOM.sub("", text) if not text.isascii() and "\ufeff" in text else text


def _yaml(text: str, name: str, wanted: KindFilter, may_wait: KindFilter, cache: TextCache) -> Iterator[ParseResult]:
    ascii_only = text.isascii()
    budget = AliasBudget()
    index = 0
    for chunk, line in split(text):
        certain = sniff(chunk)
        if certain is not None and _always_parsed(*certain):
            certain = None
        if certain is not None and not wanted(*certain) and not _may_hold_pods(*certain, chunk):
            yield _other(*certain, chunk)
            index += 1
            continue
        if not ascii_only and (bad := _NO_UTF8.search(chunk)):
            yield _not_utf8(bad, line)
            index += 1
            continue
        if certain is not None and wanted(*certain) and may_wait(*certain):
            yield DeferredDocument(chunk, line, index)
            index += 1
            continue
        try:
            for built in cache.build(chunk, budget):
                outcome = _classify(built, chunk, line, index, name)
                if outcome is not None:
                    yield outcome
                index += 1
        except YamlError as error:
            yield _broken(error, chunk, line, name)
            index += 1


def _other(api_version: str, kind: str, chunk: str) -> OtherKind:
    if kind == DEFINITION:
        return OtherKind(api_version, kind, defined_group(chunk))
    group = api_version.rpartition("/")[0]
    named = named_in(chunk) if "." in group and not group.endswith(".k8s.io") else ("", "")
    return OtherKind(api_version, kind, "", *named)


def _json(text: str, name: str, wanted: KindFilter, cache: TextCache) -> Iterator[ParseResult]:
    """The documents of a file that looks like JSON, or those of the same file as YAML where that reads more.

    A file that is named as JSON is YAML only where that reads all of it.
    """
    texts = list(read_json(text))
    broken = sum(isinstance(one, BrokenJson) for one in texts)
    if broken:
        as_yaml = list(_yaml(text, name, wanted, _nothing, cache))
        unreadable = sum(isinstance(outcome, ReadFailure) for outcome in as_yaml)
        json_reads, yaml_reads = (len(texts) - broken, -broken), (len(as_yaml) - unreadable, -unreadable)
        if (yaml_reads > json_reads and not unreadable) if name.endswith(".json") else yaml_reads >= json_reads:
            yield from as_yaml
            return
    for index, one in enumerate(texts):
        if isinstance(one, BrokenJson):
            yield ReadFailure(one.line, f"not JSON: {one.reason}")
        elif (outcome := _classify(BuiltDocument(one.value, 1, None), one.text, one.line, index, name)) is not None:
            yield outcome


def _classify(
    built: BuiltDocument, text: str, text_line: int, index: int, name: str
) -> Document | ForeignDocument | Template | None:
    value = built.value
    line = text_line + built.line - 1
    if value is None:
        return None
    if not isinstance(value, dict):
        return ForeignDocument(line, _left_out(value))
    version, kind = value.get("apiVersion"), value.get("kind")
    if is_object(value) and not value["apiVersion"].startswith(_KUSTOMIZE):
        return Document(value, line, text, text_line, index, built.places)
    folder, file = posixpath.split(name)
    unnamed = version is None and (kind == "Kustomization" or (kind is None and file in KUSTOMIZATIONS))
    if unnamed or (isinstance(version, str) and version.startswith(_KUSTOMIZE)):
        return _template(line, "a kustomization", "kustomize", folder or ".")._replace(value=value)
    return ForeignDocument(line)


def _left_out(value: Any) -> str:
    """What is said of a bare list that holds objects: kubectl refuses it, so nobody applies it as it is."""
    objects = sum(map(is_object, value)) if isinstance(value, list) else 0
    if not objects:
        return ""
    held = counted(objects, "object")
    return f"a list of {held} was left out: kubectl refuses it too; write it as a List (kind: List, apiVersion: v1)"


def is_object(value: Any) -> bool:
    """Whether a value says apiVersion and kind, as every Kubernetes object does."""
    return isinstance(value, dict) and all(isinstance(value.get(key), str) for key in ("apiVersion", "kind"))


def _template(line: int, what: str, tool: str, folder: str) -> Template:
    from shlex import quote  # late: few files are templates

    # the tools take an argument that starts with a dash for an option
    folder = f"./{folder}" if folder.startswith("-") else folder
    command = f"helm template {quote(folder)}" if tool == "helm" else f"kubectl kustomize {quote(folder)}"
    return Template(line, f"{what}: render it with `{command}` and scan that", tool, folder)


def _may_hold_pods(api_version: str, kind: str, text: str) -> bool:
    return may_hold_pods(api_version.rpartition("/")[0], kind, text)


def _always_parsed(api_version: str, kind: str) -> bool:
    """A List may hold any kind, a kustomization is a Template."""
    return kind.endswith("List") or api_version.startswith(_KUSTOMIZE)


_KUSTOMIZE = "kustomize.config.k8s.io/"
KUSTOMIZATIONS = frozenset({"kustomization.yaml", "kustomization.yml", "Kustomization"})


def _broken(error: YamlError, chunk: str, line: int, name: str) -> ReadFailure | Template:
    where = line + error.line - 1
    if "{{" in chunk:
        return _template(where, "a template", "helm", _chart(name))
    return ReadFailure(where, f"not YAML: {error.reason}")


def _chart(name: str) -> str:
    """The folder that holds the nearest folder named ``templates`` above a file, else the file's own."""
    own = folder = posixpath.dirname(name)
    while folder and posixpath.basename(folder):
        if posixpath.basename(folder) == "templates":
            return posixpath.dirname(folder) or "."
        folder = posixpath.dirname(folder)
    return own or "."


def _not_utf8(bad: re.Match[str], line: int) -> ReadFailure:
    byte = ord(bad[0]) - 0xDC00
    where = line + bad.string.count("\n", 0, bad.start())
    return ReadFailure(where, f"not UTF-8 text (byte 0x{byte:02X}): save it as UTF-8")
