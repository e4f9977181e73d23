"""Names that stand for credentials, and the values under them that are none."""

from __future__ import annotations

import re

_WORDS = (
    r"[a-z0-9]{0,20}pass(?:word|wd|phrase)s?|(?:db|ldap|mail|pg|root|sql|ssh|smtp|user)pass|secrets?|tokens?|credentials?|creds|api_?keys?|(?:secret|access|private|auth|encryption|signing"
    r"|shared|account|batch|storage|master|license|ssh)_?keys?|key_content|erlang_cookie|pwd|pass(?=$)"
)
_NAME = re.compile(rf"(?:^|[_.-])(?:{_WORDS})[0-9]{{0,3}}(?:$|[_.-])")
_NAME_AT_END = re.compile(rf"(?:^|[_.-])(?:{_WORDS})[0-9]{{0,3}}$")
_PASSWORD = re.compile(r"pass(?:word|wd)[0-9]{0,3}$")
# A number is more often a port or a count; under the name of a password it is one, unless it is a flag.
_DIGITS = re.compile(r"\d{4,5}")
# What speaks of a credential without being one: where it lies, how long it lasts, whether it is used.
_ABOUT = re.compile(
    r"(?:^|[_.-])(?:name|names|file|files|path|paths|dir|folder|url|uri|endpoint|host|port|ttl|expiry|expiration|expires|"
    r"lifetime|duration|timeout|interval|length|size|count|limit|enabled|disabled|enable|disable|required|type|mode|issuer"
    r"|audience|algorithm|alg|namespace|ref|id|ids|arn|version|policy|policies|provider|store|backend|header|field|prefix"
    r"|suffix|format|scope|scopes|class|manager|rotation|refresh|public|mount|volume|key_id|resource|template|hash|salt"
    r"|bucket|region|cache|max|min|per|rate|budget|reviewer)s?$"
    # The name of a Secret rather than what it holds; the number of a model's tokens.
    r"|(?:^|[_.-])(?:existing|image_?pull|pull|tls|ssl|ca|cert|certificate)_secrets?$"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_SECRET = re.compile(
    r"^(?:|true|false|yes|no|on|off|null|none|nil|~|\d{1,5}|\*+|x{1,4}\.{3}|\.+|todo|tbd|placeholder"
    r"|[\[(]?(?:redacted|masked|hidden)[\])]?|your[_-].*|replace[_-].*|insert[_-].*|%\w+%|@\w+@|__\w+__)$"
    r"|^(?-i:[a-z][a-z_.-]*/(?:[a-z][a-z_.-]*/)+[a-z][a-z0-9_.-]*)$"
    r"|[$%]\(|\$\{|\$[A-Z_]+$|\{\{|^<[^>]*>$|^(?:/|\./|file:|https?://[^@]*$|vault:|ref\+|arn:|projects/|secret(?:ref)?:"
    r"|valueFrom|env:|op://|ssm:|secretsmanager:|awssm:|gcpsm:|azurekeyvault:|keyvault:|ENC\["
    r"|ssh-(?:rsa|dss|ed25519) |ecdsa-sha2-)",
    re.IGNORECASE,
)


def is_literal(name: str, value: str, whole_name: bool) -> bool:
    """Whether a value without quotes is a credential, going by its name. ``whole_name`` False: by the name's end."""
    plain = _CAMEL.sub("_", name).lower().replace("-", "_")
    if not (_NAME if whole_name else _NAME_AT_END).search(plain) or _ABOUT.search(plain):
        return False
    if value.isdigit() and plain.endswith("tokens"):
        return False
    return not _NO_SECRET.search(value) or bool(_DIGITS.fullmatch(value) and _PASSWORD.search(plain))
