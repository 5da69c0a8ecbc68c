"""The words of an English question by class: what asks, what is a verb, what names a subject, what only refers."""

import re
from dataclasses import dataclass

from qa_service.questions.function_words import word_set

WORD = re.compile(r"[^\W_]+(?:(?:[-.&]|(?<=\d),(?=\d))[^\W_]+)*")
LEAD = re.compile(r"(?:\s*(?:and|but|so|ok|okay|well|then|also|or|oh)\b[\s,]*)+", re.IGNORECASE)
_ADVERBIAL = re.compile(
    r"\s*(?:(?:in|by|since|after|before|until|on) (?:\w+ )?\d[\w,]*|\w+ly|finally|then)\s*,\s*", re.IGNORECASE
)
_REQUEST = re.compile(
    r"\s*(?:(?:please\s+)?(?:tell|show)\s+(?:me|us)(?:\s+more)?(?:\s+about)?|describe|explain)\b\s*", re.IGNORECASE
)


SUBJECTS = word_set("he she it they this that these those")
OBJECTS = word_set("him her it them this that these those")
POSSESSIVES = word_set("his her its their")
DEMONSTRATIVES = word_set("this that these those")
PRONOUNS = SUBJECTS | OBJECTS | POSSESSIVES
ASKING = word_set("who whom whose what which when where why how")
BE = word_set("is are was were be been being am s isn aren wasn weren r")
HAVE = word_set("has have had hasn haven hadn")
DO = word_set("do does did don doesn didn")
MODALS = word_set("can could will would shall should may might must won wouldn couldn shouldn")
AUXILIARIES = BE | HAVE | DO | MODALS
PREPOSITIONS = word_set(
    "of in on at by for with from to about into onto since until till before after under over against between among "
    "through during within without near behind around beside beyond inside outside besides like than as per"
)
PARTICLES = word_set("up down out off back away apart")
CONJUNCTIONS = word_set("and or if while because that who when where which since how what why but whether")
RELATIONAL = word_set(
    "type types kind kinds form forms part parts layer layers component components cause causes reason reasons effect "
    "effects consequence consequences impact implications result results outcome outcomes finding findings conclusion "
    "conclusions advantage advantages disadvantage disadvantages benefit benefits drawback drawbacks pros cons risk "
    "risks danger dangers problem problems limit limits limitations difference differences similarity similarities "
    "symptom symptoms treatment treatments purpose role goal goals aim aims theme themes feature features property "
    "properties characteristics requirement requirements condition conditions exception exceptions example examples "
    "alternative alternatives option options application applications price cost costs size name history origin "
    "origins author authors leader leaders founder founders owner owners winner winners member members deadline "
    "population background significance importance meaning definition steps criteria"
)
"""Nouns that are of something: "the causes" of what?"""
_SPEAKER = word_set("i me my mine we us our ours")
_PLAIN = (
    PRONOUNS
    | ASKING
    | AUXILIARIES
    | PREPOSITIONS
    | PARTICLES
    | CONJUNCTIONS
    | _SPEAKER
    | word_set(
        "a an the so not no yes you your there here then now ever never also too again still yet just only even really "
        "exactly else other others another same such more most less much many few some any all both each every one "
        "ones long often far old big large soon well very quite first last next together instead afterwards later t ll "
        "re ve d"
    )
)


def is_plain(word: str) -> bool:
    """Tell whether a word names no subject."""
    return word.lower() in _PLAIN


@dataclass(frozen=True, slots=True)
class ParsedQuestion:
    """The words of a question in lower case, without a lead ("and …") or a request ("tell me about …").

    ``asks`` is the place of the question word, ``verb`` that of the first auxiliary verb; ``contents`` are the places
    of words that name a subject, ``names`` those of them with a capital.
    """

    words: list[str]
    contents: list[int]
    names: list[int]
    asks: int | None
    verb: int | None
    is_led: bool
    is_request: bool
    has_speaker: bool
    """Whether somebody speaks of themselves, as in a line of a song; "can I …?" does not count."""

    @classmethod
    def of(cls, question: str) -> "ParsedQuestion":
        """Return a question parsed; capitals tell nothing if there is nothing else."""
        text = question.lower() if question.isupper() else question
        starts = []
        for pattern in (LEAD, _ADVERBIAL, _REQUEST):
            found = pattern.match(text)
            text = text[found.end() :] if found else text
            starts.append(found is not None)
        raw = WORD.findall(text)
        low = [word if word == "May" and place else word.lower() for place, word in enumerate(raw)]
        contents = [place for place, word in enumerate(low) if word not in _PLAIN]
        asks = next((place for place, word in enumerate(low[:2]) if word in ASKING), None)
        return cls(
            words=low,
            contents=contents,
            names=[place for place in contents if place and raw[place][0].isupper()],
            asks=None if asks == 1 and low[0] not in PREPOSITIONS else asks,
            verb=next((place for place, word in enumerate(low) if word in AUXILIARIES), None),
            is_led=starts[0],
            is_request=starts[-1],
            has_speaker=any(
                word in _SPEAKER and raw[place] != "US" and low[max(place - 1, 0)] not in DO | MODALS
                for place, word in enumerate(low)
            ),
        )

    def __len__(self) -> int:
        """Return the number of words."""
        return len(self.words)

    def content(self, start: int = 0, end: int = 1_000_000) -> int:
        """Return the number of content words between two places."""
        return sum(start <= place < end for place in self.contents)

    def named(self, start: int = 0, end: int = 1_000_000) -> bool:
        """Tell whether a name stands between two places."""
        return any(start <= place < end for place in self.names)

    def has(self, some: frozenset[str], start: int = 0, end: int | None = None) -> bool:
        """Tell whether one of some words stands between two places."""
        return not some.isdisjoint(self.words[start:end])
