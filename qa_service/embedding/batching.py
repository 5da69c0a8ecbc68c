"""Groups texts into batches, and works on the next ones in other threads while a result is used."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np

from qa_service.datatypes import IntArray

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_SEED = 20261123
_MIN_PADDED_TOKENS = 32
_MAX_SHORT_CHARACTERS = 200
_MAX_BATCH = 4


@dataclass(frozen=True, slots=True)
class Batching:
    """How an embedder wants passages: in how many threads at once, and how many ``tokens`` a batch has with padding.

    Without a number of tokens, the settings say how many passages a batch has.
    """

    threads: int = 1
    tokens: int | None = None


def batches_by_length(
    lengths: Sequence[int] | IntArray, batch_size: int, batch_tokens: int | None = None
) -> Iterator[list[int]]:
    """Yield batches of indices into ``lengths``, each index once.

    A batch has ``batch_size`` texts, or else, padded to the longest, up to ``batch_tokens`` tokens. Texts of similar
    length share a batch, so that little is padded. Batches come in a fixed random order, so that the first few are a
    fair sample of all texts.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    starts, start = [0], 0
    while start < len(order):
        longest = max(int(lengths[order[start]]), _MIN_PADDED_TOKENS)
        start += batch_size if batch_tokens is None else max(1, batch_tokens // longest)
        starts.append(start)
    batches = [order[start:end].tolist() for start, end in pairwise(starts)]
    for number in np.random.default_rng(_SEED).permutation(len(batches)):
        yield batches[number]


def question_batches(questions: Sequence[str]) -> Iterator[list[str]]:
    """Yield batches of up to four questions of similar length; a long question is a batch by itself.

    All questions of a batch are padded to the longest: two passes of four take a sixth less time than one of eight.
    """
    in_order = sorted(questions, key=len)
    short = [question for question in in_order if len(question) <= _MAX_SHORT_CHARACTERS]
    yield from (short[start : start + _MAX_BATCH] for start in range(0, len(short), _MAX_BATCH))
    yield from ([question] for question in in_order[len(short) :])


def prefetch(
    function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int = 1
) -> Iterator[tuple[_Item, _Result]]:
    """Yield each item with the function's result, in order; so many other threads compute the next results meanwhile.

    An error, or an end before the last item, cancels what no thread has begun.
    """
    pool = ThreadPoolExecutor(threads, "prefetch")
    try:
        waiting: deque[tuple[_Item, Future[_Result]]] = deque()
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > threads:
                first, made = waiting.popleft()
                yield first, made.result()
        for item, made in waiting:
            yield item, made.result()
    finally:
        pool.shutdown(cancel_futures=True)
