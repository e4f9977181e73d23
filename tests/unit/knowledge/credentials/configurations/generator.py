"""Makes configuration files of which it is known whether they hold a credential, from a seed.

The formats are data (``formats.toml``, ``held_out.toml``, and any other file of that form), so that formats can be kept
from whoever changes the rules. A file has one entry that may be a credential, and neutral lines around it.
"""

import random
import string
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
_OF = (
    "db",
    "smtp",
    "admin",
    "redis",
    "grafana",
    "billing",
    "ldap_bind",
    "upstream",
    "hooli",
    "shop",
    "metrics",
    "s3",
    "oidc",
)
_NOUNS = (
    "password", "passwd", "passphrase", "secret_key", "api_key", "access_token", "client_secret", "auth_token",
    "signing_key", "encryption_key", "token", "api_token", "webhook_secret", "admin_password", "shared_secret",
)  # fmt: skip
# What is said about a credential, and such values as stand there.
_ABOUT = (
    ("password_file", "/run/secrets/db"), ("token_ttl", "3600"), ("token_role", "reporter"), ("secret_name", "shop-db"),
    ("password_encoder", "bcrypt"), ("api_key_header", "X-Api-Key"), ("token_url", "https://hooli.example/token"),
    ("password_min_length", "12"), ("token_audience", "hooli"), ("secret_engine", "kv-v2"),
    ("client_secret_path", "kv/a"),
    ("token_username", "bob"), ("password_policy", "strict"), ("auth_token_provider", "vault"),
    ("token_strategy", "rotate"),
    ("password_reset_url", "https://hooli.example/reset"), ("secret_tenant", "shopteam"), ("api_key_cookie", "shopkey"),
    ("password_hash", "5f4dcc3b5aa765d61d8327deb882cf99"), ("token_id", "7f3a9c2e1b"), ("password_enabled", "true"),
    ("secret_backend", "vault"), ("token_issuer", "https://hooli.example"), ("private_key_file", "tls.key"),
    ("public_key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHk"), ("cache_key", "shop.orders"), ("token_bucket", "burst"),
    ("secret_rotation_schedule", "weekly"), ("password_attribute", "userPassword"), ("token_algorithm", "RS256"),
)  # fmt: skip
_PLACEHOLDERS = (
    "<password>",
    "REDACTED",
    "YOUR_PASSWORD",
    "xxxxxxxx",
    "********",
    "your-token-here",
    "REPLACE_ME",
    "TODO",
)
_HASHES = (
    "$2a$10$abcdefghijklmnopqrstuvabcdefghijklmnopqrstuv",
    "$6$saltsalt$0a1b2c3d4e5f6a7b8c9d",
    "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$abcdef",
    "pbkdf2_sha256$260000$abcdef$abcdef",
)
_FILES = (
    "/run/secrets/db/password",
    "/etc/tls/tls.key",
    "credentials.json",
    "./secrets/token.txt",
    "ca.crt",
    "token.jwt",
)
_FLAGS = ("true", "false", "null", "none", "yes")
_SYMBOLS = "!@#%^&*+-_=.,~?/"


class Sample(NamedTuple):
    """A file, whether it holds a credential, and what its entry is, in words."""

    text: str
    is_credential: bool
    what: str


