"""The question files in other languages, and the commands of docs/languages.md, with a tiny multilingual model."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, Run
from multilingual import PROMPTS, write_model

from qa_service.embedding import find_model, open_embedder
from qa_service.embedding.choose import embedder_to_ask
from qa_service.evaluation import Question, QuestionFile
from qa_service.settings import load_settings

DATA = ROOT / "tests/data/languages"
PAGE = (ROOT / "docs/languages.md").read_text(encoding="utf-8")


def _questions(name: str) -> list[Question]:
    return [item for item in QuestionFile(DATA / name) if isinstance(item, Question)]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        *((f"us-korea-{name}.jsonl", ROOT / "source_text") for name in ("german", "korean", "spanish")),
        ("korean.jsonl", DATA / "korean"),
    ],
)
def test_gold_stands_once_in_its_document(name: str, source: Path) -> None:
    """30 questions of each file have an answer, eight have none."""
    questions = _questions(name)
    assert [question.answerable for question in questions] == [True] * 30 + [False] * 8
    assert len({question.question for question in questions}) == 38
    for question in questions:
        assert bool(question.references) == question.answerable
        for reference in question.references:
            assert reference.document is not None
            text = (source / reference.document).read_text(encoding="utf-8")
            assert text.count(reference.content or "\0") == 1


def _blocks(language: str) -> list[str]:
    """Return the code blocks of the page's recipe in a language, except those that download a model."""
    recipe = PAGE.partition("\n## A multilingual model\n")[2].partition("\n## ")[0]
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", recipe, re.MULTILINE | re.DOTALL)
    return [block for block in found if "hf download" not in block and "QA_ALLOW_DOWNLOAD" not in block]


def _write_questions(path: Path) -> None:
    """Write thirty questions in the words of their answers, which random weights find too, and twenty others."""
    gold = [item.references[0] for item in _questions("korean.jsonl") if item.references]
    easy = [
        {"question": one.content, "references": [{"document": one.document, "content": one.content}]} for one in gold
    ]
    others = [{"question": f"{number}번 버스는 어디로 갑니까?", "answerable": False} for number in range(20)]
    path.write_text("".join(json.dumps(one) + "\n" for one in (*easy, *others)), "utf-8")


def test_the_commands_of_the_recipe_work(tmp_path: Path, run: Run) -> None:
    """With a tiny model in the place of the downloaded one, and Korean documents and questions."""
    write_model(tmp_path / "written", "bert", positions=128, window=128)
    shutil.copytree(tmp_path / "written/model", tmp_path / "models/multilingual-e5-small")
    shutil.copytree(DATA / "korean", tmp_path / "source_text")
    _write_questions(tmp_path / "questions.jsonl")
    (settings,) = _blocks("ini")
    (tmp_path / ".env").write_text(settings, "utf-8")
    outputs = {}
    for block in _blocks("sh"):
        if not block.lstrip().startswith("qa-service"):
            subprocess.run(["bash", "-e", "-c", block], cwd=tmp_path, check=True)
            continue
        for line in block.strip().splitlines():
            _, *arguments = shlex.split(line, comments=True)
            code, out, err = run(*arguments)
            assert code == 0, line + out + err
            outputs[arguments[0]] = out
    assert list(outputs) == ["index", "ask", "evaluate", "calibrate"]
    reference = open_embedder("models/multilingual-e5-small")
    assert (reference.question_prompt, reference.passage_prompt) == (PROMPTS["query"], PROMPTS["passage"])
    embedder = embedder_to_ask(load_settings())
    assert embedder.identity == find_model("models/multilingual-e5-small").identity
    assert embedder.runtime == "ONNX Runtime int8"
    assert "calibrated on" in outputs["calibrate"]
