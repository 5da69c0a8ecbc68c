"""Measure follow-ups: how many are recognised, and how well they find their passages in different wordings.

    python benchmarks/question_follow_ups.py [EVAL_FOLDER] [--work FOLDER]

Asks tests/data/conversations/us-korea.jsonl of source_text/. EVAL_FOLDER adds xquad_en/ and nq_passages/ (documents/
and questions.jsonl): conversations are made from their questions (conversations.py). The history has the quotes that
the service itself gave. Then every question of these sets and of squad2_dev/ is asked with the question before it in
its file as history, and those that are touched are listed: a stand-alone question must not be. ``--work`` keeps the
indexes for the next run.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from common import answerer_for, relevant_passages, setup

from conversations import AskedTurn, Conversation, make_conversations, read_conversations

from qa_service.datatypes import Answer, AskOptions, Turn, UnderstoodQuestion
from qa_service.evaluation import Question, QuestionFile
from qa_service.index.disk import OpenIndex
from qa_service.pipeline import QuestionAnswerer
from qa_service.questions.follow_ups import complete
from qa_service.questions.grammar import PRONOUNS, WORD, is_plain
from qa_service.retrieval import Query

ROOT = Path(__file__).parent.parent
CONVERSATIONS = ROOT / "tests/data/conversations/us-korea.jsonl"
QUESTIONS = ROOT / "tests/data/us-korea-questions.jsonl"
DEPTH = 5
Wording = Callable[[AskedTurn, Sequence[Turn]], UnderstoodQuestion]


def _names(question: str) -> str:
    words = [word for word in WORD.findall(question) if not is_plain(word)]
    return " ".join([word for word in words if word[0].isupper()] or words)


def _replaced(question: str, names: str) -> str:
    pronoun = next((found for found in WORD.finditer(question) if found[0].lower() in PRONOUNS), None)
    if pronoun is None:
        return f"{question} {names}"
    return f"{question[: pronoun.start()]}{names}{question[pronoun.end() :]}"


def _completed(turn: AskedTurn, history: Sequence[Turn], *, fused: bool) -> UnderstoodQuestion:
    text = complete(turn.question, history)
    if text is None:
        return UnderstoodQuestion(turn.question)
    return UnderstoodQuestion(text, (turn.question,) if fused else ())


WORDINGS: dict[str, Wording] = {
    "as it is": lambda turn, _: UnderstoodQuestion(turn.question),
    "behind the question before": lambda turn, history: UnderstoodQuestion(f"{history[-1].question} {turn.question}"),
    "with that one's names": lambda turn, history: UnderstoodQuestion(
        f"{turn.question} {_names(history[-1].question)}"
    ),
    "names for its pronoun": lambda turn, history: UnderstoodQuestion(
        _replaced(turn.question, _names(history[-1].question))
    ),
    "completed": lambda turn, history: _completed(turn, history, fused=False),
    "completed and as it is (the service)": lambda turn, history: _completed(turn, history, fused=True),
    "its stand-alone form": lambda turn, _: UnderstoodQuestion(turn.stand_alone),
}


def main() -> None:
    """Print the figures of each set, and the stand-alone questions that are touched."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluation", type=Path, nargs="?")
    parser.add_argument("--work", type=Path)
    arguments = parser.parse_args()
    print(setup())
    with tempfile.TemporaryDirectory() as temporary:
        ranks: dict[str, list[int]] = defaultdict(list)
        for name, source, conversations in _sets(arguments.evaluation):
            answerer = answerer_for(source, (arguments.work or Path(temporary)) / name)
            found = measure(answerer, conversations)
            report(name, found, len(conversations))
            for wording, places in found.items():
                ranks[wording] += places
        report("all", ranks, 0)
    files = [QUESTIONS]
    if arguments.evaluation:
        files += [arguments.evaluation / name / "questions.jsonl" for name in ("xquad_en", "nq_passages", "squad2_dev")]
    for file in files:
        report_touched(file)


def _sets(evaluation: Path | None) -> Iterator[tuple[str, Path, list[Conversation]]]:
    yield "briefing", ROOT / "source_text", read_conversations(CONVERSATIONS)
    if evaluation:
        for name in ("xquad_en", "nq_passages"):
            yield name, evaluation / name / "documents", make_conversations(evaluation / name)


def measure(answerer: QuestionAnswerer, conversations: Sequence[Conversation]) -> dict[str, list[int]]:
    """Return the rank of the first relevant passage of each follow-up in each wording; 0 if it is not found."""
    ranks: dict[str, list[int]] = defaultdict(list)
    assert isinstance(answerer.index, OpenIndex)
    for conversation in conversations:
        history: list[Turn] = []
        for turn in conversation:
            if turn.leans:
                gold = Question(line=1, id="turn", question=turn.question, answerable=True, references=turn.references)
                relevant = relevant_passages(answerer.index, gold)
                for name, wording in WORDINGS.items():
                    answer = _asked(answerer, wording(turn, history))
                    numbers = [result.scored.passage.number for result in answer.results]
                    ranks[name].append(next((rank for rank, one in enumerate(numbers, 1) if one in relevant), 0))
                ranks["recognised"].append(int(complete(turn.question, history) is not None))
            history.append(Turn(turn.question, _quote(_asked(answerer, _completed(turn, history, fused=True)))))
    return ranks


def _asked(answerer: QuestionAnswerer, understood: UnderstoodQuestion) -> Answer:
    query = Query.of(understood, answerer.embed(understood.wordings))
    return answerer.ask(understood.text, AskOptions(top_k=DEPTH), query=query)


def _quote(answer: Answer) -> str:
    return answer.results[answer.best].citation.quote if answer.is_shown else ""


def report(name: str, ranks: dict[str, list[int]], conversations: int) -> None:
    """Print a table of the wordings."""
    recognised = ranks["recognised"]
    print(f"\n{name}: {conversations or ''} conversations, {len(recognised)} follow-ups, ", end="")
    print(f"{sum(recognised) / len(recognised):.3f} recognised\n\n| asked | R@1 | R@5 | of its stand-alone form |")
    print("| --- | --- | --- | --- |")
    best = sum(map(bool, ranks["its stand-alone form"]))
    for wording in WORDINGS:
        places = ranks[wording]
        first, found = sum(place == 1 for place in places), sum(map(bool, places))
        print(f"| {wording} | {first / len(places):.3f} | {found / len(places):.3f} | {found / best:.1%} |", flush=True)


def report_touched(file: Path) -> None:
    """Print the questions of a file that are taken for follow-ups of the question before, and the time it takes."""
    questions = [one.question for one in QuestionFile(file) if isinstance(one, Question)]
    started = time.process_time()
    touched = [one for before, one in pairwise(questions) if complete(one, [Turn(before)]) is not None]
    microseconds = (time.process_time() - started) / len(questions) * 1e6
    print(
        f"\n{file.parent.name}: {len(touched)} of {len(questions)} questions touched, {microseconds:.0f} µs a question"
    )
    for one in touched:
        print(f"    {one}")


if __name__ == "__main__":
    main()
