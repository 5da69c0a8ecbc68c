"""Proves in the background which questions an index answers, for ``GET /starters`` and related questions."""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from qa_service.errors import NotReady, QAServiceError
from qa_service.evaluation.formats.jsonl import question_or_problem
from qa_service.evaluation.measures import normalized
from qa_service.evaluation.question import Question, question_of
from qa_service.evaluation.starters import (
    MAX_CHARACTERS,
    MAX_STARTERS,
    ProvedQuestion,
    ProvedQuestions,
    prove,
    read_starters,
)
from qa_service.server.feedback import FEEDBACK, FeedbackFile
from qa_service.server.live_index import LiveIndex
from qa_service.settings import Settings, default_of

_IDLE_FACTOR = 9
"""After a question, the worker is left alone for so many times as long as it took: few readers ever meet one."""
_MAX_IDLE_SECONDS = 1.0
_MAX_LOGGED_PROBLEMS = 3
_logger = logging.getLogger(__name__)


def candidates(settings: Settings, collection: str = "") -> tuple[list[Question], list[str]]:
    """Return the questions that may be proved for a collection, up to 200, and what is wrong with the file of starters.

    ``collection`` is the path of the collection. Questions of feedback follow those of the file, the latest first.
    """
    path = _file_of(settings)
    questions: list[Question] = []
    problems: list[str] = []
    if path is not None and (path.exists() or settings.starters != default_of("starters")):
        questions, problems = read_starters(path)
    known = {normalized(question.question): question for question in questions}
    if settings.starters_from_feedback and (settings.data / FEEDBACK).exists():
        for question in _useful(settings, collection):
            known.setdefault(normalized(question.question), question)
    return list(known.values())[:MAX_STARTERS], problems


def _file_of(settings: Settings) -> Path | None:
    return settings.source / settings.starters if settings.starters else None


def _useful(settings: Settings, collection: str) -> Iterator[Question]:
    """Yield the questions with gold from feedback, the latest first."""
    with FeedbackFile(settings.data) as file:
        lines, _ = file.export(collection)
    for line in reversed(lines):
        question = question_or_problem(0, partial(question_of, 0, line))
        if isinstance(question, Question) and question.answerable and len(question.question) <= MAX_CHARACTERS:
            yield question


class StarterProver:
    """Keeps the proved questions of a collection up to date; ``settings`` are those of the collection.

    Questions are asked one at a time, in the background of the worker, and once for each generation.
    """

    def __init__(self, live: LiveIndex, settings: Settings) -> None:
        self._live = live
        self._settings = settings
        self._generation = ""
        self._proofs: dict[Question, ProvedQuestion | None] = {}

    async def watch(self, seconds: float) -> None:
        """Prove the questions whenever the index, the file of starters or the feedback has changed.

        After an error, the next poll tries again.
        """
        state: tuple[str, object] | None = None
        seen, told = state, ""
        while True:
            try:
                state = (self._live.manifest.generation, await asyncio.to_thread(self._state_of_files))
                if state != seen and self._live.ready:
                    await self._prove_all(state[0])
                    seen, told = state, ""
            except NotReady:
                return  # shutting down
            except QAServiceError as error:
                if str(error) != told:
                    _logger.warning("starters can't be proved yet: %s", error)
                told = str(error)
            except Exception:
                _logger.exception("starters can't be proved")
                seen = state
            await asyncio.sleep(seconds)

    def _state_of_files(self) -> tuple[tuple[int, int] | None, ...]:
        feedback = [self._settings.data / name for name in (FEEDBACK, f"{FEEDBACK}-wal")]
        paths = [_file_of(self._settings), *(feedback if self._settings.starters_from_feedback else [])]
        return tuple(_state_of(path) for path in paths if path is not None)

    async def _prove_all(self, generation: str) -> None:
        questions, problems = await asyncio.to_thread(candidates, self._settings, self._live.path)
        _log(problems)
        known = self._proofs if generation == self._generation else {}
        self._generation, self._proofs = generation, {one: known[one] for one in questions if one in known}
        self._publish(questions)
        for question in questions:
            if question not in self._proofs:
                if not await self._prove(question):
                    return  # another generation is served; the next poll sees it
                self._publish(questions)
        if questions:
            found = len(self._live.starters.questions)
            _logger.info("index %s answers %d of %d starters", generation, found, len(questions))

    async def _prove(self, question: Question) -> bool:
        """Ask a question, unless another generation is served by now."""
        with self._live.lease() as answerer:
            if answerer.index.generation != self._generation:
                return False
            started = time.perf_counter()
            self._proofs[question] = await self._live.worker.run_in_background(partial(prove, answerer, question))
        await asyncio.sleep(min(_IDLE_FACTOR * (time.perf_counter() - started), _MAX_IDLE_SECONDS))
        return True

    def _publish(self, questions: Sequence[Question]) -> None:
        proved = [proof for question in questions if (proof := self._proofs.get(question)) is not None]
        complete = len(self._proofs) == len(questions)
        self._live.starters = ProvedQuestions(self._generation, proved, complete=complete)


def _state_of(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _log(problems: Sequence[str]) -> None:
    for problem in problems[:_MAX_LOGGED_PROBLEMS]:
        _logger.warning("%s", problem)
    if len(problems) > _MAX_LOGGED_PROBLEMS:
        _logger.warning("there are %d problems with the starters; `qa-service doctor` lists them", len(problems))
