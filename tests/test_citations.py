"""Citations: ids, links to the quoted words, and verdicts on old quotes."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import documents
import pytest
from conftest import FakeEmbedder
from hypothesis import given
from hypothesis import strategies as st

from qa_service.citations import CitationId, CitedQuote, address_of, check, is_page, link, passage_id, text_fragment
from qa_service.datatypes import SourceDocument
from qa_service.errors import NotFound
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.settings import Settings

Write = Callable[[dict[str, str | bytes]], Path]
TEXT = "The cat sleeps. It wakes at noon.\n\nA dog guards the old farm all night."


def document(text: str = TEXT, source: str = "a/b c.txt", **fields: object) -> SourceDocument:
    values = {"media_type": "text/plain", "url": None, "pages": ()} | fields
    return SourceDocument("a" * 16, source, "T", "0" * 64, source, text=text, **values)


def nowhere(_: str) -> None:
    return None


@given(st.text(alphabet="0123456789abcdef", min_size=16, max_size=16), st.integers(0, 10**9 - 2), st.integers(1, 999))
def test_a_citation_id_is_parsed_as_written(passage: str, start: int, length: int) -> None:
    """Any other text is not an id."""
    identifier = CitationId(passage, start, min(start + length, 10**9 - 1))
    assert CitationId.parse(str(identifier)) == identifier
    for text in (
        "",
        passage,
        f"{passage}.5-5",
        f"{passage}.-1-5",
        f"{passage}.1-2 ",
        passage + ".1-1234567890",
        "x" * 50,
    ):
        assert CitationId.parse(text) is None


def test_a_passage_id_depends_on_document_position_and_text() -> None:
    """It changes with each of them, and is otherwise the same."""
    ids = {passage_id("a", 0, "x"), passage_id("b", 0, "x"), passage_id("a", 1, "x"), passage_id("a", 0, "y")}
    assert len(ids) == 4
    assert passage_id("a", 0, "x") in ids


def test_a_quote_at_its_old_position_is_exact() -> None:
    """Even if the same words also occur before it."""
    verdict = check(CitedQuote("a", 16, "It wakes at noon."), document(), nowhere)
    assert (verdict.state, verdict.place) == ("exact", (16, 33))
    twice = document("It wakes. It wakes.")
    assert check(CitedQuote("a", 10, "It wakes."), twice, nowhere).place == (10, 19)
    assert check(CitedQuote("a", 0, "It wakes."), twice, nowhere).place == (0, 9)


def test_a_quote_at_another_position_has_moved() -> None:
    """To the nearest occurrence in its document, else to another document."""
    moved = document("New words. " + TEXT)
    verdict = check(CitedQuote("a", 16, "It wakes at noon."), moved, nowhere)
    assert (verdict.state, verdict.place) == ("moved", (27, 44))
    assert moved.text[27:44] == verdict.now
    far = document("It wakes. " + "x " * 50 + "It wakes.")
    assert check(CitedQuote("a", 90, "It wakes."), far, nowhere).place == (110, 119)
    elsewhere = check(CitedQuote("old.txt", 16, "It wakes at noon."), None, lambda _: document())
    assert (elsewhere.state, elsewhere.uri) == ("moved", "a/b c.txt")


def test_an_edited_quote_has_changed() -> None:
    """The verdict names the most similar sentence; without a similar one the quote is gone."""
    edited = document(TEXT.replace("It wakes at noon.", "It wakes long after noon."))
    verdict = check(CitedQuote("a", 16, "It wakes at noon."), edited, nowhere)
    assert (verdict.state, verdict.now) == ("changed", "It wakes long after noon.")
    assert edited.text[slice(*verdict.place)] == verdict.now
    assert check(CitedQuote("a", 16, "Xylophones 123 zzz qqq"), document(), nowhere).state == "gone"
    assert check(CitedQuote("a", 16, "It wakes at noon."), None, nowhere).state == "gone"
    assert check(CitedQuote("a", 10**9, "It wakes at noon!"), document(), nowhere).state == "gone"


@given(st.text(max_size=200), st.integers(0, 300), st.text(min_size=1, max_size=40))
def test_the_text_of_a_verdict_stands_at_its_place(text: str, start: int, quote: str) -> None:
    """For arbitrary texts and quotes."""
    verdict = check(CitedQuote("a", start, quote), document(text), nowhere)
    assert (verdict.place is None) == (verdict.state == "gone")
    if verdict.place is not None:
        assert text[slice(*verdict.place)] == verdict.now
    assert (verdict.state in {"exact", "moved"}) == (quote in text)


def fragment_of(text: str, wanted: str, occurrence: int = 0) -> list[str]:
    start = -1
    for _ in range(occurrence + 1):
        start = text.index(wanted, start + 1)
    return [unquote(part) for part in text_fragment(text, (start, start + len(wanted))).split(",")]


def test_a_text_fragment_is_the_quote_escaped() -> None:
    """Commas, hyphens and ampersands have a meaning in text directives."""
    text = "Well-known, safe & sound: caf\u00e9 \ud55c\uad6d."
    fragment = text_fragment(text, (0, len(text)))
    assert unquote(fragment) == text
    assert not set(fragment) & set(",-&# ")
    assert "%2D" in fragment


def test_long_quotes_and_table_rows_are_named_by_first_and_last_words() -> None:
    """The page separates table cells otherwise than the index does."""
    words = " ".join(f"word{number}" for number in range(100))
    assert fragment_of(words, words) == [
        "word0 word1 word2 word3 word4 word5",
        "word94 word95 word96 word97 word98 word99",
    ]
    assert fragment_of("Anna | 12 m | 1950", "Anna | 12 m | 1950") == ["Anna", "1950"]
    assert fragment_of("|  | 2020 | 2021", "|  | 2020 | 2021") == ["2020", "2021"]
    assert fragment_of("Anna |  |", "Anna |  |") == ["Anna"]
    assert fragment_of(r"a\|b | c", r"a\|b | c") == ["a|b", "c"]


def test_a_repeated_quote_gets_prefix_and_suffix() -> None:
    """They are words of the same line."""
    text = "First it rains. Then the sun shines.\n\nLater it rains. Then the wind blows."
    assert fragment_of(text, "it rains.", 0) == ["First-", "it rains.", "-Then the sun shines."]
    assert fragment_of(text, "it rains.", 1) == ["Later-", "it rains.", "-Then the wind blows."]


def test_links_by_media_type_and_place_of_publication() -> None:
    """A published page gets a text fragment, a published PDF a page number, anything else our own view."""
    page = document(media_type="text/html", url="https://example.org/x#old")
    assert link(page, (0, 15), "") == "https://example.org/x#:~:text=The%20cat%20sleeps."
    below = document(media_type="text/html")
    assert link(below, (0, 15), "https://docs.example/files/") == (
        "https://docs.example/files/a/b%20c.txt#:~:text=The%20cat%20sleeps."
    )
    pdf = document(media_type="application/pdf", pages=(0, 35))
    assert link(pdf, (36, 41), "https://docs.example") == "https://docs.example/a/b%20c.txt#page=2"
    own = urlsplit(link(document(), (16, 33), "https://docs.example"))
    assert (own.path, own.fragment) == (f"/sources/{'a' * 16}/view", "quote")
    assert parse_qs(own.query) == {"start": ["16"], "end": ["33"]}


@pytest.mark.parametrize(
    ("source", "published", "address"),
    [
        ("guide/set up.md", "https://d.example/v1/{path}/", "https://d.example/v1/guide/set%20up/"),
        ("guide/index.md", "https://d.example/v1/{path}/", "https://d.example/v1/guide/"),
        ("README.md", "https://d.example/v1/{path}/", "https://d.example/v1/"),
        ("guide/index.rst", "https://d.example/{path}.html", "https://d.example/guide/index.html"),
        ("guide/reindex.md", "https://d.example/{path}/", "https://d.example/guide/reindex/"),
        ("a.md", "https://d.example/", None),
        ("a.md", "", None),
    ],
)
def test_the_page_that_a_site_generator_makes_of_a_file(source: str, published: str, address: str | None) -> None:
    """``{path}`` stands for its path; other files are below what comes before that."""
    made = document(media_type="text/markdown" if source.endswith("md") else "text/x-rst", source=source)
    assert address_of(made, published) == address
    assert is_page(made, published) is (address is not None)
    pdf = document(media_type="application/pdf", pages=(0,), source="a/b.pdf")
    assert link(pdf, (0, 5), "https://d.example/v1/{path}/") == "https://d.example/v1/a/b.pdf#page=1"


def test_front_matter_names_the_address_of_a_page() -> None:
    """An address as it is, a path below the published one, or our own view if there is none."""
    own = document(media_type="text/markdown", url="https://x.example/a")
    assert link(own, (0, 15), "") == "https://x.example/a#:~:text=The%20cat%20sleeps."
    path = document(media_type="text/markdown", url="/a/")
    assert link(path, (0, 15), "https://d.example/{path}/").startswith("https://d.example/a/#")
    assert link(path, (0, 15), "").startswith("/sources/")


@pytest.mark.parametrize(
    ("quoted", "fragment"),
    [
        ("Owls **hunt** at night in the [forest](f.md) alone.", "at night in the"),
        ("- Owls hunt at night.\n- Mice can't see them.", "Owls hunt at night."),
        ("3. Open the well-known box `now`", "Open the well-known box"),
        ("`a` **b** c", ""),
        ("| one | two |", ""),
        (
            " ".join(f"word{number}" for number in range(60)),
            "word0 word1 word2 word3 word4 word5,word54 word55 word56 word57 word58 word59",
        ),
    ],
)
def test_the_link_to_a_rendered_page_has_words_without_markup(quoted: str, fragment: str) -> None:
    """The longest run of them, since the page has no markup; none if it is too short to be found."""
    made = document(media_type="text/markdown", text=quoted, url="https://x.example/a")
    found = link(made, (0, len(quoted)), "")
    assert unquote(found) == "https://x.example/a" + (f"#:~:text={fragment}" if fragment else "")


def test_an_answer_links_to_the_page_of_its_file(folder: Write, settings: Settings) -> None:
    """By the front matter of Markdown, or by the setting; a script is no address."""
    fake = FakeEmbedder()
    own = settings.model_copy(update={"published": "https://d.example/{path}/"})
    front = "---\nurl: {}\n---\n# Farm\n\nThe cat **always** sleeps on the mat.\n"
    linked = {}
    for name, url in {"named": "https://x.example/farm", "path": "/farm/", "script": "javascript:alert(1)"}.items():
        for old in settings.source.glob("*.md"):
            old.unlink()
        folder({f"{name}.md": front.format(url)})
        build(own, fake)
        linked[name] = open_answerer(own, fake)[0].ask("where does the cat sleep").results[0].citation.url
    fragment = "#:~:text=sleeps%20on%20the%20mat."
    assert linked == {
        "named": f"https://x.example/farm{fragment}",
        "path": f"https://d.example/farm/{fragment}",
        "script": f"https://d.example/script/{fragment}",
    }


def test_a_permalink_is_resolved_in_later_generations(folder: Write, settings: Settings) -> None:
    """Exact, exact after a change elsewhere in the file, changed, moved to a renamed file, gone."""
    fake = FakeEmbedder()
    name, text = "a.md", "# Farm\n\nThe cat sleeps on the mat.\n\n## Dogs\n\nA dog guards the old farm.\n"

    def answering() -> QuestionAnswerer:
        build(settings, fake)
        return open_answerer(settings, fake)[0]

    source = folder({name: text, "other.txt": "Whales sing in the deep ocean."})
    first = answering()
    cited = first.ask("where does the cat sleep").results[0].citation
    assert cited.quote == "The cat sleeps on the mat."
    assert first.citation(cited.permalink).state == "exact"
    folder({name: text.replace("old farm", "new farm")})
    assert answering().citation(cited.permalink).state == "exact"
    folder({name: text.replace("on the mat", "on the warm mat")})
    changed = answering().citation(cited.permalink)
    assert (changed.state, changed.now) == ("changed", "The cat sleeps on the warm mat.")
    (source / name).rename(source / "renamed.md")
    folder({"renamed.md": text})
    moved = answering().citation(cited.permalink)
    assert (moved.state, moved.uri) == ("moved", "renamed.md")
    (source / "renamed.md").unlink()
    last = answering()
    assert last.citation(cited.permalink).state == "gone"
    assert not any("cat" in result.scored.passage.text for result in last.ask("where does the cat sleep").results)
    for unknown in ("x", "0" * 16 + ".0-5", cited.permalink.split(".")[0] + ".0-999999"):
        with pytest.raises(NotFound):
            last.citation(unknown)


def test_a_web_page_is_linked_where_it_is_published(folder: Write, settings: Settings, fake: FakeEmbedder) -> None:
    """The address in the page itself comes before the one in the settings."""
    folder({"dawn.html": documents.HTML.encode(), "noon.html": b"<p>Soup is served at noon on deck by the cook.</p>"})
    published = settings.model_copy(update={"published": "https://files.example/base"})
    build(published, fake)
    answerer, _ = open_answerer(published, fake)
    dawn = answerer.ask("when do the first boats leave the harbour").results[0].citation
    assert dawn.url.startswith("https://harbour.example/dawn#:~:text=")
    assert unquote(dawn.url.partition("text=")[2]) == dawn.quote
    noon = answerer.ask("soup at noon").results[0].citation
    assert noon.url.startswith("https://files.example/base/noon.html#:~:text=Soup")
