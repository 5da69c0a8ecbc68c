"""Builds the token files of a new index: passages are spooled to one file in any order, then written in order.

Those of another index are read from its files only then.
"""

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
    StoredRows,
)

MAX_PASSAGE_BYTES = 16_384
_FIT_TOKENS = 50_000  # the codec is fitted to the first so many
_WRITE_TOKENS = 8_192  # later ones are written so many at a time
_COUNTED_PASSAGES = 500  # at once
_LENGTH_BYTES, _ID_BYTES = 2, 4
_SMALL_VOCABULARY = 1 << 16  # token ids below take two bytes
_SPOOL = "tokens.spool"
_COLUMNS = {CODES: "codes", LENGTHS: "length", IDS: "id"}


@dataclass(frozen=True, slots=True)
class PackedTokens:
    """A passage's tokens to be stored: ids (t,), vectors (t, d), codes (t, k / 4) if there was a codec already."""

    ids: IntArray
    vectors: FloatArray
    codes: ByteArray | None
    sentences: bytes


class PassageTokensBuilder:
    """Collects passages' tokens in any order, in a file in ``folder`` and a few numbers a passage in memory.

    Without a ``codec``, that of the first stored tokens is used, or else one is fitted to the first tokens, which
    should be a representative sample. ``order_tokens`` are written at a time.
    """

    def __init__(
        self,
        passages: int,
        folder: Path,
        codec: Codec | None = None,
        *,
        order_tokens: int = 100_000,
    ) -> None:
        self._order_tokens = order_tokens
        self._folder = folder
        self._spool = (folder / _SPOOL).open("wb")
        self._codec = codec
        self._waiting: list[tuple[int, PackedTokens]] = []
        self._waiting_rows = 0
        self._rows = 0
        self._folders = [folder]
        """The folders of the rows: that of the spool, then those of stored tokens."""
        self._source = np.zeros(passages, np.int32)
        self._first = np.full(passages, -1, np.int64)
        self._counts = np.zeros(passages, np.int64)
        self._sentences: list[bytes] = [b""] * passages
        self._frequencies = np.zeros(0, np.int32)

    def add_stored(
        self, numbers: IntArray, stored: PassageTokens, passages: IntArray, rows: IntArray, sentences: IntArray
    ) -> None:
        """Add the encoded tokens of n passages as ``numbers`` (n,); :meth:`finish` copies them from the stored files.

        ``passages`` (n,) are their numbers in ``stored``, ``rows`` (n,) the rows of their first sentences in
        ``stored.sentences``, ``sentences`` (n,) their numbers of sentences. Raises ``ValueError`` if ``stored`` has
        another codec than the tokens before.
        """
        if stored.codec is not self._codec:
            if self._codec is not None and not self._codec.same_as(stored.codec):
                raise ValueError("the stored tokens have another codec")
            self._codec = stored.codec
        self._source[numbers] = len(self._folders)
        self._folders.append(stored.folder)
        self._first[numbers] = stored.starts[passages]
        self._counts[numbers] = stored.starts[passages + 1] - stored.starts[passages]
        for number, first, last in zip(numbers.tolist(), rows.tolist(), (rows + sentences).tolist(), strict=True):
            self._sentences[number] = np.ascontiguousarray(stored.sentences[first:last], np.int32).tobytes()
        for some in np.array_split(numbers, -(-len(numbers) // _COUNTED_PASSAGES)) if len(numbers) else ():
            ids = [stored.ids[start:end] for start, end in _runs(self._first[some], self._counts[some])]
            self._count(self._counts[some], np.concatenate(ids).astype(np.int64))

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
        return PackedTokens(tokens.ids[kept], vectors, codes, ranges.tobytes())

    def add(self, number: int, packed: PackedTokens) -> None:
        """Add a passage's tokens."""
        self._sentences[number] = packed.sentences
        self._waiting.append((number, packed))
        self._waiting_rows += len(packed.ids)
        if self._waiting_rows >= (_FIT_TOKENS if self._codec is None else _WRITE_TOKENS):
            self._write_waiting()

    def _write_waiting(self) -> None:
        if not self._waiting:
            return
        numbers, waiting = zip(*self._waiting, strict=True)
        if self._codec is None:
            self._codec = Codec.fit(np.concatenate([packed.vectors for packed in waiting]))
        codes = np.concatenate(
            [self._codec.encode(packed.vectors) if packed.codes is None else packed.codes for packed in waiting]
        )
        ids = np.concatenate([packed.ids for packed in waiting])
        counts = np.array([len(packed.ids) for packed in waiting])
        self._write(np.array(numbers), counts, codes, self._codec.lengths(codes), ids)
        self._waiting.clear()
        self._waiting_rows = 0

    def _write(
        self,
        numbers: IntArray,
        counts: IntArray,
        codes: ByteArray,
        lengths: Float16Array,
        ids: IntArray,
    ) -> None:
        """Write the tokens of some passages, which have ``counts`` tokens each."""
        records = np.empty(len(ids), self._record(codes.shape[1]))
        records["codes"], records["length"], records["id"] = codes, lengths, ids
        self._spool.write(records.tobytes())
        self._first[numbers], self._counts[numbers] = self._rows + np.cumsum(counts) - counts, counts
        self._rows += len(ids)
        self._count(counts, ids)

    def _count(self, counts: IntArray, ids: IntArray) -> None:
        """Count in how many of some passages, which have ``counts`` tokens each, each id occurs."""
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
        rows = int(self._counts.sum())
        record = self._record(self._codec.projection.shape[1] // COMPONENTS_PER_BYTE)
        spool = np.memmap(self._folder / _SPOOL, record, "r") if self._rows else np.empty(0, record)
        for name, column in _COLUMNS.items():
            values = spool[column]
            is_small = name == IDS and len(self._frequencies) <= _SMALL_VOCABULARY
            kind = np.dtype(np.uint16) if is_small else values.dtype
            with (self._folder / name).open("wb") as file:
                shape = (rows, *values.shape[1:])
                header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for part in self._in_order(name, values):
                    file.write(part.astype(kind).tobytes())
        small: dict[str, npt.NDArray[Any]] = {
            STARTS: np.concatenate([[0], np.cumsum(self._counts)]).astype(np.int64),
            SENTENCES: np.frombuffer(b"".join(self._sentences), np.int32).reshape(-1, 2),
            FREQUENCIES: self._frequencies,
            CODEC: self._codec.to_array(),
        }
        for name, values in small.items():
            np.save(self._folder / name, values, allow_pickle=False)
        (self._folder / _SPOOL).unlink()
        return dict.fromkeys(_COLUMNS, rows) | {name: len(values) for name, values in small.items()}

    def drop(self) -> None:
        """Discard all tokens and leave no file behind."""
        self._spool.close()
        (self._folder / _SPOOL).unlink()

    def _in_order(self, name: str, spool: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
        """Yield the rows of a file in the order of the passages' numbers, from the spool and from stored files."""
        opened, stored = 0, None
        edges = np.flatnonzero(np.diff(self._source, prepend=-1, append=-1))
        for first, last in pairwise(edges.tolist()):
            source = int(self._source[first])
            if source and source != opened:
                opened, stored = source, StoredRows(self._folders[source] / name, max_bytes_in_memory=0)
            for start, end in _runs(self._first[first:last], self._counts[first:last]):
                for at in range(start, end, self._order_tokens):
                    rows = (at, min(at + self._order_tokens, end))
                    yield spool[slice(*rows)] if not source or stored is None else stored.read([rows])


def _runs(first: IntArray, counts: IntArray) -> Iterator[Offsets]:
    """Yield the row ranges of passages, given by their first rows and counts, in order; adjacent ones are merged."""
    last = first + counts
    apart = np.flatnonzero(first[1:] != last[:-1]) + 1
    yield from zip(first[np.r_[:1, apart]].tolist(), last[np.r_[apart - 1, -1]].tolist(), strict=True)


def _row_ranges(spans: IntArray, sentences: Sequence[Offsets]) -> Int32Array:
    """Return the row range of each sentence; tokens and sentences are both in reading order."""
    starts, ends = np.array(sentences, np.int64).reshape(-1, 2).T
    firsts = np.searchsorted(spans[:, 1], starts, side="right")
    lasts = np.searchsorted(spans[:, 0], ends, side="left")
    return np.column_stack([firsts, lasts]).astype(np.int32)
