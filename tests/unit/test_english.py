"""Messages, docstrings and pages in plain technical English: phrases that a reader stumbles over do not come back."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("iocaudit", "admission", "checks", "devcluster")
PAGES = ("README.md", "SECURITY.md", "CONTRIBUTING.md", "docs")

PHRASES = {
    "write 'is not a …', or name the thing": re.compile(
        r"(?<!there )(?<!There )\b(?:is|are|was|were) (?:no|none)\b(?! longer\b| more than\b| other\b)(?!\.\w)"
    ),
    "write 'anyone who', or name the person": re.compile(r"\b[Ww]hoever\b|\b[Ss]omebody\b"),
    "write 'cannot be determined' or 'cannot be distinguished'": re.compile(r"\b(?:can't|cannot) be told\b"),
    "write ', so', or begin a sentence": re.compile(r",\s+(?:#\s+)?so that\b"),
}
ALLOWED = {
    "iocaudit/impact/policy_tests/requests.py": "the user of a request that names none is called somebody",
    "docs/policy-tests.md": "the user of a request that names none is called somebody",
}


def texts() -> Iterator[tuple[str, str]]:
    """Strings and comments of the product, each with its place, and the pages."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            source = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield f"{name}:{node.lineno}", node.value
            if "#" in source:
                for token in tokenize.generate_tokens(io.StringIO(source).readline):
                    if token.type == tokenize.COMMENT:
                        yield f"{name}:{token.start[0]}", token.string
    for page in PAGES:
        path = ROOT / page
        for file in [path] if path.is_file() else sorted(path.rglob("*.md")):
            yield f"{file.relative_to(ROOT)}:1", file.read_text(encoding="utf-8")


def faults(text: str) -> list[str]:
    return [f"{found[0]!r}: {advice}" for advice, phrase in PHRASES.items() if (found := phrase.search(text))]


def test_no_phrase_that_a_reader_stumbles_over() -> None:
    wrong = [
        f"{place}: {fault}"
        for place, text in texts()
        if place.rpartition(":")[0] not in ALLOWED
        for fault in faults(text)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "the body is no AdmissionReview",
        "One that cannot be reached is none of them.",
        "whoever writes it decides",
        "whether it is there can't be told",
        "it is renamed, so that it fits",
    ],
)
def test_such_a_phrase_is_found(text: str) -> None:
    assert faults(text)


@pytest.mark.parametrize(
    "text", ["there is no check x", "it is no longer there", "the body is not JSON", "so that it fits", "is none.txt"]
)
def test_plain_english_is_not(text: str) -> None:
    assert not faults(text)
