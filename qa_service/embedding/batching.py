"""Which texts share a forward pass, and how one batch is embedded while another is used."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")

_SEED = 20261123
_SHORT = 200  # characters
_TOGETHER = 4  # questions


def in_batches(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Yield the places in ``lengths`` in batches until each came once.

    Texts of like lengths share a batch, so that little is padded; batches come in a fixed random order,
    so that the first few are a fair sample of all.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    batches = [order[start : start + batch_size].tolist() for start in range(0, len(order), batch_size)]
    for number in np.random.default_rng(_SEED).permutation(len(batches)):
        yield batches[number]


def in_passes(questions: Sequence[str]) -> Iterator[list[str]]:
    """Yield the questions that share a forward pass: up to four of like lengths, and each long one by itself.

    In one pass all are padded to the longest: of eight that came together two passes take a sixth less than one.
    """
    in_order = sorted(questions, key=len)
    short = [question for question in in_order if len(question) <= _SHORT]
    yield from (short[start : start + _TOGETHER] for start in range(0, len(short), _TOGETHER))
    yield from ([question] for question in in_order[len(short) :])


def ahead(function: Callable[[_Item], _Made], items: Iterable[_Item]) -> Iterator[tuple[_Item, _Made]]:
    """Yield each item with what a function makes of it in another thread, which goes on to the next one meanwhile."""
    with ThreadPoolExecutor(1, "ahead") as thread:
        waiting: deque[tuple[_Item, Future[_Made]]] = deque()
        for item in items:
            waiting.append((item, thread.submit(function, item)))
            if len(waiting) > 1:
                first, made = waiting.popleft()
                yield first, made.result()
        for item, made in waiting:
            yield item, made.result()
