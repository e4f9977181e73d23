"""What a YAML scalar means to Kubernetes: the rules of sigs.k8s.io/yaml (go-yaml v2), then JSON.

They differ from YAML 1.1 as other readers know it: no sexagesimal numbers, dates stay strings, ``0o17``
is an integer, ``08`` a float.
"""

import base64
import binascii
import math
import re
from typing import Any

_WORDS: dict[str, Any] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_FIRST = frozenset("+-0123456789.yYnNtTfFoO~")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_BASED = re.compile(r"([-+]?)0(?:[xX]([0-9a-fA-F]+)|[oO]?([0-7]+)|[bB]([01]+))", re.ASCII)
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1

STR, INT, FLOAT, BOOL, NULL, TIMESTAMP, BINARY, MERGE = (
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "timestamp", "binary", "merge")
)
_TYPES: dict[str, tuple[type, ...]] = {INT: (int,), FLOAT: (float, int), BOOL: (bool,), NULL: (type(None),)}


class ScalarError(ValueError):
    """A scalar's explicit tag does not fit its text."""


def plain(text: str) -> Any:
    """The value of an untagged plain scalar: null, bool, int, float or str."""
    if text and text[0] not in _FIRST:
        return text
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first == ".":
        return float(text) if _FLOAT.fullmatch(text) else text
    if first not in "+-0123456789":
        return text
    digits = text.replace("_", "") if "_" in text else text
    if _DECIMAL.fullmatch(digits):
        number = int(digits) if len(digits) < 22 else None
        return number if number is not None and _LEAST <= number <= _MOST else float(digits)
    if match := _BASED.fullmatch(digits):
        return _based(match, digits)
    return float(digits) if _FLOAT.fullmatch(digits) else text


def _based(match: re.Match[str], digits: str) -> Any:
    sign, hexadecimal, octal, binary = match.groups()
    body, base = (hexadecimal, 16) if hexadecimal else (octal, 8) if octal else (binary, 2)
    value = int(body, base) if len(body) <= 64 else _MOST + 1
    value = -value if sign == "-" else value
    if _LEAST <= value <= _MOST and not (sign and value > (1 << 63) - 1):
        return value
    return float(digits) if _FLOAT.fullmatch(digits) else digits


def tagged(tag: str, text: str) -> Any:
    """The value of a scalar with an explicit tag; raises ScalarError where the two do not fit."""
    if tag == STR or not tag.startswith("tag:yaml.org,2002:"):
        return text
    if tag == BINARY:
        try:
            return base64.b64decode(text, validate=False).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            raise ScalarError("!!binary value contains invalid base64 data") from None
    if tag == TIMESTAMP:
        return text
    if tag not in _TYPES:
        return text
    value = plain(text)
    if tag == FLOAT and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, _TYPES[tag]) or (tag == INT and isinstance(value, bool)):
        raise ScalarError(f"cannot decode {text!r} as !!{tag.rpartition(':')[2]}")
    return value


def key_text(value: Any) -> str:
    """A map key as the string JSON needs; raises ScalarError for one Kubernetes refuses."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return ".nan"
        if math.isinf(value):
            return ".inf" if value > 0 else "-.inf"
        return f"{value:.8g}" if not value.is_integer() or abs(value) >= 1e21 else str(int(value))
    raise ScalarError("null is no map key: quote it")
