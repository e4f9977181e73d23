"""How a value is assigned to a name, in whatever notation: what stands around the name says so.

``name = value``, ``"name": "value"``, ``define('name', 'value')``, ``<name>value</name>``, ``--name value``,
``name value`` in a line of its own or behind what it is set for, a pair of ``name: …`` and ``value: …``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from iocaudit.core.late_pattern import late
from iocaudit.knowledge.credentials.names import NameStrength

_TAIL = 120
_GAP = r"[ \t]{0,40}"
_ASSIGNS = late(
    rf"(?P<close>\\{{0,3}}[\"'`]?\]{{0,2}}){_GAP}(?P<op>=>|:=|\?=|\+=|::|:|=)(?!=|~\s){_GAP}"
    r"|(?P<xml>>)"
    r"|(?P<argument>\\{0,3}[\"'])\s{0,20},\s{0,20}"
    r"|(?P<atom>\s{0,9}),\s{0,9}(?=<<\"|[\"'])"
    r"|(?P<gap>[\"']?[ \t]{1,40})(?=\S)"
    r"|(?P<item>[\"']?\n[ \t]{0,40}-[ \t]{1,9})(?=\S)"
)
# name: X, value: Y in whatever notation; a default of a variable; what stands under a name as its value.
_PAIRED = late(
    r"\\{0,3}[\"']?\s{0,40}(?:[,;:={>]|=>)?\s{0,40}(?:\{\s{0,40})?(?:-\s)?"
    r"[\"']?(?:[Vv]alue|VALUE|default|plaintext)[\"']?"
    r"\s{0,9}(?:=>|[:=])\s{0,9}"
    r"|[\"']?\s{0,9}\{[^{}]{0,200}?\bdefault\s{0,9}=\s{0,9}"
    r"|\\{0,3}[\"']>\s{0,9}(?:<value>)?|</(?:name|key|Name|Key|param-name)>\s{0,40}<(?:[Vv]alue|string|param-value)>"
)
_NAMED = late(
    r"(?:^|[\s{,<(])[\"']?-?(?:[Nn]ame|NAME|[Kk]ey|variable|var|option|entry|param)[\"']?"
    r"\s{0,9}(?:=>|[:=>]|\s)\s{0,9}[\"']?$"
)
_QUOTED = late(
    r"(?:[rbuRBUfF@$]{1,2}|<<)?(?:\"\"\"(.{0,2000}?)\"\"\"|'''(.{0,2000}?)'''|\\\"([^\"\\\n]{0,2000})\\\""
    r"|\"((?:[^\"\\\n]|\\.){0,2000})\"|'((?:[^'\\\n]|\\.|''){0,2000})'|`([^`\n]{0,2000})`)"
)
_WORD = late(r"[^\s\"'`;,&<>(){}\[\]|]{1,2000}")
_IN_ELEMENT = late(r"[^\s<>]{1,2000}")
_SHELL_WORD = late(r"[^\s\"'`;|<>]{1,2000}")
_REST = late(r"[^\n]{0,600}")
_COMMENT_BEHIND = late(r"\s(?:#|//|;|--|<!--|/\*)")
# What stands before a name at the start of its line: marks of an item, words that declare or set something.
_BEFORE = late(
    r"(?:[-?>*+|]\s{1,9}){0,3}(?:Environment=[\"']?)?(?:[A-Za-z]\w{0,30}\s{1,9}){0,5}"
    r"(?:\$env:|[$@:%&]|self\.|this\.|Environment=)?[\w$-]{0,40}[\"'`]?[\[({]?[\"'`:]?"
    r"|Environment=[\"']?(?:\w{1,80}=[^\s\"']{0,200}[\"']?\s{1,9}[\"']?){0,20}"
)
_SETS = late(
    r"(?:^|[\s\[\"'{(,;])(?:(?:\w{1,30}[_-])?(?:set[_-]header|add[_-]header|header|param|setenv)"
    r"|[Ss]et[Ee]nv|env|ENV|ARG|set|setx|define|sentinel|config[ ]set)\s{1,9}[\"']?$"
)
_IDENTITY = late(r"\b(?:login|user|username|account|machine|role)\s{1,9}\S{1,100}\s{1,9}$", re.IGNORECASE)
_SQL = late(r"\b(?:USER|ROLE|WITH|ALTER|CREATE|GRANT|SET|LOGIN)\b[^\n]{0,100}$", re.IGNORECASE)
# A part of a path, of an address, of a reference in a store: no name of its own.
_OF_SOMETHING_ELSE = late(r"[/\\%#]$|\$\w{0,4}[({]$|\{\{\s?$|(?<![\s(\[{,/])(?<!\$env)(?<!^):$")
_SETTER = late(
    r"(?:define|set|put|add|append|insert|property|header|with)\w{0,40}\(\s{0,9}[\"']$|(?:^|\W)\(\s{0,9}[\"']$"
    r"|\{\s{0,9}[\"']?$",
    re.IGNORECASE,
)
_READER = late(
    r"(?:get|env|lookup|find|has|fetch|read|flag|arg|contains|equals|require|option)\w{0,30}\(\s{0,9}[\"']$",
    re.IGNORECASE,
)
_LIST = late(r"[\[,]\s{0,40}[\"']$")
_PROSE = frozenset(
    {
        "is", "are", "was", "and", "or", "of", "for", "to", "the", "in", "with", "from", "as", "by", "not", "must",
        "can", "will", "a", "your",
    }
)  # fmt: skip
_CONVERTED = late(r"ConvertTo-SecureString\s{1,9}(?:-(?:String|AsPlainText|Force)\s{1,9}){0,3}", re.IGNORECASE)
_GOES_ON = late(r"\s{0,9}(?:\+|\.\.?\w|%\s|\|\s{0,9}\w|\?|\.\s)")
_NO_SIGN = late(r"^(?!-)[^\"'`]*[A-Za-z0-9][^\"'`]*$")
_ELEMENT = late(r"<(?:\w{1,30}:)?$")
_CONTENT = late(r"(?:<!\[CDATA\[)?\s{0,40}([^<>\s]{1,2000}?)\s{0,40}(?:\]\]>)?</([\w.:-]{1,100})")
_BELOW = late(r"\n([ \t]{1,80})(\S[^\n]{0,600})")
_VALUE_BELOW = late(r"[\"']?(?:value|default|plaintext)[\"']?\s{0,9}[:=]\s{0,9}")
_BLOCK = frozenset({"|", ">", "|-", ">-", "|+", ">+"})
_TAGGED = late(r"\{[\w:.-]{1,40}\}[^\s,;]")
"""``{noop}password``: how a password is written comes before it."""
_STATEMENT = late(r"\):?$|[\w\])]:$|[(\[{]$|\)\s{0,9}[{:]$")
"""How a line of a program ends that calls or declares something."""
_OPENING = {"}": "{", ")": "(", "]": "[", '"': '"', "'": "'"}
_WHERE_TO = frozenset({"proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass"})
"""Directives of nginx: where a request is passed to."""
_COMPOUND = frozenset({"requirepass", "masterauth", "rootpw", "bindpw"})


class NameOccurrence(NamedTuple):
    """A name in a text: where it ends, ``head``, the part of its line before it, and what it says.

    ``code``: the text is a program; ``argv``: it is one command with its arguments.
    """

    text: str
    end: int
    head: str
    name: str
    of: NameStrength
    code: bool
    argv: bool

    @property
    def is_option(self) -> bool:
        return self.name.startswith("-") or self.head.endswith("-")


class Value(NamedTuple):
    """A value without its quotes, and where it starts. ``code``: it stands where a program's own names stand."""

    text: str
    start: int
    code: bool = False


