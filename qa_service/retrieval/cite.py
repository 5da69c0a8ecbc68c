"""Adds a citation to each result: the positions of passage and quote in every unit, hashes and links."""

import hashlib
from collections.abc import Sequence

from qa_service.citations import CitationId, link, passage_id
from qa_service.datatypes import Citation, CitedPassage, ScoredPassage, SourceDocument
from qa_service.index import Index


def cite(index: Index, results: Sequence[ScoredPassage], published: str) -> tuple[CitedPassage, ...]:
    """Return results with citations; ``published`` is the base URL of the published source folder, or empty."""
    documents = index.documents_without_text(result.passage.document_id for result in results)
    return tuple(
        CitedPassage(result, _citation(index, documents[result.passage.document_id], result, published))
        for result in results
    )


def _citation(index: Index, document: SourceDocument, scored: ScoredPassage, published: str) -> Citation:
    passage = scored.passage
    start, end = scored.quote
    place = (passage.position.start_char + start, passage.position.start_char + end)
    if document.media_type == "text/html":
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
    )
