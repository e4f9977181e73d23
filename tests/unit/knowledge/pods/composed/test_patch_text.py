"""Patches written as text: what is read is what YAML says, and what is not read is refused."""

import contextlib
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iocaudit.knowledge.pods.composed.patch_text import UnreadableTextError, read_patch
from tests.support.bounded import cpu_within

_WRITTEN = [
    ('{"containers":[{"name":"main","securityContext":{"privileged":true}}]}'),
    ("containers:\n- name: main\n  securityContext:\n    privileged: true\n"),
    ("containers:\n  - name: main   # the one\n    args: ['-c', \"a b\"]\n\n    env: []\nhostNetwork: yes\n"),
    ("hostPID: true\nvolumes:\n- {name: host, hostPath: {path: /}}\n"),
    ("{hostNetwork: true,\n containers: [{name: main, securityContext: {runAsUser: 0}}]}"),
    ("containers:\n- args:\n  - -c\n  - |\n    curl http://a | sh\n    echo\n  name: main\n"),
    ("---\nsecurityContext:\n  runAsUser: 0\n  fsGroup: -1\n"),
    ("tolerations:\n- operator: Exists\n-\n  key: a\n- - x\n  - y\n"),
    ("activeDeadlineSeconds: 1.5\nnodeName: ~\n"),
    ("containers:\n- name: main\n  resources:\n    limits: {memory: 100Mi, cpu: 500m}\n"),
]


@pytest.mark.parametrize("text", _WRITTEN)
def test_what_people_write_is_read(text: str) -> None:
    assert read_patch(text) == yaml.safe_load(text)


@pytest.mark.parametrize("text", ["image: {{inputs.parameters.image}}\n"])
def test_a_parameter_of_a_template_is_text(text: str) -> None:
    assert read_patch(text) == {"image": "{{inputs.parameters.image}}"}


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {b: 1}\nc: *x\n",
        "a: !!str 1\n",
        "a: >\n  b\n",
        "a: b\n  c\n",
        "a: 0x1F\n",
        "a: 017\n",
        "a: 1\na: 2\n",
        "a:\n\t- b\n",
        "a: 'b\n",
        "a: {b: 1\n",
        "a: b: c\n",
        "? a\n: b\n",
        "a: 1\n---\nb: 2\n",
        '{"a": 1',
        "[" * 1000,
        "x" * 100_001,
    ],
)
def test_what_is_not_read_is_refused(text: str) -> None:
    with pytest.raises(UnreadableTextError):
        read_patch(text)


_SCALARS = st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(alphabet="ab:#-' \"\\{}[],0.~/\n", max_size=6)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "name", "x.y/z"]), inner),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(value=st.dictionaries(st.sampled_from(["a", "b", "c"]), _VALUES), flow=st.sampled_from([True, False, None]))
def test_what_a_library_writes_is_read_or_refused(value: dict[str, Any], flow: bool | None) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow, width=10_000)
    try:
        found = read_patch(text)
    except UnreadableTextError:
        return
    assert found == value


_PIECES = (
    *(
        "a",
        "b:",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        " ",
        ": ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "'",
        '"',
        "#",
        " #",
        "|",
        "|-",
        ">",
    ),
    *("true", "null", "1", "-1", "0", "01", "1.5", ".", "~", "---", "y", "&x", "*x", "\\", "x-y", "=", "<<", ">"),
)
_SOUP = st.lists(st.sampled_from(_PIECES), max_size=14)


@settings(max_examples=1500, deadline=None)
@given(parts=_SOUP)
@example(parts=["a", ": ", "|", "\n  ", "b:"])
def test_whatever_is_read_means_the_same_in_yaml(parts: list[str]) -> None:
    text = "".join(parts)
    try:
        found = read_patch(text)
    except UnreadableTextError:
        return
    try:
        wanted = yaml.safe_load(text)
    except yaml.YAMLError:
        return  # nobody applies it
    assert found == wanted or "{{" in text


@pytest.mark.parametrize("text", ["a: " + "1" * 5000, '{"a": ' + "1" * 5000 + "}", "a: -" + "1_" * 5000 + "0.5"])
def test_a_number_longer_than_python_reads_is_refused(text: str) -> None:
    with pytest.raises(UnreadableTextError, match="a number is longer"):
        read_patch(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: [\n" + " 1,\n" * 24_000 + " ]",
        "a: [" + "'x'," * 24_000 + "]",
        "a: [" + '"x",' * 24_000 + "]",
        "a: x" + " " * 99_000 + "y",
        "a: " + "'" * 99_000 + "y'",
        "- " * 49_000,
        "a: [" + "\n  [" * 24_000,
        "a:\n" + "- |\n  x\n" * 10_000,
    ],
    ids=("lines", "single", "double", "blanks", "quotes", "dashes", "brackets", "blocks"),
)
def test_no_text_takes_longer_than_its_length_is_worth(text: str) -> None:
    with cpu_within(2), contextlib.suppress(UnreadableTextError):
        read_patch(text)
