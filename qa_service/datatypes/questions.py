"""Questions: the turns before one, and one as it is understood."""

from dataclasses import dataclass

MAX_TURNS = 10
"""A history has so many turns at most."""


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question of a conversation, and the quote that answered it, if it is known."""

    question: str
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Correction:
    """A word of a question that no passage holds, and the word of the documents that was probably meant."""

    original: str
    corrected: str


@dataclass(frozen=True, slots=True)
class Expansion:
    """A phrase of a question, and the words that the collection also has for it."""

    phrase: str
    synonyms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnderstoodQuestion:
    """A question as it is asked of the documents.

    ``text`` is its main wording. ``alternatives`` are other wordings of the same question, ranked together with it.
    ``parts`` are the questions that it consists of, if there are several. ``follow_up_of`` is the earlier question
    that completes it. ``language`` is the name of the language if it can be told.
    """

    text: str
    alternatives: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    corrections: tuple[Correction, ...] = ()
    expansions: tuple[Expansion, ...] = ()
    follow_up_of: str | None = None
    language: str | None = None

    @property
    def wordings(self) -> tuple[str, ...]:
        """Every text to embed: the main wording, the alternatives, the parts."""
        return (self.text, *self.alternatives, *self.parts)