def value_at(place: NameOccurrence) -> Value | None:
    """The value that is assigned to a name; None where none is, or a program makes it up."""
    text, tail = place.text, place.head[-_TAIL:]
    if _OF_SOMETHING_ELSE.search(tail[-6:]) and not tail.endswith("/:") and not _ELEMENT.search(tail[-40:]):
        return None
    if _NAMED.search(tail[-40:]) and (paired := _PAIRED.match(text, place.end)):
        return _after(place, paired.end())
    assigns = _ASSIGNS.match(text, place.end)
    if assigns is None:
        return None
    at = assigns.end()
    if assigns["op"]:
        return _assigned(place, at, assigns["op"], spaced=" " in assigns[0])
    if assigns["xml"]:
        return _content(place, at)
    if assigns["argument"]:
        return _argument(place, at, tail)
    if assigns["atom"] is not None:
        return _quoted_words(place, at) if tail.rstrip().endswith("{") else None
    if place.is_option:
        return _behind_option(place, at, in_list=assigns["item"] is not None)
    return _behind_word(place, at, tail) if assigns["gap"] else None


def _quoted(text: str, at: int) -> tuple[str, int, int] | None:
    """What is quoted at a place, where it starts and where its quotes end."""
    found = _QUOTED.match(text, at)
    if found is None or found.lastindex is None:
        return None
    return found[found.lastindex], found.start(found.lastindex), found.end()


