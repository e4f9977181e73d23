"""The bytes of one file taken apart into documents. One broken document does not lose the others.

A document of a kind that nobody wants is not parsed at all (most bytes of real repositories are
CustomResourceDefinitions), so a mistake inside one goes unnoticed; in doubt a document is parsed.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import orjson

from iocaudit.sources.yaml_builder import YamlError, build


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

_MARKER = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_KIND = re.compile(r"^kind[ \t]*:[ \t]*([^\r\n]*)", re.MULTILINE)
_API_VERSION = re.compile(r"^apiVersion[ \t]*:[ \t]*([^\s#]+)", re.MULTILINE)
_WORD = re.compile(r"([A-Za-z][A-Za-z0-9]*)[ \t]*(?:[ \t]#.*)?")
# A line that could set a top-level key in another spelling, or starts no plain block mapping.
_DOUBT = re.compile(r"""^(?:["'?!&*{\[%]|<<|\.\.\.|---[ \t]+[^#\s])""", re.MULTILINE)
_ONLY_COMMENTS = re.compile(r"(?:[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z))*")
_DIRECTIVES = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\r?\n)*%")


def read_documents(data: bytes, name: str, wanted: Wanted) -> Iterator[Outcome]:
    """Every document of a file, in order. Never raises on any input."""
    decoded = _decode(data)
    if isinstance(decoded, Unreadable):
        yield decoded
        return
    text = decoded
    if name.endswith(".json") or text.lstrip()[:1] in ("{", "["):
        outcomes = _json(text)
        if outcomes is not None:
            yield from outcomes
            return
    index = 0
    for chunk, line in split(text):
        unwanted = _sniff(chunk, wanted)
        if unwanted is not None:
            yield unwanted
            index += 1
            continue
        try:
            for value, first in build(chunk):
                outcome = _classify(value, chunk, line, line + max(first, 1) - 1, index, name)
                if outcome is not None:
                    yield outcome
                index += 1
        except YamlError as error:
            yield _broken(error, chunk, line, name)
            index += 1


def _decode(data: bytes) -> str | Unreadable:
    """The text of a file: UTF-8, or UTF-16 and UTF-32 with a byte order mark, as YAML allows."""
    encoding = "utf-8-sig"
    if data.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        encoding = "utf-32"
    elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\x00" in data:
        return Unreadable(None, "a binary file (it holds NUL bytes): leave it out, or name the manifests")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Unreadable(line, f"not {encoding.upper()[:6]} text (byte {error.start}): save it as UTF-8")


def split(text: str) -> Iterator[tuple[str, int]]:
    """The text of each document with the line it starts on; parts of nothing but comments are left out."""
    starts = [match.start() for match in _MARKER.finditer(text)]
    bounds = [0, *(start for start in starts if start), len(text)]
    line = 1
    carried, carried_line = "", 0
    for start, end in itertools.pairwise(bounds):
        chunk = text[start:end]
        newlines = chunk.count("\n")
        if _DIRECTIVES.match(chunk) and not _MARKER.search(chunk):
            carried, carried_line = carried + chunk, carried_line or line
        else:
            body = chunk[3:] if chunk.startswith("---") else chunk
            if not _ONLY_COMMENTS.fullmatch(body):
                yield (carried + chunk, carried_line or line)
            carried, carried_line = "", 0
        line += newlines
    if carried:
        yield carried, carried_line


def _sniff(chunk: str, wanted: Wanted) -> OtherKind | None:
    kinds = _KIND.findall(chunk)
    if len(kinds) != 1 or _DOUBT.search(chunk):
        return None
    word = _WORD.fullmatch(kinds[0].rstrip())
    if word is None or word[1].endswith("List"):
        return None
    version = _API_VERSION.search(chunk)
    if version is None or wanted(version[1].strip("\"'"), word[1]):
        return None
    return OtherKind(version[1].strip("\"'"), word[1])


def _classify(
    value: Any, text: str, text_line: int, line: int, index: int, name: str
) -> Document | NotKubernetes | Template | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        return NotKubernetes(line)
    if value.get("kind") == "Kustomization" or PurePosixPath(name).name in _KUSTOMIZATIONS:
        folder = PurePosixPath(name).parent
        return Template(line, f"a kustomization: render it with `kubectl kustomize {folder}` and scan that")
    if not (isinstance(value.get("apiVersion"), str) and isinstance(value.get("kind"), str)):
        return NotKubernetes(line)
    return Document(value, line, text, text_line, index)


_KUSTOMIZATIONS = frozenset({"kustomization.yaml", "kustomization.yml", "Kustomization"})


def _broken(error: YamlError, chunk: str, line: int, name: str) -> Unreadable | Template:
    where = line + error.line - 1
    if "{{" in chunk:
        path = PurePosixPath(name)
        chart = next((parent.parent for parent in path.parents if parent.name == "templates"), path.parent)
        return Template(where, f"a template: render it with `helm template {chart}` and scan that")
    return Unreadable(where, f"not YAML: {error.reason}")


def _json(text: str) -> list[Outcome] | None:
    """The documents of a JSON file, or of several JSON texts one after another; None: try it as YAML."""
    try:
        return [_json_outcome(orjson.loads(text), text, 1, 0)]
    except orjson.JSONDecodeError:
        pass  # several texts, or not JSON: the slower reader below tells which
    decoder = json.JSONDecoder()
    outcomes: list[Outcome] = []
    position = 0
    while True:
        while position < len(text) and text[position] in " \t\r\n":
            position += 1
        if position == len(text):
            return outcomes
        try:
            _, end = decoder.raw_decode(text, position)
            piece = text[position:end]
            value = orjson.loads(piece)
        except (ValueError, RecursionError):
            return None
        outcomes.append(_json_outcome(value, piece, text.count("\n", 0, position) + 1, len(outcomes)))
        position = end


def _json_outcome(value: Any, text: str, line: int, index: int) -> Outcome:
    if isinstance(value, dict) and isinstance(value.get("apiVersion"), str) and isinstance(value.get("kind"), str):
        return Document(value, line, text, line, index)
    return NotKubernetes(line)
