"""Adds a line to ``answers.jsonl``, once it is sure that a build will serve it."""

import json
import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

from qa_service.datatypes import Document
from qa_service.errors import InputError
from qa_service.io.durable import OWNER_FILE, storage_errors
from qa_service.loading import FORMATS, ParserProcess, limits_of, read_documents, scan_source, source_root
from qa_service.loading.folder import PINS_FILE, SkipFile, read_companion
from qa_service.loading.pins import MAX_QUESTIONS, parse_pins, question_key
from qa_service.settings import Settings
from qa_service.text.finding import most_similar, places_of


@dataclass(frozen=True, slots=True)
class AddedPin:
    """A pin that was added: the quote as it stands in the document, and how often it stands there."""

    path: Path
    quote: str
    places: int


def add_pin(settings: Settings, question: str, document: str, quote: str) -> AddedPin:
    """Append a pinned answer to ``answers.jsonl`` of the source folder.

    Raises :class:`InputError` if the quote does not stand in the document now, or the question is pinned already.
    """
    root = source_root(settings.source)
    line = json.dumps({"questions": [question], "document": document, "quote": quote}, ensure_ascii=False) + "\n"
    try:
        data = read_companion(root, PINS_FILE, limits_of(settings).file_bytes) or b""
    except SkipFile as skip:
        raise InputError(f"{PINS_FILE}: {skip.reason}; fix or remove the file") from skip
    try:
        own, problems = parse_pins(line.encode())
    except UnicodeEncodeError as error:
        raise InputError("question, document or quote contains half a character; give whole characters") from error
    if problems:
        raise InputError(problems[0].partition(": ")[2].partition("; correct the line")[0])
    _check_question(question, data)
    text = _text_of(settings, document)
    places = places_of(own[0].quote, text)
    if not places:
        nearest = most_similar(quote, text)
        advice = f"the nearest text is {nearest!r}; quote that, or" if nearest else "quote its words, or"
        raise InputError(f"the quote does not stand in {document!r}; {advice} name another document")
    path = root / PINS_FILE
    _append(path, (b"" if not data or data.endswith(b"\n") else b"\n") + line.encode())
    return AddedPin(path, text[slice(*places[0])], len(places))


def _check_question(question: str, data: bytes) -> None:
    pinned = {question_key(one): line.line for line in parse_pins(data)[0] for one in line.questions}
    if (line := pinned.get(question_key(question))) is not None:
        raise InputError(f"the question is already pinned by line {line} of {PINS_FILE}; edit that line")
    if len(pinned) >= MAX_QUESTIONS:
        raise InputError(f"{PINS_FILE} has {len(pinned)} questions, the maximum is {MAX_QUESTIONS}; remove some")


def _text_of(settings: Settings, uri: str) -> str:
    """Return the text of a document of the source folder as a build would read it now."""
    files = {uri, *(uri[:at] for at, character in enumerate(uri) if character == "#")}
    limits = limits_of(settings)
    source = scan_source(
        settings.source,
        FORMATS,
        max_file_bytes=limits.file_bytes,
        include=[escape(file) for file in files],
        starters=settings.starter_paths,
    )
    patterns = settings.include or ("*",)
    with ParserProcess(limits) as parser:
        for file in source.files:
            if any(fnmatchcase(file.uri, pattern) for pattern in patterns):
                for found in read_documents(file, limits, parser):
                    if isinstance(found, Document) and found.uri == uri:
                        return found.text
    reason = next((f" ({item.reason})" for item in source.left_out if item.uri == uri), "")
    raise InputError(f"no document {uri!r} in {settings.source}{reason}; give its path below that folder")


def _append(path: Path, data: bytes) -> None:
    """Append to a file, all or nothing, and force it to disk; a link is not followed."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with storage_errors(path), open(os.open(path, flags, OWNER_FILE | 0o044), "ab", buffering=0) as file:
        before = os.fstat(file.fileno()).st_size
        try:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            os.ftruncate(file.fileno(), before)
            raise
