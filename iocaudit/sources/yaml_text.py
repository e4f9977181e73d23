"""A YAML stream as text: where its documents start, and of what kind one is without parsing it."""

import re
from collections.abc import Iterator

_AFTER_MARKER = ("", " ", "\t", "\r", "\n")
_BLANK = r"(?:[ \t]*(?:#[^\n]*)?\r?\n)*"
_EMPTY = re.compile(r"(?:---)?(?:[ \t]*(?:#[^\n]*)?\r?\n)*(?:[ \t]*(?:#[^\n]*)?)?")
# Directives belong to the document that follows; libyaml also takes them for the end of the one before.
_DIRECTIVE = re.compile(r"^%(?:YAML|TAG)[ \t]", re.MULTILINE)

# The first line of content is a plain word on column 0, so the document is a block map whose keys are there.
_BLOCK_MAP = re.compile(rf"(?:---[ \t]*(?:#[^\n]*)?\r?\n)?{_BLANK}(?=[A-Za-z])")
# A line on column 0 that may be a key in another spelling, or more than one document.
_DOUBT = re.compile(r"""\n(?:["'?!&*{\[%<]|\.\.\.)""")
_ODD_BREAK = re.compile("[\x85\u2028\u2029\ufeff]")
_END = r"[ \t]*(?:[ \t]#[^\r\n]*)?(?=\r?\n[^ \t\r\n]|\r?\n?\Z)"  # and no line that goes on with the scalar
_KIND = re.compile(r"kind[ \t]*:[ \t]+([A-Za-z][A-Za-z0-9]*)" + _END)
_API_VERSION = re.compile(r"apiVersion[ \t]*:[ \t]+([\"']?)([A-Za-z0-9./-]+)\1" + _END)

DEFINITION = "CustomResourceDefinition"
_SPEC = re.compile(rf"\nspec[ \t]*:[ \t]*(?:#[^\n]*)?\r?\n{_BLANK}(?=([ ]+))")
_GROUP = re.compile(r"[ \t]+([\"']?)([a-z0-9.-]+)\1" + r"[ \t]*(?:#[^\n]*)?\r?$", re.MULTILINE)


def split(text: str) -> Iterator[tuple[str, int]]:
    """The text of each document with the line it starts on; parts of nothing but comments are left out.

    ``---`` at the start of a line ends a document wherever it stands, so one broken document cannot swallow
    the next. A part may still hold several documents (after ``...``); libyaml tells those apart.
    """
    line = 1
    first, first_line = 0, 1
    start = 0
    while start < len(text):
        end = _next_marker(text, start)
        part = text[start:end]
        line += part.count("\n")
        directives = ("\n%" in part or part.startswith("%")) and _DIRECTIVE.search(part) is not None
        if not (directives and end < len(text)):
            if first < start or not _EMPTY.fullmatch(part):
                yield text[first:end], first_line
            first, first_line = end, line
        start = end


def _next_marker(text: str, start: int) -> int:
    """Where the next line that is a document marker starts, or the end of the text."""
    while (start := text.find("\n---", start)) >= 0:
        start += 1
        if text[start + 3 : start + 4] in _AFTER_MARKER:
            return start
    return len(text)


_METADATA = re.compile(r"metadata:[ ]*(?:\{([^{}\n]{0,1000})|(?:#[^\n]*)?\r?\n((?:[ ]+[^\n]*\n?){1,40}))")


def sniff(document: str) -> tuple[str, str] | None:
    """The apiVersion and kind that a document certainly has, or None where only parsing it can tell."""
    if not document.isascii() and _ODD_BREAK.search(document):
        return None
    kind = _only(document, "kind", _KIND)
    version = _only(document, "apiVersion", _API_VERSION)
    if kind is None or version is None or not _BLOCK_MAP.match(document):
        return None
    if "\r" in document and document.count("\r") != document.count("\r\n"):
        return None
    if _DOUBT.search(document):
        return None
    return version[2], kind[1]


def _only(document: str, key: str, line: re.Pattern[str]) -> re.Match[str] | None:
    """The match of the only line that starts with ``key``."""
    at_start = document.startswith(key)
    later = document.find("\n" + key)
    if at_start == (later >= 0) or document.find("\n" + key, later + 1 if later >= 0 else 0) >= 0:
        return None
    return line.match(document, 0 if at_start else later + 1)


def named_in(document: str) -> tuple[str, str]:
    """The namespace and name of an object; empty where only parsing it can tell."""
    start = 0 if document.startswith("metadata:") else document.find("\nmetadata:") + 1
    head = _METADATA.match(document, start)
    if head is None:
        return "", ""
    flow, block = head[1], head[2] or ""
    indent = block[: len(block) - len(block.lstrip(" "))]
    found = {}
    for line in flow.split(",") if flow is not None else block.splitlines():
        if flow is None and (not line.startswith(indent) or line.startswith(f"{indent} ")):
            continue
        key, _, value = line.strip().partition(":")
        found[key.strip()] = value.partition(" #")[0].strip().strip("\"'")
    return found.get("namespace", ""), found.get("name", "")


def defined_group(definition: str) -> str:
    """The API group that a CustomResourceDefinition in block style defines; empty where only parsing it can tell."""
    start = definition.find("\nspec")
    spec = _SPEC.match(definition, start) if start >= 0 else None
    if spec is None:
        return ""
    line = "\n" + spec[1] + "group:"
    at = definition.find(line, spec.end() - 1)
    found = _GROUP.match(definition, at + len(line)) if at >= 0 else None
    return found[2] if found is not None else ""
