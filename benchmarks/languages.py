"""Print how well questions in ten languages find their passages: docs/languages.md.

    python benchmarks/languages.py [--model FOLDER]

Each language has the same eight facts, a document each, and a question about each in other words. A set this small
shows which languages work and which do not; it does not rank those that work.
"""

import argparse
import json
import tempfile
from pathlib import Path

from common import answerer_for, setup

from qa_service.index.words import languages
from qa_service.settings import DEFAULT_MODEL

DATA = Path(__file__).with_suffix(".json")


def main() -> None:
    """Print a row for each language."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="folder of another model than the default one")
    model = parser.parse_args().model
    sets: dict[str, list[list[str]]] = json.loads(DATA.read_text(encoding="utf-8"))
    english = [question for _, question in sets["english"]]
    print(setup())
    columns = ("language", "found first", "answered", "found first by vectors alone", "found first, asked in English")
    print(f"| {' | '.join(columns)} |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for language, facts in sets.items():
            source = Path(folder) / language
            source.mkdir()
            for number, (text, _) in enumerate(facts):
                (source / f"{number}.txt").write_text(text, encoding="utf-8")
            questions = [question for _, question in facts]
            stemmer = language if language in languages() else "none"
            settings = {"model": model, "language": stemmer}
            found, answered = ask(source, questions, **settings)
            by_vectors, _ = ask(source, questions, **settings, lexical_weight=0, rerank="none")
            in_english, _ = ask(source, english, **settings)
            print(f"| {language} | {found} | {answered} | {by_vectors} | {in_english} |", flush=True)


def ask(source: Path, questions: list[str], **settings: object) -> tuple[int, int]:
    """Return the number of questions whose passage is the first result, and of those that count as answerable."""
    answerer = answerer_for(source, source.parent / "index", **settings)
    answers = [answerer.ask(question) for question in questions]
    found = sum(answer.results[0].citation.uri == f"{number}.txt" for number, answer in enumerate(answers))
    return found, sum(answer.answerable is True for answer in answers)


if __name__ == "__main__":
    main()
