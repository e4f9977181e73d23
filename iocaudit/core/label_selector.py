"""LabelSelector of meta/v1: matchLabels and matchExpressions, all of which must hold."""

from collections.abc import Mapping
from typing import Any

from iocaudit.core.shape import items, mapping, mappings, text


def selects(selector: object, labels: Mapping[str, Any]) -> bool:
    """Whether a label selector matches. An empty or absent one matches everything.

    An unknown operator matches nothing, as the API server refuses such an object.
    """
    wanted = mapping(selector)
    for key, value in mapping(wanted.get("matchLabels")).items():
        if labels.get(key) != value:
            return False
    return all(_holds(expression, labels) for expression in mappings(wanted.get("matchExpressions")))


def _holds(expression: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    key, values = text(expression.get("key")), items(expression.get("values"))
    match expression.get("operator"):
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False


def is_empty(selector: object) -> bool:
    """Whether it selects everything by saying nothing."""
    wanted = mapping(selector)
    return not mapping(wanted.get("matchLabels")) and not mappings(wanted.get("matchExpressions"))
