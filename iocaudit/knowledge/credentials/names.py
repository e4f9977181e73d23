"""What a name says of the value that stands under it: a credential, perhaps one, or something else.

The last word of a name is what the value is: ``DB_PASSWORD`` is a password, ``PASSWORD_ENCODER`` is an encoder. Words
behind it that only tell several of them apart (``_OLD``, ``_BASE64``, ``2``) are passed over. Where the last word is
not that of a credential although another word is, nothing but a value that looks like one makes it a credential.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

from iocaudit.core.late_pattern import late
from iocaudit.knowledge.credentials.signs import may_be_name


class NameStrength(IntEnum):
    """How much a name says for a credential; the less it says, the more the value has to."""

    NONE = 0
    FOREIGN = 1
    """Another word behind that of a credential says what the value is (``TOKEN_STRATEGY``); or it is just a ``key``."""
    WEAK = 2
    """One thing among others that are called so: ``encode_key``, ``auth``."""
    UNCERTAIN = 3
    """What a program knows as its secret, or the name of the Secret that holds it."""
    STRONG = 4
    PASSWORD = 5
    """Any value is one, be it a number."""


_CAMEL = late(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = late(r"[a-z]+")
_PASSWORD = late(
    r"[a-z]*(?:password|passwd|passphrase|passcode|passwort|pwd)s?$|[a-z]{0,12}pw$|[a-z]{0,12}psk$|requirepass$"
)
# Words of every day that end as a password does.
_NO_PASS = frozenset({"bypass", "compass", "encompass", "overpass", "surpass", "trespass", "underpass", "multipass"})
_FILTERS = frozenset(
    {
        "low", "high", "band", "all", "first", "second", "one", "two", "single", "multi", "render", "sub",
    }
)  # fmt: skip
_PASS = late(r"[a-z]{0,20}pass$")
_TOKEN = late(r"(?:[a-z]{0,20}tokens?|authtok|jwt|pat)$")
_SECRET = late(r"(?:[a-z]{1,20})?secrets?$")
_CREDENTIAL = late(r"(?:[a-z]{0,20}credentials?|creds?)$")
_KEYS = late(
    r"(?:api|secret|access|private|auth|encrypt(?:ion)?|decrypt(?:ion)?|signing|sign|shared|account|storage|master"
    r"|license"
    r"|hmac|aes|cipher|session|jwt|client|batch|app)keys?$"
)
_OF_A_KEY = frozenset(
    {
        "api", "secret", "access", "private", "auth", "encryption", "encrypt", "decryption", "decrypt", "signing",
        "sign", "signature", "shared", "account", "storage", "master", "license", "ssh", "hmac", "aes", "cipher",
        "crypto", "session", "cookie", "jwt", "batch", "app", "application", "deploy", "ingest", "ingestion",
        "integration", "validation", "webhook", "admin", "write",
    }
)  # fmt: skip
# The key of something that is looked up or meant for everybody.
_OPEN_KEYS = frozenset(
    {
        "public", "pub", "primary", "foreign", "partition", "sort", "cache", "object", "row", "map", "label",
        "annotation", "group", "index", "config", "lookup", "shortcut", "hot", "meta", "registry", "routing",
        "topology", "node", "host", "known", "certificate", "cert", "ca", "crt", "username", "user", "name", "data",
        "file",
    }
)  # fmt: skip
_STRONG_WORDS = frozenset({"masterauth", "requirepass", "masterpass"})
_CREDENTIAL_WORD = late(
    r"[a-z]{0,20}(?:password|passwd|passphrase|passcode|token|secret|credential|apikey)s?$|creds?$|pass$|pwd$"
)
# Which of several it is, or how it is written: passed over.
_WHICH = frozenset(
    {
        "value", "plain", "plaintext", "cleartext", "text", "string", "str", "literal", "raw", "hex", "base", "b",
        "prod", "production", "dev", "development", "staging", "stage", "test", "testing", "qa", "uat", "local",
        "default", "old", "new", "current", "previous", "prev", "next", "primary", "secondary", "backup", "main", "a",
        "c", "v", "override", "initial", "live", "sandbox", "rw", "ro",
    }
)  # fmt: skip
# What says something about a credential and is often as odd a text as one: an id, a hash, a place, a time.
_ABOUT = frozenset(
    {
        "id", "ids", "uid", "uuid", "guid", "name", "names", "file", "files", "path", "paths", "dir", "folder", "url",
        "urls", "uri", "endpoint", "host", "hosts", "hostname", "address", "port", "hash", "hashes", "hashed", "digest",
        "sha", "md", "checksum", "fingerprint", "thumbprint", "salt", "nonce", "arn", "user", "users", "username",
        "email", "regex", "pattern", "format", "template", "version", "image", "public", "pub", "ref", "reference",
        "certificate", "cert", "crt", "ca", "class", "algorithm", "alg", "expr", "expression", "query", "schema",
        "cron", "schedule", "date", "expiry", "expiration", "mount", "volume", "kid", "iv", "encrypted", "encoder",
        "message", "title", "description", "help", "hint", "prompt", "label", "text", "placeholder", "issuer",
        "audience", "scope", "scopes", "namespace", "selector", "annotation", "account", "region", "bucket", "role",
        "env", "variable", "var", "header", "prefix", "suffix", "field", "type", "mode", "policy", "provider", "store",
        "backend", "manager", "engine", "command", "cmd",
    }
)  # fmt: skip
# What is done with a credential: the value says whether or how.
_DONE = frozenset(
    {
        "use", "uses", "using", "enable", "enabled", "disable", "disabled", "require", "requires", "required", "allow",
        "show", "hide", "reset", "forgot", "forget", "generate", "validate", "verify", "check", "is", "has", "no",
        "skip", "need", "needs", "with", "without", "update", "change", "rotate", "create", "random", "auto",
        "autodetect", "num", "max", "min", "total", "per", "count", "remember", "confirm", "enter", "invalid",
        "missing", "wrong", "empty",
    }
)  # fmt: skip
# The Secret of a cluster, by its name: it holds a certificate, or is there already.
_NAMED_SECRETS = frozenset({"existing", "pull", "tls", "ssl", "ca", "cert", "certificate", "image"})
_TEXT_TOKENS = frozenset({"bos", "eos", "pad", "unk", "sep", "cls", "mask", "stop", "page", "next", "continuation"})


def speaks_of_one(text: str) -> bool:
    """Whether a word of a credential is among the words of a text, as in a name that has none to offer."""
    return may_be_name(text) and any(
        word in ("key", "keys") or _CREDENTIAL_WORD.match(word) for word in _words_of(text)
    )


def _words_of(name: str) -> list[str]:
    return _WORD.findall(_CAMEL.sub("_", name).lower())


@lru_cache(maxsize=4096)
def standing(name: str) -> NameStrength:
    """What a name says for a credential under it."""
    if not may_be_name(name):
        return NameStrength.NONE
    words = _words_of(name[-200:])
    if words[-2:] in (["key", "content"], ["key", "material"]):
        return NameStrength.STRONG
    while len(words) > 1 and words[-1] in _WHICH:
        words.pop()
    if not words:
        return NameStrength.NONE
    found = _of_last(words)
    if found is NameStrength.NONE:
        return _foreign(words)
    if found > NameStrength.WEAK and not _DONE.isdisjoint(words[:-1]):
        return NameStrength.WEAK
    return found


def _of_last(words: list[str]) -> NameStrength:
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if _PASSWORD.match(last) or (
        _PASS.match(last)
        and last not in _NO_PASS
        and before not in _FILTERS
        and last.removesuffix("pass") not in _FILTERS
    ):
        return NameStrength.PASSWORD
    if last in _STRONG_WORDS or _KEYS.match(last):
        return NameStrength.STRONG
    if last in ("key", "keys"):
        return _of_key(words[:-1])
    if _TOKEN.match(last):
        return NameStrength.WEAK if before in _TEXT_TOKENS or last == "pat" else NameStrength.STRONG
    if _SECRET.match(last):
        named = not before and last in ("secret", "secrets")
        return (
            NameStrength.NONE if before in _NAMED_SECRETS else NameStrength.UNCERTAIN if named else NameStrength.STRONG
        )
    if _CREDENTIAL.match(last):
        return NameStrength.UNCERTAIN
    if last in ("auth", "authorization"):
        return NameStrength.WEAK
    if last == "cookie":
        return NameStrength.STRONG if before == "erlang" else NameStrength.WEAK
    return NameStrength.NONE


def _of_key(before: list[str]) -> NameStrength:
    """The standing of a key, by the words before it: the key of a password is where it lies in a Secret."""
    of = before[-1] if before else ""
    if of in _OPEN_KEYS or "public" in before or "existing" in before:
        return NameStrength.NONE
    return NameStrength.STRONG if of in _OF_A_KEY else NameStrength.WEAK if of else NameStrength.FOREIGN


def _foreign(words: list[str]) -> NameStrength:
    if words[-1] in _ABOUT or not any(_CREDENTIAL_WORD.match(word) for word in words[:-1]):
        return NameStrength.NONE
    return NameStrength.FOREIGN
