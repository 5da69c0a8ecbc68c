"""The folder of a run: the questions with their results, and the reports made from them.

``results.jsonl`` grows batch by batch and suffices for all reports. An interrupted evaluation resumes after its last
complete line.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

from qa_service.errors import QuestionFileError
from qa_service.evaluation.gold import Gold, document_name
from qa_service.evaluation.measures import EvaluatedQuestion, best_is_right, ranked, right
from qa_service.evaluation.outcome import ReturnedPassage
from qa_service.io import strict_json
from qa_service.io.durable import replace_file, storage_errors, sync_file

RUN, RESULTS, TIMES = "run.json", "results.jsonl", "times.jsonl"
SUMMARY, REPORT, REPORT_MD, RUN_TREC, QRELS_TREC = "summary.json", "report.html", "report.md", "run.trec", "qrels.trec"
QUESTIONS_CSV = "questions.csv"
WRITTEN = (RUN, RESULTS, TIMES, SUMMARY, REPORT, REPORT_MD, RUN_TREC, QRELS_TREC, QUESTIONS_CSV)
FORMAT_VERSION = 2
_DIGEST_DIGITS = 12
_FOUND = tuple(one.name for one in fields(ReturnedPassage))
_found = attrgetter(*_FOUND)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The identity of an evaluation; equal fingerprints mean equal results."""

    questions_sha256: str
    index_version: str
    target: str
    """The address of the service; empty in process."""
    top_k: int
    measures: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    """The settings that change answers but not the index."""

    def to_json(self) -> dict[str, Any]:
        """Return the fingerprint as ``run.json`` holds it."""
        fields: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return fields


