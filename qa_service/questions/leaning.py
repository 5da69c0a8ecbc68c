"""Whether a question leans on the one before it: rules of English grammar.

A question leans if it lacks something that the one before it has: the antecedent of a pronoun, a verb, the complement
of a noun, a content word. The rules rather miss a follow-up than take a question that stands alone for one. Titles ask
without antecedents too ("who sang he ain't heavy"), and "they" and "it" may mean nobody in particular ("when did they
stop making pennies", "how long does it take to fly to Seoul").
"""

import re

from qa_service.questions.function_words import word_set
from qa_service.questions.grammar import (
    ASKING,
    AUXILIARIES,
    BE,
    CONJUNCTIONS,
    DEMONSTRATIVES,
    DO,
    HAVE,
    LEAD,
    MODALS,
    OBJECTS,
    PARTICLES,
    POSSESSIVES,
    PREPOSITIONS,
    PRONOUNS,
    RELATIONAL,
    SUBJECTS,
    ParsedQuestion,
)

_MAX_CHARACTERS = 200
_MAX_WORDS = 16
"""Longer questions name their subject."""
_ABOUT = re.compile(r"\s*(?:what|how)\s+about\b", re.IGNORECASE)
_BRIEF, _SHORT, _LONG = 4, 6, 9
"""Numbers of words; the rules hold up to one of them."""
_FEW, _SOME, _MANY = 2, 4, 6
"""Numbers of content words."""
_MIN_NOUN_CHARACTERS = 4
_COMPARED = word_set("bigger larger smaller older newer better worse higher lower longer shorter greater faster slower")
_COMPARING = word_set("or than")
_ANSWERING = word_set("react respond reply")
_TIMES = word_set("year years month week weekend season time date morning evening day century summer winter")
_OF_NOBODY = word_set("snow snowed rain rained hail cold hot warm dark take takes cost costs mean")
"""Words behind an "it" that is nobody: "How long does it take to …?", "Does it get cold in …?"."""
_WITH_TO = word_set("related connected compared linked tied attached limited opposed similar relevant native close due")
"""Words whose "to" begins no clause: "How is it related to Old Norse?"."""
_OF_SOMEBODY = word_set("become come originate die look seem differ belong")
"""Verbs of "they" that need somebody."""
_COUNTED = word_set("many much which some any all each most none both two three part")
_OWN_PLACE = word_set("around behind inside under between among near for like")
"""Prepositions whose object may be the subject itself: "Which flags did Tesla see behind him?"."""
_NOT_BEFORE_OBJECT = ASKING | BE | HAVE | word_set("in on with within the a and like")
_PLACING = word_set("in on at from")
_CHOOSING = word_set("a the another which")
_INSIDE = word_set("in on with within")
_ENDS = PREPOSITIONS | PARTICLES | word_set("the end first again then now exactly afterwards later together instead")
_ARTICLES = word_set("a an the")
_NEGATION = word_set("t not")
_CLAUSE_FOLLOWS = word_set("how why whether what which when if that or")


def leans(question: str, before: str = "") -> bool:
    """Tell whether a question leans on the turn ``before`` it, or on one that is not known."""
    if len(question) > _MAX_CHARACTERS:
        return False
    if _ABOUT.match(question, lead.end() if (lead := LEAD.match(question)) else 0):
        return len(question.split()) <= _LONG
    parsed = ParsedQuestion.of(question)
    if not 0 < len(parsed) <= _MAX_WORDS:
        return False
    return any(rule(parsed) for rule in _RULES) or _takes_up_a_noun(parsed, before)


def _is_fragment(w: ParsedQuestion) -> bool:
    """Find questions without a verb: "And in 2018?", "For how long?", "How many launchers?"."""
    if w.verb is not None or w.has_speaker or w.is_request:
        return False
    if w.asks is None:
        if w.is_led:
            return len(w) <= _SHORT and w.content() <= _SOME and not w.has(ASKING)
        return len(w) <= _BRIEF and w.words[0] in PREPOSITIONS | POSSESSIVES
    rest = w.words[w.asks :]
    if len(rest) >= _BRIEF or w.content() > 1 or w.named():
        return False
    if rest[0] == "how":
        return len(rest) == 1 or (rest[1] != "to" and w.asks + 1 not in w.contents)
    # "What crashed?" has a verb, "What year?" has none.
    return w.is_led or rest[0] in ("which", "whose") or (rest[0] == "what" and (w.asks == 1 or rest[-1] in _TIMES))


def _is_bare(w: ParsedQuestion) -> bool:
    """Find questions without a content word: "Why?", "When was that?", "Really?"."""
    asks = w.asks is not None or len(w) <= _FEW
    return asks and not w.content() and not w.has_speaker and "you" not in w.words


def _lacks_complement(w: ParsedQuestion) -> bool:
    """Find verbs and comparisons without a complement: "How did Seoul react?", "How many were killed?"."""
    if w.has_speaker or w.asks is None or len(w) > _SHORT:
        return False
    if w.words[-1] in _ANSWERING:
        return True
    if w.named() or w.content() > _FEW:
        return False
    if w.words[-1] in _COMPARED:
        return not w.has(_COMPARING)
    return w.content() <= 1 and w.verb is not None and w.words[: w.verb] == ["how", "many"]


