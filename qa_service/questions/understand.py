"""The steps from a question as it was typed to what is asked of the documents; each one can be switched off.

=============  =====================================================================================
``wrapping``   greetings, thanks, politeness and odd ends are left out
``parts``      a question of several parts is asked part by part too
=============  =====================================================================================
"""

from collections.abc import Collection, Sequence

from qa_service.datatypes import Filters, Turn, UnderstoodQuestion
from qa_service.index import Index
from qa_service.questions.parts import parts_of
from qa_service.questions.wrapping import unwrap
from qa_service.text.cleaning import embeddable


class Interpreter:
    """Understands the questions that are asked of one index. ``steps`` names the steps that are taken."""

    def __init__(self, index: Index, steps: Collection[str]) -> None:
        self._index = index
        self._steps = frozenset(steps)

    def understand(
        self,
        question: str,
        history: Sequence[Turn] = (),  # noqa: ARG002
        filters: Filters | None = None,  # noqa: ARG002
    ) -> UnderstoodQuestion:
        """Return a question as understood; ``history`` holds the questions before it, oldest first.

        Words of the documents come into it only from passages that pass the ``filters``.
        """
        text = embeddable(question)
        if "wrapping" in self._steps:
            text = unwrap(text)
        parts = parts_of(text) if "parts" in self._steps else ()
        return UnderstoodQuestion(text, parts=parts)
