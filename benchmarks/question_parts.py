"""Measure whether the first five passages hold what all parts of a question need.

    python benchmarks/question_parts.py EVAL_FOLDER [--spans FILE] [--work FOLDER] [--questions N]

EVAL_FOLDER holds xquad_en/ and nq_passages/ (documents/ and questions.jsonl). Pairs of questions whose answers stand in
different passages of one article are joined into one question. ``--spans`` is a file of JSON Lines (may be .xz) of
questions with several answers in one context: it measures how many of them the first five passages and the quotes hold.
Every set is asked with and without the step that finds parts; the single questions show whether it does harm.
"""

import argparse
import json
import lzma
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from common import answerer_for, relevant_passages, setup

import numpy as np

from qa_service.datatypes import Answer, AskOptions
from qa_service.evaluation import Question, QuestionFile
from qa_service.index.disk import OpenIndex
from qa_service.pipeline import QuestionAnswerer
from qa_service.questions.parts import parts_of

TOP_K, PAIR = 5, 2
_SEED = 7
_ASKING = ("who", "what", "when", "where", "which", "why", "how")
_JOINTS = ("{} and {}?", "{}, and {}?", "{}? {}?", "{}? And {}?", "{} & {}?")


def main() -> None:
    """Print a table for each set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("eval", type=Path)
    parser.add_argument("--spans", type=Path)
    parser.add_argument("--work", type=Path, default=Path(tempfile.mkdtemp()))
    parser.add_argument("--questions", type=int, default=100)
    given = parser.parse_args()
    print(setup())
    for name in ("xquad_en", "nq_passages"):
        asked = [one for one in QuestionFile(given.eval / name / "questions.jsonl") if isinstance(one, Question)]
        ways = opened(given.eval / name / "documents", given.work / name)
        if name == "xquad_en":
            joined_table(ways, pairs(ways["parts"].index, asked, given.questions))
        single_table(name, ways, asked)
    if given.spans:
        spans_table(given.spans, given.work)


def opened(documents: Path, index: Path) -> dict[str, QuestionAnswerer]:
    """Return an answerer without the step, and one with it."""
    return {
        "whole": answerer_for(documents, index, question_steps="none"),
        "parts": answerer_for(documents, index),
    }


def pairs(index: OpenIndex, questions: Sequence[Question], count: int) -> list[tuple[str, list[set[int]]]]:
    """Return joined questions, each with the passages that answer each part."""
    chance = random.Random(_SEED)  # noqa: S311 - no secret
    fit = [one for one in questions if one.answerable and one.question.split()[0].casefold() in _ASKING]
    by_document: dict[str, list[Question]] = {}
    for one in fit:
        by_document.setdefault(one.references[0].document, []).append(one)
    documents = sorted(name for name, own in by_document.items() if len(own) > 1)
    found: list[tuple[str, list[set[int]]]] = []
    while len(found) < count:
        first, second = chance.sample(by_document[chance.choice(documents)], PAIR)
        gold = [relevant_passages(index, one) for one in (first, second)]
        if gold[0] & gold[1]:
            continue
        parts = [one.question.strip().rstrip("?. ") for one in (first, second)]
        joint = chance.choice(_JOINTS)
        parts[1] = parts[1] if joint.startswith("{}? {}") else parts[1][0].lower() + parts[1][1:]
        found.append((joint.format(*parts), gold))
    return found


def joined_table(ways: dict[str, QuestionAnswerer], joined: Sequence[tuple[str, list[set[int]]]]) -> None:
    """Print how many of the joined questions have all needed passages among the first five, and a quote of each."""
    print(
        f"\n{len(joined)} questions of two parts; {sum(len(parts_of(text)) == PAIR for text, _ in joined)} are parted"
    )
    for way, answerer in ways.items():
        answers = [answerer.ask(text, AskOptions(top_k=TOP_K)) for text, _ in joined]
        both = [
            all(own & numbers_of(answer) for own in gold) for answer, (_, gold) in zip(answers, joined, strict=True)
        ]
        quoted = [
            all(own & quoted_of(answer) for own in gold) for answer, (_, gold) in zip(answers, joined, strict=True)
        ]
        shown = [answer.is_shown for answer in answers]
        print(
            f"  {way:6} both passages among {TOP_K}: {np.mean(both):.3f}; both quoted: {np.mean(quoted):.3f}; "
            f"shown: {np.mean(shown):.3f}"
        )


def numbers_of(answer: Answer) -> set[int]:
    """Return the numbers of an answer's passages."""
    return {result.scored.passage.number for result in answer.results}


def quoted_of(answer: Answer) -> set[int]:
    """Return the numbers of the passages that an answer quotes."""
    return {answer.results[quote.result].scored.passage.number for quote in answer.quotes}


def single_table(name: str, ways: dict[str, QuestionAnswerer], questions: Sequence[Question]) -> None:
    """Print how many single questions are taken apart, and whether these lose anything."""
    parted = [one for one in questions if parts_of(one.question)]
    print(f"\n{name}: {len(questions)} single questions, {len(parted)} are parted")
    index = ways["parts"].index
    gold = [relevant_passages(index, one) for one in parted]

    def hits(way: str, measured: Callable[[Answer, set[int]], bool]) -> int:
        return sum(
            measured(ways[way].ask(one.question, AskOptions(top_k=TOP_K)), own)
            for one, own in zip(parted, gold, strict=True)
        )

    for way in ways:
        first = hits(way, lambda answer, own: answer.results[0].scored.passage.number in own)
        among = hits(way, lambda answer, own: bool(own & numbers_of(answer)))
        print(f"  {way:6} right first: {first}; among {TOP_K}: {among}; of {len(parted)}")


def spans_table(file: Path, work: Path) -> None:
    """Print the share of several answers that the passages and the quotes hold."""
    with lzma.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    rows = [row for row in rows if row["answerable"] and len(row["answers"]) > 1]
    documents = work / "spans" / "documents"
    documents.mkdir(parents=True, exist_ok=True)
    for row in rows:
        (documents / f"{row['id']}.txt").write_text(row["context"] + "\n", encoding="utf-8")
    print(f"\n{len(rows)} questions with several answers")
    for way, answerer in opened(documents, work / "spans" / "index").items():
        held = {"passages": [], "quotes": []}
        for row in rows:
            answer = answerer.ask(row["question"], AskOptions(top_k=TOP_K))
            texts = {
                "passages": [result.scored.passage.text for result in answer.results],
                "quotes": [
                    answer.results[quote.result].scored.passage.text[slice(*quote.place)] for quote in answer.quotes
                ],
            }
            for name, found in texts.items():
                held[name].append(np.mean([any(one["text"] in text for text in found) for one in row["answers"]]))
        print(f"  {way:6} " + "; ".join(f"answers held by {name}: {np.mean(own):.3f}" for name, own in held.items()))


if __name__ == "__main__":
    main()
