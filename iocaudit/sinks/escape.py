"""Values from objects are data: made harmless for each place they are written to."""

import re

# DEL and C1 controls, line and paragraph separators, bidirectional overrides, zero-width characters.
_INVISIBLE = "\x7f-\x9f\u061c\u200b-\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
_UNSAFE = re.compile(f"[\x00-\x1f{_INVISIBLE}]|[\ud800-\udfff]")
_UNSAFE_IN_JSON = re.compile(f"[{_INVISIBLE}]")


def visible(text: str) -> str:
    """The text with every control or invisible character spelled out, so a terminal shows what is there."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def json_text(text: str) -> str:
    """A JSON document that a terminal may show: the same values, with what JSON leaves raw and nobody sees escaped."""
    return (
        text
        if text.isascii() and "\x7f" not in text
        else _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    )


def workflow_data(text: str) -> str:
    """For the message of a GitHub workflow command (``::error::message``)."""
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def workflow_property(text: str) -> str:
    """For a property of a GitHub workflow command, where ``:`` and ``,`` end it."""
    return workflow_data(text).replace(":", "%3A").replace(",", "%2C")


def xml_text(text: str) -> str:
    """Text that XML 1.0 can carry: characters outside its Char production are spelled out."""
    return visible(text)


def markdown(text: str) -> str:
    """For running Markdown text: the characters that start markup are escaped."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~])", r"\\\1", visible(text))
