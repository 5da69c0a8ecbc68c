"""Builds the token files of a new index: passages are spooled to one file in any order, then written in order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qa_service.datatypes import ByteArray, Float16Array, FloatArray, Int32Array, IntArray, Offsets
from qa_service.embedding import TokenEmbeddings
from qa_service.index.tokens.codec import COMPONENTS, COMPONENTS_PER_BYTE, Codec
from qa_service.index.tokens.tokens import (
    CODEC,
    CODES,
    FREQUENCIES,
    IDS,
    LENGTHS,
    SENTENCES,
    STARTS,
    PassageTokens,
)

MAX_PASSAGE_BYTES = 16_384
_FIT_TOKENS = 50_000  # the codec is fitted to the first so many
_LENGTH_BYTES, _ID_BYTES = 2, 4
_SPOOL = "tokens.spool"
_COLUMNS = {CODES: "codes", LENGTHS: "length", IDS: "id"}


@dataclass(frozen=True, slots=True)
class PackedTokens:
    """A passage's tokens to be stored: ids (t,), vectors (t, d), codes (t, k / 2) if there was a codec already."""

    ids: Int32Array
    vectors: FloatArray
    codes: ByteArray | None
    sentences: bytes


class PassageTokensBuilder:
    """Collects passages' tokens in any order, in a file in ``folder`` and a few numbers a passage in memory.

    Without a ``codec``, that of the first stored tokens is used, or else one is fitted to the first tokens, which
    should be a representative sample. ``order_tokens`` are written, and ``copy_passages`` copied, at a time.
    """

    def __init__(
        self,
        passages: int,
        folder: Path,
        codec: Codec | None = None,
        *,
        order_tokens: int = 100_000,
        copy_passages: int = 500,
    ) -> None:
        self._order_tokens = order_tokens
        self._copy_passages = copy_passages
        self._folder = folder
        self._spool = (folder / _SPOOL).open("wb")
        self._codec = codec
        self._waiting: list[tuple[int, PackedTokens]] = []
        self._waiting_rows = 0
        self._rows = 0
        self._first = np.full(passages, -1, np.int64)
        self._counts = np.zeros(passages, np.int64)
        self._sentences: list[bytes] = [b""] * passages
        self._frequencies = np.zeros(0, np.int32)

    def add_stored(
        self, numbers: IntArray, stored: PassageTokens, passages: IntArray, rows: IntArray, sentences: IntArray
    ) -> None:
        """Copy the encoded tokens of n passages to ``numbers`` (n,); consecutive passages are copied together.

        ``passages`` (n,) are their numbers in ``stored``, ``rows`` (n,) the rows of their first sentences in
        ``stored.sentences``, ``sentences`` (n,) their numbers of sentences. Raises ``ValueError`` if ``stored`` has
        another codec than the tokens before.
        """
        if stored.codec is not self._codec:
            if self._codec is not None and not self._codec.same_as(stored.codec):
                raise ValueError("the stored tokens have another codec")
            self._codec = stored.codec
        follows = (np.diff(numbers) == 1) & (np.diff(passages) == 1) & (np.diff(rows) == sentences[:-1])
        for run in np.split(np.arange(len(numbers)), np.flatnonzero(~follows) + 1):
            for start in range(0, len(run), self._copy_passages):
                some = run[start : start + self._copy_passages]
                ends = rows[some[0]] + np.concatenate([[0], np.cumsum(sentences[some])])
                self._take(int(numbers[some[0]]), stored, int(passages[some[0]]), ends)

    def _take(self, number: int, stored: PassageTokens, passage: int, ends: IntArray) -> None:
        """Copy consecutive passages; ``ends`` are the boundaries of their sentences in ``stored.sentences``."""
        starts = stored.starts[passage : passage + len(ends)]
        rows = slice(int(starts[0]), int(starts[-1]))
        for place, (first, last) in enumerate(pairwise(ends.tolist()), start=number):
            self._sentences[place] = np.ascontiguousarray(stored.sentences[first:last], np.int32).tobytes()
        codes = stored.codes.read([(rows.start, rows.stop)])
        self._write(number, np.diff(starts), codes, stored.lengths[rows], stored.ids[rows])

    def pack(self, text: str, tokens: TokenEmbeddings, sentences: Sequence[Offsets]) -> PackedTokens:
        """Select and encode a passage's tokens, except those without a letter or digit and those beyond 16 KB.

        Other threads than that of :meth:`add` may call this.
        """
        said = np.cumsum(np.fromiter(map(str.isalnum, text), np.int64, len(text)))
        before = np.concatenate([[0], said])
        spoken = before[tokens.spans[:, 1]] > before[tokens.spans[:, 0]]
        dimension = min(COMPONENTS, tokens.vectors.shape[1])
        most = MAX_PASSAGE_BYTES // (dimension // COMPONENTS_PER_BYTE + _LENGTH_BYTES + _ID_BYTES)
        kept = np.flatnonzero(spoken if spoken.any() else np.ones(len(spoken), bool))[:most]
        vectors, codec = tokens.vectors[kept], self._codec
        codes = None if codec is None else codec.encode(vectors)
        ranges = _row_ranges(tokens.spans[kept], sentences)
        return PackedTokens(tokens.ids[kept].astype(np.int32), vectors, codes, ranges.tobytes())

    def add(self, number: int, packed: PackedTokens) -> None:
        """Add a passage's tokens."""
        self._sentences[number] = packed.sentences
        self._waiting.append((number, packed))
        self._waiting_rows += len(packed.ids)
        if self._codec is not None or self._waiting_rows >= _FIT_TOKENS:
            self._write_waiting()

    def _write_waiting(self) -> None:
        if not self._waiting:
            return
        if self._codec is None:
            self._codec = Codec.fit(np.concatenate([packed.vectors for _, packed in self._waiting]))
        for number, packed in self._waiting:
            codes = self._codec.encode(packed.vectors) if packed.codes is None else packed.codes
            self._write(number, np.array([len(codes)]), codes, self._codec.lengths(codes), packed.ids)
        self._waiting.clear()

    def _write(
        self,
        number: int,
        counts: IntArray,
        codes: ByteArray,
        lengths: Float16Array,
        ids: Int32Array,
    ) -> None:
        """Write the tokens of consecutive passages from ``number`` on, with ``counts`` tokens each."""
        records = np.empty(len(ids), self._record(codes.shape[1]))
        records["codes"], records["length"], records["id"] = codes, lengths, ids
        self._spool.write(records.tobytes())
        numbers = slice(number, number + len(counts))
        self._first[numbers], self._counts[numbers] = self._rows + np.cumsum(counts) - counts, counts
        self._rows += len(ids)
        most = int(ids.max(initial=-1)) + 1
        if most > len(self._frequencies):
            self._frequencies = np.pad(self._frequencies, (0, most - len(self._frequencies)))
        # Sorting is faster than numpy.unique, which hashes and took half of the time.
        in_each = np.sort(np.repeat(np.arange(len(counts)), counts) * most + ids)
        first_of_each = in_each[np.diff(in_each, prepend=-1) > 0]
        self._frequencies += np.bincount(first_of_each % max(1, most), minlength=len(self._frequencies))

    @staticmethod
    def _record(width: int) -> np.dtype[np.void]:
        return np.dtype([("codes", np.uint8, (width,)), ("length", np.float16), ("id", np.int32)])

    def finish(self) -> dict[str, int]:
        """Write the files for :meth:`PassageTokens.load`; return the number of entries of each.

        Raises ``ValueError`` if a passage is missing.
        """
        self._write_waiting()
        self._spool.close()
        missing = int((self._first < 0).sum())
        if self._codec is None or missing:
            raise ValueError(f"tokens of {missing} passages out of {len(self._first)} are missing")
        width = self._codec.projection.shape[1] // COMPONENTS_PER_BYTE
        record = self._record(width)
        spool = np.memmap(self._folder / _SPOOL, record, "r") if self._rows else np.empty(0, record)
        for name, column in _COLUMNS.items():
            with (self._folder / name).open("wb") as file:
                values = np.empty(0, record)[column]
                shape = (self._rows, *values.shape[1:])
                header = {"descr": np.lib.format.dtype_to_descr(values.dtype), "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for records in self._in_order(spool):
                    file.write(np.ascontiguousarray(records[column]).tobytes())
        small: dict[str, npt.NDArray[Any]] = {
            STARTS: np.concatenate([[0], np.cumsum(self._counts)]).astype(np.int64),
            SENTENCES: np.frombuffer(b"".join(self._sentences), np.int32).reshape(-1, 2),
            FREQUENCIES: self._frequencies,
            CODEC: self._codec.to_array(),
        }
        for name, values in small.items():
            np.save(self._folder / name, values, allow_pickle=False)
        (self._folder / _SPOOL).unlink()
        return dict.fromkeys(_COLUMNS, self._rows) | {name: len(values) for name, values in small.items()}

    def drop(self) -> None:
        """Discard all tokens and leave no file behind."""
        self._spool.close()
        (self._folder / _SPOOL).unlink()

    def _in_order(self, spool: npt.NDArray[np.void]) -> Iterator[npt.NDArray[np.void]]:
        """Yield batches of records in the order of the passages' numbers."""
        some: list[npt.NDArray[np.void]] = []
        rows = 0
        for start, end in self._ranges():
            some.append(spool[start:end])
            rows += end - start
            if rows >= self._order_tokens:
                yield np.concatenate(some)
                some, rows = [], 0
        if some:
            yield np.concatenate(some)

    def _ranges(self) -> Iterator[tuple[int, int]]:
        """Yield the record ranges of all passages in the order of their numbers, merged where they are adjacent."""
        last = self._first + self._counts
        apart = np.flatnonzero(self._first[1:] != last[:-1]) + 1
        for start, end in zip(self._first[np.r_[:1, apart]].tolist(), last[np.r_[apart - 1, -1]].tolist(), strict=True):
            for first in range(start, end, self._order_tokens):
                yield first, min(first + self._order_tokens, end)


def _row_ranges(spans: IntArray, sentences: Sequence[Offsets]) -> Int32Array:
    """Return the row range of each sentence; tokens and sentences are both in reading order."""
    starts, ends = np.array(sentences, np.int64).reshape(-1, 2).T
    firsts = np.searchsorted(spans[:, 1], starts, side="right")
    lasts = np.searchsorted(spans[:, 0], ends, side="left")
    return np.column_stack([firsts, lasts]).astype(np.int32)
