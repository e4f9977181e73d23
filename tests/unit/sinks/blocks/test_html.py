"""Pages as HTML: whole by themselves, every text escaped, nothing that could run or be asked for."""

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.sinks.blocks.blocks import Block, Grid, Heading, Items, Paragraph, Source, Span, code, prose
from iocaudit.sinks.blocks.html import as_html

TEXTS = st.text(max_size=30) | st.sampled_from(["<script>", "\" onload='x'", "&lt;", "</title>", "`a`"])
SPANS = st.builds(Span, TEXTS, st.sampled_from(["prose", "plain", "code"]), st.just("javascript:alert(1)"))
LINES = st.lists(SPANS, max_size=3).map(tuple)
BLOCKS = st.lists(
    st.builds(Heading, st.integers(0, 9), LINES)
    | st.builds(Paragraph, LINES)
    | st.builds(Items, st.lists(LINES, max_size=3).map(tuple))
    | st.builds(Grid, st.just(("A", "B")), st.lists(st.tuples(LINES, LINES), max_size=3).map(tuple))
    | st.builds(Grid, st.just(("", "")), st.lists(st.tuples(LINES, LINES), max_size=3).map(tuple))
    | st.builds(Source, TEXTS),
    max_size=5,
)
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "h4", "h5", "h6", "p", "ul", "li",
    "div", "table", "thead", "tbody", "tr", "th", "td", "pre", "code",
}  # fmt: skip


class Reader(HTMLParser):
    """What a page is made of: tags, attributes, and that each is closed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    found = Reader()
    found.feed(page)
    found.close()
    return found


@given(blocks=BLOCKS, title=TEXTS)
def test_whatever_is_in_it_it_is_one_page_without_anything_that_runs(blocks: list[Block], title: str) -> None:
    found = read(as_html(blocks, title))
    assert found.open == []
    assert found.tags <= ALLOWED
    assert found.attributes <= {"lang", "charset", "http-equiv", "content", "name", "class", "scope"}


def test_it_shows_what_it_was_given() -> None:
    facts = Grid(("", ""), ((prose("k"), prose("v")),))
    page = as_html([Heading(1, prose("a <b> `c`")), Paragraph(code("kubectl <x>")), facts], "t")
    assert "<h1>a &lt;b&gt; <code>c</code></h1>" in page
    assert "<code>kubectl &lt;x&gt;</code>" in page
    assert '<tr><th scope="row">k</th><td>v</td></tr>' in page
    assert re.search(r"default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]{44}'", page)
