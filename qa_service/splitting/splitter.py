"""Document -> passages. ``document.text[start:end] == passage.text``, always.

A section is a sequence of *units*: sentences, or pieces of a sentence too long for one passage. Where to cut it is a
shortest path problem, as in the line breaking of Knuth and Plass (1981): each passage costs the square of the share of
tokens that it leaves unused, and each cut inside a paragraph costs extra. So passages have similar lengths, and end
with a paragraph if one ends nearby. No passage spans two sections. Finally each passage is extended by the last
sentences of the passage before it in its section (the overlap), as context for its own first sentence. A passage that
begins within a table has the table's header row in its context.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import regex

from qa_service.datatypes import Block, Document, Offsets, Passage
from qa_service.splitting.sentences import sentences_of
from qa_service.splitting.table_headers import table_headers
from qa_service.text.cleaning import embeddable
from qa_service.text.positions import PositionMap, grapheme_starts

CountTokens = Callable[[Sequence[str]], list[int]]
_Span = tuple[int, int, list[Offsets], str]
"""A passage's start, end, sentences and context."""

_PARAGRAPH_CUT_COST = 0.1
_SENTENCE_CUT_COST = 0.5
_MAX_CONTEXT_SHARE = 0.25
_MAX_TABLE_CONTEXT_SHARE = 0.4
_MAX_CHARACTERS_PER_TOKEN = 12
_WORD = regex.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class SplitterSettings:
    """Everything that determines where passages begin and end; part of an index's identity.

    ``passage_tokens`` is the maximum without the overlap, ``overlap_tokens`` the maximum of the overlap, which is
    whole sentences; ``window`` is the model's limit. ``version`` is raised with every change of this module that
    changes passages.
    """

    passage_tokens: int
    window: int
    overlap_tokens: int
    version: int = 5


@dataclass(frozen=True, slots=True)
class _Unit:
    start: int
    end: int
    tokens: int
    cut_cost: float
    """The cost of beginning a passage here."""
    header: str = ""
    """The header of the table, if the unit is a row below it."""


