"""Windows to learn from: what retrieval finds for the questions of a set."""

import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qa_service.embedding import Embedder
from qa_service.pipeline import build, open_answerer
from qa_service.settings import load_settings
from training.records import read_questions, read_records, set_names, write_records
from training.windows import WindowFinder, file_name, thinned, write_contexts

LAKE = "The lake is deep. The lake is cold in winter. Pikes live in it."
HILL = "The hill is steep. The hill has a chapel of stone. Goats graze on it."


def test_questions_get_windows_that_know_where_they_stand(
    tmp_path: Path, fake: Embedder, set_file: Callable[..., Path]
) -> None:
    """The gold window is cut from the context, around the answer."""
    questions = read_questions(set_file(LAKE, HILL))
    settings = load_settings(source=tmp_path / "sources", index=tmp_path / "index")
    numbers = write_contexts(questions, settings.source)
    build(settings, fake)
    finder = WindowFinder(open_answerer(settings, fake)[0], numbers)
    write_records(tmp_path, "nature", [finder.record(asked) for asked in questions])

    assert set_names(tmp_path) == ["nature"]
    for asked, record in zip(questions, read_records(tmp_path, "nature"), strict=True):
        assert (record.question, record.answers, record.answerable) == (asked.question, asked.answers, True)
        assert sum(window.best for window in record.windows) == 1
        homes = [window for window in record.windows if window.at is not None]
        assert homes
        assert len(homes) < len(record.windows)
        assert record.gold is not None
        for window in [*homes, record.gold]:
            assert asked.context[window.at :].startswith(window.text)
        assert asked.answers[0].text in record.gold.text


@pytest.fixture
def set_file(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a question about the first word of each context after `is` or `has`."""

    def write(*contexts: str) -> Path:
        path = tmp_path / "nature.jsonl.xz"
        with lzma.open(path, "wt", encoding="utf-8") as file:
            for number, context in enumerate(contexts):
                file.write(json.dumps(question(number, context)) + "\n")
        return path

    return write


def question(number: int, context: str) -> dict[str, Any]:
    answer = context.split()[3].rstrip(".")
    return {
        "id": str(number),
        "question": f"How is the {context.split()[1]}?",
        "context": context,
        "answers": [{"text": answer, "start": context.index(answer)}],
        "answerable": True,
    }


def test_a_context_of_several_questions_is_one_file(tmp_path: Path, set_file: Callable[..., Path]) -> None:
    numbers = write_contexts(read_questions(set_file(LAKE, HILL, LAKE)), tmp_path / "sources")
    assert numbers == {LAKE: 0, HILL: 1}
    assert (tmp_path / "sources" / file_name(1)).read_text(encoding="utf-8") == HILL


def test_a_thinned_set_is_spread_over_the_whole(set_file: Callable[..., Path]) -> None:
    questions = read_questions(set_file(*[LAKE] * 10))
    assert [asked.id for asked in thinned(questions, 4)] == ["0", "2", "5", "7"]
    assert thinned(questions, 10) == thinned(questions, None) == questions
