"""An open generation in Milvus: the same answers as from disk, with nothing but caches in this process."""

import base64
import json
from collections.abc import Iterable, Iterator
from functools import cached_property

import numpy as np
from cachetools import LRUCache

from qa_service.datatypes import Filters, FloatArray, Int32Array, IntArray, Metadata, Passage, SourceDocument
from qa_service.embedding import TokenEmbeddings
from qa_service.errors import IndexCorrupt
from qa_service.index import Index, Manifest, WordMatch
from qa_service.index.milvus.collection import MilvusStore
from qa_service.index.milvus.filtering import Conditions, front_matter_key
from qa_service.index.milvus.keys import (
    CODEC,
    FREQUENCIES,
    PINS,
    page_lines_key,
    uri_key,
)
from qa_service.index.milvus.records import Records
from qa_service.index.milvus.rows import Rows
from qa_service.index.milvus.words import MAX_CANDIDATES, MilvusWords
from qa_service.index.pins import NO_PINS, Pins
from qa_service.index.tokens import Codec, Similarities, token_weights

_DOCUMENT_CACHE_SIZE = 10_000


class MilvusIndex(Index):
    """A generation in collections of a Milvus server."""

    store: MilvusStore
    words: MilvusWords

    def __init__(self, manifest: Manifest, store: MilvusStore, records: Records, *, words: bool) -> None:
        self.manifest = manifest
        self.generation = manifest.generation
        self.store = store
        self._records = records
        self._rows = Rows(store, records)
        self.words = MilvusWords(store, records, self._rows, manifest, finds=words)
        self._documents: LRUCache[str, SourceDocument] = LRUCache(_DOCUMENT_CACHE_SIZE)
        self._codec: Codec | None = None
        self._frequencies = np.empty(0, np.int32)
        if manifest.has_tokens:
            found = records.get([CODEC, FREQUENCIES])
            if len(found) < 2:  # noqa: PLR2004 - both
                raise IndexCorrupt(f"{store.name} has no codec of token vectors; publish it again")
            self._codec = Codec.from_array(np.array(json.loads(found[CODEC]), np.float32))
            self._frequencies = np.array(json.loads(found[FREQUENCIES]), np.int32)

    @property
    def has_tokens(self) -> bool:
        return self._codec is not None

    @cached_property
    def pins(self) -> Pins:
        """The pinned answers, from one record."""
        found = self._records.one(PINS) if self.manifest.has_pins else None
        if found is None and self.manifest.has_pins:
            raise IndexCorrupt(f"{self.store.name} has no record of its pinned answers; publish it again")
        return NO_PINS if found is None else Pins.parse(found)

    def find(
        self, vector: FloatArray, match: WordMatch | None, depth: int, filters: Filters | None
    ) -> tuple[IntArray, IntArray]:
        """Return the candidates for a question, at most a thousand by each signal."""
        condition = "" if filters is None else Conditions(self._records).of(filters)
        ids, _ = self.store.search(vector[None, :], min(depth, MAX_CANDIDATES), condition)
        return ids[0], np.empty(0, np.int64) if match is None else match.best(depth, condition)

    def __len__(self) -> int:
        return len(self.store)

    def vectors(self, numbers: IntArray) -> FloatArray:
        found = [row.vector for row in self._rows.scores(numbers)]
        return np.array(found, np.float32).reshape(len(numbers), self.manifest.model.dimension)

    def similarities(self, question: TokenEmbeddings, numbers: IntArray) -> Similarities:
        if self._codec is None:
            raise ValueError("the index was built without token vectors")
        found = [row.tokens for row in self._rows.details(numbers) if row.tokens is not None]
        codes = np.concatenate([tokens.codes for tokens in found])
        lengths = np.concatenate([tokens.lengths for tokens in found])
        starts = np.concatenate([[0], np.cumsum([len(tokens.ids) for tokens in found])])
        cosines = self._codec.cosines(question.vectors, codes, lengths)
        return Similarities(cosines, starts, token_weights(question.ids, self._frequencies, len(self)))

    def token_rows(self, number: int) -> Int32Array:
        (row,) = self._rows.details(np.array([number]))
        if row.tokens is None:
            raise ValueError("the index was built without token vectors")
        return row.tokens.sentences

    def passage(self, number: int) -> Passage:
        return self._rows.details(np.array([number]))[0].passage

    def sentence_terms(self, number: int) -> list[Int32Array]:
        return self._rows.details(np.array([number]))[0].sentence_terms

    def document(self, document_id: str) -> SourceDocument | None:
        if not document_id.isalnum() or not document_id.isascii():
            return None
        found = self._records.get([f"document/{document_id}", f"text/{document_id}"])
        if not found:
            return None
        return _document(found[f"document/{document_id}"], found[f"text/{document_id}"])

    def documents_without_text(self, document_ids: Iterable[str]) -> dict[str, SourceDocument]:
        wanted = set(document_ids)
        found = {identifier: self._documents[identifier] for identifier in wanted if identifier in self._documents}
        unknown = sorted(wanted - found.keys())
        headers = self._records.get(f"document/{identifier}" for identifier in unknown) if unknown else {}
        if len(headers) < len(unknown):
            raise IndexCorrupt(f"{self.store.name} has no documents for some passages; publish it again")
        for identifier in unknown:
            found[identifier] = self._documents[identifier] = _document(headers[f"document/{identifier}"], "")
        return found

    def page_lines(self, pages: Iterable[tuple[str, int]]) -> dict[tuple[str, int], bytes]:
        keys = {page: page_lines_key(*page) for page in pages}
        found = self._records.get(keys.values()) if keys else {}
        return {page: base64.b64decode(found[key]) for page, key in keys.items() if key in found}

    def front_matter(self, document_ids: Iterable[str]) -> dict[str, Metadata]:
        keys = {identifier: front_matter_key(identifier) for identifier in document_ids}
        found = self._records.get(keys.values()) if keys else {}
        return {identifier: json.loads(found.get(key, "{}")) for identifier, key in keys.items()}

    def document_id_at(self, uri: str) -> str | None:
        return self._records.one(uri_key(uri))

    def list_documents(self, after: str, limit: int) -> list[SourceDocument]:
        known = after if after.isascii() and after.isalnum() else ""
        keys = self._records.scan("document/", f"document/{known}", limit)
        found = self._records.get(keys)
        return [_document(found[key], "") for key in keys]

    def texts(self) -> Iterator[tuple[str, str]]:
        after = ""
        while some := self.list_documents(after, 100):
            for document in some:
                yield document.uri, self._records.one(f"text/{document.id}") or ""
            after = some[-1].id

    def cited_passage(self, identifier: str) -> tuple[str, int, str] | None:
        found = self._records.one(f"cited/{identifier}")
        if found is None:
            return None
        uri, start, what = json.loads(found)
        return uri, start, self.passage(what).text if isinstance(what, int) else what

    def overlapping(self, document_id: str, start: int, end: int) -> list[int]:
        return [number for number, *_ in self._spans(document_id, start, end)]

    def spans(self, document_id: str, start: int = 0, end: int = 2**62) -> list[tuple[int, int]]:
        return [(first, last) for _, first, last in self._spans(document_id, start, end)]

    def sections(self, document_id: str) -> list[tuple[int, tuple[str, ...]]]:
        passages = self._rows.passages(np.array(self.overlapping(document_id, 0, 2**62), np.int64))
        return [(passage.position.start_char, passage.section_path) for passage in passages]

    def _spans(self, document_id: str, start: int, end: int) -> list[tuple[int, int, int]]:
        found = self._records.one(f"spans/{document_id}")
        every = [] if found is None else json.loads(found)
        return [(number, first, last) for number, first, last in every if first < end and last > start]

    def close(self) -> None:
        """Do nothing: the connection belongs to :class:`MilvusGenerations`."""


def _document(header: str, text: str) -> SourceDocument:
    identifier, uri, title, sha256, source, media_type, url, pages = json.loads(header)
    return SourceDocument(identifier, uri, title, sha256, source, media_type, url, tuple(pages), text)


def document_header(document: SourceDocument) -> str:
    """Return a document without its text as JSON."""
    own = (document.id, document.uri, document.title, document.sha256, document.source, document.media_type)
    return json.dumps([*own, document.url, document.pages])
