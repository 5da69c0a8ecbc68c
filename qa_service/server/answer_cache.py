"""Cache of recent answers: a generation always answers the same question alike."""

from dataclasses import dataclass

from cachetools import LRUCache

from qa_service.datatypes import Answer, AskOptions, CitedPassage

_BYTES, _BYTES_A_RESULT = 1_000, 2_500
"""Of an answer and of each result, their texts left out; near enough."""


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """Everything that an answer depends on."""

    generation: str
    question: str
    options: AskOptions


class AnswerCache:
    """A least-recently-used cache of up to ``most_bytes``. Not thread-safe."""

    def __init__(self, most_bytes: int) -> None:
        self._known: LRUCache[AnswerKey, Answer] = LRUCache(most_bytes, _size)

    def get(self, key: AnswerKey) -> Answer | None:
        """Return the answer to what was asked before, or ``None``."""
        return self._known.get(key)

    def keep(self, key: AnswerKey, answer: Answer) -> None:
        """Cache an answer, unless it is too large."""
        if _size(answer) <= self._known.maxsize:
            self._known[key] = answer


def _size(answer: Answer) -> int:
    return _BYTES + sum(map(_size_of_result, answer.results))


def _size_of_result(result: CitedPassage) -> int:
    return _BYTES_A_RESULT + 2 * len(result.scored.passage.text)
