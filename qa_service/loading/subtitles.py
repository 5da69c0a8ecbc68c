"""Subtitles (SRT, WebVTT) -> sentences, in documents of about a minute whose part is their time: ``t=65.2,124.0``.

That is a media fragment as the W3C defines it, in seconds: it opens the recording at this place.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from qa_service.loading.decoding import decode
from qa_service.loading.limits import Limits
from qa_service.loading.outline import ParsedDocument, TextBuilder, UnreadableError

_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}.*")
_BLANK_LINES = re.compile(r"[\r\n][ \t]*[\r\n]+")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+(?P<name>[^>]+)>")
_TAG = re.compile(r"</?[a-zA-Z\d:][^<>]*>|\{\\[^{}]*\}")
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’»)\]]*\Z")
_DOCUMENT_SECONDS = 60
_MAX_SENTENCE_CHARACTERS = 600
_SECONDS_OF_PAUSE = 8
_SECONDS_BETWEEN_ROLLS = 0.1


@dataclass(frozen=True, slots=True)
class _Cue:
    start: float
    end: float
    words: str


def read_subtitles(data: bytes, _: Limits) -> Iterator[ParsedDocument]:
    """Yield a document for each minute; a sentence over several cues is one block."""
    text, warning = decode(data)
    cues = [cue for cue in _cues(text.removeprefix("\ufeff")) if cue.words]
    if not cues:
        raise UnreadableError("has no time codes; rename it to .txt if it is plain text")
    document: list[_Cue] = []
    for sentence in _sentences(cues):
        if document and sentence.end - document[0].start > _DOCUMENT_SECONDS:
            yield _document(document, warning)
            document, warning = [], ""
        document.append(sentence)
    yield _document(document, warning)


def _document(sentences: list[_Cue], warning: str) -> ParsedDocument:
    builder = TextBuilder()
    for sentence in sentences:
        builder.block(sentence.words)
    found = builder.document()
    part = f"t={sentences[0].start:g},{max(sentence.end for sentence in sentences):g}"
    return ParsedDocument(found.text, found.outline, part=part, warnings=(warning,) if warning else ())


def _cues(text: str) -> Iterator[_Cue]:
    for paragraph in _BLANK_LINES.split(text.replace("\r\n", "\n")):
        lines = paragraph.splitlines()
        place = next((number for number, line in enumerate(lines) if _TIMES.fullmatch(line)), None)
        if place is not None and (match := _TIMES.fullmatch(lines[place])):
            words = _VOICE.sub(lambda voice: f"{voice['name'].strip()}: ", " ".join(lines[place + 1 :]))
            words = html.unescape(_TAG.sub("", words))
            yield _Cue(_seconds(match.groups()[:4]), _seconds(match.groups()[4:]), " ".join(words.split()))


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = parts
    whole = 3600 * int(hours or 0) + 60 * int(minutes or 0) + int(seconds or 0)
    return whole + int((fraction or "0").ljust(3, "0")) / 1000


def _sentences(cues: list[_Cue]) -> Iterator[_Cue]:
    """Join cues until a sentence ends. Captions that roll repeat the line before: it is read once."""
    pending: _Cue | None = None
    before: _Cue | None = None
    for cue in cues:
        words = cue.words
        if before is not None and cue.start - before.end < _SECONDS_BETWEEN_ROLLS:
            words = f"{words} ".removeprefix(f"{before.words} ").strip()
        before = cue
        if not words:
            continue
        if pending is not None and cue.start - pending.end > _SECONDS_OF_PAUSE:
            yield pending
            pending = None
        pending = _Cue(cue.start, cue.end, words) if pending is None else _joined(pending, cue, words)
        if _SENTENCE_END.search(words) or len(pending.words) > _MAX_SENTENCE_CHARACTERS:
            yield pending
            pending = None
    if pending is not None:
        yield pending


def _joined(before: _Cue, cue: _Cue, words: str) -> _Cue:
    return _Cue(before.start, max(before.end, cue.end), f"{before.words} {words}")