def _quoted_words(place: NameOccurrence, at: int) -> Value | None:
    quoted = _quoted(place.text, at)
    return _words(place, quoted[0], quoted[1]) if quoted else None


def _after(place: NameOccurrence, at: int) -> Value | None:
    """A value in quotes, or one word."""
    if _QUOTED.match(place.text, at):
        return _quoted_words(place, at)
    found = (_IN_ELEMENT if place.text[at - 1] == ">" else _WORD).match(place.text, at)
    if found is None or _is_call(place.text, found.end()):
        return None
    return Value(found[0], at, place.code)


def _is_call(text: str, end: int) -> bool:
    return text[end : end + 1] in ("(", "[", "{")


def _assigned(place: NameOccurrence, at: int, op: str, *, spaced: bool) -> Value | None:
    """The value behind a sign that assigns it."""
    text, head = place.text, place.head
    if converted := _CONVERTED.match(text, at):
        at = converted.end()
    if quoted := _quoted(text, at):
        if text[at] in "fF" and "{" in quoted[0]:
            return None
        made_up = _GOES_ON.match(text, quoted[2]) and not place.is_option
        return None if made_up else _words(place, quoted[0], quoted[1])
    if place.is_option or place.argv:
        return _shell_word(text, at)
    if _BEFORE.fullmatch(head.strip()) and not head.rstrip().endswith(("(", "{", "[")):
        return _rest(place, at, op, spaced=spaced)
    if text[at - 1].isspace() != text[place.end].isspace() and (op == "=" or text[place.end].isspace()):
        return None  # the end of an address (?access_token= and what comes next), a mark in prose
    value = _after(place, at)
    if value is None or (
        head.rstrip()[-1:] in ("(", ",", "{") and value.text.replace("_", "").replace(".", "").isalpha()
    ):
        return None
    return value


def _rest(place: NameOccurrence, at: int, op: str, *, spaced: bool) -> Value | None:
    """The value of a name at the start of a line: what is left of it."""
    line = _line(place.text, at)
    value = _without_comment(line)
    if op == ":" and (not value or value in _BLOCK):
        return _below(place, at + len(line), block=bool(value))
    if value[:1] in ("([&*|>" if op == ":" else "([") or (value.startswith("{") and not _TAGGED.match(value)):
        return None
    if _STATEMENT.search(value):
        return None
    ends_as_code = (spaced and value.endswith(";")) or (
        op == "=" and value.endswith(",") and value[:-1].replace("_", "").isalpha()
    )
    value = value.rstrip(",;")
    if " " in value or "\t" in value:
        first = value.split()[0]
        # An assignment before a command, a list of name=value pairs.
        if not spaced and op == "=" and (place.name.isupper() or "=" in value[len(first) :]):
            return Value(first.rstrip(",;"), at)
        return _words(place, value, at) if op != "=>" else None
    while (opening := _OPENING.get(value[-1:])) and opening in place.head and opening not in value[:-1]:
        value = value[:-1]
    return Value(value, at, ends_as_code or (place.code and spaced))


def _line(text: str, at: int) -> str:
    found = _REST.match(text, at)
    return found[0] if found else ""


def _without_comment(line: str) -> str:
    found = _COMMENT_BEHIND.search(line)
    return (line[: found.start()] if found else line).rstrip().removesuffix("\\").rstrip()


