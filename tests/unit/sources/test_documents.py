"""A file taken apart: one broken document does not lose the others, nothing is dropped without a word."""

from collections.abc import Callable

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.sources.documents import (
    Document,
    ForeignDocument,
    OtherKind,
    ParseResult,
    ReadFailure,
    Template,
    read_documents,
)
from iocaudit.sources.json_text import MOST_BROKEN
from iocaudit.sources.yaml_builder import YamlError, build
from iocaudit.sources.yaml_text import defined_group, split

POD = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n"


def read(
    data: bytes | str, name: str = "f.yaml", wanted: Callable[[str, str], bool] = lambda _v, _k: True
) -> list[ParseResult]:
    return list(read_documents(data.encode() if isinstance(data, str) else data, name, wanted))


def test_documents_and_the_lines_they_start_on() -> None:
    found = read(f"# first\n---\n{POD}---\n\n{POD}--- # comment\n{POD}...\n")
    assert [document.line for document in found if isinstance(document, Document)] == [3, 9, 14]


def test_a_broken_document_does_not_lose_the_others() -> None:
    found = read(f"{POD}---\na: [\n---\n{POD}")
    assert [type(outcome) for outcome in found] == [Document, ReadFailure, Document]
    broken = found[1]
    assert isinstance(broken, ReadFailure)
    assert broken.line is not None
    assert 6 <= broken.line <= 8


@pytest.mark.parametrize("data", ["", "# only a comment\n", "---\n---\n", "\n\n", "--- # nothing\n"])
def test_nothing_in_it(data: str) -> None:
    assert read(data) == []


def test_binary_and_wrong_encodings_are_named() -> None:
    (binary,) = read(b"\x7fELF\x00\x01")
    assert isinstance(binary, ReadFailure)
    assert "binary" in binary.reason
    (latin,) = read(b"a: 1\nb: caf\xe9\n")
    assert isinstance(latin, ReadFailure)
    assert latin.line == 2
    assert "UTF-8" in latin.reason


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_are_understood(encoding: str) -> None:
    (document,) = read(POD.encode(encoding))
    assert isinstance(document, Document)


def test_windows_line_ends() -> None:
    found = read(f"{POD}---\n{POD}".replace("\n", "\r\n"))
    assert [type(outcome) for outcome in found] == [Document, Document]


def test_a_marker_inside_a_block_scalar_is_no_marker_when_indented() -> None:
    (document,) = read(POD + "data: |\n  a\n  ---\n  b\n")
    assert isinstance(document, Document)
    assert document.value["data"] == "a\n---\nb\n"


def test_directives_belong_to_the_document_that_follows() -> None:
    (document,) = read(f"%YAML 1.1\n---\n{POD}")
    assert isinstance(document, Document)


def test_kinds_nobody_looks_at_are_counted_and_not_parsed() -> None:
    crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: {}\n"
    found = read(f"{crd}---\n{POD}", wanted=lambda _v, kind: kind == "Pod")
    assert [type(outcome) for outcome in found] == [OtherKind, Document]


@pytest.mark.parametrize(
    "text",
    [
        'apiVersion: v1\nkind: ConfigMap\n"kind": Pod\n',
        "apiVersion: v1\nkind: ConfigMap\n? kind\n: Pod\n",
        "apiVersion: v1\nkind: ConfigMap\nkind: Pod\n",
        "apiVersion: v1\nkind: ConfigMap\n!!str kind: Pod\n",
        "apiVersion: v1\nkind: ConfigMap\n&a kind: Pod\n",
        "apiVersion: v1\nkind: ConfigMap\n'kind' : Pod\n",
        "apiVersion: v1\nkind: ConfigMap\nkind : Pod\n",
        "{apiVersion: v1, kind: Pod}\n",
        "apiVersion: v1\nkind: 'Pod'\n",
        "--- {apiVersion: v1, kind: Pod}\n",
        "apiVersion: v1\nkind: List\nitems: []\n",
        "  apiVersion: v1\n  kind: Pod\n",
        '  apiVersion: v1\n  kind: Pod\n  data: "\nkind: ConfigMap\napiVersion: v1\n"\n',
        '{"apiVersion": "v1", "kind": "Pod", "data": {"a": "\nkind: ConfigMap\napiVersion: v1\n"}, a: b}\n',
        "apiVersion: v1\nkind: ConfigMap\rkind: Pod\n",
        "apiVersion: v1\nkind: ConfigMap\u2028kind: Pod\n",
        "apiVersion: v1\nkind: ConfigMap\n!!merge <<: {kind: Pod}\n",
        "apiVersion: v1\nkind: ConfigMap\n<<: {kind: Pod}\n",
        "x: &k kind\napiVersion: v1\nkind: ConfigMap\n*k : Pod\n",
    ],
)
def test_in_doubt_a_document_is_parsed(text: str) -> None:
    (document,) = read(text, wanted=lambda _v, kind: kind == "Pod")
    assert isinstance(document, Document)


