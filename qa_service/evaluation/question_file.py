"""Reads question files: detects the format and streams the questions."""

import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from qa_service.errors import QuestionFileError
from qa_service.evaluation.formats.csv import read_table
from qa_service.evaluation.formats.jsonl import read_json_lines
from qa_service.evaluation.formats.squad_ragas import is_ragas, is_squad, ragas_fields, read_ragas_table, read_squad
from qa_service.evaluation.formats.trec_beir import beir_files, is_trec_topics, read_beir, read_trec
from qa_service.evaluation.question import LineProblem, Question
from qa_service.loading.decoding import binary_kind

Format = Literal["jsonl", "csv", "squad", "ragas", "beir", "trec"]
FORMATS: tuple[Format, ...] = get_args(Format)
_SNIFFED_BYTES = 65_536
_SPLIT = "test"
_TABLES: dict[str, str | None] = {".csv": None, ".tsv": "\t"}  # CSV has many delimiters


class QuestionFile:
    """A question file, read again by each iteration. ``-`` is standard input, copied to a temporary file.

    A BEIR folder is a question file too, with the ``split`` of its qrels; TREC topics need the file of their
    ``qrels``. Without a ``format``, the name and the first bytes decide.
    """

    def __init__(
        self,
        path: Path,
        *,
        format: Format | None = None,  # noqa: A002 - the usual word
        qrels: Path | None = None,
        split: str = _SPLIT,
    ) -> None:
        self.path = path
        self.qrels = qrels
        self.split = split
        self._given = format
        self._kept: Path | None = None

    def check(self) -> None:
        """Raise :class:`QuestionFileError` if a file can't be opened, before any slow work."""
        for path in self._files():
            with _opened(path):
                pass

    @property
    def options(self) -> dict[str, object]:
        """The options that were given, by their names at the command line."""
        split = None if self.split == _SPLIT else self.split
        return {"format": self._given, "qrels": self.qrels, "split": split}

    @property
    def format(self) -> Format:
        """The format, as given or detected."""
        if self._given is not None or self._here.is_dir():
            return self._given or "beir"
        with _opened(self._here) as file:
            start = file.read(_SNIFFED_BYTES)
        if self.qrels is not None or is_trec_topics(start):
            return "trec"
        if is_ragas(start.split(b"\n", 1)[0]):
            return "ragas"
        if self.path.suffix.lower() in _TABLES:
            return "csv"
        return "squad" if is_squad(start) else "jsonl"

    def sha256(self) -> str:
        """Return the sha256 over the digests of all its files."""
        digest = hashlib.sha256()
        for path in self._files():
            with _opened(path) as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())  # type: ignore[arg-type]
        return digest.hexdigest()

    def __iter__(self) -> Iterator[Question | LineProblem]:
        """Yield questions and problems in the order of their lines.

        Raises :class:`QuestionFileError` if the file as a whole is unusable: missing, not a regular file, not UTF-8,
        duplicate ids, no questions.
        """
        first_line_of: dict[str, int] = {}
        found = False
        for item in self._items():
            found = True
            if isinstance(item, Question):
                other = first_line_of.setdefault(item.id, item.line)
                if other != item.line:
                    raise QuestionFileError(
                        f"{self.path}: lines {other} and {item.line} have the same id; make ids unique"
                    )
            yield item
        if not found:
            raise QuestionFileError(f"{self.path} has no questions; see docs/question-file.md for the format")

    def close(self) -> None:
        """Remove the copy of standard input."""
        if self._kept is not None:
            self._kept.unlink(missing_ok=True)

    def _items(self) -> Iterator[Question | LineProblem]:
        form = self.format
        if form == "beir":
            yield from read_beir(self._here, self.split, _opened)
            return
        if form == "trec":
            if self.qrels is None:
                raise QuestionFileError(f"{self.path} has TREC topics; name their file of judgements with --qrels")
            yield from read_trec(self._here, self.qrels, _opened)
            return
        readers: dict[str, Callable[[BinaryIO], Iterator[Question | LineProblem]]] = {
            "csv": lambda file: read_table(file, self.path, _TABLES.get(self.path.suffix.lower())),
            "squad": lambda file: read_squad(file, self.path),
            "ragas": lambda file: (
                read_ragas_table(file, self.path)
                if self.path.suffix.lower() == ".csv"
                else read_json_lines(file, self.path, ragas_fields)
            ),
            "jsonl": lambda file: read_json_lines(file, self.path),
        }
        with _opened(self._here) as file:
            yield from readers[form](file)

    def _files(self) -> list[Path]:
        if self._here.is_dir() and self._given in {None, "beir"}:
            return beir_files(self._here, self.split)
        return [self._here, *([] if self.qrels is None else [self.qrels])]

    @property
    def _here(self) -> Path:
        if str(self.path) != "-":
            return self.path
        if self._kept is None:
            if sys.stdin is None or sys.stdin.closed:
                raise QuestionFileError("standard input is closed; name a question file")
            with tempfile.NamedTemporaryFile("wb", prefix="questions-", delete=False) as kept:
                shutil.copyfileobj(sys.stdin.buffer, kept)
                self._kept = Path(kept.name)
        return self._kept


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file that is not compressed. Raises :class:`QuestionFileError`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise QuestionFileError(f"can't open the question file {path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise QuestionFileError(f"{path} is not a regular file; name a question file, or - for standard input")
    with open(descriptor, "rb") as file:
        kind = binary_kind(file.peek(16)[:16])
        if kind:
            raise QuestionFileError(f"{path} looks like {kind}; a question file must be UTF-8 text")
        yield file
