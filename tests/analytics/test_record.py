"""The record of questions: its rows, several writers, retention, clocks that jump, and disks that take nothing."""

import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import app_for
from processes import eventually
from starlette.testclient import TestClient
from verdicts import Verdicts

from qa_service.analytics import QuestionRecorder, recorder
from qa_service.analytics.file import DAY_SECONDS, RECORD, RecordedQuestion, RecordFile, reading, wording_of
from qa_service.analytics.retention import RetentionClock
from qa_service.analytics.vectors import packed, unpacked
from qa_service.errors import NotFound, StorageError
from qa_service.pipeline import QuestionAnswerer
from qa_service.settings import Settings

FOUND = "Where does the cat sleep?"
NOW = 1_800_000_000
ROW = RecordedQuestion(NOW, "", "answered", 0.9, '["sea.txt"]', 4.5, 1)
COLUMNS = "collection, verdict, documents, useful, question, vector IS NOT NULL"


def rows(folder: Path, columns: str = COLUMNS) -> list[tuple[object, ...]]:
    with reading(folder / RECORD) as connection:
        return connection.execute(f"SELECT {columns} FROM questions ORDER BY number").fetchall()  # noqa: S608


def asked(settings: Settings, **given: object) -> Settings:
    return settings.model_copy(update={"analytics": "questions", **given})


def ask(client: TestClient, question: str, **body: object) -> str:
    response = client.post("/ask", json={"question": question, **body})
    assert response.status_code == 200
    return str(response.json()["id"])


def test_a_server_records_questions_with_their_feedback(
    answerer: QuestionAnswerer, settings: Settings, verdicts: Verdicts
) -> None:
    """Verdict, documents, feedback and text; a vector for those without an answer; batches are not recorded."""
    app = app_for(answerer, asked(settings))
    with TestClient(app, base_url="http://localhost") as client:
        identifier = ask(client, f"{FOUND}  Tell me.\n")
        verdicts.verdict = "not_found"
        ask(client, f"{FOUND} And a zebra?")
        ask(client, f"{FOUND} And me@example.org?")
        client.post("/ask/batch", json={"questions": [FOUND]})
        client.post("/feedback", json={"answer_id": identifier, "useful": False})
    assert rows(settings.data) == [
        ("", "answered", '["zoo/animals.md"]', 0, f"{FOUND} Tell me.", 0),
        ("", "not_found", "[]", None, f"{FOUND} And a zebra?", 1),
        ("", "not_found", "[]", None, f"{FOUND} And [e-mail]?", 0),
    ]
    assert (settings.data / RECORD).stat().st_mode & 0o077 == 0
    assert all(took > 0 for (took,) in rows(settings.data, "milliseconds"))


def test_counts_hold_no_question(answerer: QuestionAnswerer, settings: Settings, verdicts: Verdicts) -> None:
    """Neither its text nor anything made from it."""
    with TestClient(app_for(answerer, asked(settings, analytics="counts")), base_url="http://localhost") as client:
        verdicts.verdict = "not_found"
        ask(client, f"{FOUND} And a zebra?")
    assert rows(settings.data, "question, wording, model, vector") == [(None, None, None, None)]
    assert b"zebra" not in (settings.data / RECORD).read_bytes()


def test_nothing_is_recorded_by_default(answerer: QuestionAnswerer, settings: Settings) -> None:
    """There is no file, and no thread."""
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        ask(client, FOUND)
    assert not (settings.data / RECORD).exists()


@pytest.mark.needs("mcp")
@pytest.mark.parametrize(("tool", "argument"), [("ask", "question"), ("search", "query")])
def test_a_question_over_mcp_is_recorded(
    tool: str, argument: str, answerer: QuestionAnswerer, settings: Settings
) -> None:
    """As one of POST /ask."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    body = {**call, "params": {"name": tool, "arguments": {argument: FOUND}}}
    accepted = {"Accept": "application/json, text/event-stream"}
    with TestClient(app_for(answerer, asked(settings, mcp=True)), base_url="http://localhost") as client:
        assert client.post("/mcp", json=body, headers=accepted).status_code == 200
    assert rows(settings.data, "question") == [(FOUND,)]


def test_a_disk_that_takes_nothing_stops_no_answer(
    answerer: QuestionAnswerer, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is logged once; the questions are written as soon as there is space."""
    add, full = RecordFile.add, True

    def add_if_space(self: RecordFile, given: object) -> None:
        if full:
            raise StorageError("the disk is full")
        add(self, given)  # type: ignore[arg-type]

    monkeypatch.setattr(RecordFile, "add", add_if_space)
    monkeypatch.setattr(recorder, "_GATHER_SECONDS", 0.01)
    with TestClient(app_for(answerer, asked(settings)), base_url="http://localhost") as client:
        ask(client, FOUND)
        eventually(lambda: "not recorded" in caplog.text)
        ask(client, FOUND)
        full = False
        eventually(lambda: len(rows(settings.data)) == 2)
    assert caplog.text.count("not recorded") == 1


