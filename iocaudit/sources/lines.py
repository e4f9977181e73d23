"""Where in its document a hit's path stands."""

from typing import Any

import yaml

from iocaudit.core import paths


class LineTable:
    """Made once for a document that has hits.

    ``text`` starts on line ``text_line`` of its file; ``line`` is where the document's content starts, which
    picks it where the text holds several.
    """

    def __init__(self, text: str, text_line: int, line: int) -> None:
        self._offset = text_line
        self._root: Any = None
        try:
            nodes = list(yaml.compose_all(text, Loader=yaml.CSafeLoader))
        except yaml.YAMLError:
            # JSON may hold what YAML does not (tabs between tokens): the start of the document must do.
            nodes = []
        for node in nodes:
            if node is not None and (self._root is None or node.start_mark.line + text_line <= line):
                self._root = node

    def line(self, path: str) -> int:
        """The line of the deepest part of the path that exists."""
        node = self._root
        if node is None:
            return self._offset
        line = node.start_mark.line
        for segment in paths.parse(path):
            step = _step(node, segment)
            if step is None:
                break
            line, node = step
        return int(line) + self._offset


def _step(node: Any, segment: paths.Segment) -> tuple[int, Any] | None:
    if isinstance(node, yaml.MappingNode):
        name = (
            segment.name
            if isinstance(segment, paths.Field)
            else segment.text
            if isinstance(segment, paths.Key)
            else None
        )
        found = None
        for key, value in node.value:
            if key.value == name and isinstance(key, yaml.ScalarNode):
                found = (key.start_mark.line, value)
        return found
    if isinstance(node, yaml.SequenceNode):
        if isinstance(segment, int):
            items = node.value
            return (items[segment].start_mark.line, items[segment]) if segment < len(items) else None
        if isinstance(segment, paths.Key):
            for item in node.value:
                if _name(item) == segment.text:
                    return item.start_mark.line, item
    return None


def _name(item: Any) -> str | None:
    if isinstance(item, yaml.MappingNode):
        for key, value in item.value:
            if key.value == "name" and isinstance(value, yaml.ScalarNode):
                return str(value.value)
    return None