class Splitter:
    """Splits documents for one model.

    ``count_tokens`` returns each text's number of tokens, special tokens included, as the model counts them;
    ``settings.window`` is the most that the model reads.
    """

    def __init__(self, settings: SplitterSettings, count_tokens: CountTokens) -> None:
        self.settings = settings
        self._count_tokens = count_tokens
        self._special = count_tokens([""])[0]
        self._counted: dict[str, int] = {}

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text; those of the last document's passages are cached."""
        new = [text for text in dict.fromkeys(texts) if text not in self._counted]
        if new:
            self._counted.update(zip(new, self._count_tokens(new), strict=True))
        return [self._counted[text] for text in texts]

    def split(self, document: Document) -> list[Passage]:
        """Return the document's passages in reading order, numbered from 0."""
        self._counted.clear()
        positions = PositionMap(document.text)
        passages: list[Passage] = []
        for _, members in groupby(document.blocks, key=lambda block: block.group):
            blocks = list(members)
            context = self._context(document, blocks[0].section_path)
            for start, end, sentences, own_context in self._spans(document.text, blocks, context):
                passages.append(
                    Passage(
                        number=len(passages),
                        document_id=document.id,
                        text=document.text[start:end],
                        section_path=blocks[0].section_path,
                        context=own_context,
                        position=positions.locate(start, end),
                        sentences=tuple((left - start, right - start) for left, right in sentences),
                    )
                )
        return passages

    def _count(self, texts: Sequence[str]) -> list[int]:
        return [count - self._special for count in self._count_tokens([embeddable(text) for text in texts])]

    def _context(self, document: Document, section_path: tuple[str, ...]) -> str:
        """Return title and headings as one line of at most a quarter of the window; drop outer headings first."""
        allowed = int(self.settings.window * _MAX_CONTEXT_SHARE)
        headings = [*((document.title,) if document.title_is_heading else ()), *section_path]
        for first in range(len(headings)):
            line = " > ".join(headings[first:])
            if self._count([line])[0] <= allowed:
                return line
        return ""

    def _with_header(self, context: str, header: str) -> str:
        """Return a context with the header of a table; without other headings, or unchanged, if it is too long."""
        allowed = int(self.settings.window * _MAX_TABLE_CONTEXT_SHARE)
        lines = [f"{context} > {header}" if context else header, header] if header else []
        return next((line for line in lines if self._count([line])[0] <= allowed), context)

    def _spans(self, text: str, blocks: list[Block], context: str) -> Iterator[_Span]:
        headers = table_headers(text, blocks)
        contexts = {header: self._with_header(context, header) for header in {"", *headers}}
        room = self.settings.window - self._special - self._count([context + "\n"])[0]
        limit = min(self.settings.passage_tokens, room)
        units = self._units(text, blocks, headers, limit)
        cuts = list(_cheapest_cuts(units, limit))
        firsts = [units[first - self._overlap_units(units, first)] for first, _ in cuts]
        ends = [units[last - 1].end for _, last in cuts]
        self.count_tokens(
            [
                embedding_text(contexts[unit.header], text[unit.start : end])
                for unit, end in zip(firsts, ends, strict=True)
            ]
        )
        for first, last in cuts:
            yield from self._fitting_spans(text, units, first, last, contexts)

    def _fitting_spans(
        self, text: str, units: list[_Unit], first: int, last: int, contexts: Mapping[str, str]
    ) -> Iterator[_Span]:
        """Yield the span of some units with as much overlap as fits in the window.

        A text can have more tokens than its units together, and the header of a table takes room; if a text does not
        fit without overlap, it is halved.
        """
        for lead in range(self._overlap_units(units, first), -1, -1):
            start, end = units[first - lead].start, units[last - 1].end
            context = contexts[units[first - lead].header]
            single = last - first == 1 and not lead
            fits = self.count_tokens([embedding_text(context, text[start:end])])[0] <= self.settings.window
            if single or fits:
                sentences = [(unit.start, unit.end) for unit in units[first - lead : last]]
                yield start, end, sentences, context if fits else contexts[""]
                return
        middle = (first + last) // 2
        yield from self._fitting_spans(text, units, first, middle, contexts)
        yield from self._fitting_spans(text, units, middle, last, contexts)

    def _overlap_units(self, units: list[_Unit], first: int) -> int:
        """Return how many units before a passage are its overlap."""
        allowed = self.settings.overlap_tokens
        lead = tokens = 0
        while (
            lead < first and units[first].start - units[first - lead - 1].start <= allowed * _MAX_CHARACTERS_PER_TOKEN
        ):
            tokens += units[first - lead - 1].tokens
            if tokens > allowed:
                break
            lead += 1
        return lead

    def _units(self, text: str, blocks: list[Block], headers: list[str], limit: int) -> list[_Unit]:
        spans: list[tuple[int, int, float, str]] = []
        for block, header in zip(blocks, headers, strict=True):
            cut_cost = 0.0 if block.kind in {"paragraph", "code"} else _PARAGRAPH_CUT_COST / 2
            for start, end in sentences_of(text, block):
                spans.append((start, end, cut_cost, header))
                cut_cost = _PARAGRAPH_CUT_COST
        counts = self._count([text[start:end] for start, end, _, _ in spans])
        units: list[_Unit] = []
        for (start, end, cut_cost, header), tokens in zip(spans, counts, strict=True):
            if tokens <= limit and end - start <= limit * _MAX_CHARACTERS_PER_TOKEN:
                units.append(_Unit(start, end, tokens, cut_cost, header))
            else:
                pieces = self._pieces(text, start, end, limit, cut_cost)
                units.extend(replace(piece, header=header) for piece in pieces)
        return units

    def _pieces(self, text: str, start: int, end: int, limit: int, cut_cost: float) -> Iterator[_Unit]:
        """Cut a sentence that is too long for a passage: between words, or else between graphemes."""
        piece_start, piece_end, piece_tokens = start, start, 0
        for left, right, tokens in self._word_spans(text, start, end, limit):
            too_long = right - piece_start > limit * _MAX_CHARACTERS_PER_TOKEN
            if piece_end > piece_start and (piece_tokens + tokens > limit or too_long):
                yield _Unit(piece_start, piece_end, piece_tokens, cut_cost)
                piece_start, piece_tokens, cut_cost = left, 0, _SENTENCE_CUT_COST
            piece_end = right
            piece_tokens += tokens
        if piece_end > piece_start:
            yield _Unit(piece_start, piece_end, piece_tokens, cut_cost)

    def _word_spans(self, text: str, start: int, end: int, limit: int) -> Iterator[tuple[int, int, int]]:
        words = [match.span() for match in _WORD.finditer(text, start, end)]
        counts = self._count([text[left:right] for left, right in words])
        for (left, right), tokens in zip(words, counts, strict=True):
            if tokens <= limit and right - left <= limit * _MAX_CHARACTERS_PER_TOKEN:
                yield left, right, tokens
                continue
            # A word too long for a passage: runs of graphemes that are short enough for any tokenizer.
            cuts = _cut_positions(grapheme_starts(text[left:right]), limit)
            spans = [(left + first, left + last) for first, last in pairwise(cuts)]
            yield from (
                (first, last, count)
                for (first, last), count in zip(spans, self._count([text[a:b] for a, b in spans]), strict=True)
            )


