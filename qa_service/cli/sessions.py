"""A conversation over several calls of ``qa-service ask``: its last turns, in a file that only its owner can read."""

import json
import re
import stat
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from qa_service.datatypes import MAX_TURNS, Answer, Turn
from qa_service.errors import InputError, InvalidRequest
from qa_service.io import strict_json
from qa_service.io.durable import make_private_folder, replace_file, storage_errors
from qa_service.text.cleaning import MAX_QUESTION_CHARACTERS, check_question

_NAME = re.compile(r"[\w-]{1,64}", re.ASCII)
_MAX_BYTES = 1_000_000


def session_file(name: str, data: Path) -> Path:
    """Return the file of a session: below the data folder for a name, else the path that is given."""
    return data / "sessions" / f"{name}.jsonl" if _NAME.fullmatch(name) else Path(name)


def read_turns(path: Path) -> tuple[Turn, ...]:
    """Return the turns of a session, none if there is no file.

    Raises :class:`InputError` for a file that is not a session, so that it is not overwritten.
    """
    with storage_errors(path):
        try:
            found = path.stat()
        except FileNotFoundError:
            return ()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_BYTES:
            raise _not_a_session(path, f"it must be a regular file of at most {_MAX_BYTES:,} bytes")
        lines = path.read_bytes().splitlines()
    turns = []
    for number, line in enumerate(lines, start=1):
        try:
            turns.append(_turn(strict_json.loads(line)))
        except (ValueError, InvalidRequest) as error:
            raise _not_a_session(path, f"line {number} is wrong: {error}") from None
    return tuple(turns[-MAX_TURNS:])


def _turn(content: object) -> Turn:
    match content:
        case {"question": str(question), "answer": str(answer), **rest} if not rest:
            check_question(question)
            check_question(answer or question)
            return Turn(question, answer)
    raise ValueError("it must be an object with the texts question and answer")


def _not_a_session(path: Path, reason: str) -> InputError:
    return InputError(f"{path} is not a session: {reason}; name another file, or delete this one")


def keep_turns(path: Path, history: Sequence[Turn], answer: Answer) -> None:
    """Write the last turns of a session, the newest with the quote that was given."""
    quote = answer.results[answer.best].citation.quote if answer.is_shown else ""
    turns = (*history, Turn(answer.question, quote[:MAX_QUESTION_CHARACTERS]))[-MAX_TURNS:]
    lines = "".join(json.dumps(asdict(turn)) + "\n" for turn in turns)
    with storage_errors(path):
        make_private_folder(path.parent)
        replace_file(path, lines.encode(), private=True)
