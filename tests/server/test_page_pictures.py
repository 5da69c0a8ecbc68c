"""Pictures of PDF pages: the quote is marked, and the file must be the one that was indexed."""

import io
from collections.abc import Callable
from pathlib import Path

import documents
import numpy as np
import pypdfium2
import pytest
from conftest import FakeEmbedder, app_for, key_for
from httpx2 import Response
from PIL import Image
from reportlab.lib.pagesizes import A5
from starlette.testclient import TestClient

from qa_service.loading.outline import Limits, UnreadableError
from qa_service.loading.pdf.picture import draw_page
from qa_service.pipeline import build, open_answerer
from qa_service.server.keys import KeyFile
from qa_service.settings import Settings

Write = Callable[[dict[str, str | bytes]], Path]
PDF = documents.pdf_of_lines([["Gulls sleep on the roof."], ["Boats leave at dawn.", "Ropes hang on iron hooks."]])


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_a_page_is_drawn_with_the_quote_marked(folder: Write, settings: Settings, fake: FakeEmbedder) -> None:
    """In yellow, where the boxes of the citation are; without a quote nothing is marked."""
    folder({"a.pdf": PDF, "b.txt": "Nets dry."})
    build(settings, fake)
    answerer, _ = open_answerer(settings, fake)
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        asked = client.post("/ask", json={"question": "where do ropes hang on iron hooks"}).json()
        citation = next(result["citation"] for result in asked["results"] if result["citation"]["uri"] == "a.pdf")
        start = citation["start_char"] + citation["quote_start"]
        path = f"/sources/{citation['document_id']}/page/{citation['page']}.png"
        plain = client.get(path)
        marked = client.get(f"{path}?start={start}&end={start + len(citation['quote'])}")
    assert plain.headers["content-type"] == "image/png"
    before, after = pixels(plain.content), pixels(marked.content)
    assert before.shape == after.shape
    assert before.shape[:2] == pytest.approx((2 * A5[1], 2 * A5[0]), abs=1)
    changed = np.argwhere((before != after).any(axis=2))
    boxes = citation["boxes"]
    edges = [min(box["y0"] for box in boxes), min(box["x0"] for box in boxes)]
    edges += [max(box["y1"] for box in boxes), max(box["x1"] for box in boxes)]
    assert [*changed.min(axis=0), *changed.max(axis=0)] == pytest.approx([2 * edge for edge in edges], abs=5)
    assert (before == 255).all(axis=2).mean() > 0.9
    assert ((after == (255, 224, 138)).all(axis=2)).any()


def test_only_the_indexed_file_is_drawn(folder: Write, settings: Settings, fake: FakeEmbedder) -> None:
    """A changed or missing file is gone; other formats and pages are not found; a key is needed where keys are."""
    source = folder({"a.pdf": PDF, "b.txt": "Nets dry."})
    build(settings, fake)
    answerer, _ = open_answerer(settings, fake)
    needed = key_for(settings, "ask")
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        ids = {document.uri: document.id for document in answerer.index.list_documents("", 9)}

        def get(uri: str, page: int | str, **headers: str) -> tuple[int, str]:
            response = client.get(f"/sources/{ids.get(uri, 'none')}/page/{page}.png", headers={**needed, **headers})
            return response.status_code, "" if response.status_code == 200 else response.json()["detail"]

        assert get("a.pdf", 2)[0] == 200
        assert get("a.pdf", 3) == (404, "the document has pages 1 to 2")
        assert get("a.pdf", 0)[0] == get("a.pdf", "x")[0] == 422
        assert get("b.txt", 1)[0] == get("c.pdf", 1)[0] == 404
        (source / "a.pdf").write_bytes(PDF + b" ")
        assert get("a.pdf", 2) == (
            410,
            "the file of the document has changed since it was indexed; run `qa-service index`",
        )
        (source / "a.pdf").unlink()
        assert get("a.pdf", 2)[0] == 410
        (source / "a.pdf").symlink_to("/etc/passwd")
        assert get("a.pdf", 2)[0] == 410
        assert get("a.pdf", 2, Authorization="Bearer sk_no_no")[0] == 401


def test_a_key_for_quotes_sees_the_surroundings_of_a_quote_only(
    folder: Write, settings: Settings, fake: FakeEmbedder
) -> None:
    """A publishable key needs a signed link, and gets a part of the page, unless it has the scope `documents`."""
    lines = ["Ropes hang on iron hooks.", *(f"Boat {number} leaves at dawn." for number in range(40))]
    folder({"a.pdf": documents.pdf_of_lines([lines])})
    settings = settings.model_copy(update={"access": "keys"})
    build(settings, fake)
    answerer, _ = open_answerer(settings, fake)
    keys, page = KeyFile(settings.data), "https://www.example.org"
    quotes, reader = (
        keys.create("page", scopes, publishable=True, origins=(page,)) for scopes in (("ask",), ("ask", "documents"))
    )
    found = keys.find_key(quotes)
    assert found is not None
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        (document,) = answerer.index.list_documents("", 9)

        def get(place: str, key: str | None) -> Response:
            path = f"/sources/{document.id}/page/1.png{place}"
            return client.get(path, headers={} if key is None else {"Authorization": f"Bearer {key}", "Origin": page})

        def signed(place: str) -> str:
            path = f"/sources/{document.id}/page/1.png{place}"
            return f"{place}&sig={keys.signature(path, keys.grant(found, 1))}"

        quote = "?start=0&end=25"
        whole, part = pixels(get(quote, reader).content), pixels(get(signed(quote), quotes).content)
        assert whole.shape[1] == part.shape[1]
        assert 0 < part.shape[0] < whole.shape[0] / 2
        assert ((part == (255, 224, 138)).all(axis=2)).any()
        assert (pixels(get(signed(quote), None).content) == part).all()
        assert get(quote, quotes).status_code == 403
        assert get(quote, None).status_code == get(signed(quote) + "0", None).status_code == 401
        assert get(signed("?start=0&end=0"), quotes).status_code == 404


def test_a_file_that_can_not_be_drawn_ends_its_own_process() -> None:
    """For lack of memory, of time, or of a page."""
    with pytest.raises(UnreadableError, match="can't be drawn"):
        draw_page(b"%PDF-1.7 and no more", 1, [], Limits())
    with pytest.raises(UnreadableError, match="can't be drawn"):
        draw_page(PDF, 1, [], Limits(memory_bytes=1_000_000))
    with pytest.raises(UnreadableError, match=r"takes longer than 0\.001 seconds to draw"):
        draw_page(PDF, 1, [], Limits(seconds=0.001))
    large = pypdfium2.PdfDocument.new()
    large.new_page(14_400, 7_200)
    file = io.BytesIO()
    large.save(file)
    assert pixels(draw_page(file.getvalue(), 1, [(0.0, 0.0, 1e9, 1e9)], Limits())).shape == (800, 1600, 3)