def embedding_text(context: str, text: str) -> str:
    """Return the text that the model reads for a passage: the headings on one line, then the passage's own text."""
    return embeddable(f"{context}\n{text}" if context else text)


def embedded_sentences(passage: Passage) -> list[Offsets]:
    """Return the offsets of a passage's sentences in its embedding text."""
    head = len(embedding_text(passage.context, ""))
    if len(embeddable(passage.text)) == len(passage.text):
        return [(head + start, head + end) for start, end in passage.sentences]
    return [
        (head + len(embeddable(passage.text[:start])), head + len(embeddable(passage.text[:end])))
        for start, end in passage.sentences
    ]


def _cut_positions(starts: list[int], limit: int) -> list[int]:
    """Select cut positions so that runs are as long as possible, but at most ``limit`` characters.

    A grapheme is cut only if it is longer than ``limit`` by itself.
    """
    cuts = [starts[0]]
    for previous, position in pairwise(starts):
        if position - cuts[-1] > limit and previous > cuts[-1]:
            cuts.append(previous)
        while position - cuts[-1] > limit:
            cuts.append(cuts[-1] + limit)
    if cuts[-1] != starts[-1]:
        cuts.append(starts[-1])
    return cuts


def _cheapest_cuts(units: list[_Unit], limit: int) -> list[Offsets]:
    """Return index ranges of units, one for each passage, with the least total cost.

    A passage of T tokens costs ``(1 - T / limit) ** 2`` plus the cut cost of its first unit.
    """
    best = [0.0] + [float("inf")] * len(units)
    previous = [0] * (len(units) + 1)
    for last in range(1, len(units) + 1):
        tokens = 0
        for first in range(last - 1, -1, -1):
            tokens += units[first].tokens
            characters = units[last - 1].end - units[first].start
            if first < last - 1 and (tokens > limit or characters > limit * _MAX_CHARACTERS_PER_TOKEN):
                break
            cost = best[first] + (1 - tokens / limit) ** 2 + units[first].cut_cost
            if cost < best[last]:
                best[last], previous[last] = cost, first
    ranges: list[Offsets] = []
    last = len(units)
    while last:
        ranges.append((previous[last], last))
        last = previous[last]
    return ranges[::-1]
