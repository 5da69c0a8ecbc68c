"""Publishes a generation on disk to Milvus, row by row."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from qa_service.citations import passage_id
from qa_service.datatypes import SourceDocument
from qa_service.index.disk import OpenIndex
from qa_service.index.milvus.collection import ROWS_PER_CALL, MilvusStore
from qa_service.index.milvus.filtering import attribute_records, front_matter_key, row_fields
from qa_service.index.milvus.index import document_header
from qa_service.index.milvus.keys import (
    CODEC,
    FREQUENCIES,
    PINS,
    SPELLINGS,
    SYNONYMS,
    page_lines_key,
    term_key,
    uri_key,
)
from qa_service.index.milvus.records import Records, packed
from qa_service.index.milvus.rows import (
    PASSAGE,
    SCORES,
    TOKENS,
    Tokens,
    passage_field,
    row_value,
    scores_field,
    tokens_field,
)
from qa_service.index.milvus.schema import TERMS
from qa_service.index.words import terms
from qa_service.text.cleaning import embeddable

_MAX_TERMS_CHARACTERS = 65_000


def write_rows(index: OpenIndex, store: MilvusStore, records: Records, *, words: bool) -> None:
    """Write a row for each passage; values that are too long for a row go to the records."""
    scores = index.words.by_passage()
    ids = index.words.vocabulary()
    metadata: dict[str, Any] = {}
    count = len(index)
    for start in range(0, count, ROWS_PER_CALL):
        numbers = np.arange(start, min(count, start + ROWS_PER_CALL))
        rows: list[dict[str, Any]] = []
        overflow: list[tuple[str, str]] = []
        for number in numbers.tolist():
            passage = index.passage(number)
            document = index.document_without_text(passage.document_id)
            if document.id not in metadata:
                metadata = {document.id: index.passages.metadata(document.id)}
            said = index.sentence_terms(number)
            own = slice(int(scores.indptr[number]), int(scores.indptr[number + 1]))
            scored = scores_field(scores.indices[own], scores.data[own])
            token_data = tokens_field(_tokens_of(index, number)) if index.has_tokens else b""
            row = {
                **row_fields(document.id, document.uri, document.title, passage.section_path, metadata[document.id]),
                SCORES: row_value(scored, number, SCORES, overflow),
                TOKENS: row_value(token_data, number, TOKENS, overflow),
                PASSAGE: row_value(passage_field(passage, said), number, PASSAGE, overflow),
            }
            if words:
                heading = terms(embeddable(passage.context), index.manifest.language)
                every = [*(ids[term] for term in heading), *(int(term) for line in said for term in line)]
                row[TERMS] = " ".join(map(str, every))[:_MAX_TERMS_CHARACTERS]
            rows.append(row)
        store.add_rows(numbers, index.vectors(numbers), rows)
        records.write(overflow)


def write_records(index: OpenIndex, records: Records) -> None:
    """Write all data that is read by key: terms, words, documents, passage spans, citations, the token codec."""
    records.write(_term_records(index))
    records.write([(SPELLINGS, index.words.spellings.dump()), (SYNONYMS, index.words.synonyms.dump())])
    if index.manifest.has_pins:
        records.write([(PINS, index.pins.dump())])
    records.write(_document_records(index))
    records.write(attribute_records(index.passages.metadata(document.id) for document in _documents(index)))
    records.write(
        (f"cited/{identifier}", json.dumps([uri, start, text]))
        for identifier, uri, start, text in index.passages.retired()
    )
    if index.tokens is not None:
        frequencies = json.dumps(index.tokens.frequencies.tolist())
        records.write([(CODEC, json.dumps(index.tokens.codec.to_array().tolist())), (FREQUENCIES, frequencies)])


def _term_records(index: OpenIndex) -> Iterator[tuple[str, str]]:
    for term, number in index.words.vocabulary().items():
        if term:
            yield term_key(term), f"{number} {len(index.words.posting(number)[0])}"


def _documents(index: OpenIndex) -> Iterator[SourceDocument]:
    """Yield all documents with empty texts."""
    after = ""
    while some := index.list_documents(after, 100):
        yield from some
        after = some[-1].id


def _document_records(index: OpenIndex) -> Iterator[tuple[str, str]]:
    for header in _documents(index):
        document = index.document(header.id) or header
        yield f"document/{document.id}", document_header(document)
        yield f"text/{document.id}", document.text
        yield front_matter_key(document.id), json.dumps(index.passages.metadata(document.id))
        yield uri_key(document.uri), document.id
        for page, lines in index.passages.page_lines(document.id).items():
            yield page_lines_key(document.id, page), packed(lines)
        numbers = index.overlapping(document.id, 0, 2**62)
        places = [(number, index.passage(number)) for number in numbers]
        spans = [(number, own.position.start_char, own.position.end_char) for number, own in places]
        yield f"spans/{document.id}", json.dumps(spans)
        for number, own in places:
            start = own.position.start_char
            identifier = passage_id(document.uri, start, own.text)
            yield f"cited/{identifier}", json.dumps([document.uri, start, number])


def _tokens_of(index: OpenIndex, number: int) -> Tokens:
    stored = index.tokens
    if stored is None:
        raise ValueError("the index was built without token vectors")
    first, last = int(stored.starts[number]), int(stored.starts[number + 1])
    own = slice(first, last)
    codes = stored.codes.read([(first, last)])
    return Tokens(codes, stored.lengths[own], stored.ids[own].astype(np.int32), index.token_rows(number))