class RunFolder:
    """The folder of one evaluation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._results: BinaryIO | None = None
        self._times: BinaryIO | None = None

    def begin(self, fingerprint: Fingerprint, about: dict[str, Any], *, overwrite: bool) -> int:
        """Open the folder to add results; return the number of results of an interrupted evaluation in it.

        Raises :class:`QuestionFileError` if it holds another evaluation or a finished one, unless ``overwrite``.
        """
        wanted: dict[str, Any] = {"format": FORMAT_VERSION, "fingerprint": fingerprint.to_json(), "about": about}
        with storage_errors(self.path):
            if self.path.exists() and not self.path.is_dir():
                raise QuestionFileError(f"{self.path} is a file; name a folder for the results")
            done = 0
            if not (self.path / RUN).exists():
                if self.path.exists() and any(self.path.iterdir()):
                    raise QuestionFileError(f"{self.path} holds other files; name a new folder for the results")
            elif not overwrite:
                done = self._resumable(wanted)
            if not done:
                self._clear()
                self._write(RUN, wanted)
            self._results = (self.path / RESULTS).open("ab")
            self._times = (self.path / TIMES).open("ab")
        return done

    def _resumable(self, wanted: dict[str, Any]) -> int:
        """Return the number of results of an unfinished evaluation; raise :class:`QuestionFileError` for another."""
        before = self.about()
        if before.get("finished"):
            raise QuestionFileError(f"{self.path} holds a finished evaluation; pass --overwrite to replace it")
        done = self._complete_results()
        if done and before.get("fingerprint") != wanted["fingerprint"]:
            differs = _difference(before.get("fingerprint") or {}, wanted["fingerprint"])
            raise QuestionFileError(
                f"{self.path} holds another unfinished evaluation ({differs}); name another folder, or pass --overwrite"
            )
        return done

    def _clear(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        for name in WRITTEN:
            (self.path / name).unlink(missing_ok=True)

    def add(self, batch: Sequence[EvaluatedQuestion], measured: Sequence[dict[str, float]]) -> None:
        """Append a batch; if the process dies meanwhile, some of its lines are missing or the last one is cut."""
        if self._results is None or self._times is None:
            raise ValueError("begin() was not called")
        lines = [result_of(asked, values) for asked, values in zip(batch, measured, strict=True)]
        timed = [
            {"id": asked.question.id, "ms": round(asked.outcome.milliseconds, 3)}
            for asked in batch
            if asked.outcome.milliseconds is not None
        ]
        with storage_errors(self.path):
            self._times.write(_lines(timed))
            self._times.flush()
            self._results.write(_lines(lines))
            self._results.flush()

    def add_times(self, times: Sequence[tuple[str, float]]) -> None:
        """Append the ids and milliseconds of questions that were timed alone."""
        if self._times is None:
            raise ValueError("begin() was not called")
        with storage_errors(self.path):
            self._times.write(_lines([{"id": identifier, "ms": round(ms, 3)} for identifier, ms in times]))
            self._times.flush()

    def close(self) -> None:
        """Close the files."""
        for file in (self._results, self._times):
            if file is not None:
                file.close()
        self._results = self._times = None

    def write(self, name: str, lines: Iterable[str]) -> None:
        """Replace a file atomically."""
        temporary = self.path / f"{name}.tmp"
        with storage_errors(self.path):
            with temporary.open("w", encoding="utf-8", newline="") as file:
                file.writelines(lines)
            sync_file(temporary)
            temporary.replace(self.path / name)

    def finish(self) -> None:
        """Mark the evaluation as finished."""
        with storage_errors(self.path):
            self._write(RUN, {**self.about(), "finished": True})

    def about(self) -> dict[str, Any]:
        """Return the content of ``run.json``. Raises :class:`QuestionFileError` if the folder holds no run."""
        path = self.path / RUN
        try:
            about = strict_json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise QuestionFileError(f"{self.path} holds no evaluation: {error}") from error
        if not isinstance(about, dict) or about.get("format") != FORMAT_VERSION:
            raise QuestionFileError(
                f"{path} was written by another version; evaluate again, with --overwrite or into another folder"
            )
        return about

    def results(self) -> Iterator[dict[str, Any]]:
        """Yield the entries of ``results.jsonl``. Raises :class:`QuestionFileError` for a damaged line."""
        yield from self._read(RESULTS)

    def times(self) -> list[float]:
        """Return the milliseconds per question; if one was timed twice, the last time counts."""
        return list({line["id"]: float(line["ms"]) for line in self._read(TIMES)}.values())

    def _read(self, name: str) -> Iterator[dict[str, Any]]:
        path = self.path / name
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    try:
                        yield json.loads(line)
                    except ValueError as error:
                        raise QuestionFileError(f"{path}, line {number} is damaged: {error}") from error
        except OSError as error:
            raise QuestionFileError(f"{path} can't be read: {error.strerror}") from error

    def _complete_results(self) -> int:
        """Truncate the files after their last complete line; return the number of complete results."""
        done = 0
        for name in (TIMES, RESULTS):
            path = self.path / name
            if not path.exists():
                continue
            with path.open("r+b") as file:
                end = done = 0
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    end += len(line)
                    done += name == RESULTS
                file.truncate(end)
        return done

    def _write(self, name: str, content: dict[str, Any]) -> None:
        replace_file(self.path / name, (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode())


def evaluated_settings(run: dict[str, Any]) -> dict[str, Any]:
    """Return what was evaluated, by name, from the content of ``run.json``: settings, index, depth and versions.

    The settings of a service that was asked over HTTP are unknown. Earlier versions wrote fewer names.
    """
    fingerprint, about = run["fingerprint"], run["about"]
    found: dict[str, Any] = {
        "questions": fingerprint["questions_sha256"][:_DIGEST_DIGITS],
        "index": fingerprint["index_version"],
        "qa_service": about.get("version"),
        "top_k": fingerprint["top_k"],
        "asked": fingerprint["target"] or "in process",
    }
    if fingerprint["target"]:
        return found
    return {**found, "model": about.get("model"), **about.get("index_settings", {}), **fingerprint.get("settings", {})}


def result_of(asked: EvaluatedQuestion, measured: dict[str, float]) -> dict[str, Any]:
    """Return an entry of ``results.jsonl``: a question, its results, and its gold."""
    question, gold, outcome = asked.question, asked.gold, asked.outcome
    return {
        "id": question.id,
        "line": question.line,
        "question": question.question,
        "answerable": question.answerable,
        "answers": list(question.answers),
        "tags": list(question.tags),
        "whole": gold.whole,
        "relevant": gold.relevant,
        "right": _right_spans(gold),
        "got": {
            "verdict": outcome.verdict,
            "reason": outcome.reason,
            "pinned": outcome.pinned,
            "confidence": outcome.confidence,
            "quotes": [asdict(quote) for quote in outcome.quotes],
            "right_in_five": right(asked),
            "best_is_right": best_is_right(asked),
            "ranked": ranked(gold, outcome),
            "results": [
                {
                    **dict(zip(_FOUND, _found(result), strict=True)),
                    "relevant": _grade(gold, result.span.name, result.uri),
                }
                for result in outcome.results
            ],
        },
        "measures": measured,
    }


def _grade(gold: Gold, name: str, uri: str) -> int:
    return gold.relevant.get(document_name(uri) if gold.whole else name, 0)


def _right_spans(gold: Gold) -> list[dict[str, Any]]:
    return [{"uri": span.uri, "start": span.start, "end": span.end} for places in gold.spans for span in places]


def _lines(entries: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(entry, ensure_ascii=False).encode() + b"\n" for entry in entries)


def _difference(before: dict[str, Any], wanted: dict[str, Any]) -> str:
    names = sorted(name for name in before.keys() | wanted.keys() if before.get(name) != wanted.get(name))
    return ", ".join(name.replace("_", " ") for name in names) + " differ" if names else "another format"
