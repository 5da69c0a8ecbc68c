"""The steps from a question as it was typed to what is asked of the documents; each one can be switched off.

=============  =====================================================================================
``wrapping``   greetings, thanks, politeness and odd ends are left out
``spelling``   words that no passage holds are corrected by the words of the passages; both are asked
``synonyms``   acronyms, their long forms and the words of ``synonyms.txt`` are looked for too
``follow_ups`` a question that leans on the ones before it is asked with their words, and as it is
``parts``      a question of several parts is asked part by part too
=============  =====================================================================================
"""

from collections.abc import Collection, Iterable, Sequence

from qa_service.datatypes import Correction, Turn, UnderstoodQuestion
from qa_service.index import Index
from qa_service.questions.follow_ups import complete
from qa_service.questions.languages import foreign_language
from qa_service.questions.parts import parts_of
from qa_service.questions.spelling import Speller, respelled
from qa_service.questions.synonyms import SynonymFinder
from qa_service.questions.wrapping import unwrap
from qa_service.text.cleaning import embeddable

AS_TYPED_STEPS = frozenset({"wrapping", "parts"})
"""The steps of a question that is to be asked as it was typed: they add no word and change none."""


class Interpreter:
    """Understands the questions that are asked of one index. ``steps`` names the steps that are taken."""

    def __init__(self, index: Index, whole_words: Iterable[str], steps: Collection[str]) -> None:
        """Take the steps with an index; ``whole_words`` are spelled right even if no passage holds them."""
        self._steps = frozenset(steps)
        self._words = index.words
        known = frozenset(whole_words)
        self._speller = Speller(index.words, (*known, *index.pins.questions)) if "spelling" in self._steps else None
        self._synonyms = SynonymFinder(index.words, known) if "synonyms" in self._steps else None

    def understand(self, question: str, history: Sequence[Turn] = (), *, filtered: bool = False) -> UnderstoodQuestion:
        """Return a question as understood; ``history`` holds the questions before it, oldest first.

        If the question is ``filtered``, words of the history are not corrected: that could tell words of documents that
        the filters exclude. Corrections of the question itself are checked later, by :meth:`Query.admitted`.
        """
        typed = self._unwrapped(question)
        corrections = self._corrections(typed)
        text = respelled(typed, corrections)
        turns = [Turn(self._unwrapped(turn.question), turn.answer) for turn in history]
        completed = self._completed(text, turns)
        if completed is not None and not filtered:
            turns = [Turn(respelled(turn.question, self._corrections(turn.question)), turn.answer) for turn in turns]
            completed = self._completed(text, turns) or completed
        main = text if completed is None else completed
        others = [*([text] if completed is not None else []), *([typed] if corrections else [])]
        return UnderstoodQuestion(
            main,
            alternatives=tuple(others),
            parts=self._parts_of(text, turns),
            corrections=tuple(corrections),
            expansions=() if self._synonyms is None else tuple(self._synonyms.expand(main)),
            follow_up_of=None if completed is None else history[-1].question,
        )

    def _unwrapped(self, question: str) -> str:
        text = embeddable(question)
        return unwrap(text) if "wrapping" in self._steps else text

    def _corrections(self, text: str) -> list[Correction]:
        """Return the spelling corrections of a question; none if it is in a language that the documents are not in."""
        found = [] if self._speller is None else self._speller.correct(text)
        return [] if found and foreign_language(text, self._is_known) is not None else found

    def _is_known(self, text: str) -> bool:
        return bool(self._words.ids(self._words.terms(text)))

    def _completed(self, text: str, turns: Sequence[Turn]) -> str | None:
        return complete(text, turns) if turns and "follow_ups" in self._steps else None

    def _parts_of(self, text: str, turns: Sequence[Turn]) -> tuple[str, ...]:
        """Return the parts of a question; each may lean on those before it."""
        parts = parts_of(text) if "parts" in self._steps else ()
        before = [*turns]
        found = []
        for part in parts:
            found.append(self._completed(part, before) or part)
            before.append(Turn(part))
        return tuple(found)
