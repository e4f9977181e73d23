"""What a value is by its shape: a literal, or a reference, a place to be filled in, code, a hash, a file's name.

Sources: Grafana's variable expansion (``$__file{}``), Telegraf secret stores (``@{store:key}``), Jasypt (``ENC()``),
Spring Cloud Config (``{cipher}``), SOPS (``ENC[]``), HashiCorp Vault transit (``vault:v1:``), vals (``ref+``), berglas
(``sm://``), 1Password (``op://``), crypt(5) and RFC 2307 for hashed passwords.
"""

from __future__ import annotations

import re
from itertools import pairwise

from iocaudit.core.late_pattern import late
from iocaudit.knowledge.credentials.names import NameStrength, speaks_of_one, standing

_REFERENCE = late(
    # Filled in by a template, a shell or the program that reads it; some way into the text too.
    r"\$\{|\$\(|\{\{|\}\}|<%|#\{|%\{|@\{|\$__|\$\[\[|\{%|%\(\w{1,60}\)s"
    # An address, or the place of it in a store.
    r"|^[A-Za-z][A-Za-z0-9+.-]{1,30}://"
    r"|^(?:ref\+|arn:|projects/|file:|env:|pass:|fd:|vault:|ssm:|secret(?:ref)?:|secrets?manager:|(?:aws|gcp|azure):?[a-z]{2,20}:"
    r"|keyvault:|kms:|sops:|op:|sm:|keyring:|keychain:|prompt:|exec:|k8s:|kubernetes:|valueFrom|cmd:"
    r"|encrypted:|enc:|cipher:|sealed:|conjur:|doppler:|bws:|akeyless:|barbican:|lookup:|env\.)"
    r"|^[a-z][a-z0-9_-]{1,30}:(?://)?[\w.-]{1,100}[/#][\w./#@-]{1,200}$"
    # What is enciphered, and by what: ENC[…], ENC(…), {cipher}…, $ANSIBLE_VAULT;…
    r"|^[A-Za-z]{2,12}\[.{0,500}\]$|^\$ANSIBLE_VAULT;|^-----BEGIN (?:PGP|AGE|CERT|PUB|RSA PUB|EC PUB|SSH2 PUB)"
    r"|^\{(?!noop|plain|PLAIN|cleartext|CLEARTEXT|clear)[\w:.-]{1,40}\}"
    # A tag of YAML, and a variable of a statement.
    r"|^!{1,2}[A-Za-z][\w:./-]{0,40}\s|^!{1,2}[a-z]{1,40}$|^:[a-z_]{1,60}$|^\?$|^<<|^\$\d{1,2}$|^%[sdvq]$",
)
_HASH = late(
    r"^\$(?:\d\w{0,2}|2[abxy]|apr1|argon2\w{0,2}|scrypt|pbkdf2[\w-]{0,20}|bcrypt[\w-]{0,20}|y|gy|sha1|md5|P|H|S)\$"
    r"|^(?:pbkdf2|scrypt|bcrypt|argon2|sha-?\d{1,3}|md5|scram-sha-\d{1,3})[\w-]{0,30}[:$]"
    r"|^md5[0-9a-f]{32}$|^\*[0-9A-F]{40}$"
    # A line of htpasswd(1).
    r"|^[\w.@+-]{1,64}:(?:\$(?:2[abxy]|apr1|[156])\$|\{S?SHA\}).{0,200}$",
    re.IGNORECASE,
)
_OPEN = late(
    r"^(?:ssh-(?:rsa|dss|ed25519) |ecdsa-sha2-|sk-(?:ssh|ecdsa)"
    r"|LS0tLS1CRUdJTiB[DQ]|LS0tLS1CRUdJTiBQVUJ|MIIBI[jJ]ANBgkq|age1[a-z0-9]{50})"
)
_PLACEHOLDER = late(
    r"^(?:|\*{1,}|(?:<.{0,200}>)|\[[A-Za-z][\w .-]{0,60}\]|[\[(]?(?:redacted|masked|hidden|removed|omitted|snip)[\])]?"
    r"|\.{2,}|[-_]{3,}|x{6,}|x{1,4}\.{3}|\u2026|todo|tbd|fixme|placeholder|n/?a"
    r"|(?:your|enter|insert|put|replace|fill[_ -]in|paste|specify|provide)[_ -].{0,100}"
    r"|.{0,60}[_ -](?:here|placeholder)"
    r"|%[\w().:-]{1,80}%|@[\w.]{1,60}@|__\w{1,60}__|#\w{1,60}#|#[A-Za-z_]\w{0,40}(?:\.\w{1,40}){1,5}"
    r"|\|\w{1,60}\||~[a-z_]{1,60}~|\{\w[\w .-]{0,60}\})$"
    r"|^(?-i:CHANGE[_-]ME)$",
    re.IGNORECASE,
)
_PLAIN = late(
    r"^(?:true|false|yes|no|on|off|null|none|nil|undefined|~|string!?|str|bool(?:ean)?|int(?:eger)?|number|object|array"
    r"|bytes|text|varchar|char|blob|required|optional|prompt|default|include|omit|same-origin"
    r"|[+-]?\d{1,5}(?:\.\d{1,3})?|\d{1,5}[smhdw]|\d{4}-\d\d-\d\d.{0,20})$",
    re.IGNORECASE,
)
_VARIABLE = late(r"^\${1,2}(?:env:)?[A-Za-z_]\w{0,80}(?:$|->|[\[{.]|::)|^&?\$\w{1,60}(?:->|\[)|^[$][{(]")
_CALL = late(
    r"^@?(?:new |await |\w{1,40}!)?[A-Za-z_$][\w.$:<>-]{0,100}[!?]?\(.{0,1000}\)?$|^[A-Za-z_$][\w.]{0,80}\[['\"\w:$]"
)
_REGEX = late(r"^\^.{0,500}(?:\$$|[(\[])|\\[dwsbDWSB]|\][+*{]|\(\?[:=!P]")
_DOTTED = late(r"^\.?[A-Za-z_$][\w$-]{0,60}(?:\??\.[A-Za-z_][\w-]{0,60}){1,8}$")
_ROOTS = frozenset(
    {
        "process", "os", "env", "environ", "config", "conf", "cfg", "settings", "self", "this", "var", "local", "data",
        "module", "vars", "params", "options", "opts", "args", "ctx", "context", "app", "props", "state", "values",
        "secrets", "request", "req", "session", "std", "steps", "inputs", "outputs", "each", "path", "credentials",
        "event",
    }
)  # fmt: skip
_FILE = late(r"^[\w@-]{1,80}(?:[.-][\w@-]{1,60}){0,5}\.[a-z]{2,5}[0-9]?$")
_PATH = late(r"^(?:~|\.{1,2}|[A-Za-z]:)?[/\\](?:[\w.@ {}$+-]{1,120}[/\\]{1,2}){0,20}[\w.@ {}$*+-]{0,120}$")
_SEGMENTS = late(r"^(?:[a-z][a-z_.-]{0,80}/){2,20}[a-z][a-z0-9_.-]{0,80}$|^\.{0,2}/")
_NAME_OF_ENV = late(r"^[A-Z][A-Z0-9]{0,40}(?:_[A-Z0-9]{1,40}){1,8}$")
_KUBERNETES_NAME = late(r"^[a-z][a-z0-9]{0,40}(?:[./-][a-z0-9]{1,40}){1,10}$")
# A word, or several with dashes or dots between them.
_OBJECT_NAME = late(r"^[a-z]{1,63}$|^[a-z]{1,62}\d?(?:[./-](?:[a-z]{1,62}\d?|v?\d{1,4})){1,10}$")
_NAME = late(r"^[A-Za-z_][A-Za-z0-9_.-]{0,60}$")
_SAYS_SO = late(r"^[a-z]{0,10}secret[a-z0-9]{4,20}$")
"""What people write for a secret; no name of anything, which has a sign between its words."""
_ADDRESS = late(r"[./:]")
_BASE64 = late(r"^[A-Za-z0-9+/]{16,}={0,2}$")
_PIECE = late(r"[A-Za-z]\d[a-z]?(?![A-Za-z0-9])|[A-Z]\d(?=[A-Z])|[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^A-Za-z0-9]+")
_USER = late(r"^[\w.@+-]{1,64}$")
_VOWEL = late(r"[aeiouyAEIOUY]")
_LAST_OF_NAMES = frozenset(
    {
        "secret", "secrets", "credentials", "credential", "creds", "tls", "cert", "certs", "token", "key", "keys",
        "password", "auth", "config", "pass", "crt", "pem", "tokens",
    }
)  # fmt: skip
_CLASSES = (late(r"[a-z]"), late(r"[A-Z]"), late(r"[0-9]"), late(r"[^A-Za-z0-9\s]"))


