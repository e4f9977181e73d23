"""What a YAML scalar means to Kubernetes: the rules of sigs.k8s.io/yaml (go-yaml v2), then JSON.

They differ from YAML 1.1 as other readers know it: no sexagesimal numbers, dates stay strings, ``0o17``
is an integer, ``08`` is 8, and a float that is whole is an integer, because JSON writes it without a point.
"""

import math
import re
import struct
from typing import Any

WORDS: dict[str, Any] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
SPECIAL = frozenset({word[:1] for word in WORDS} | set("+-.0123456789"))
"""The first characters of plain scalars that may not be strings; the empty text is one of them."""

_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_POINT_FIRST = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?", re.ASCII)
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_BASED = re.compile(r"([-+]?)0(?:[xX]([0-9a-fA-F]+)|[oO]?([0-7]+)|[bB]([01]+))|0b([-+])([01]+)", re.ASCII)
_DATE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[Tt](\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d+)?(?:Z|[-+]\d\d:\d\d)"
    r"| (\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d+)?)?",
    re.ASCII,
)
_INT64 = range(-(1 << 63), 1 << 63)
_UINT64 = range(1 << 64)

_PREFIX = "tag:yaml.org,2002:"
STR, INT, FLOAT, BOOL, NULL, TIMESTAMP, BINARY, MERGE = (
    _PREFIX + name for name in ("str", "int", "float", "bool", "null", "timestamp", "binary", "merge")
)
_TYPES: dict[str, type] = {INT: int, FLOAT: float, BOOL: bool, NULL: type(None)}


class ScalarError(ValueError):
    """A scalar does not fit its tag or its place."""


def plain(text: str) -> Any:
    """The value of an untagged plain scalar: null, bool, int, float or str."""
    if text[:1] not in SPECIAL:
        return text
    if text in WORDS:
        return WORDS[text]
    value = _number(text)
    return text if value is None else value


def as_json(value: float) -> int | float:
    """A float as Go writes it into JSON and reads it again: whole ones become integers.

    Raises ScalarError for infinity and not-a-number, which JSON does not have.
    """
    if not math.isfinite(value):
        raise ScalarError("JSON has no infinity and no NaN: quote it")
    if value.is_integer() and int(value) in _INT64:
        return int(value)
    return value


def _number(text: str) -> int | float | None:
    """The number that ``text`` is, or None."""
    first = text[0]
    if first == ".":
        return _float(text.replace("_", "") if _POINT_FIRST.fullmatch(text) else text)
    if first not in "+-0123456789":
        return None
    digits = text.replace("_", "")
    if _DECIMAL.fullmatch(digits):
        if len(digits) <= 20:
            number = int(digits)
            if number in _INT64 or (number in _UINT64 and first != "+"):
                return number
        return _float(digits)
    if match := _BASED.fullmatch(digits):
        sign, hexadecimal, octal, binary, inner_sign, inner = match.groups()
        number = int(hexadecimal or octal or binary or inner, 16 if hexadecimal else 8 if octal else 2)
        if "-" in (sign, inner_sign):
            number = -number
        if number in _INT64 or (number in _UINT64 and not (sign or inner_sign)):
            return number
    return _float(digits)


def _float(digits: str) -> float | None:
    if not _FLOAT.fullmatch(digits):
        return None
    value = float(digits)
    return None if math.isinf(value) else value


def tagged(tag: str, text: str) -> Any:
    """The value of a scalar with an explicit tag; raises ScalarError where the two do not fit.

    As in go-yaml, a tag that it does not know leaves the text a string.
    """
    if tag == BINARY:
        import base64  # late: hardly a manifest has any
        import binascii

        try:
            # newlines are allowed in it, as in Go's decoder; anything else is not
            data = base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
        except (binascii.Error, ValueError):
            raise ScalarError("!!binary does not hold valid base64") from None
        # Go writes one replacement character for each byte that is not UTF-8
        return re.sub("[\udc80-\udcff]", "\ufffd", data.decode("utf-8", "surrogateescape"))
    if tag == TIMESTAMP and _is_date(text):
        return text
    kind = _TYPES.get(tag)
    if kind is None and tag != TIMESTAMP:
        return text
    value = plain(text)
    if kind is float and value.__class__ is int and value in _INT64:
        value = float(value)
    if value.__class__ is not kind:
        raise ScalarError(f"{text[:40]!r} is not a valid !!{tag.removeprefix(_PREFIX)}")
    return value


def _is_date(text: str) -> bool:
    match = _DATE.fullmatch(text)
    if match is None:
        return False
    _, month, day, *clock = (int(part) if part else 0 for part in match.groups())
    hour, minute, second = (max(pair) for pair in zip(clock[:3], clock[3:], strict=True))
    return 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60


def key_of(value: Any) -> str:
    """The map key that a value is in JSON; raises ScalarError for one Kubernetes refuses."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value in _INT64:
        return str(value)
    if isinstance(value, float):
        return _float_key(value)
    raise ScalarError(
        "null cannot be a map key: quote it" if value is None else f"{value} cannot be a map key: quote it"
    )


def _float_key(value: float) -> str:
    """The shortest text for the nearest 32-bit float, as Go's %g writes it."""
    if math.isnan(value):
        return ".nan"
    try:
        (single,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        single = math.copysign(math.inf, value)
    if math.isinf(single):
        return ".inf" if single > 0 else "-.inf"
    shortest = next(
        text
        for text in (f"{single:.{digits}e}" for digits in range(9))
        if struct.pack("<f", float(text)) == struct.pack("<f", single)
    )
    mantissa, _, exponent = shortest.partition("e")
    if -4 <= int(exponent) < 6 or single == 0:
        return f"{float(shortest):.{max(len(mantissa.lstrip('-').replace('.', '')) - 1 - int(exponent), 0)}f}"
    return f"{mantissa}e{exponent}"
