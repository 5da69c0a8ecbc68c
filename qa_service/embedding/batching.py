"""Which texts share a forward pass."""

from collections.abc import Iterator, Sequence

import numpy as np

_SEED = 20261123
_SHORT = 200  # characters


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
    """Yield the questions that share a forward pass: those of usual length, then each long one by itself.

    In one pass all are padded to the longest, and a long question is not to slow those beside it.
    """
    if short := [question for question in questions if len(question) <= _SHORT]:
        yield short
    yield from ([question] for question in questions if len(question) > _SHORT)
