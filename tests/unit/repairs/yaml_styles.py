"""Write one value as YAML in many ways: block and flow, indentations, comments, quotes, line breaks."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from iocaudit.core.yaml_write import scalar


class Styled:
    """The text of a value, and its comments: the pointer of the entry above or beside which each stands."""

    def __init__(self, value: Any, random: Random) -> None:
        self._random = random
        self._step = random.choice((2, 2, 4, 3))
        self._indented = random.random() < 0.5
        self.above: dict[str, str] = {}
        self.beside: dict[str, str] = {}
        lines = ["---"] if random.random() < 0.3 else []
        lines += self._block(value, 0, "")
        newline = random.choice(("\n", "\n", "\r\n"))
        self.text = newline.join(lines) + (newline if random.random() < 0.8 else "")

    def _comment(self, kept: dict[str, str], at: str) -> str:
        kept[at] = f"# c{len(self.above)}-{len(self.beside)}: é"
        return kept[at]

    def _block(self, value: Any, column: int, at: str) -> list[str]:
        entries = list(value.items() if isinstance(value, dict) else enumerate(value))
        lines: list[str] = []
        for key, item in entries:
            here = f"{at}/{key}"
            if self._random.random() < 0.2:
                lines.append(" " * self._random.choice((column, 0)) + self._comment(self.above, here))
            if self._random.random() < 0.1:
                lines.append("")
            head = " " * column + ("-" if isinstance(value, list) else f"{self._key(key)}:")
            lines += self._entry(head, item, column, here, in_list=isinstance(value, list))
        return lines

    def _key(self, key: str) -> str:
        return json.dumps(key) if self._random.random() < 0.2 else scalar(key)

    def _entry(self, head: str, item: Any, column: int, here: str, *, in_list: bool) -> list[str]:
        random = self._random
        if isinstance(item, dict | list) and item and random.random() < 0.7:
            deeper = column + (self._step if isinstance(item, dict) or self._indented or in_list else 0)
            if in_list and random.random() < 0.8:
                before = {**self.above}, {**self.beside}
                inner = self._block(item, column + 2, here)
                if inner[0].startswith(" " * (column + 2)) and inner[0][column + 2] not in "# ":
                    return [f"{head} {inner[0][column + 2 :]}", *inner[1:]]
                self.above, self.beside = before
                return [f"{head} {self._flow(item)}"]
            beside = f" {self._comment(self.beside, here)}" if random.random() < 0.2 else ""
            return [head + beside, *self._block(item, deeper, here)]
        if isinstance(item, str) and item and item.isalpha() and random.random() < 0.2:
            mark = random.choice(("|", ">", "|-", ">-", "|+"))
            if mark in ("|-", ">-"):
                return [f"{head} {mark}", " " * (column + self._step) + item]
        shown = self._flow(item)
        if item is None and random.random() < 0.5:
            shown = ""
        beside = f" {self._comment(self.beside, here)}" if random.random() < 0.2 else ""
        return [f"{head} {shown}".rstrip() + beside]

    def _flow(self, item: Any) -> str:
        random = self._random
        if isinstance(item, dict):
            space = random.choice(("", " "))
            inner = ", ".join(f"{self._key(key)}: {self._flow(one)}" for key, one in item.items())
            return "{" + space + inner + space + "}"
        if isinstance(item, list):
            return "[" + ", ".join(self._flow(one) for one in item) + "]"
        if isinstance(item, str):
            return random.choice((json.dumps(item), scalar(item)))
        return json.dumps(item)