def _below(place: NameOccurrence, at: int, *, block: bool) -> Value | None:
    """The value in the line below a name: of a block, or under ``value:``."""
    found = _BELOW.match(place.text, at)
    if found is None or len(found[1]) <= len(place.head) - len(place.head.lstrip(" -")):
        return None
    if block:
        value = found[2].rstrip()
        return None if " " in value or value[0] in "{[<#-" else Value(value, found.start(2))
    within = _VALUE_BELOW.match(place.text, found.start(2))
    return _after(place, within.end()) if within else None


def _words(place: NameOccurrence, value: str, start: int) -> Value | None:
    """A value that may be of several words: a passphrase is a value, and a sentence about it is not."""
    bare = value.strip()
    start += len(value) - len(value.lstrip())
    words = bare.split()
    if len(words) < 2:
        return Value(bare, start) if bare else None
    if place.of is not NameStrength.PASSWORD or len(words) > 8 or bare[-1] in ".:?!":
        return None
    if not _PROSE.isdisjoint(word.lower() for word in words) or not all(map(_NO_SIGN.search, words)):
        return None
    if "phrase" not in place.name.lower() and not any(char.isdigit() for char in bare):
        return None
    return Value("-".join(words) if bare[0].isalnum() else bare, start)


def _shell_word(text: str, at: int) -> Value | None:
    if quoted := _quoted(text, at):
        return Value(quoted[0], quoted[1])
    found = _SHELL_WORD.match(text, at)
    return Value(found[0].rstrip(",)]}"), at) if found else None


def _content(place: NameOccurrence, at: int) -> Value | None:
    """``<name>value</name>``; the name of an element may have a prefix."""
    found = _CONTENT.match(place.text, at) if _ELEMENT.search(place.head[-40:]) else None
    if found is None or not found[2].endswith(place.name):
        return None
    return Value(found[1], found.start(1))


def _argument(place: NameOccurrence, at: int, tail: str) -> Value | None:
    """The argument behind a name that is one too: of what sets something, of a list of options."""
    option = place.is_option and (place.argv or _LIST.search(tail) is not None)
    if not option and (_READER.search(tail) or not _SETTER.search(tail)):
        return None
    value = _quoted_words(place, at)
    if value is None or value.text.startswith("-") or (tail.rstrip("\"' ").endswith("{") and value.text.isidentifier()):
        return None
    return value


def _behind_option(place: NameOccurrence, at: int, *, in_list: bool) -> Value | None:
    """What stands behind an option: in prose a word may, and is not a value."""
    if place.head[-1:].isalnum():
        return None
    found = _shell_word(place.text, at)
    if found is None or found.text.startswith("-"):
        return None
    prose = not (place.argv or in_list) and found.text.isalpha() and found.text.islower()
    return None if prose else found


def _behind_word(place: NameOccurrence, at: int, tail: str) -> Value | None:
    """``name value`` without a sign between them: alone in its line, or behind a word that says who or what."""
    quoted = _quoted(place.text, at)
    alone = not place.head.strip(" \t>-:@${([" if quoted else " \t>-")
    sets, identity = _SETS.search(tail) is not None, _IDENTITY.search(tail) is not None
    if not (alone or sets or identity or (quoted and _SQL.search(tail))):
        return None
    rest = _without_comment(_line(place.text, at)).rstrip("; \t")
    if quoted is not None:
        ends = at + len(rest) <= quoted[2]
        return _words(place, quoted[0], quoted[1]) if ends or _SQL.search(tail) else None
    words = rest.split()
    if not words or place.of < NameStrength.STRONG or place.name in _WHERE_TO:
        return None
    if identity and (words[0].lower() in _PROSE or tail.split()[-1].lower() in _PROSE):
        return None
    if sets or identity:
        of_two = len(words) == 2 and "sentinel" in tail  # auth-pass takes the name of the master first
        value = words[1] if of_two else words[0]
        return Value(value, at + rest.find(value)) if of_two or identity or len(words) == 1 else None
    return Value(words[0], at) if len(words) == 1 and not _is_prose(place.name, words[0]) else None


def _is_prose(name: str, value: str) -> bool:
    """Whether two words alone in a line are a heading or the rest of a sentence."""
    heading = name[:1].isupper() and "_" not in name
    compound = not name.islower() or "_" in name or "-" in name or name in _COMPOUND
    return value.isalpha() and (heading or (value.islower() and not compound))
