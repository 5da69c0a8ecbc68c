"""How a passage lies in a row of the shared store, and the rows that were read lately."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from cachetools import LRUCache

from qa_service.datatypes import ByteArray, Float16Array, FloatArray, Int32Array, IntArray, Passage, Position
from qa_service.index.milvus.collection import MilvusStore
from qa_service.index.milvus.filtering import DOCUMENT, MAX_NAMES, METADATA, SECTIONS, URI
from qa_service.index.milvus.records import LONGEST, Records, packed
from qa_service.index.milvus.schema import VECTOR

SCORES, TOKENS, PASSAGE = "scores", "tokens", "passage"
_REMEMBERED = 4_000
_ELSEWHERE = "@"
Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Tokens:
    """A passage's tokens as they are stored: codes (t, w), lengths (t,), ids (t,), and row ranges (sentences, 2)."""

    codes: ByteArray
    lengths: Float16Array
    ids: Int32Array
    sentences: Int32Array


@dataclass(frozen=True, slots=True)
class Scored:
    """What ranks a passage first: its vector (d,), and its terms with the BM25 score of each."""

    vector: FloatArray
    terms: Int32Array
    scores: FloatArray

    def sum(self, terms: Int32Array) -> float:
        """Return the sum of the scores of some terms, which come in order."""
        places = np.minimum(np.searchsorted(self.terms, terms), max(0, len(self.terms) - 1))
        found = self.terms[places] == terms if len(self.terms) else np.zeros(len(terms), bool)
        return float(self.scores[places[found]].sum(dtype=np.float32))


@dataclass(frozen=True, slots=True)
class Detailed:
    """All else of a passage: itself, the terms of each of its sentences, its tokens if there are any."""

    passage: Passage
    sentence_terms: list[Int32Array]
    tokens: Tokens | None


def extra_fields() -> dict[str, dict[str, Any]]:
    """Return the fields of a row besides its id, its vector and its terms."""
    from pymilvus import DataType  # noqa: PLC0415 - an extra

    names = {
        "datatype": DataType.ARRAY,
        "element_type": DataType.VARCHAR,
        "max_capacity": MAX_NAMES,
        "max_length": 32,
    }
    text = {"datatype": DataType.VARCHAR, "max_length": 65_535}
    return {
        DOCUMENT: {"datatype": DataType.VARCHAR, "max_length": 64},
        URI: text,
        SECTIONS: names,
        METADATA: names,
        SCORES: text,
        TOKENS: text,
        PASSAGE: text,
    }


def scores_field(terms: Int32Array, scores: FloatArray) -> bytes:
    """Return terms and their scores as bytes."""
    return terms.astype("<i4").tobytes() + scores.astype("<f4").tobytes()


def _scored(vector: Sequence[float], data: bytes) -> Scored:
    half = len(data) // 2
    terms, scores = np.frombuffer(data[:half], "<i4"), np.frombuffer(data[half:], "<f4")
    return Scored(np.array(vector, np.float32), terms, scores)


def tokens_field(tokens: Tokens) -> bytes:
    """Return tokens as bytes, their numbers first."""
    sizes = np.array([*tokens.codes.shape, len(tokens.sentences)], "<i4")
    spans, ids, lengths = tokens.sentences.astype("<i4"), tokens.ids.astype("<i4"), tokens.lengths.astype("<f2")
    return b"".join(part.tobytes() for part in (sizes, spans, ids, lengths, tokens.codes))


def _tokens(data: bytes) -> Tokens:
    rows, width, sentences = np.frombuffer(data, "<i4", 3).tolist()
    at = 12
    spans = np.frombuffer(data, "<i4", 2 * sentences, at).reshape(-1, 2)
    at += spans.nbytes
    ids = np.frombuffer(data, "<i4", rows, at)
    at += ids.nbytes
    lengths = np.frombuffer(data, "<f2", rows, at)
    at += lengths.nbytes
    return Tokens(np.frombuffer(data, np.uint8, rows * width, at).reshape(rows, width), lengths, ids, spans)


def passage_field(passage: Passage, sentence_terms: Sequence[Int32Array]) -> bytes:
    """Return a passage and its sentences' terms as bytes."""
    place = passage.position
    content = [
        *(passage.document_id, passage.text, passage.section_path, passage.context),
        *(place.start_char, place.end_char, place.start_utf16, place.end_utf16),
        *(place.start_byte, place.end_byte, place.start_line, place.end_line),
        *(passage.sentences, [terms.tolist() for terms in sentence_terms]),
    ]
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _passage(number: int, data: bytes) -> tuple[Passage, list[Int32Array]]:
    document_id, text, path, context, *place, sentences, terms = json.loads(data.decode("utf-8", "surrogatepass"))
    spans = tuple((start, end) for start, end in sentences)
    passage = Passage(number, document_id, text, tuple(path), context, Position(*place), spans)
    return passage, [np.array(own, np.int32) for own in terms]


def overflow_key(number: int, field: str) -> str:
    """Return under which key the value of a field stands that is too long for its row."""
    return f"row/{number}/{field}"


def row_value(data: bytes, number: int, field: str, overflow: list[tuple[str, str]]) -> str:
    """Return the value of a field; one that is too long is added to ``overflow``, and the field tells so."""
    value = packed(data)
    if len(value) <= LONGEST:
        return value
    overflow.append((overflow_key(number, field), value))
    return _ELSEWHERE


class Rows:
    """Reads rows by number; those read lately stay in memory, as they never change."""

    def __init__(self, store: MilvusStore, records: Records) -> None:
        self._store = store
        self._records = records
        self._first: LRUCache[int, Scored] = LRUCache(_REMEMBERED)
        self._second: LRUCache[int, Detailed] = LRUCache(_REMEMBERED)

    def scored(self, numbers: IntArray) -> list[Scored]:
        """Return vectors, terms and scores of passages, in one call of the server."""
        return self._read(self._first, numbers, (VECTOR, SCORES), self._to_scored)

    def detailed(self, numbers: IntArray) -> list[Detailed]:
        """Return passages with their tokens, in one call of the server."""
        return self._read(self._second, numbers, (TOKENS, PASSAGE), self._to_detailed)

    def _read(
        self,
        remembered: LRUCache[int, Read],
        numbers: IntArray,
        fields: Sequence[str],
        read: Callable[[int, Mapping[str, Any]], Read],
    ) -> list[Read]:
        wanted: list[int] = numbers.tolist()
        found = {number: remembered[number] for number in wanted if number in remembered}
        missing = np.array([number for number in wanted if number not in found], np.int64)
        if len(missing):
            for number, row in self._store.rows(missing, fields).items():
                found[number] = remembered[number] = read(number, row)
        return [found[number] for number in wanted]

    def _to_scored(self, number: int, row: Mapping[str, Any]) -> Scored:
        return _scored(row[VECTOR], self._data(number, SCORES, row))

    def _to_detailed(self, number: int, row: Mapping[str, Any]) -> Detailed:
        passage, terms = _passage(number, self._data(number, PASSAGE, row))
        data = self._data(number, TOKENS, row)
        return Detailed(passage, terms, _tokens(data) if data else None)

    def _data(self, number: int, field: str, row: Mapping[str, Any]) -> bytes:
        value: str | None = row[field]
        if value == _ELSEWHERE:
            value = self._records.one(overflow_key(number, field))
        return base64.b64decode(value or "")
