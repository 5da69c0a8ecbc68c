"""The encoding of a passage as a row in Milvus, and a cache of recently read rows."""

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
from qa_service.index.milvus.records import MAX_FIELD_BYTES, Records, packed
from qa_service.index.milvus.schema import VECTOR

SCORES, TOKENS, PASSAGE = "scores", "tokens", "passage"
_CACHE_SIZE = 4_000  # rows
_ELSEWHERE = "@"
Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Tokens:
    """The stored tokens of a passage: codes (t, w), lengths (t,), ids (t,), and row ranges (sentences, 2)."""

    codes: ByteArray
    lengths: Float16Array
    ids: Int32Array
    sentences: Int32Array


@dataclass(frozen=True, slots=True)
class PassageScores:
    """The data for the first ranking of a passage: its vector (d,), and its terms with their BM25 scores."""

    vector: FloatArray
    terms: Int32Array
    scores: FloatArray

    def sum(self, terms: Int32Array) -> float:
        """Return the sum of the scores of terms, given in increasing order."""
        places = np.minimum(np.searchsorted(self.terms, terms), max(0, len(self.terms) - 1))
        found = self.terms[places] == terms if len(self.terms) else np.zeros(len(terms), bool)
        return float(self.scores[places[found]].sum(dtype=np.float32))


@dataclass(frozen=True, slots=True)
class PassageDetails:
    """All other data of a passage: its text, the terms of each sentence, and its tokens, if any."""

    passage: Passage
    sentence_terms: list[Int32Array]
    tokens: Tokens | None


def extra_fields() -> dict[str, dict[str, Any]]:
    """Return the fields of a row except its id, vector and terms."""
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
    """Encode terms and their scores."""
    return terms.astype("<i4").tobytes() + scores.astype("<f4").tobytes()


def _scored(vector: Sequence[float], data: bytes) -> PassageScores:
    half = len(data) // 2
    terms, scores = np.frombuffer(data[:half], "<i4"), np.frombuffer(data[half:], "<f4")
    return PassageScores(np.array(vector, np.float32), terms, scores)


def tokens_field(tokens: Tokens) -> bytes:
    """Encode tokens, their counts first."""
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
    """Encode a passage and the terms of its sentences."""
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
    """Return the record key of a field's value that is too long for its row."""
    return f"row/{number}/{field}"


def row_value(data: bytes, number: int, field: str, overflow: list[tuple[str, str]]) -> str:
    """Return the value of a field; a value that is too long goes to ``overflow``, and a marker is returned."""
    value = packed(data)
    if len(value) <= MAX_FIELD_BYTES:
        return value
    overflow.append((overflow_key(number, field), value))
    return _ELSEWHERE


class Rows:
    """Reads rows by number, with a cache; rows never change."""

    def __init__(self, store: MilvusStore, records: Records) -> None:
        self._store = store
        self._records = records
        self._scores_cache: LRUCache[int, PassageScores] = LRUCache(_CACHE_SIZE)
        self._details_cache: LRUCache[int, PassageDetails] = LRUCache(_CACHE_SIZE)

    def scores(self, numbers: IntArray) -> list[PassageScores]:
        """Return the vectors, terms and scores of passages, in one call to the server."""
        return self._read(self._scores_cache, numbers, (VECTOR, SCORES), self._to_scored)

    def details(self, numbers: IntArray) -> list[PassageDetails]:
        """Return passages with their tokens, in one call to the server."""
        return self._read(self._details_cache, numbers, (TOKENS, PASSAGE), self._to_detailed)

    def passages(self, numbers: IntArray) -> list[Passage]:
        """Return passages without their tokens; they may be many and are not cached."""
        rows = self._store.rows(numbers, (PASSAGE,))
        return [_passage(number, self._data(number, PASSAGE, rows[number]))[0] for number in numbers.tolist()]

    def _read(
        self,
        cache: LRUCache[int, Read],
        numbers: IntArray,
        fields: Sequence[str],
        read: Callable[[int, Mapping[str, Any]], Read],
    ) -> list[Read]:
        wanted: list[int] = numbers.tolist()
        found = {number: cache[number] for number in wanted if number in cache}
        missing = np.array([number for number in wanted if number not in found], np.int64)
        if len(missing):
            for number, row in self._store.rows(missing, fields).items():
                found[number] = cache[number] = read(number, row)
        return [found[number] for number in wanted]

    def _to_scored(self, number: int, row: Mapping[str, Any]) -> PassageScores:
        return _scored(row[VECTOR], self._data(number, SCORES, row))

    def _to_detailed(self, number: int, row: Mapping[str, Any]) -> PassageDetails:
        passage, terms = _passage(number, self._data(number, PASSAGE, row))
        data = self._data(number, TOKENS, row)
        return PassageDetails(passage, terms, _tokens(data) if data else None)

    def _data(self, number: int, field: str, row: Mapping[str, Any]) -> bytes:
        value: str | None = row[field]
        if value == _ELSEWHERE:
            value = self._records.one(overflow_key(number, field))
        return base64.b64decode(value or "")
