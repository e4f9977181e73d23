"""What is escaped: a Markdown reader has to see the text that was meant, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from iocaudit.sinks.blocks.blocks import Grid, Heading, Items, Line, Paragraph, Source, Span
from iocaudit.sinks.blocks.markdown import as_markdown
from iocaudit.sinks.escape import visible

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
MARKUP = "\\`*_{}[]()#+-.!|<>~&=:$1)\t \n"
TEXT = st.text(st.one_of(st.sampled_from(MARKUP), st.characters(exclude_categories=["Cs"])), max_size=30)
SHOWN = TEXT.filter(lambda text: text.strip())
PROSE = SHOWN.filter(lambda text: "`" not in text)


def plain(text: str) -> Line:
    return (Span(text, "plain"),)


def shown(text: str) -> str:
    """A text as it is to be seen: white space is one space, what a terminal obeys is spelled out."""
    return visible(" ".join(text.split()))


def leaves(tokens: list[Token]) -> list[tuple[str, str]]:
    """The kinds and texts of what was read, without what only holds other things."""
    found = []
    for token in tokens:
        for one in token.children or ([] if token.type == "inline" else [token]):
            if one.content or one.type in ("html_block", "html_inline", "image", "hr"):
                found.append((one.type, one.content))
    return found


def read(*blocks: Heading | Paragraph | Items | Grid | Source) -> list[Token]:
    return READER.parse(as_markdown(blocks))


def text_of(tokens: list[Token]) -> str:
    assert {kind for kind, _ in leaves(tokens)} <= {"text"}, leaves(tokens)
    return "".join(text for _, text in leaves(tokens))


@given(SHOWN)
def test_a_paragraph_is_the_text(text: str) -> None:
    tokens = read(Paragraph(plain(text)))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert text_of(tokens) == shown(text)


@given(PROSE)
def test_prose_without_code_is_the_text(text: str) -> None:
    assert text_of(read(Paragraph((Span(text),)))) == shown(text)


@given(SHOWN)
def test_a_heading_is_the_text(text: str) -> None:
    tokens = read(Heading(2, plain(text)))
    assert [token.type for token in tokens] == ["heading_open", "inline", "heading_close"]
    assert text_of(tokens) == shown(text)


@given(SHOWN)
def test_a_code_span_is_the_text(text: str) -> None:
    found = leaves(read(Paragraph((Span(text, "code"),))))
    assert found == [("code_inline", shown(text))]


@given(st.lists(st.tuples(SHOWN, SHOWN), min_size=1, max_size=4))
def test_a_cell_is_the_text_and_no_more_than_a_cell(rows: list[tuple[str, str]]) -> None:
    tokens = read(Grid(("a", "b"), tuple((plain(left), plain(right)) for left, right in rows)))
    assert tokens[0].type == "table_open"
    assert tokens[-1].type == "table_close"
    cells = ["".join(text for _, text in leaves([token])) for token in tokens if token.type == "inline"]
    assert cells == ["a", "b", *(shown(cell) for row in rows for cell in row)]


@given(st.lists(SHOWN, min_size=1, max_size=4))
def test_code_in_a_cell_is_the_text(texts: list[str]) -> None:
    tokens = read(Grid(("a",), tuple(((Span(text, "code"),),) for text in texts)))
    found = [leaf for token in tokens if token.type == "inline" for leaf in leaves([token])]
    assert found == [("text", "a"), *(("code_inline", shown(text)) for text in texts)]


@given(st.lists(SHOWN, min_size=1, max_size=4))
def test_an_item_is_the_text(texts: list[str]) -> None:
    tokens = read(Items(tuple(plain(text) for text in texts)))
    assert [token.type for token in tokens if token.level == 0] == ["bullet_list_open", "bullet_list_close"]
    items = ["".join(text for _, text in leaves([token])) for token in tokens if token.type == "inline"]
    assert items == [shown(text) for text in texts]


@given(SHOWN, SHOWN)
def test_a_link_shows_the_text_and_goes_nowhere_else(text: str, address: str) -> None:
    (inline,) = (token for token in read(Paragraph((Span(text, "plain", address),))) if token.type == "inline")
    assert inline.children is not None
    assert [child.type for child in inline.children if child.type != "text"] == ["link_open", "link_close"]
    assert "".join(child.content for child in inline.children) == shown(text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_manifest_stays_in_its_fence(text: str) -> None:
    tokens = read(Source(text), Paragraph(plain("after")))
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert tokens[0].info == "yaml"
    assert tokens[0].content.rstrip("\n") == "\n".join(visible(line) for line in text.rstrip().splitlines()).rstrip(
        "\n"
    )


def test_backticks_of_prose_are_code() -> None:
    found = leaves(read(Paragraph((Span("`*` in verbs, <b> and `a|b`; a_b_c"),))))
    assert [text for kind, text in found if kind == "code_inline"] == ["*", "a|b"]
    assert {kind for kind, _ in found} == {"code_inline", "text", "text_special"} & {kind for kind, _ in found}
    assert "".join(text for _, text in found) == "* in verbs, <b> and a|b; a_b_c"


def test_links_can_be_left_out() -> None:
    assert as_markdown([Paragraph((Span("a", "plain", "b.md"),))], links=False) == "a\n"