@dataclass(frozen=True, slots=True)
class Format:
    """One format of the data, and what else its file says of credentials."""

    raw: dict[str, Any]
    about: tuple[tuple[str, str], ...] = _ABOUT

    @property
    def name(self) -> str:
        return str(self.raw["name"])

    def samples(self, rng: random.Random, count: int) -> Iterator[Sample]:
        """So many files, half of them with a credential."""
        for index in range(count):
            yield self._literal(rng) if index % 2 else self._other(rng)

    def _literal(self, rng: random.Random) -> Sample:
        while True:
            value = _password(rng)
            if not set(self.raw.get("forbids", "")) & set(value) and not value.startswith(
                ("/", "-", "@", "=", "?", ".")
            ):
                break
        return Sample(self._file(rng, self._name(rng), self._quoted(rng, value)), True, "a literal")

    def _other(self, rng: random.Random) -> Sample:
        kinds = [self._reference, self._reference, self._placeholder, self._about]
        if self.raw.get("code"):
            kinds += [self._code, self._code]
        return rng.choice(kinds)(rng)

    def _reference(self, rng: random.Random) -> Sample:
        value = rng.choice(self.raw["references"])
        line = self.raw.get("references_line", self.raw["line"])
        return Sample(self._file(rng, self._name(rng), value, line), False, f"a reference {value}")

    def _code(self, rng: random.Random) -> Sample:
        value = rng.choice(self.raw["code"])
        return Sample(self._file(rng, self._name(rng), value, self.raw["code_line"]), False, f"code {value}")

    def _placeholder(self, rng: random.Random) -> Sample:
        value = rng.choice((*_PLACEHOLDERS, *_HASHES, *_FILES, *_FLAGS))
        if set(self.raw.get("forbids", "")) & set(value):
            return self._reference(rng)
        return Sample(self._file(rng, self._name(rng), self._quoted(rng, value)), False, f"a placeholder {value}")

    def _about(self, rng: random.Random) -> Sample:
        name, value = rng.choice(self.about)
        if self.raw.get("nouns") or set(self.raw.get("forbids", "")) & set(value):
            return self._reference(rng)
        name = _spelled(f"{rng.choice(_OF)}_{name}", self.raw["names"])
        return Sample(self._file(rng, name, self._quoted(rng, value)), False, f"about {name} {value}")

    def _name(self, rng: random.Random) -> str:
        if nouns := self.raw.get("nouns"):
            return str(rng.choice(nouns))
        noun = rng.choice(_NOUNS)
        return _spelled(noun if rng.random() < 0.4 else f"{rng.choice(_OF)}_{noun}", self.raw["names"])

    def _quoted(self, rng: random.Random, value: str) -> str:
        if self.raw.get("quote") != "any":
            return value
        quote = rng.choice(("", "", '"', "'"))
        return f"{quote}{value}{quote}" if not set("\"'\\") & set(value) else value

    def _file(self, rng: random.Random, name: str, value: str, line: str = "") -> str:
        entry = (line or self.raw["line"]).replace("{name}", name).replace("{value}", value)
        neutral = [rng.choice(self.raw["neutral"]) for _ in range(rng.randrange(4))]
        place = rng.randrange(len(neutral) + 1)
        end = "" if self.raw.get("joined") else "\n"
        lines = [*neutral[:place], entry, *neutral[place:]]
        return str(self.raw.get("header", "")) + end.join(lines) + end + str(self.raw.get("footer", ""))


def formats(file: Path) -> list[Format]:
    """The formats of a file of data."""
    data = tomllib.loads(file.read_text("utf-8"))
    about = tuple((name, value) for name, value in data.get("about", _ABOUT))
    return [Format(raw, about) for raw in data["format"]]


def _spelled(name: str, style: str) -> str:
    words = name.split("_")
    match style:
        case "camel":
            return words[0] + "".join(word.title() for word in words[1:])
        case "pascal":
            return "".join(word.title() for word in words)
        case "kebab" | "option":
            return "-".join(words)
        case "dotted":
            return ".".join([*words[:-2], "-".join(words[-2:])]) if len(words) > 2 else ".".join(words)
        case "upper":
            return name.upper()
        case _:
            return name


def _password(rng: random.Random) -> str:
    """A credential as people and programs make them."""
    letters = string.ascii_letters + string.digits
    match rng.randrange(6):
        case 0:  # a generated token
            return "".join(rng.choices(letters, k=rng.randrange(16, 48)))
        case 1:
            return "".join(rng.choices("0123456789abcdef", k=rng.choice((16, 32, 40, 64))))
        case 2:
            return "".join(rng.choices(letters + "+/", k=rng.choice((22, 43)))) + "="
        case 3:  # a password manager's
            return "".join(rng.choices(letters + _SYMBOLS, k=rng.randrange(10, 24)))
        case 4:  # a person's
            word = "".join(rng.choice(("ba", "ne", "ro", "ti", "lu", "ska", "mon", "der")) for _ in range(3))
            return word.title() + str(rng.randrange(10, 9999)) + rng.choice(("", "!", "x"))
        case _:
            parts = ("".join(rng.choices(string.ascii_lowercase, k=rng.randrange(3, 7))) for _ in range(3))
            return "-".join(parts) + str(rng.randrange(100))
