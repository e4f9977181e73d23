"""LabelSelector of meta/v1: matchLabels and matchExpressions, all of which must hold.

Source: apimachinery, LabelSelectorAsSelector and ValidateLabelSelector. A JSON null decodes to the field's zero
value: an absent selector or list, an empty label value. What the API server refuses matches nothing.
"""

from collections.abc import Mapping
from typing import Any

from iocaudit.core.shape import mapping, mappings


def selects(selector: object, labels: Mapping[str, Any]) -> bool:
    """Whether a label selector matches. An empty or absent one matches everything, an invalid one nothing."""
    if selector is None:
        return True
    if not isinstance(selector, Mapping):
        return False
    wanted, expressions = selector.get("matchLabels"), selector.get("matchExpressions")
    if wanted is not None:
        if not isinstance(wanted, Mapping):
            return False
        for key, value in wanted.items():
            if _value(labels, key) is None or _value(labels, key) != _text(value):
                return False
    if expressions is None:
        return True
    if not isinstance(expressions, list):
        return False
    return all(isinstance(one, Mapping) and _holds(one, labels) for one in expressions)


def _text(value: object) -> str | None:
    """A label's value as the API decodes it; None where it is neither a string nor null."""
    if value is None:
        return ""
    return value if isinstance(value, str) else None


def _value(labels: Mapping[str, Any], key: object) -> str | None:
    return _text(labels[key]) if isinstance(key, str) and key in labels else None


def _holds(expression: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    key, raw = expression.get("key"), expression.get("values")
    if not isinstance(key, str) or not key or not isinstance(raw, list | None):
        return False
    values = [_text(value) for value in raw or ()]
    if None in values:
        return False
    own = _value(labels, key)
    match expression.get("operator"):
        case "In":
            return own is not None and own in values
        case "NotIn":
            return bool(values) and own not in values
        case "Exists":
            return not values and own is not None
        case "DoesNotExist":
            return not values and own is None
        case _:
            return False


def is_empty(selector: object) -> bool:
    """Whether it selects everything by saying nothing."""
    wanted = mapping(selector)
    return not mapping(wanted.get("matchLabels")) and not mappings(wanted.get("matchExpressions"))