def _lacks_possessor(w: ParsedQuestion) -> bool:
    """Find nouns that are of something, at the end: "What are the main causes?", "Are there any benefits?"."""
    start = 0 if w.asks is None else w.asks
    if w.words[-1] not in RELATIONAL or w.named() or w.has_speaker or len(w) > _LONG:
        return False
    if w.has(POSSESSIVES | ASKING, start + 1) or w.has(PREPOSITIONS, start):
        return False
    if w.asks is None:
        asked = w.is_request or w.verb == 0
    else:
        asked = w.verb is not None and w.words[w.verb] in BE and not w.content(0, w.verb)
    return asked and w.content() <= _FEW + ("and" in w.words)


def _begins_with_pronoun(w: ParsedQuestion) -> bool:
    """Find "And he?" and "Tell me about its history"."""
    first = w.words[0]
    if w.is_request:
        return first in (POSSESSIVES | OBJECTS) - DEMONSTRATIVES or w.words[:3] == ["some", "of", "its"]
    return w.is_led and first in SUBJECTS | POSSESSIVES


def _has_pronoun_as_subject(w: ParsedQuestion) -> bool:
    """Find pronouns behind the first verb if no antecedent precedes it: "What job did he have?"."""
    if w.verb is None or not _may_lack_antecedent(w, w.verb):
        return False
    place = w.verb + 1 + w.has(_NEGATION, w.verb + 1, w.verb + 2)
    pronoun, after = (w.words[place : place + 1] or [""])[0], w.words[place + 1 :]
    if after[:1] == ["s"] or (pronoun in POSSESSIVES and w.words[w.verb] in HAVE):
        return False
    if pronoun in DEMONSTRATIVES | {"it"} and w.has(_ARTICLES, place + 1, place + 2) and w.content(place) > 1:
        return False  # "Is this the last season of …?"
    if pronoun in DEMONSTRATIVES:
        return not after or (after[0] not in _TIMES and w.words[place - 1] != "not")
    if pronoun == "it":
        return not _means_nothing(w, place) and w.content(place) <= _MANY
    return pronoun in SUBJECTS | POSSESSIVES and (pronoun != "they" or _means_somebody(w, place))


def _may_lack_antecedent(w: ParsedQuestion, verb: int) -> bool:
    """Tell whether nothing but what is asked for stands before the verb: "Which of the two treaties did …?"."""
    if not verb:
        return True
    if w.asks is None or w.named(0, verb) or w.has_speaker:
        return False
    asked = w.content(w.asks, verb)
    return not asked or (asked <= _MANY and w.words[w.asks] in ("what", "which", "whose", "how"))


def _means_nothing(w: ParsedQuestion, place: int) -> bool:
    """Tell whether "it" stands for a clause that follows, the weather or the time: "Is it true that …?"."""
    before, after = w.words[place - 1], w.words[place + 1 :]
    first = after[0] if after else ""
    if not _OF_NOBODY.isdisjoint(after[:3]):
        return len(after) > 1
    if "since" in after[:2] or (first == "become" and "to" in after):
        return True
    if w.words[place - 2] in _TIMES and first in ("", "in", "for", "on", "at"):
        return True
    if before not in BE:
        return first == "get" and w.content(0, place) > 0
    if first in ("that", "who", "for", "or", "called"):
        return len(after) > 1 and (first != "called" or w.content(place) > 1)
    adjective = after[after.index("to") - 1] if "to" in after[1:-1][:2] else ""
    is_clause = bool(adjective) and adjective not in _WITH_TO and not adjective.endswith("er")
    return is_clause or not _CLAUSE_FOLLOWS.isdisjoint(after[1:4]) or (after[1:2] == ["for"] and "to" in after)


def _means_somebody(w: ParsedQuestion, place: int) -> bool:
    """Tell whether "they" are somebody in particular, rather than those who build, film or sell something."""
    after = w.words[place + 1 :]
    if w.words[place - 1] not in DO | MODALS:
        return w.content(place) <= _SOME and not (after and after[0].endswith("ing"))
    if w.words[:2] == ["how", "many"] or w.has((PRONOUNS - DEMONSTRATIVES) | _OF_SOMEBODY, place + 1):
        return w.content(place) <= _SOME
    before = "" if w.verb == 0 else w.words[place - 2]
    return w.content(place) <= {"why": _SOME, "how": _SOME, "what": _FEW, "": _FEW}.get(before, 1)


def _has_pronoun_of_several(w: ParsedQuestion) -> bool:
    """Find "How many of them were civilians?" and "What part of its budget …?"."""
    for place in range(1, len(w) - 1):
        pronoun = w.words[place + 1]
        if w.words[place] != "of" or pronoun not in POSSESSIVES | {"them", "these", "those", "it"}:
            continue
        ends = pronoun in POSSESSIVES | {"them"} or place + 2 == len(w)
        if w.words[place - 1] in PREPOSITIONS or not (ends or w.words[place - 1] in _COUNTED):
            return False
        return w.content(0, place) <= _FEW and not w.named(0, place)
    return False


