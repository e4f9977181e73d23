"""How values from objects appear in messages. Escaping is the sinks' business; length is ours."""

LONGEST = 100
"""How many characters of a value a message shows."""


def clip(text: str, limit: int = LONGEST) -> str:
    """The text, cut to ``limit`` characters of which the last is an ellipsis where something was cut."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"
