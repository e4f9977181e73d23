"""A file taken apart: one broken document does not lose the others, nothing is dropped without a word."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.sources.documents import (
    Document,
    NotKubernetes,
    OtherKind,
    Outcome,
    Template,
    Unreadable,
    read_documents,
)
from iocaudit.sources.lines import LineTable

POD = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n"


def read(
    data: bytes | str, name: str = "f.yaml", wanted: Callable[[str, str], bool] = lambda _v, _k: True
) -> list[Outcome]:
    return list(read_documents(data.encode() if isinstance(data, str) else data, name, wanted))


def test_documents_and_the_lines_they_start_on() -> None:
    found = read(f"# first\n---\n{POD}---\n\n{POD}--- # comment\n{POD}...\n")
    assert [document.line for document in found if isinstance(document, Document)] == [3, 9, 14]


def test_a_broken_document_does_not_lose_the_others() -> None:
    found = read(f"{POD}---\na: [\n---\n{POD}")
    assert [type(outcome) for outcome in found] == [Document, Unreadable, Document]
    broken = found[1]
    assert isinstance(broken, Unreadable)
    assert broken.line is not None
    assert 6 <= broken.line <= 8


@pytest.mark.parametrize("data", ["", "# only a comment\n", "---\n---\n", "\n\n", "--- # nothing\n"])
def test_nothing_in_it(data: str) -> None:
    assert read(data) == []


def test_binary_and_wrong_encodings_are_named() -> None:
    (binary,) = read(b"\x7fELF\x00\x01")
    assert isinstance(binary, Unreadable)
    assert "binary" in binary.reason
    (latin,) = read(b"a: 1\nb: caf\xe9\n")
    assert isinstance(latin, Unreadable)
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
    ],
)
def test_in_doubt_a_document_is_parsed(text: str) -> None:
    (document,) = read(text, wanted=lambda _v, kind: kind == "Pod")
    assert isinstance(document, Document)


def test_yaml_that_is_not_kubernetes() -> None:
    assert [type(outcome) for outcome in read("a: 1\n---\n- 1\n---\ntext\n")] == [NotKubernetes] * 3


def test_templates_say_how_to_render_them() -> None:
    (chart,) = read("{{- if .Values.x }}\nkind: Pod\n{{- end }}\n", name="charts/web/templates/pod.yaml")
    assert isinstance(chart, Template)
    assert "helm template charts/web" in chart.reason
    (kustomization,) = read("resources: [a.yaml]\n", name="base/kustomization.yaml")
    assert isinstance(kustomization, Template)
    assert "kubectl kustomize base" in kustomization.reason
    (fine,) = read(POD + 'data: "{{ fine }}"\n')
    assert isinstance(fine, Document)


def test_json_whole_in_lines_and_broken() -> None:
    pod = '{"apiVersion": "v1", "kind": "Pod"}'
    assert [type(outcome) for outcome in read(pod, name="a.json")] == [Document]
    found = read(f"{pod}\n{pod}\n", name="a.json")
    assert [outcome.line for outcome in found if isinstance(outcome, Document)] == [1, 2]
    (broken,) = read('{"apiVersion": "v1", ', name="a.json")
    assert isinstance(broken, Unreadable)


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    for outcome in read(data):
        assert isinstance(outcome, Document | Unreadable | NotKubernetes | OtherKind | Template)


@given(st.text(alphabet="-kind:apiVersonPd[]{}'\"&*!|>#? \n\t0y{{}}", max_size=120))
def test_skipping_never_hides_a_wanted_kind(text: str) -> None:
    everything = [o for o in read(text) if isinstance(o, Document) and o.value["kind"] == "Pod"]
    wanted = [o for o in read(text, wanted=lambda _v, k: k == "Pod") if isinstance(o, Document)]
    assert [o.value for o in everything] == [o.value for o in wanted if o.value["kind"] == "Pod"]


def test_lines_of_paths() -> None:
    text = """apiVersion: v1
kind: Pod
metadata:
  annotations:
    example.com/a: x
spec:
  containers:
  - image: a
    name: one
  - name: "two"
    securityContext:
      privileged: true
"""
    table = LineTable(text, 11, 11)
    assert table.line('spec.containers["two"].securityContext.privileged') == 22
    assert table.line('spec.containers["one"].securityContext.privileged') == 18
    assert table.line("spec.containers[1].name") == 20
    assert table.line('metadata.annotations["example.com/a"]') == 15
    assert table.line("nothing.here") == 11
