"""Reads ``synonyms.txt`` of a source folder, in the format of Solr.

::

    # a comment
    THAAD, anti-missile battery, Terminal High Altitude Area Defense
    Sea of Japan => East Sea

The phrases of a line without an arrow all mean the same. With an arrow, a question with one on the left also asks for
those on the right, but not the other way. A backslash before a comma, an arrow, a hash or a backslash makes it a letter
of the phrase.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import regex

from qa_service.datatypes import SynonymRule
from qa_service.loading.decoding import decode
from qa_service.loading.folder import SYNONYMS_FILE, SkipFile, read_companion
from qa_service.loading.outline import UnreadableError

MAX_LINES, MAX_PHRASES_PER_LINE, MAX_PHRASE_CHARACTERS, MAX_PHRASE_WORDS = 100_000, 50, 100, 10
_MAX_WARNINGS = 20
_PIECE = regex.compile(r"\\.|=>|,|[^\\,=]+|.", regex.DOTALL)
_WORD = regex.compile(r"[\p{L}\p{N}\p{M}]+")


@dataclass(frozen=True, slots=True)
class SynonymFile:
    """The rules of the file, warnings on lines that are wrong, and the sha256 of its bytes; empty without a file."""

    rules: tuple[SynonymRule, ...] = ()
    warnings: tuple[str, ...] = ()
    sha256: str = ""


NO_SYNONYMS = SynonymFile()


class _WrongLineError(ValueError):
    pass


def read_synonyms(source: Path, max_bytes: int) -> SynonymFile:
    """Return the synonyms of a source folder. A file that can't be read gives a warning and no rules."""
    try:
        data = read_companion(source, SYNONYMS_FILE, max_bytes)
    except SkipFile as skip:
        return SynonymFile(warnings=(f"{SYNONYMS_FILE}: {skip.reason}",))
    if data is None:
        return NO_SYNONYMS
    digest = hashlib.sha256(data).hexdigest()
    try:
        text, warning = decode(data)
    except UnreadableError as error:
        return SynonymFile(warnings=(f"{SYNONYMS_FILE}: {error}",), sha256=digest)
    rules, wrong = parse_synonyms(text)
    warnings = ([f"{SYNONYMS_FILE}: {warning}"] if warning else []) + wrong
    return SynonymFile(tuple(rules), tuple(warnings), digest)


def parse_synonyms(text: str) -> tuple[list[SynonymRule], list[str]]:
    """Return the rules of a text, and a warning for each wrong line, up to twenty."""
    rules: list[SynonymRule] = []
    wrong: list[str] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if number > MAX_LINES:
            wrong.append(f"{SYNONYMS_FILE}: lines after {MAX_LINES} are not used")
            break
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            rules.append(_rule(line))
        except _WrongLineError as error:
            wrong.append(f"{SYNONYMS_FILE}, line {number}: {error}; the line is not used")
    if len(wrong) > _MAX_WARNINGS:
        wrong[_MAX_WARNINGS:] = [f"{SYNONYMS_FILE}: {len(wrong) - _MAX_WARNINGS} more warnings"]
    return rules, wrong


def _rule(line: str) -> SynonymRule:
    sides: list[list[str]] = [[""]]
    for piece in _PIECE.findall(line):
        if piece == "=>":
            sides.append([""])
        elif piece == ",":
            sides[-1].append("")
        else:
            sides[-1][-1] += piece[1:] if piece[0] == "\\" and len(piece) > 1 else piece
    if len(sides) > 2:  # noqa: PLR2004 - left and right
        raise _WrongLineError("it has more than one arrow")
    phrases = [tuple(_phrases(side)) for side in sides]
    if sum(map(len, phrases)) > MAX_PHRASES_PER_LINE:
        raise _WrongLineError(f"it has {sum(map(len, phrases))} phrases, the maximum is {MAX_PHRASES_PER_LINE}")
    if len(phrases) == 1 and len(phrases[0]) < 2:  # noqa: PLR2004 - a phrase and another
        raise _WrongLineError("it has one phrase only; separate phrases by commas")
    return SynonymRule(phrases[0], phrases[1] if len(phrases) > 1 else ())


def _phrases(side: list[str]) -> Iterator[str]:
    for phrase in side:
        text = " ".join(phrase.split())
        if len(text) > MAX_PHRASE_CHARACTERS:
            raise _WrongLineError(f"a phrase has {len(text)} characters, the maximum is {MAX_PHRASE_CHARACTERS}")
        if not (words := len(_WORD.findall(text))):
            raise _WrongLineError("a phrase has no letter or digit")
        if words > MAX_PHRASE_WORDS:
            raise _WrongLineError(f"a phrase has {words} words, the maximum is {MAX_PHRASE_WORDS}")
        yield text
