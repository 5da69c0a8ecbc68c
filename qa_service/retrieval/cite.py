"""Adds a citation to each result: the positions of passage and quote in every unit, hashes and links."""

import hashlib
from collections.abc import Mapping, Sequence

from qa_service.citations import CitationId, is_page, link, passage_id
from qa_service.datatypes import Citation, CitedPassage, Offsets, ScoredPassage, SourceDocument
from qa_service.index import Index
from qa_service.text.page_lines import boxes_in, is_recognized


def cite(index: Index, results: Sequence[ScoredPassage], published: str) -> tuple[CitedPassage, ...]:
    """Return results with citations; ``published`` is the base URL of the published source folder, or empty."""
    documents = index.documents_without_text(result.passage.document_id for result in results)
    pages = {
        (result.passage.document_id, page)
        for result in results
        for page in _pages(documents[result.passage.document_id], result)
    }
    lines = index.page_lines(pages) if pages else {}
    return tuple(
        CitedPassage(result, _citation(index, documents[result.passage.document_id], result, published, lines))
        for result in results
    )


def _place(scored: ScoredPassage) -> Offsets:
    """Return the offsets of the quote in the document."""
    begin = scored.passage.position.start_char
    return begin + scored.quote[0], begin + scored.quote[1]


def _pages(document: SourceDocument, scored: ScoredPassage) -> range:
    """Return the numbers of the pages on which the quote stands."""
    start, end = _place(scored)
    first, last = document.page(start), document.page(end - 1)
    return range(first, last + 1) if first and last else range(0)


def _citation(
    index: Index,
    document: SourceDocument,
    scored: ScoredPassage,
    published: str,
    lines: Mapping[tuple[str, int], bytes],
) -> Citation:
    passage = scored.passage
    start, end = scored.quote
    place = _place(scored)
    pages = _pages(document, scored)
    if is_page(document, published):
        document = index.document(document.id) or document  # the link's text fragment needs the text
    return Citation(
        document_id=document.id,
        title=document.title,
        uri=document.uri,
        section_path=passage.section_path,
        position=passage.position,
        page=document.page(place[0]),
        quote=passage.text[start:end],
        quote_start=start,
        quote_end=end,
        url=link(document, place, published),
        permalink=str(CitationId(passage_id(document.uri, passage.position.start_char, passage.text), start, end)),
        document_sha256=document.sha256,
        passage_sha256=hashlib.sha256(passage.text.encode()).hexdigest(),
        boxes=tuple(
            box
            for page in pages
            if (document.id, page) in lines
            for box in boxes_in(lines[document.id, page], page, *place)
        ),
        ocr=any(is_recognized(lines.get((document.id, page), b"")) for page in pages),
    )