def test_yaml_that_is_not_kubernetes() -> None:
    assert [type(outcome) for outcome in read("a: 1\n---\n- 1\n---\ntext\n")] == [ForeignDocument] * 3


def test_templates_say_how_to_render_them() -> None:
    (chart,) = read("{{- if .Values.x }}\nkind: Pod\n{{- end }}\n", name="charts/web/templates/pod.yaml")
    assert isinstance(chart, Template)
    assert "helm template charts/web" in chart.reason
    (kustomization,) = read("resources: [a.yaml]\n", name="base/kustomization.yaml")
    assert isinstance(kustomization, Template)
    assert "kubectl kustomize base" in kustomization.reason
    (fine,) = read(POD + 'data: "{{ fine }}"\n')
    assert isinstance(fine, Document)


def test_what_is_named_like_a_kustomization_is_read_all_the_same() -> None:
    (document,) = read(POD, name="kustomization.yaml")
    assert isinstance(document, Document)
    flux = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n"
    (document,) = read(flux)
    assert isinstance(document, Document)
    (component,) = read("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n", wanted=lambda _v, _k: False)
    assert isinstance(component, Template)


@pytest.mark.parametrize("text", ["image: {{ .Values.image }}\n", '{{ include "x" . }}\n', "a: 1\n{{- end }}\n"])
def test_templates_that_look_nearly_like_yaml(text: str) -> None:
    assert [type(outcome) for outcome in read(text)] == [Template]


JSON_POD = '{"apiVersion": "v1", "kind": "Pod"}'


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "<stdin>"])
@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (JSON_POD, [1]),
        (f"\n\n{JSON_POD}", [3]),
        (JSON_POD * 2, [1, 1]),
        (f"{JSON_POD}\n{JSON_POD}\n", [1, 2]),
        (f"{JSON_POD}\n---\n{JSON_POD}\n", [1, 3]),
        (f"{JSON_POD}\n---\n{POD}", [1, 3]),
        ("\t" + JSON_POD.replace(" ", "\t"), [1]),
        ("{apiVersion: v1, kind: Pod}", [1]),
    ],
)
def test_json_in_every_arrangement(name: str, text: str, lines: list[int]) -> None:
    found = read(text, name)
    assert [outcome.line for outcome in found if isinstance(outcome, Document)] == lines
    assert len(found) == len(lines)


@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
def test_a_broken_json_text_does_not_lose_the_others(name: str) -> None:
    found = read(f'{{"a":\n{JSON_POD}\n{{"kind": Pod}}\n\n{JSON_POD}\n', name)
    assert [(type(o), o.line) for o in found if isinstance(o, Document | ReadFailure)] == [
        (ReadFailure, 3),
        (Document, 2),
        (ReadFailure, 3),
        (Document, 5),
    ]


def test_broken_json_is_named() -> None:
    (broken,) = read('{"apiVersion": "v1", ', name="a.json")
    assert isinstance(broken, ReadFailure)
    assert "JSON" in broken.reason
    (deep,) = read('{"a":' * 500 + "1" + "}" * 500, name="a.json")
    assert isinstance(deep, ReadFailure)
    assert "levels deep" in deep.reason
    (deeper,) = read('{"a":' * 90_000, name="a.json")
    assert isinstance(deeper, ReadFailure)


