"""The bytes of one file taken apart into documents. One broken document does not lose the others.

A document of a kind that nobody wants is not parsed at all (most bytes of real repositories are
CustomResourceDefinitions), so a mistake inside one goes unnoticed; in doubt a document is parsed.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from shlex import quote
from typing import Any

from iocaudit.sources.json_text import MOST_BROKEN, BrokenJson, read_json
from iocaudit.sources.yaml_builder import AliasBudget, YamlError, build
from iocaudit.sources.yaml_text import sniff, split


@dataclass(frozen=True, slots=True)
class Document:
    """A map that says apiVersion and kind. ``line`` is where it starts; ``text`` holds it, from ``text_line`` on."""

    value: dict[str, Any]
    line: int
    text: str
    text_line: int
    index: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A document, or a whole file, that cannot be read. ``line`` is None where there is none to name."""

    line: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class OtherKind:
    """A Kubernetes document of a kind that was not wanted, and was not parsed."""

    api_version: str
    kind: str


@dataclass(frozen=True, slots=True)
class NotKubernetes:
    """A document without apiVersion and kind."""

    line: int


@dataclass(frozen=True, slots=True)
class Template:
    """Something that has to be rendered first, and the command that does it."""

    line: int
    reason: str


Outcome = Document | Unreadable | OtherKind | NotKubernetes | Template
Wanted = Callable[[str, str], bool]

_NO_UTF8 = re.compile("[\udc80-\udcff]")
_LINE_BOM = re.compile("^\ufeff", re.MULTILINE)


def read_documents(data: bytes, name: str, wanted: Wanted) -> Iterator[Outcome]:
    """Every document of a file, in order; ``wanted`` is asked with apiVersion and kind. Never raises on any input."""
    broken = 0
    for outcome in _outcomes(data, name, wanted):
        yield outcome
        if isinstance(outcome, Unreadable):
            broken += 1
            if broken == MOST_BROKEN:
                yield Unreadable(outcome.line, f"{broken} broken documents up to here: the rest is not read")
                return


def _outcomes(data: bytes, name: str, wanted: Wanted) -> Iterator[Outcome]:
    decoded = _decode(data)
    if isinstance(decoded, Unreadable):
        yield decoded
        return
    start = decoded.lstrip()[:1] if decoded[:1].isspace() else decoded[:1]
    if start in ("{", "[") or name.endswith(".json"):
        yield from _json(decoded, name, wanted)
    else:
        yield from _yaml(decoded, name, wanted)


def _decode(data: bytes) -> str | Unreadable:
    """The text of a file: UTF-8, or UTF-16 and UTF-32 with a byte order mark, as YAML allows.

    Bytes that are no UTF-8 become lone surrogates, so that only the documents that hold them are lost.
    """
    encoding = "utf-8-sig"
    if data.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        encoding = "utf-32"
    elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\x00" in data:
        return Unreadable(None, "a binary file (it holds NUL bytes): leave it out, or name the manifests")
    try:
        text = data.decode(encoding, "surrogateescape" if encoding == "utf-8-sig" else "strict")
    except UnicodeDecodeError as error:
        return Unreadable(None, f"not {encoding.upper()} text (at byte {error.start}): save it as UTF-8")
    # A byte order mark may also start a line, where files were put one after another.
    return _LINE_BOM.sub("", text) if not text.isascii() and "\ufeff" in text else text


def _yaml(text: str, name: str, wanted: Wanted) -> Iterator[Outcome]:
    ascii_only = text.isascii()
    budget = AliasBudget()
    index = 0
    for chunk, line in split(text):
        certain = sniff(chunk)
        if certain is not None and not _always_parsed(*certain) and not wanted(*certain):
            yield OtherKind(*certain)
            index += 1
            continue
        if not ascii_only and (bad := _NO_UTF8.search(chunk)):
            yield _not_utf8(bad, line)
            index += 1
            continue
        try:
            for value, first in build(chunk, budget):
                outcome = _classify(value, chunk, line, line + first - 1, index, name)
                if outcome is not None:
                    yield outcome
                index += 1
        except YamlError as error:
            yield _broken(error, chunk, line, name)
            index += 1


def _json(text: str, name: str, wanted: Wanted) -> Iterator[Outcome]:
    """The documents of a file that looks like JSON, or those of the same file as YAML where that reads more."""
    texts = list(read_json(text))
    broken = sum(isinstance(one, BrokenJson) for one in texts)
    if broken:
        as_yaml = list(_yaml(text, name, wanted))
        unreadable = sum(isinstance(outcome, Unreadable) for outcome in as_yaml)
        json_reads, yaml_reads = (len(texts) - broken, -broken), (len(as_yaml) - unreadable, -unreadable)
        if yaml_reads > json_reads or (yaml_reads == json_reads and not name.endswith(".json")):
            yield from as_yaml
            return
    for index, one in enumerate(texts):
        if isinstance(one, BrokenJson):
            yield Unreadable(one.line, f"not JSON: {one.reason}")
        elif (outcome := _classify(one.value, one.text, one.line, one.line, index, name)) is not None:
            yield outcome


def _classify(
    value: Any, text: str, text_line: int, line: int, index: int, name: str
) -> Document | NotKubernetes | Template | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        return NotKubernetes(line)
    version, kind = value.get("apiVersion"), value.get("kind")
    if isinstance(version, str) and isinstance(kind, str) and not version.startswith(_KUSTOMIZE):
        return Document(value, line, text, text_line, index)
    path = PurePosixPath(name)
    unnamed = version is None and (kind == "Kustomization" or (kind is None and path.name in _KUSTOMIZATIONS))
    if unnamed or (isinstance(version, str) and version.startswith(_KUSTOMIZE)):
        folder = quote(str(path.parent))
        return Template(line, f"a kustomization: render it with `kubectl kustomize {folder}` and scan that")
    return NotKubernetes(line)


def _always_parsed(api_version: str, kind: str) -> bool:
    """A List may hold any kind, a kustomization is a Template."""
    return kind.endswith("List") or api_version.startswith(_KUSTOMIZE)


_KUSTOMIZE = "kustomize.config.k8s.io/"
_KUSTOMIZATIONS = frozenset({"kustomization.yaml", "kustomization.yml", "Kustomization"})


def _broken(error: YamlError, chunk: str, line: int, name: str) -> Unreadable | Template:
    where = line + error.line - 1
    if "{{" in chunk:
        path = PurePosixPath(name)
        chart = next((parent.parent for parent in path.parents if parent.name == "templates"), path.parent)
        return Template(where, f"a template: render it with `helm template {quote(str(chart))}` and scan that")
    return Unreadable(where, f"not YAML: {error.reason}")


def _not_utf8(bad: re.Match[str], line: int) -> Unreadable:
    byte = ord(bad[0]) - 0xDC00
    where = line + bad.string.count("\n", 0, bad.start())
    return Unreadable(where, f"not UTF-8 text (byte 0x{byte:02X}): save it as UTF-8")
