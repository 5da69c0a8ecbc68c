"""Finds the quotes of ``answers.jsonl`` in the documents of a new generation, and embeds their questions."""

from collections.abc import Iterator, Sequence

import numpy as np

from qa_service.datatypes import FloatArray, Offsets, Pin, PinLine, SourceDocument
from qa_service.embedding import Embedder
from qa_service.index.disk import PassageReader
from qa_service.index.pins import NO_PINS, Pins
from qa_service.loading.folder import PINS_FILE
from qa_service.questions.wrapping import unwrap
from qa_service.text.cleaning import embeddable
from qa_service.text.finding import most_similar, places_of

_BATCH_QUESTIONS = 64


def find_pins(lines: Sequence[PinLine], reader: PassageReader, embedder: Embedder) -> tuple[Pins, list[str]]:
    """Return the pins whose quotes stand in their documents, and a warning for each other line."""
    pins: list[Pin] = []
    warnings: list[str] = []
    for line in lines:
        where = f"{PINS_FILE}, line {line.line}"
        identifier = reader.document_id_at(line.document)
        document = None if identifier is None else reader.document(identifier)
        if document is None:
            warnings.append(f"{where}: no document {line.document!r} in the index; correct the path or remove the line")
            continue
        places = places_of(line.quote, document.text)
        parts = tuple(_parts(reader, document, places[0])) if places else ()
        if not parts:
            warnings.append(f"{where}: {_why_not(line, document, found=bool(places))}")
            continue
        if len(places) > 1:
            warnings.append(
                f"{where}: the quote stands {len(places)} times in {line.document}, the first place is cited; make it "
                "longer to choose another"
            )
        pins.append(Pin(tuple(unwrap(embeddable(one)) for one in line.questions), document.id, parts))
    if not pins:
        return NO_PINS, warnings
    return Pins(tuple(pins), _vectors(Pins(tuple(pins)).questions, embedder)), warnings


def _why_not(line: PinLine, document: SourceDocument, *, found: bool) -> str:
    if found:
        return f"the quote is in no passage of {line.document}, such as a running title; choose another"
    nearest = most_similar(line.quote, document.text)
    advice = f"the nearest text is {nearest!r}; correct" if nearest else "correct"
    return f"the quote does not stand in {line.document}, so that it is not served; {advice} or remove the line"


def _parts(reader: PassageReader, document: SourceDocument, place: Offsets) -> Iterator[tuple[int, Offsets]]:
    """Yield the passages that hold a span of a document, with its place in each; one alone if it holds all of it."""
    start, end = place
    passages = [reader.passage(number)[0] for number in reader.overlapping(document.id, start, end)]
    spans = [(one.number, one.position.start_char, one.position.end_char) for one in passages]
    for number, first, last in spans:
        if first <= start and end <= last:
            yield number, (start - first, end - first)
            return
    for number, first, last in spans:
        low, high = max(start, first), min(end, last)
        if document.text[low:high].strip():
            yield number, (low - first, high - first)
            start = high


def _vectors(questions: Sequence[str], embedder: Embedder) -> FloatArray:
    """Return the vectors (n, d) of questions; similar lengths are embedded together, which needs little padding."""
    order = sorted(range(len(questions)), key=lambda place: len(questions[place]))
    vectors = np.empty((len(questions), embedder.dimension), np.float32)
    for start in range(0, len(order), _BATCH_QUESTIONS):
        places = order[start : start + _BATCH_QUESTIONS]
        vectors[places] = [one.vector for one in embedder.embed_questions([questions[place] for place in places])]
    return vectors
