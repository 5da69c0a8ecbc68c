"""Records questions in a thread of its own: a request only appends to a queue, and never waits for the disk."""

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, replace

import orjson

from qa_service.analytics.file import DAY_SECONDS, RECORD, RecordedQuestion, RecordFile, digest, wording_of
from qa_service.analytics.retention import RetentionClock
from qa_service.analytics.vectors import packed
from qa_service.datatypes import Answer
from qa_service.errors import StorageError
from qa_service.settings import Settings
from qa_service.text.secrets import mask

_GATHER_SECONDS = 1.0
_RETENTION_SECONDS = 3600.0
_MAX_WAITING = 2000
"""Answers that wait to become rows, each with its passages."""
_MAX_UNWRITTEN = 10_000
"""Rows that are kept while the disk takes none."""
_RECENT_TIMES = 1000
_FEEDBACK_TRIES = 10
"""Rounds in which the question of feedback may still come, since another process records it."""
_CLOSE_SECONDS = 15.0
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    asked_at: float
    identifier: str
    collection: str
    answer: Answer
    milliseconds: float


@dataclass(frozen=True, slots=True)
class _Feedback:
    answer: int
    useful: bool
    tries: int = 0


class QuestionRecorder:
    """Writes questions and feedback to the record of the data folder, and deletes those that are too old."""

    def __init__(self, settings: Settings) -> None:
        self.enabled = settings.analytics != "off"
        self.path = settings.data / RECORD
        self._days = settings.analytics_days
        self._texts = settings.analytics == "questions"
        self._model = ""
        self._waiting: deque[_Waiting] = deque()
        self._feedback: deque[_Feedback] = deque(maxlen=_MAX_WAITING)
        self._rows: deque[RecordedQuestion] = deque(maxlen=_MAX_UNWRITTEN)
        self._file: RecordFile | None = None
        self._clock = RetentionClock(())
        self._retention_due = 0.0
        self._wanted, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="questions", daemon=True)
        self._failing = False

    def start(self, model: str) -> None:
        """Start recording, if it is on, and log what is kept. ``model`` is the hash of the weights behind vectors."""
        if self.enabled:
            self._model = model
            kept = "questions, their secrets masked, with" if self._texts else "no question, only"
            _logger.info(
                "recording in %s (QA_ANALYTICS): %s time, collection, verdict, confidence, quoted documents, duration "
                "and feedback of every question; kept for %d days (QA_ANALYTICS_DAYS)",
                self.path,
                kept,
                self._days,
            )
            self._thread.start()

    def add(self, identifier: str, answer: Answer, collection: str, milliseconds: float) -> None:
        """Record a question soon. It is dropped if very many wait."""
        if self.enabled and len(self._waiting) < _MAX_WAITING:
            self._waiting.append(_Waiting(time.time(), identifier, collection, answer, milliseconds))
            self._wake()

    def add_feedback(self, identifier: str, *, useful: bool) -> None:
        """Record feedback on an answer soon."""
        if self.enabled:
            self._feedback.append(_Feedback(digest(identifier), useful))
            self._wake()

    def _wake(self) -> None:
        if not self._wanted.is_set():
            self._wanted.set()

    def close(self) -> None:
        """Write the queued questions, and end the thread."""
        self._closing.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._round()
            self._wanted.wait(_RETENTION_SECONDS)
            self._closing.wait(_GATHER_SECONDS)
        self._round()
        if self._file is not None:
            self._file.close()

    def _round(self) -> None:
        """Write what is queued and delete what is too old; log a failure once, and keep the rows for the next round."""
        self._wanted.clear()
        while self._waiting:
            self._rows.append(self._row(self._waiting.popleft()))
        try:
            file = self._open()
            self._write(file)
            self._delete_old(file)
        except StorageError as error:
            if not self._failing:
                _logger.error("questions are not recorded: %s", error)  # noqa: TRY400 - the traceback adds nothing
            self._failing = True
        except Exception:
            self._rows.clear()
            _logger.exception("questions are not recorded")
        else:
            if self._failing:
                _logger.warning("questions are recorded again")
            self._failing = False
        if self._rows or self._feedback:
            self._wake()

    def _open(self) -> RecordFile:
        if self._file is None:
            self._file = RecordFile(self.path)
            self._clock = RetentionClock(self._file.recent_times(_RECENT_TIMES))
        return self._file

    def _write(self, file: RecordFile) -> None:
        if self._rows:
            file.add(self._rows)
            self._rows.clear()
        for _ in range(len(self._feedback)):
            feedback = self._feedback.popleft()
            if not file.add_feedback(feedback.answer, useful=feedback.useful) and feedback.tries < _FEEDBACK_TRIES:
                self._feedback.append(replace(feedback, tries=feedback.tries + 1))

    def _delete_old(self, file: RecordFile) -> None:
        if time.monotonic() < self._retention_due:
            return
        now = self._clock.trusted_now()
        if now is not None:
            deleted = file.delete_before(now - self._days * DAY_SECONDS, now)
            if deleted:
                _logger.info("deleted %d questions that are older than %d days", deleted, self._days)
        self._retention_due = time.monotonic() + _RETENTION_SECONDS

    def _row(self, one: _Waiting) -> RecordedQuestion:
        answer = one.answer
        quoted = [answer.results[quote.result].citation.uri for quote in answer.quotes] if answer.is_shown else []
        row = RecordedQuestion(
            asked_at=int(one.asked_at),
            collection=one.collection,
            verdict=answer.verdict or "unknown",
            confidence=answer.confidence,
            documents=orjson.dumps(list(dict.fromkeys(quoted))).decode(),
            milliseconds=round(one.milliseconds, 2),
            answer=digest(one.identifier),
        )
        if not self._texts:
            return row
        typed = " ".join(answer.question.split())
        shown = mask(typed).encode(errors="replace").decode()
        row = replace(row, question=shown, wording=wording_of(shown))
        if answer.verdict not in {"uncertain", "not_found"} or answer.vector is None or shown != typed:
            return row
        return replace(row, model=self._model, vector=packed(answer.vector))
