"""Previews: the part of a document around a quote, and who may see how much of it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import documents
import pytest
from conftest import FakeEmbedder, app_for
from starlette.testclient import TestClient

from qa_service.datatypes import Run, ShownBlock, SourceDocument
from qa_service.pipeline import build, open_answerer
from qa_service.server.keys import KeyFile
from qa_service.server.previews import CONTEXT_CHARACTERS, Heading, outline_of, preview_of
from qa_service.settings import Settings

Write = Callable[[dict[str, str | bytes]], Path]
PAGE = "https://www.example.org"
QUESTION = "where does the heron wait"
QUOTE = "The heron waits in the reeds."
STONES = "\n\n".join(f"Paragraph {number} tells of stones and rivers." for number in range(200))
LONG = (
    f"# Birds\n\nThe secret begins here.\n\n## Stones\n\n{STONES}\n\n## Herons\n\n- {QUOTE}\n- It is *patient*.\n\n"
    f"## Rivers\n\n{STONES}\n\n## The last\n\nTHE END.\n"
)
PDF = documents.pdf_of_lines([["Gulls sleep on the roof."], ["Boats leave at dawn.", "Ropes hang on iron hooks."]])


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"published": "https://docs.example.org/{path}/"})


@pytest.fixture
def client(folder: Write, settings: Settings, fake: FakeEmbedder) -> Iterator[TestClient]:
    folder({"birds.md": LONG, "harbour.pdf": PDF})
    build(settings, fake)
    answerer, _ = open_answerer(settings, fake)
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as connected:
        yield connected


def cited(client: TestClient, question: str, uri: str, **headers: str) -> dict[str, Any]:
    body = client.post("/ask", json={"question": question}, headers=headers).json()
    return next(result["citation"] for result in body["results"] if result["citation"]["uri"] == uri)


def shown(body: dict[str, Any]) -> str:
    """Return what the blocks of a preview show."""
    return "\n".join(
        "".join(body["text"][run["start"] : run["end"]] for run in block.get("runs", ())) for block in body["blocks"]
    )


def test_a_preview_has_the_text_around_the_quote_and_all_sections(client: TestClient) -> None:
    """In blocks without markup; the title is not a section. Any other place of the document can be read too."""
    citation = cited(client, QUESTION, "birds.md")
    start = citation["start_char"] + citation["quote_start"]
    body = client.get(citation["preview"]).json()
    text = body["text"]
    assert text == LONG[body["start_char"] : body["end_char"]]
    assert body["length"] == len(LONG)
    assert text[start - body["start_char"] :].startswith(citation["quote"])
    assert QUOTE in citation["quote"]
    assert 7_000 < len(text) < 9_000
    assert text.startswith("Paragraph")
    assert text.endswith("rivers.")
    assert f"\n{QUOTE}\nIt is patient.\n" in shown(body)
    assert {block["kind"] for block in body["blocks"]} == {"heading", "paragraph", "item"}
    assert [(one["text"], one["level"]) for one in body["outline"]] == [
        ("Stones", 1),
        ("Herons", 1),
        ("Rivers", 1),
        ("The last", 1),
    ]
    assert body["url"].startswith("https://docs.example.org/birds/#:~:text=")
    assert "secret" not in text
    assert client.get(body["view"].partition("#")[0]).status_code == 200
    last = body["outline"][-1]["start_char"]
    path = citation["preview"].partition("?")[0]
    there = client.get(path, params={"start_char": last, "end_char": last}).json()
    assert there["text"].endswith("THE END.")
    assert there["url"] == "https://docs.example.org/birds/"
    assert (body["pages"], body["pictures"]) == (None, [])


def test_the_preview_of_a_pdf_names_the_pictures_of_its_pages(client: TestClient) -> None:
    citation = cited(client, "where do ropes hang on iron hooks", "harbour.pdf")
    body = client.get(citation["preview"]).json()
    assert body["pages"] == {"first": 2, "last": 2}
    (picture,) = body["pictures"]
    assert client.get(picture).headers["content-type"] == "image/png"
    assert body["url"] == "https://docs.example.org/harbour.pdf#page=2"


def test_offsets_beyond_the_document_are_its_end(client: TestClient) -> None:
    """Anything else that is no span is refused, and so is an unknown document."""
    path = cited(client, QUESTION, "birds.md")["preview"].partition("?")[0]
    body = client.get(path, params={"start_char": 10**9, "end_char": 3}).json()
    assert body["end_char"] == len(LONG)
    whole = client.get(path, params={"start_char": 0, "end_char": 10**12}).json()
    assert 10_000 < len(whole["text"]) < 15_000
    for wrong in ({}, {"start_char": 1}, {"start_char": -1, "end_char": 2}, {"start_char": "a", "end_char": 2}):
        assert client.get(path, params=wrong).status_code == 422
    assert client.get("/sources/none/preview?start_char=0&end_char=1").status_code == 404


def test_a_key_for_quotes_sees_the_surroundings_of_a_quote_only(
    folder: Write, settings: Settings, fake: FakeEmbedder
) -> None:
    """A publishable key follows the signed links of answers; with the scope `documents`, it can go anywhere."""
    folder({"birds.md": LONG})
    settings = settings.model_copy(update={"access": "keys"})
    build(settings, fake)
    answerer, _ = open_answerer(settings, fake)
    keys = KeyFile(settings.data)
    quotes, reader = (
        {"Authorization": f"Bearer {keys.create('page', scopes, publishable=True, origins=(PAGE,))}", "Origin": PAGE}
        for scopes in (("ask",), ("ask", "documents"))
    )
    secret = {"Authorization": f"Bearer {keys.create('server', ('ask',))}"}
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        link = cited(client, QUESTION, "birds.md", **quotes)["preview"]
        body = client.get(link, headers=quotes).json()
        assert QUOTE in body["text"]
        assert len(body["text"]) <= len(f"- {QUOTE}") + 2 * CONTEXT_CHARACTERS
        assert body["text"].startswith("Paragraph")
        assert [one["text"] for one in body["outline"]] == ["Herons", "Rivers"]
        assert client.get(link).json()["text"] == body["text"]
        assert client.get(body["view"].partition("#")[0]).status_code == 200
        plain = link.partition("&sig=")[0]
        start = re.search(r"start_char=\d+", link)
        assert start is not None
        moved = link.replace(start[0], "start_char=0")
        assert [client.get(place, headers=quotes).status_code for place in (plain, moved)] == [403, 403]
        assert [client.get(place).status_code for place in (plain, moved)] == [401, 401]
        for whole in (reader, secret):
            found = client.get(plain.replace(start[0], "start_char=0"), headers=whole).json()
            assert found["text"].startswith("# Birds")
            assert len(found["outline"]) == 4


def test_a_long_block_is_cut_between_words() -> None:
    """A word that is longer than the context is cut off."""
    words = " ".join(f"w{number:04}" for number in range(3_000))
    document = SourceDocument("a", "a.txt", "a", "0", "a.txt", "text/plain", None, (), words)
    found = preview_of(document, [], (9_000, 9_005), whole=False)
    part = words[slice(*found.window)]
    assert all(re.fullmatch(r"w\d{4}", word) for word in part.split())
    assert 1_180 < len(part) <= 1_205
    assert found.blocks == (ShownBlock("paragraph", 0, len(part), (Run(0, len(part)),)),)
    letters = SourceDocument("a", "a.txt", "a", "0", "a.txt", "text/plain", None, (), "x" * 9_000)
    assert preview_of(letters, [], (4_000, 4_005), whole=False).window == (4_000, 4_005)


def test_the_outline_names_each_heading_where_it_begins() -> None:
    sections = [
        (0, ()),
        (5, ("A", "B")),
        (9, ("A", "B")),
        (12, ("A", "C")),
        (20, ("D",)),
        (30, ("A",)),
        (40, ("A", "C")),
    ]
    assert outline_of(sections) == [
        Heading("A", 1, 5),
        Heading("B", 2, 5),
        Heading("C", 2, 12),
        Heading("D", 1, 20),
        Heading("A", 1, 30),
        Heading("C", 2, 40),
    ]