def test_a_transaction_that_fails_leaves_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    """As on a disk that fills up."""
    with RecordFile(tmp_path / RECORD) as file:
        with pytest.raises(StorageError):
            file.add([ROW, replace(ROW, verdict=None)])  # type: ignore[arg-type]
        file.add([ROW])
    assert len(rows(tmp_path)) == 1


def test_a_damaged_record_stops_no_server(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Its questions are answered, and the file is left as it is."""
    settings.data.mkdir()
    (settings.data / RECORD).write_bytes(b"no database" * 100)
    with TestClient(app_for(answerer, asked(settings)), base_url="http://localhost") as client:
        ask(client, FOUND)
    assert (settings.data / RECORD).read_bytes() == b"no database" * 100


def test_many_queued_answers_are_bounded(settings: Settings, answerer: QuestionAnswerer) -> None:
    """A recorder whose thread does not keep up drops questions."""
    slow = QuestionRecorder(asked(settings))
    answer = answerer.ask(FOUND)
    for number in range(recorder._MAX_WAITING + 10):
        slow.add(str(number), answer, "", 1.0)
    assert len(slow._waiting) == recorder._MAX_WAITING


def test_feedback_waits_for_the_question_of_another_process(tmp_path: Path, settings: Settings) -> None:
    """It may arrive first."""
    late = QuestionRecorder(asked(settings))
    late.add_feedback("a", useful=True)
    late._round()
    with RecordFile(settings.data / RECORD) as other:
        other.add([replace(ROW, answer=recorder.digest("a"))])
    late._round()
    assert rows(settings.data, "useful") == [(1,)]
    late.add_feedback("of no question", useful=True)
    for _ in range(recorder._FEEDBACK_TRIES + 1):
        late._round()
    assert not late._feedback


def test_two_processes_write_one_record(tmp_path: Path) -> None:
    """Every question of both is in it, while a third reads."""
    script = (
        "import sys; from pathlib import Path; from qa_service.analytics.file import RecordFile, RecordedQuestion\n"
        "with RecordFile(Path(sys.argv[1])) as file:\n"
        "    for n in range(50): file.add([RecordedQuestion(n, sys.argv[2], 'answered', 1.0, '[]', 1.0, n)] * 20)"
    )
    RecordFile(tmp_path / RECORD).close()
    writers = [subprocess.Popen([sys.executable, "-c", script, tmp_path / RECORD, name]) for name in ("one", "two")]
    with reading(tmp_path / RECORD) as connection:
        before = connection.execute("SELECT count(*) FROM questions").fetchone()
        assert [writer.wait() for writer in writers] == [0, 0]
        assert connection.execute("SELECT count(*) FROM questions").fetchone() == before
    assert sorted(rows(tmp_path, "collection")) == [("one",)] * 1000 + [("two",)] * 1000


def test_old_questions_are_deleted_while_a_report_reads(tmp_path: Path) -> None:
    """The report sees the record as it was; afterwards the bytes of the deleted text are gone."""
    with RecordFile(tmp_path / RECORD) as file:
        old = [replace(ROW, asked_at=NOW - 40 * DAY_SECONDS, question=f"old secret {n}") for n in range(2500)]
        file.add([*old, ROW])
        with reading(tmp_path / RECORD) as connection:
            connection.execute("SELECT count(*) FROM questions").fetchone()
            assert file.delete_before(NOW - 30 * DAY_SECONDS, NOW) == 2500
            assert connection.execute("SELECT count(*) FROM questions").fetchone() == (2501,)
    assert rows(tmp_path, "asked_at") == [(NOW,)]
    sqlite3.connect(tmp_path / RECORD).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"old secret" not in (tmp_path / RECORD).read_bytes()


def test_a_question_dated_wrongly_stays_as_long_as_those_around_it(tmp_path: Path) -> None:
    """1970, recorded between questions of today, is not old; a time to come keeps nothing else."""
    times = [NOW - 40 * DAY_SECONDS, NOW + 900 * DAY_SECONDS, NOW - 35 * DAY_SECONDS, NOW - 5, 0, NOW - 1]
    with RecordFile(tmp_path / RECORD) as file:
        file.add([replace(ROW, asked_at=asked_at) for asked_at in times])
        assert file.delete_before(NOW - 30 * DAY_SECONDS, NOW) == 2
        assert [asked_at for (asked_at,) in rows(tmp_path, "asked_at")] == [times[1], *times[3:]]
        assert file.delete_before(NOW - 30 * DAY_SECONDS, NOW) == 0


def test_the_number_of_questions_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first, whatever the retention."""
    monkeypatch.setattr("qa_service.analytics.file.MAX_QUESTIONS", 3)
    with RecordFile(tmp_path / RECORD) as file:
        file.add([replace(ROW, answer=number) for number in range(10)])
        assert file.delete_before(0, NOW) == 7
    assert rows(tmp_path, "answer") == [(7,), (8,), (9,)]


class _Clocks:
    """A clock on the wall, and one that counts."""

    def __init__(self) -> None:
        self.wall, self.counted = float(NOW), 0.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.counted += seconds

    def made(self, *recent: int) -> RetentionClock:
        return RetentionClock(recent, lambda: self.wall, lambda: self.counted)


@pytest.mark.parametrize("jump", [3650 * DAY_SECONDS, -3650 * DAY_SECONDS, 3600])
def test_a_clock_that_jumps_is_not_trusted_for_a_day(jump: int) -> None:
    """Nor after it jumped back."""
    clocks = _Clocks()
    clock = clocks.made(NOW - 60)
    clocks.pass_by(3600)
    assert clock.trusted_now() == NOW + 3600
    clocks.wall += jump
    assert clock.trusted_now() is None
    clocks.pass_by(3600)
    clocks.wall -= jump
    assert clock.trusted_now() is None
    clocks.pass_by(DAY_SECONDS - 1)
    assert clock.trusted_now() is None
    clocks.pass_by(1)
    assert clock.trusted_now() == clocks.wall


@pytest.mark.parametrize("recent", [(NOW - 8 * DAY_SECONDS,), (NOW + 8 * DAY_SECONDS,), (NOW, 0, NOW)])
def test_a_start_far_from_the_last_questions_waits_for_a_day(recent: tuple[int, ...]) -> None:
    """The clock may have jumped before."""
    clocks = _Clocks()
    clock = clocks.made(*recent)
    assert clock.trusted_now() is None
    clocks.pass_by(DAY_SECONDS)
    assert clock.trusted_now() == clocks.wall


def test_a_server_with_a_clock_of_tomorrows_year_deletes_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even after it recorded a question and was started again."""
    with RecordFile(settings.data / RECORD) as file:
        file.add([replace(ROW, asked_at=int(time.time()))])
    future = time.time() + 4000 * DAY_SECONDS
    monkeypatch.setattr(recorder, "RetentionClock", partial(RetentionClock, now=lambda: future))
    for _ in range(2):
        one = QuestionRecorder(asked(settings))
        one._rows.append(replace(ROW, asked_at=int(future)))
        one._round()
    assert len(rows(settings.data)) == 3
    monkeypatch.setattr(RetentionClock, "trusted_now", lambda _: future)
    one._retention_due = 0
    one._round()
    assert len(rows(settings.data)) == 2


def test_a_vector_keeps_its_direction_in_eight_bits() -> None:
    """The cosine is above .999; a vector of zeros is one of zeros."""
    vectors = np.random.default_rng(7).normal(size=(20, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    restored = unpacked([packed(vector) for vector in vectors])
    assert (restored * vectors).sum(axis=1).min() > 0.999
    assert not unpacked([packed(np.zeros(8, np.float32))]).any()


def test_questions_with_the_same_words_have_one_wording() -> None:
    """Case, spaces and punctuation do not matter, in any script."""
    assert wording_of("Where is  the CAT?!") == wording_of("where is the cat")
    assert wording_of("조약은?") == wording_of("조약은")
    assert len({wording_of("?"), wording_of("!"), wording_of("a"), wording_of("b")}) == 4


def test_reading_needs_a_record(tmp_path: Path) -> None:
    """The error says how one comes to be."""
    with pytest.raises(NotFound, match="QA_ANALYTICS"), reading(tmp_path / RECORD):
        pass
