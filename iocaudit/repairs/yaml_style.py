"""How a document is written: what a change in it has to look like."""

from __future__ import annotations

from collections import Counter

from iocaudit.core.yaml_write import Style
from iocaudit.repairs.yaml_tree import Node
from iocaudit.sources.text_lines import TextLines


def is_quoted(node: Node) -> bool:
    """Whether a map has double quotes around every key, as JSON has."""
    quoted = [entry.quoted for entry in node.entries if entry.key is not None]
    return bool(quoted) and all(quoted)


def style_of(text: str, root: Node, lines: TextLines) -> Style:
    """What the document itself does most often; where it does not say, what kubectl prints."""
    steps: Counter[int] = Counter()
    lists: Counter[bool] = Counter()
    for node in root.walk():
        if not node.is_map or node.alias:
            continue
        for entry in node.entries:
            child = entry.node
            if not child.entries:
                continue
            if not node.flow and not child.flow and child.is_map:
                steps[child.column - node.column] += 1
            elif not node.flow and not child.flow:
                lists[child.column > node.column] += 1
            elif node.flow and child.flow:
                here, there = lines.indent(entry.start), lines.indent(child.entries[0].start)
                if there > here:
                    steps[there - here] += 1
    step = max((count, -size) for size, count in steps.items())[1] * -1 if steps else 2
    return Style(
        "\r\n" if "\r\n" in text else "\n",
        step if step > 0 else 2,
        lists[True] > lists[False],
        text.lstrip()[:1] in ("{", "[") and bool(root.entries) and root.entries[0].quoted,
    )