def is_literal(value: str, of: NameStrength, *, code: bool = False) -> bool:
    """Whether a value without its quotes is a credential under a name of that standing.

    ``code``: it stood without quotes where a program's names do.
    """
    if of is NameStrength.NONE or len(value) > 8000 or _is_none(value, of):
        return False
    if value[:1] == "{" and (tag := value.find("}")) > 0:  # {noop}, {PLAIN}: only those are left here
        return len(value) > tag + 1
    if code and re.fullmatch(r"[A-Za-z_]\w*", value):
        return False
    if of is NameStrength.WEAK and _DOTTED.match(value):
        return False
    if of < NameStrength.STRONG and _NAME.match(value) and speaks_of_one(value):
        return False
    if of is NameStrength.FOREIGN and _SAYS_SO.match(value):
        return True
    if of is NameStrength.FOREIGN:
        return len(value) >= 8 and _is_odd(value) and not (_ADDRESS.search(value) and not _BASE64.match(value))
    if of is NameStrength.WEAK:
        return _is_pair(value) or (_is_odd(value) and len(value) >= 6)
    if of is NameStrength.UNCERTAIN:
        return len(value) > 3 and not _OBJECT_NAME.match(value)
    return of is NameStrength.PASSWORD or (len(value) > 3 and not _is_name_of_one(value))


