"""Short texts one of which is in whatever holds a credential: looking for them costs a hundredth of the rules.

Nearly every text of a cluster holds none. First the one character, which is a single memchr, then what stands around
it.
"""

from __future__ import annotations

Signs = tuple[tuple[str, tuple[str, ...]], ...]

OF_NAMES: Signs = (
    ("p", ("pass", "pwd", "pw", "psk")),
    ("k", ("key", "token", "cookie")),
    ("c", ("secret", "cred")),
    ("a", ("auth",)),
)
"""In lower case."""
NAME_SIGNS = tuple(sign for _, signs in OF_NAMES for sign in signs)
OF_OPTIONS: Signs = (
    ("l", ("mysql", "redis-cli", "valkey-cli", "curl", "ldap", "login ", "sqlcmd", "ipmitool", "smbclient")),
    ("o", ("mongo", "mosquitto_")),
    (">", ("user ", "SETUSER ", "setuser ")),
    ("a", ("mariadb", "sshpass", "pass:")),
    ("b", ("bcp",)),
)
"""Of commands that take a password by an option of one letter, or by its place."""


def holds_one(text: str, signs: Signs) -> bool:
    for mark, around in signs:
        if mark in text:
            for sign in around:  # no generator: it costs more than the search
                if sign in text:
                    return True
    return False


def may_be_name(text: str) -> bool:
    """False where nothing in a text is the name of a credential."""
    return holds_one(text.lower(), OF_NAMES)