def _has_pronoun_as_object(w: ParsedQuestion) -> bool:
    """Find pronouns at the end of the only clause, whose subject is somebody else: "Did Trump want to meet him?"."""
    place = next((at for at, word in enumerate(w.words) if at and word in OBJECTS), None)
    if place is None or w.has_speaker or (w.asks is None and w.verb != 0):
        return False
    after, last = w.words[place + 1 :], w.words[place - 1]
    if (
        len(after) >= _BRIEF
        or not _ENDS.issuperset(after)
        or last in ASKING | BE | HAVE | _INSIDE | {"the", "a", "and", "like"}
    ):
        return False
    start = 0 if w.asks is None else w.asks + 1
    if w.has(PRONOUNS | CONJUNCTIONS - {"and"}, start, place) or w.content(start, place) > _MANY:
        return False
    if _asks_for_subject(w, start, place):
        # Titles end so too: "who wrote the guitar solo in beat it".
        is_verb = place - 1 in w.contents
        return not is_verb or (w.content(start, place) <= _SOME and not w.has(PREPOSITIONS - {"to"}, start, place))
    if last in _OWN_PLACE and not (last == "for" and w.words[w.verb or 0] in BE):
        return False
    verbs = sum(word in AUXILIARIES for word in w.words[start:place])
    return verbs <= 1 or "to" in w.words[start:place]


def _asks_for_subject(w: ParsedQuestion, start: int, place: int) -> bool:
    """Tell whether the question word is the subject: "Who signed it?", but not "What did Moon do about it?"."""
    if w.asks is None or w.named(start, place) or (w.verb == start and w.words[w.asks] != "who"):
        return False
    return w.verb is None or w.verb > place or w.words[w.verb] not in DO


def _has_pronoun_inside(w: ParsedQuestion) -> bool:
    """Find complements of a noun, which can't be their antecedent: "What is the evidence for it?"."""
    if not w.is_request and (w.words[0] != "what" or w.verb != 1 or w.words[1] not in BE):
        return False
    start = 0 if w.is_request else 2
    if w.words[start : start + 1] not in (["the"], ["a"], ["an"], ["some"]):
        return False
    place = next((at for at, word in enumerate(w.words) if at > start and word in PREPOSITIONS), len(w))
    if place + 1 >= len(w) or w.words[place + 1] not in (OBJECTS | POSSESSIVES) - DEMONSTRATIVES:
        return False
    return w.words[place] not in _INSIDE and w.content(0, place) <= _SOME and not w.named(0, place)


def _has_consequence(w: ParsedQuestion) -> bool:
    """Find "What happens if it is not signed?"."""
    pairs = zip(w.words, w.words[1:], w.words[2:], strict=False)
    return w.words[0] == "what" and any(
        first in ("happens", "happen", "happened") and second in ("if", "when") and third in SUBJECTS
        for first, second, third in pairs
    )


def _points_elsewhere(w: ParsedQuestion) -> bool:
    """Find "What was put up there?", "Is there another one?" and "What else?"."""
    said, end = w.words, w.words[-1]
    if end == "there" and len(w) > 1 and said[-2] not in AUXILIARIES | _NEGATION:
        return w.content() <= _MANY and not w.has(_PLACING, 1)
    if w.has_speaker or w.named() or len(w) > _LONG or w.content() > _FEW:
        return False
    if end == "ones" or said[-2:] == ["the", "others"] or (said[1:2] == ["else"] and len(w) <= _SHORT):
        return True
    one = next((place for place, word in enumerate(said) if word in ("one", "ones") and place), 0)
    return w.has(_CHOOSING, max(one - 2, 0), one)


def _takes_up_a_noun(w: ParsedQuestion, before: str) -> bool:
    """Find a noun of the turn before with "the" or "that" where no name is given: "Who owned the land?"."""
    if not before or w.named() or len(w) > _LONG:
        return False
    for place in w.contents:
        article = w.words[place - 1] if place else ""
        # A word before "that" makes it begin a clause, unless it is the verb: "Who voices that fear?".
        is_clause = place - 2 in w.contents and (w.asks is None or place != w.asks + 3)
        if not (article == "the" and w.content() <= _FEW) and (article not in DEMONSTRATIVES or is_clause):
            continue
        noun = w.words[place].removesuffix("ies").removesuffix("s")
        if len(noun) >= _MIN_NOUN_CHARACTERS and re.search(rf"\b{re.escape(noun)}", before, re.IGNORECASE):
            return True
    return False


_RULES = (
    _is_fragment,
    _is_bare,
    _lacks_complement,
    _lacks_possessor,
    _begins_with_pronoun,
    _has_pronoun_as_subject,
    _has_pronoun_of_several,
    _has_pronoun_as_object,
    _has_pronoun_inside,
    _has_consequence,
    _points_elsewhere,
)
