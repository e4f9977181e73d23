"""How long a value may be in a message, and that no credential is in it. Escaping is the sinks' business."""

from iocaudit.knowledge.credentials.credential import redacted

LONGEST = 100
"""How many characters of a value a message shows."""


def clip(text: str, limit: int = LONGEST) -> str:
    """The text, cut to ``limit`` characters of which the last is an ellipsis where something was cut.

    A credential of a known format in it is named, not shown: before the cut, behind which it would not be known.
    """
    shown = redacted(text) if len(text) > limit else text  # of what is shown whole, the audit takes care
    return shown if len(shown) <= limit else shown[: max(limit - 1, 0)] + "…"