def _is_none(value: str, of: NameStrength) -> bool:
    if _PLAIN.match(value):
        # A number of a few digits is more often a port or a count; as a password it is one, unless it is a flag.
        return not (of is NameStrength.PASSWORD and value.isdigit() and 4 <= len(value) <= 5)
    return bool(
        _REFERENCE.search(value)
        or _PLACEHOLDER.match(value)
        or _HASH.match(value)
        or _OPEN.match(value)
        or _is_variable(value)
        or _is_code(value)
        or _REGEX.search(value)
        or _is_path(value)
        or _is_file(value)
        or (_NAME_OF_ENV.match(value) and standing(value) is not NameStrength.NONE)
    )


def _is_variable(value: str) -> bool:
    if not _VARIABLE.match(value):
        return False
    bare = value.lstrip("$")
    return not (bare.isalnum() and _digits_within(bare) and not bare.isupper())


def _digits_within(text: str) -> bool:
    return any(char.isdigit() for char in text[:-1])


def _is_code(value: str) -> bool:
    value = value.rstrip("!?;")
    if _CALL.match(value):
        return value.endswith((")", "]", "(", "[")) or "['" in value or '["' in value or "[:" in value
    if not _DOTTED.match(value):
        return False
    parts = value.replace("?", "").split(".")
    return parts[0].lstrip("$").lower() in _ROOTS or any(map(standing, parts))


def _is_path(value: str) -> bool:
    if _SEGMENTS.match(value) and not (value.startswith("/") and not _is_path_by_words(value)):
        return True
    return bool(_PATH.match(value)) and _is_path_by_words(value)


def _is_path_by_words(value: str) -> bool:
    """A base64 text may start with a slash and hold more of them: the parts of a path are words."""
    parts = [part for part in re.split(r"[/\\]", value) if part not in ("", "~", ".", "..")]
    plain = value == value.lower() and not set("+=") & set(value)
    return not parts or plain or sum(_is_wordy(part) for part in parts) * 2 > len(parts)


def _is_file(value: str) -> bool:
    if not _FILE.match(value):
        return False
    stem = value.rpartition(".")[0]
    return _is_wordy(stem)


def _is_wordy(text: str) -> bool:
    """Whether a text is put together of words, numbers and acronyms, as people name things."""
    pieces = [piece for piece in _PIECE.findall(text) if piece[0].isalnum()]
    if not pieces:
        return False
    odd = 0
    for piece in pieces:
        if piece.isdigit():
            odd += len(pieces) > 1 and len(piece) > 4 and not text.endswith(piece)
        elif piece.isupper():
            odd += len(piece) < 2 or (len(piece) > 5 and not _VOWEL.search(piece))
        else:
            odd += len(piece) < 2 or (len(piece) > 3 and not _VOWEL.search(piece))
    numbers = sum(piece.isdigit() for piece in pieces)
    return odd == 0 and numbers * 2 <= len(pieces) + 1


def _is_odd(value: str) -> bool:
    """Whether a value looks made to be guessed by nobody: several kinds of characters, and no words put together."""
    if " " in value:
        return False
    kinds = sum(bool(kind.search(value)) for kind in _CLASSES)
    if kinds < 2:
        return len(value) >= 20 and not _is_wordy(value)
    if _is_wordy(value):
        return False
    return kinds >= 3 or (bool(_CLASSES[2].search(value)) and _mixed(value) >= 2) or len(value) >= 16


def _mixed(value: str) -> int:
    """How often digits and letters take turns."""
    return sum(a.isdigit() != b.isdigit() for a, b in pairwise(value))


def _is_pair(value: str) -> bool:
    """A user and his password, plain (``bob:hunter22``)."""
    user, colon, password = value.partition(":")
    return (
        bool(colon and _USER.match(user))
        and len(password) >= 6
        and not password.isdigit()
        and (len(password) >= 8 or not password.isalpha())
        and is_literal(password, NameStrength.PASSWORD)
    )


def _is_name_of_one(value: str) -> bool:
    """The name of a Secret or of a key in it rather than what it holds: ``shop-credentials``, ``client-secret``."""
    if value in ("password", "token"):
        return True
    return bool(_KUBERNETES_NAME.match(value)) and re.split(r"[./-]", value)[-1] in _LAST_OF_NAMES