def test_only_the_document_with_the_wrong_byte_is_lost() -> None:
    found = read(POD.encode() + b"---\na: 1\nb: caf\xe9\n---\n" + POD.encode())
    assert [type(outcome) for outcome in found] == [Document, ReadFailure, Document]
    broken = found[1]
    assert isinstance(broken, ReadFailure)
    assert (broken.line, "0xE9" in broken.reason) == (7, True)


def test_files_put_one_after_another_may_each_have_a_byte_order_mark() -> None:
    found = read(b"\xef\xbb\xbf" + POD.encode() + b"---\n\xef\xbb\xbf" + POD.encode())
    assert [type(outcome) for outcome in found] == [Document, Document]


def test_directives_between_documents() -> None:
    text = f"{POD}...\n%TAG ! tag:yaml.org,2002:\n---\napiVersion: v1\nkind: Pod\nspec: !str 1\n"
    found = [outcome for outcome in read(text) if isinstance(outcome, Document)]
    assert [document.line for document in found] == [1, 8]
    assert found[1].value["spec"] == "1"


def test_endless_breakage_is_given_up_with_a_word() -> None:
    found = read("---\n[\n" * (MOST_BROKEN + 10))
    assert len(found) == MOST_BROKEN + 1
    last = found[-1]
    assert isinstance(last, ReadFailure)
    assert "not read" in last.reason


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    for outcome in read(data):
        assert isinstance(outcome, Document | ReadFailure | ForeignDocument | OtherKind | Template)


@given(st.text(alphabet="-kind:apiVersonPd[]{}'\"&*!|>#? \n\t0y{{}}", max_size=120))
def test_skipping_never_hides_a_wanted_kind(text: str) -> None:
    everything = [o for o in read(text) if isinstance(o, Document) and o.value["kind"] == "Pod"]
    wanted = [o for o in read(text, wanted=lambda _v, k: k == "Pod") if isinstance(o, Document)]
    assert [o.value for o in everything] == [o.value for o in wanted if o.value["kind"] == "Pod"]


PARTS = st.lists(
    st.sampled_from([POD, "a: 1\n", "- x\n", "t: |\n  ---\n  x\n", "# c\n", "\n", "'q\n  r'\n", "...\n"])
    | st.sampled_from(["---\n", "--- # c\n", "---\t\n", "--- {a: b}\n", "---\r\n", "--- |\n z\n"]),
    max_size=8,
)


@given(PARTS)
def test_a_stream_that_libyaml_reads_whole_is_split_alike(parts: list[str]) -> None:
    text = "".join(parts)
    try:
        whole = [(value, line) for value, line, _ in build(text) if value is not None]
    except YamlError:
        return
    assert [
        (value, line + first - 1) for part, line in split(text) for value, first, _ in build(part) if value is not None
    ] == whole


@given(
    st.sampled_from(["traefik.io", "cert-manager.io", "x"]),
    st.dictionaries(st.sampled_from(["conversion", "group2", "names", "zone", "scope"]), st.text(max_size=20)),
    st.text(max_size=40),
    st.integers(2, 6),
    st.sampled_from([None, "'", '"']),
)
def test_the_group_of_a_definition_is_found_unparsed_or_not_at_all(
    group: str, spec: dict[str, str], note: str, indent: int, style: str | None
) -> None:
    metadata = {"annotations": {"note": f"\nspec:\n  group: other\n{note}"}, "name": "x"}
    body = {"metadata": metadata, "spec": {**spec, "group": group, "schema": {"spec": {"group": "other"}}}}
    head = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
    text = head + yaml.safe_dump(body, indent=indent, default_style=style, allow_unicode=True, sort_keys=False)
    assert yaml.safe_load(text)["spec"]["group"] == group
    plain = style is None and all("\n" not in value for value in spec.values())
    assert defined_group(text) in ((group,) if plain else (group, ""))


@pytest.mark.parametrize(
    "definition",
    ["spec: {group: traefik.io}\n", "metadata:\n  group: traefik.io\n", "spec:\n  names:\n    group: traefik.io\n", ""],
)
def test_a_group_that_only_parsing_can_tell(definition: str) -> None:
    assert defined_group(f"kind: CustomResourceDefinition\n{definition}") == ""
