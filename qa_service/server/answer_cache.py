"""Cache of recent answers: one generation always gives the same answer to the same question and options."""

from dataclasses import dataclass

from cachetools import LRUCache

from qa_service.datatypes import Answer, AskOptions, CitedPassage

_ANSWER_BYTES, _RESULT_BYTES, _BLOCK_BYTES = 2_000, 2_500, 1_000
"""Approximate memory of an answer with its quotes and reason, of each result without its text, and of each block of
one; but no vector."""


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """Everything that an answer depends on."""

    generation: str
    question: str
    options: AskOptions


class AnswerCache:
    """A least-recently-used cache of up to ``max_bytes``. Not thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self._known: LRUCache[AnswerKey, Answer] = LRUCache(max_bytes, _size)

    def get(self, key: AnswerKey) -> Answer | None:
        """Return a cached answer, or ``None``."""
        return self._known.get(key)

    def keep(self, key: AnswerKey, answer: Answer) -> None:
        """Cache an answer, unless it is too large."""
        if _size(answer) <= self._known.maxsize:
            self._known[key] = answer


def _size(answer: Answer) -> int:
    vector = 0 if answer.vector is None else answer.vector.nbytes
    return _ANSWER_BYTES + vector + sum(map(_size_of_result, answer.results))


def _size_of_result(result: CitedPassage) -> int:
    return _RESULT_BYTES + 2 * len(result.scored.passage.text) + _BLOCK_BYTES * len(result.blocks or ())
