"""The synonyms of a collection: acronyms found in its documents, and the rules of its ``synonyms.txt``."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qa_service.datatypes import SynonymRule
from qa_service.index.words.acronyms import MAX_ACRONYMS


@dataclass(frozen=True, slots=True)
class Acronym:
    """An acronym, its long form, and the number of documents that introduce it so."""

    short: str
    long: str
    count: int


@dataclass(frozen=True, slots=True)
class Synonyms:
    """The acronyms of a collection, frequent ones first, and the rules of its ``synonyms.txt``."""

    acronyms: tuple[Acronym, ...] = ()
    rules: tuple[SynonymRule, ...] = ()

    @classmethod
    def of(cls, pairs: Iterable[tuple[tuple[str, str], int]], rules: Sequence[SynonymRule] = ()) -> "Synonyms":
        """Return the most frequent of counted pairs of an acronym and a long form, with rules."""
        ordered = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:MAX_ACRONYMS]
        return cls(tuple(Acronym(*pair, count) for pair, count in ordered), tuple(rules))

    @classmethod
    def parse(cls, text: str) -> "Synonyms":
        """Return the synonyms from the result of :meth:`dump`."""
        content = json.loads(text)
        rules = tuple(SynonymRule(tuple(phrases), tuple(others)) for phrases, others in content["rules"])
        return cls(tuple(Acronym(*one) for one in content["acronyms"]), rules)

    def dump(self) -> str:
        """Return the synonyms as JSON."""
        acronyms = [[one.short, one.long, one.count] for one in self.acronyms]
        rules = [[rule.phrases, rule.others] for rule in self.rules]
        return json.dumps({"acronyms": acronyms, "rules": rules}, ensure_ascii=False)

    def __len__(self) -> int:
        """Return the number of acronyms and rules."""
        return len(self.acronyms) + len(self.rules)


NO_SYNONYMS = Synonyms()
