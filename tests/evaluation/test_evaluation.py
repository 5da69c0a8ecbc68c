"""Measures against hand-computed values and trec_eval, interrupted runs, comparisons, sweeps, reports."""

import itertools
import json
import math
import random
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytrec_eval
from conftest import TWO_DOCUMENTS, FakeEmbedder, Run
from conftest import served as server_of
from hypothesis import given
from hypothesis import strategies as st

from qa_service.datatypes import AnswerVerdict, AskOptions, Quote, Reason
from qa_service.errors import QuestionFileError, RemoteError, SettingsError
from qa_service.evaluation import EvaluationOptions, Question, QuestionFile, Target, evaluate
from qa_service.evaluation.compare import Limit, compare, failures, setting_text
from qa_service.evaluation.explanations import explanation
from qa_service.evaluation.figures import cards, tag_rows, verdict_rows
from qa_service.evaluation.gold import Gold, IndexCorpus, Span
from qa_service.evaluation.markdown_report import markdown_report
from qa_service.evaluation.measures import (
    DEFAULT,
    EvaluatedQuestion,
    best_is_right,
    measure,
    normalized,
    parse,
    token_f1,
)
from qa_service.evaluation.outcome import Outcome, ReturnedPassage, ShownQuote
from qa_service.evaluation.report import comparison_page, html_report, sweep_page, write_reports
from qa_service.evaluation.run import QRELS_TREC, RESULTS, RUN_TREC, Fingerprint, RunFolder
from qa_service.evaluation.statistics import (
    effect_size,
    estimate,
    holm,
    randomisation_p,
    reliability,
    risk_coverage,
    share_interval,
)
from qa_service.evaluation.summary import Summary, VerdictCounts, summarize
from qa_service.evaluation.sweep import Sweep, SweepRow, grid, rank_rows, sweep
from qa_service.evaluation.targets import InProcessAsker, RemoteService
from qa_service.pipeline import QuestionAnswerer, open_answerer
from qa_service.schemas.ask import AskResponse, ask_body
from qa_service.server.process import bound_socket
from qa_service.settings import Settings, load_settings

GOOD = {
    "question": "What does the cat do?",
    "references": [{"document": "zoo/animals.md", "content": "The cat sleeps"}],
}
WORDS = ["cat", "dog", "whale", "crab", "farm", "ocean", "mat", "noon", "foxes", "beach", "hours", "deep", "warm"]


def question_file(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def run(file: Path, answerer: QuestionAnswerer, output: Path, **options: object) -> Summary:
    asker = InProcessAsker(answerer)
    about = {"questions": file.name, "started": "then", "index_version": answerer.index.generation, "version": "1"}
    target = Target(asker, IndexCorpus(answerer.index), asker, about=about)
    return evaluate(QuestionFile(file), target, output, EvaluationOptions(**options))


@pytest.fixture
def rows(answerer: QuestionAnswerer) -> list[dict[str, object]]:
    """Make forty questions about pairs of words: three of four with gold, answers and tags, the others unanswerable."""
    made: list[dict[str, object]] = []
    for number, (one, other) in enumerate(itertools.islice(itertools.combinations(WORDS, 2), 40)):
        row: dict[str, object] = {"id": f"q {number}/é", "question": f"What of {one} and {other}?", "tags": [one]}
        if number % 4:
            row["references"] = [
                {"document": uri, "content": one}
                for uri in ("sea.txt", "zoo/animals.md")
                if one in (answerer.index.document_by_uri(uri) or pytest.fail(uri)).text
            ]
            row["answers"] = [one]
        else:
            row["answerable"] = False
        made.append(row)
    return made


def test_measures_equal_hand_computed_values(answerer: QuestionAnswerer, tmp_path: Path) -> None:
    """Three questions whose relevant passages are first, second and absent."""
    order = [result.scored.passage for result in answerer.ask("the whale", AskOptions(top_k=4)).results]
    texts = {passage.number: answerer.index.document(passage.document_id) for passage in order}

    def about(rank: int) -> dict[str, object]:
        passage, position = order[rank], order[rank].position
        document = texts[passage.number]
        assert document is not None
        return {"document": document.uri, "start_index": position.start_char, "end_index": position.start_char + 3}

    rows = [
        {"question": "the whale", "references": [about(0)]},
        {"question": "the whale", "references": [about(1)]},
        {"question": "the whale", "references": [{"document": "zoo/animals.md", "content": "# Animals"}]},
        {"question": "the whale", "answerable": True},
    ]
    summary = run(question_file(tmp_path / "q.jsonl", rows), answerer, tmp_path / "run", top_k=4)
    assert (summary.questions, summary.scored, summary.problems) == (4, 3, [])
    means = summary.means()
    assert means["Success@1"] == pytest.approx(1 / 3)
    assert means["Success@5"] == pytest.approx(2 / 3)
    assert means["RR@10"] == pytest.approx((1 + 1 / 2) / 3)
    assert means["nDCG@10"] == pytest.approx((1 + 1 / math.log2(3)) / 3)
    assert means["R@5"] == pytest.approx(2 / 3)
    assert summary.ranks == {"1": 1, "2": 1, "none": 1}


def found(*spans: tuple[str, int, int]) -> Outcome:
    results = tuple(ReturnedPassage(uri, start, end, 1.0, 0.5, "t", (0, 1)) for uri, start, end in spans)
    return Outcome("answered", 0.5, (ShownQuote("a", 0, 8, "The cat."),), results, "v")


def question(**fields: object) -> Question:
    return Question(**{"line": 1, "id": "1", "question": "x", "answerable": True, **fields})


def test_span_measures_count_characters() -> None:
    """Overlapping characters count once; a text in two places counts at the place with the larger overlap."""
    places = ((Span("a", 0, 10),), (Span("b", 0, 20), Span("a", 90, 100)))
    gold = Gold({"a#5-15": 1}, places)
    asked = EvaluatedQuestion(question(), gold, found(("a", 5, 15), ("a", 8, 20), ("b", 0, 5)))
    (values,) = measure([asked], DEFAULT)
    # The gold is a 0-10 and b 0-20; 5 characters of each were returned, among 15 of a and 5 of b.
    assert values["span-R@5"] == pytest.approx(10 / 30)
    assert values["span-P@5"] == pytest.approx(10 / 20)
    assert values["span-IoU@5"] == pytest.approx(10 / 40)
    (nothing,) = measure([EvaluatedQuestion(question(), gold, found())], DEFAULT)
    assert (nothing["span-R@5"], nothing["span-P@5"], nothing["nDCG@10"]) == (0, 0, 0)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.integers(1, 12)), max_size=6), st.integers(0, 25)
)
def test_span_measures_equal_those_of_character_sets(spans: list[tuple[str, int, int]], start: int) -> None:
    """For any overlap of the spans."""
    got = [(uri, first, first + length) for uri, first, length in spans][:5]
    gold = Gold({"none": 1}, ((Span("a", start, start + 7),),))
    (values,) = measure([EvaluatedQuestion(question(), gold, found(*got))], DEFAULT)
    wanted = {("a", place) for place in range(start, start + 7)}
    covered = {(uri, place) for uri, first, end in got for place in range(first, end)}
    assert values["span-R@5"] == pytest.approx(len(wanted & covered) / 7)
    assert values["span-IoU@5"] == pytest.approx(len(wanted & covered) / len(wanted | covered))


def test_answers_are_compared_like_squad() -> None:
    """Against values computed by hand from its definition."""
    assert normalized("The  Cat's, a mat!") == "cats mat"
    assert token_f1("the black cat sat", "black cat") == pytest.approx(2 * (2 / 3) * 1 / (2 / 3 + 1))
    assert token_f1("cat cat", "cat") == pytest.approx(2 / 3)
    assert token_f1("a dog", "cat") == 0
    assert (token_f1("the", ""), token_f1("", "cat")) == (1, 0)
    asked = EvaluatedQuestion(question(answers=("a black cat", "cat")), Gold(), found())
    assert measure([asked], DEFAULT) == [
        {"EM": 1.0, "F1": 1.0, "contains": 1.0, "served": 1.0, "wrongly-answered": 0.0}
    ]
    asked = EvaluatedQuestion(question(answers=("black cat sat",)), Gold(), found())
    assert measure([asked], DEFAULT) == [
        {
            "EM": 0.0,
            "F1": pytest.approx(2 * 1 * (1 / 3) / (1 + 1 / 3)),
            "contains": 0.0,
            "served": 0.0,
            "wrongly-answered": 1.0,
        }
    ]
    refused = Outcome("not_found", 0.1, (), (), "v")
    unanswerable = EvaluatedQuestion(question(answerable=False), Gold(), refused)
    assert measure([unanswerable], DEFAULT) == [{"EM": 1.0, "F1": 1.0, "wrongly-answered": 0.0}]
    answered = replace(unanswerable, outcome=found())
    assert measure([answered], DEFAULT) == [{"EM": 0.0, "F1": 0.0, "wrongly-answered": 1.0}]
    uncertain = replace(unanswerable, outcome=replace(found(), verdict="uncertain"))
    assert measure([uncertain], DEFAULT) == [{"EM": 0.0, "F1": 0.0, "wrongly-answered": 0.0}]
    assert measure([EvaluatedQuestion(question(answers=("cat",)), Gold(), refused)], DEFAULT)[0]["EM"] == 0


@pytest.mark.parametrize(
    ("answers", "spans", "quote", "served"),
    [
        (("Cat",), (), (0, 8), 1.0),  # the quote contains a gold answer
        (("dog",), (), (0, 8), 0.0),
        ((), ((2, 8),), (0, 8), 1.0),  # the quote contains the gold span
        ((), ((0, 30),), (0, 8), 1.0),  # the gold span contains the quote
        ((), ((4, 30),), (0, 8), 0.0),  # they only overlap
        ((), ((20, 30), (0, 8)), (0, 8), 1.0),  # one of several spans
        (("dog",), ((0, 8),), (0, 8), 1.0),
        ((), ((0, 8),), None, 0.0),  # refused
        ((), (), (0, 8), None),  # without gold
    ],
)
def test_a_person_is_served_by_a_quote_that_holds_the_gold(
    answers: tuple[str, ...], spans: tuple[tuple[int, int], ...], quote: tuple[int, int] | None, served: float | None
) -> None:
    """In the second result, whose passage starts at character 100 of its document."""
    results = tuple(ReturnedPassage("a", start, start + 50, 1.0, 0.5, "The cat.", (0, 1)) for start in (0, 100))
    quotes = () if quote is None else (results[1].quoting(*quote),)
    outcome = Outcome("answered" if quotes else "not_found", 0.5, quotes, results, "v")
    gold = Gold({}, tuple((Span("a", 100 + start, 100 + end),) for start, end in spans))
    (values,) = measure([EvaluatedQuestion(question(answers=answers), gold, outcome)], DEFAULT)
    assert values.get("served") == served
    unanswerable = EvaluatedQuestion(question(answerable=False), gold, outcome)
    assert "served" not in measure([unanswerable], DEFAULT)[0]


RIGHT, WRONG = ShownQuote("a", 0, 10, "It was built in 1889."), ShownQuote("b", 0, 10, "It was sold in 1920.")


@pytest.mark.parametrize(
    ("verdict", "quotes", "retrieved", "expected"),  # served, wrongly refused, wrongly answered
    [
        ("answered", (RIGHT,), True, (1, 0, 0)),
        ("answered", (WRONG,), True, (0, 0, 1)),
        ("answered", (WRONG,), False, (0, 0, 1)),
        ("answered", (WRONG, RIGHT), True, (1, 0, 0)),  # any of the quotes may be right
        ("uncertain", (RIGHT,), True, (1, 0, 0)),
        ("uncertain", (WRONG, RIGHT), True, (1, 0, 0)),
        ("uncertain", (WRONG,), True, (0, 0, 0)),  # it is said to be uncertain
        ("not_found", (), True, (0, 1, 0)),
        ("not_found", (), False, (0, 0, 0)),  # the ranking failed, not the verdict
        (None, (RIGHT,), True, (1, 0, 0)),  # without a calibration every quote is given as the answer
        (None, (WRONG,), True, (0, 0, 1)),
    ],
)
def test_measures_of_service_follow_verdict_and_quotes(
    verdict: AnswerVerdict | None,
    quotes: tuple[ShownQuote, ...],
    retrieved: bool,
    expected: tuple[int, int, int],
) -> None:
    """For a question with gold, whose passage is the fifth result or the sixth."""
    others = [ReturnedPassage("z", place, place + 5, 1.0, None, "other", (0, 5)) for place in range(10, 60, 10)]
    relevant = ReturnedPassage("a", 0, 40, 1.0, None, "It was built in 1889. It has three floors.", (0, 10))
    results = (*others[:4], relevant) if retrieved else (*others, relevant)
    gold = Gold({relevant.span.name: 1}, ((Span("a", 0, 10),),))
    outcome = Outcome(verdict, None, quotes, results, "v")
    asked = EvaluatedQuestion(question(answers=("1889",)), gold, outcome)
    (values,) = measure([asked], DEFAULT)
    assert tuple(values[name] for name in ("served", "wrongly-refused", "wrongly-answered")) == expected
    assert values["contains"] == float(bool(quotes) and quotes[0] is RIGHT)  # the best quote alone


def test_a_right_quote_stands_in_a_relevant_passage() -> None:
    """The same words in another passage do not serve; without references they do."""
    relevant = ReturnedPassage("a", 0, 40, 1.0, None, "It was built in 1889.", (0, 21))
    other = ReturnedPassage("b", 0, 40, 1.0, None, "The bridge, too, is of 1889.", (0, 28))
    asked = question(answers=("1889",))
    gold, documents = Gold({relevant.span.name: 1}, ((Span("a", 0, 21),),)), Gold({"b": 1}, whole=True)
    outcome = Outcome("not_found", 0.1, (), (other, relevant), "v")
    shown = replace(outcome, verdict="answered", quotes=(other.quoting(0, 28),))
    for one, served in ((gold, 0), (documents, 1), (Gold(), 1)):
        (values,) = measure([EvaluatedQuestion(asked, one, shown)], DEFAULT)
        assert (values["served"], values["wrongly-answered"]) == (served, 1 - served)
        assert best_is_right(EvaluatedQuestion(asked, one, outcome)) == bool(served)  # withheld, but it would be
    assert best_is_right(EvaluatedQuestion(question(), documents, outcome)) is True  # documents alone are the gold
    assert best_is_right(EvaluatedQuestion(question(), Gold({"a": 1}, whole=True), outcome)) is False
    assert best_is_right(EvaluatedQuestion(question(), Gold(), outcome)) is None
    assert best_is_right(EvaluatedQuestion(question(answerable=False), Gold(), outcome)) is False


def test_figures_by_tag_count_refusals() -> None:
    """They count all questions with the tag, and the unanswerable ones apart; an unknown measure has no explanation."""
    results = [
        entry("answered", served=1),
        entry("not_found", served=0),
        *[entry("not_found", served=None, answerable=False)] * 2,
        entry("uncertain", served=None, answerable=False),
    ]
    summary = summarize([{**result, "tags": ["dates | <b>"]} for result in results], [], {}, [])
    names, rows = tag_rows(summary)
    assert names == ["tag", "questions", "served", "refused", "unanswerable, refused"]
    assert rows == [["dates | <b>", "5", "0.500", "3 of 5", "2 of 3"]]
    assert "| dates \\| &lt;b> | 5 | 0.500 | 3 of 5 | 2 of 3 |" in markdown_report(summary)
    assert "first 7 results" in explanation("P(rel=2)@7")
    assert explanation("INSTJ") == ""


def test_a_two_part_question_is_served_by_either_quote() -> None:
    """Two quotes from two documents; the gold names both, one, or none of them."""
    built = ReturnedPassage("tower.md", 100, 150, 1.0, None, "It was built in 1889. It is 300 metres high.", (0, 21))
    sold = ReturnedPassage("bridge.md", 40, 80, 0.9, None, "The bridge was sold in 1920.", (0, 28))
    outcome = Outcome("answered", 0.8, (built.quoting(22, 44), sold.quoting(0, 28)), (built, sold), "v")
    assert outcome.quotes[0] == ShownQuote("tower.md", 122, 144, "It is 300 metres high.")
    asked = question(question="How high is the tower, and when was the bridge sold?")
    both = Gold({built.span.name: 1}, ((Span("tower.md", 122, 144),), (Span("bridge.md", 40, 68),)))
    second = Gold({sold.span.name: 1}, ((Span("bridge.md", 40, 68),),))
    neither = Gold({built.span.name: 1}, ((Span("tower.md", 100, 121),),))
    batch = [EvaluatedQuestion(asked, gold, outcome) for gold in (both, second, neither)]
    values = measure(batch, DEFAULT)
    assert [value["served"] for value in values] == [1, 1, 0]
    assert [value["wrongly-answered"] for value in values] == [0, 0, 1]


def test_a_report_says_what_a_person_got(answerer: QuestionAnswerer, tmp_path: Path) -> None:
    """One question of each state, with all of its quotes; few measures fit into a tile, those of service among them."""
    relevant = ReturnedPassage("a", 0, 40, 1.0, None, "It was built in 1889.", (0, 10))
    spans, whole = Gold({relevant.span.name: 1}, ((Span("a", 0, 10),),)), Gold({"a": 1}, whole=True)
    cases: list[tuple[str, Gold, AnswerVerdict, tuple[ShownQuote, ...], bool]] = [
        ("served", spans, "uncertain", (WRONG, RIGHT), True),
        ("wrongly answered", spans, "answered", (WRONG,), True),
        ("uncertain", spans, "uncertain", (WRONG,), True),
        ("wrongly refused", spans, "not_found", (), True),
        ("not retrieved", spans, "not_found", (), False),
        ("retrieved", whole, "answered", (WRONG,), True),
        ("not retrieved", whole, "answered", (WRONG,), False),
        ("not judged", Gold(), "answered", (WRONG,), True),
        ("rightly refused", Gold(), "not_found", (), False),
        ("uncertain", Gold(), "uncertain", (WRONG,), False),
        ("wrongly answered", Gold(), "answered", (WRONG,), False),
    ]
    batch = [
        EvaluatedQuestion(
            question(id=str(number), question=f"{state}?", answerable=number < 8),
            gold,
            Outcome(verdict, 0.4, quotes, (relevant,) if found else (), "v", "conflict" if len(quotes) > 1 else None),
        )
        for number, (state, gold, verdict, quotes, found) in enumerate(cases)
    ]
    folder = RunFolder(tmp_path / "run")
    folder.begin(Fingerprint("q", "v", "", 5, ()), {}, overwrite=False)
    folder.add(batch, measure(batch, DEFAULT))
    folder.close()
    summary = summarize(folder.results(), [], {}, [])
    page = html_report(folder, summary, IndexCorpus(answerer.index))
    shown = re.findall(r'data-state="([^"]+)">\s*<summary><span class="q" dir="auto">([^?]+)\?', page)
    assert sorted(shown) == sorted((state, state) for state, *_ in cases)
    assert 'Uncertain answer: <span dir="auto">It was sold in 1920.</span>' in page
    assert 'Also quoted: <span dir="auto">It was built in 1889.</span>' in page
    assert "Reason: conflict" in page
    assert [(card.name, card.count, card.total) for card in cards(summary)] == [
        ("right passage first", 5, 7),
        ("served rightly", 1, 5),
        ("wrongly refused", 1, 7),
        ("wrongly answered", 2, 8),
        ("rightly refused", 1, 3),
    ]
    tiles = re.findall(r'class="tip" aria-describedby="tip-\d+">([^<]+)</button>.*?</span>\s*<b>([^<]+)</b>', page)
    assert tiles[0] == ("right passage first", "71.4\N{NO-BREAK SPACE}%")
    assert page.count('role="tooltip"') == page.count("aria-describedby=") > len(summary.measures)
    assert "- served rightly: 1 of 5 answerable (20.0\N{NO-BREAK SPACE}%)" in markdown_report(summary)


def test_documents_as_gold_tell_what_was_wrongly_refused_alone() -> None:
    """Quotes are not judged by them."""
    result = ReturnedPassage("a", 0, 40, 1.0, None, "It was built in 1889.", (0, 10))
    gold = Gold({"a": 1}, whole=True)
    answers = Outcome("answered", 0.9, (RIGHT,), (result,), "v"), Outcome("not_found", 0.1, (), (result,), "v")
    answered, refused = measure([EvaluatedQuestion(question(), gold, outcome) for outcome in answers], DEFAULT)
    assert (answered["wrongly-refused"], refused["wrongly-refused"]) == (0, 1)
    assert not {"served", "wrongly-answered"} & (answered.keys() | refused.keys())


TREC_EVAL = {
    "nDCG@10": "ndcg_cut_10",
    "R@5": "recall_5",
    "R@10": "recall_10",
    "Success@1": "success_1",
    "Success@5": "success_5",
    "P@5": "P_5",
    "AP": "map",
}


def by_trec_eval(folder: Path) -> dict[str, float]:
    """Return the means that trec_eval computes from the written run and qrels."""
    qrels: dict[str, dict[str, int]] = {}
    for line in (folder / QRELS_TREC).read_text().splitlines():
        identifier, _, name, grade = line.split(" ")
        qrels.setdefault(identifier, {})[name] = int(grade)
    ranked: dict[str, dict[str, float]] = {identifier: {} for identifier in qrels}
    for line in (folder / RUN_TREC).read_text().splitlines():
        identifier, _, name, _, score, _ = line.split(" ")
        ranked[identifier][name] = float(score)
    names = {"ndcg_cut", "recall", "success", "P", "map"}
    values = pytrec_eval.RelevanceEvaluator(qrels, names).evaluate(ranked).values()
    return {ours: float(np.mean([value[theirs] for value in values])) for ours, theirs in TREC_EVAL.items()}


@pytest.mark.parametrize("kind", ["passages", "documents", "grades"])
def test_measures_equal_those_of_trec_eval(
    kind: str, answerer: QuestionAnswerer, rows: list[dict[str, object]], tmp_path: Path
) -> None:
    """For spans, whole documents and grades, with ids that contain spaces."""
    if kind != "passages":
        for number, row in enumerate(rows):
            grades = {"sea.txt": 1 + number % 3, "zoo/animals.md": 1 if kind == "documents" else 3}
            chosen = list(grades)[: 1 + number % 2]
            row |= {"references": [{"document": uri, "whole": True, "relevance": grades[uri]} for uri in chosen]}
            row |= {"answerable": True}
    summary = run(question_file(tmp_path / "q.jsonl", rows), answerer, tmp_path / "run")
    assert summary.scored > 20
    expected = by_trec_eval(tmp_path / "run")
    assert {name: summary.means()[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert len(set(expected.values())) > 3


def test_measures_are_named_in_the_notation_of_ir_measures() -> None:
    """Another name is an error that quotes it."""
    assert [str(one) for one in parse(["nDCG@3", "AP(rel=2)@5"])] == ["nDCG@3", "AP(rel=2)@5"]
    for name in ("nonsense", "nDCG@", "__import__('os')", "P", ""):
        with pytest.raises(SettingsError, match="measure"):
            parse([name])


def test_gold_that_the_documents_lack_is_a_problem_of_its_line(answerer: QuestionAnswerer, tmp_path: Path) -> None:
    """An unknown document, wrong content and wrong offsets do not count as wrong answers."""
    references = [
        {"document": "none.md", "content": "x"},
        {"document": "sea.txt", "content": "no such words"},
        {"document": "sea.txt", "content": "The", "start_index": 1, "end_index": 4},
        {"document": "sea.txt", "start_index": 0, "end_index": 10**6},
        {"document": "none", "whole": True},
    ]
    bad = [{"question": "x", "references": [reference]} for reference in references]
    file = question_file(tmp_path / "q.jsonl", [*bad, GOOD])
    summary = run(file, answerer, tmp_path / "run", top_k=5)
    assert [problem.line for problem in summary.problems] == [1, 2, 3, 4, 5]
    assert "'none.md' is not in the index" in summary.problems[0].reason
    assert (summary.questions, summary.scored) == (1, 1)
    with pytest.raises(QuestionFileError, match="no question could be asked"):
        run(question_file(file, bad), answerer, tmp_path / "other")


def entry(verdict: str | None, *, served: float | None, answerable: bool = True) -> dict[str, object]:
    """Return an entry of ``results.jsonl`` as far as the summary reads it; ``served`` is ``None`` without gold."""
    quotes = [] if verdict == "not_found" else [{"uri": "a", "start": 0, "end": 4, "text": "text"}]
    got = {
        "verdict": verdict,
        "confidence": None,
        "quotes": quotes,
        "right_in_five": False,
        "ranked": [],
        "results": [],
    }
    measures = {} if served is None or not answerable else {"served": served}
    shared = {"id": "1", "question": "x", "answerable": answerable, "tags": [], "relevant": {}}
    return {**shared, "got": got, "measures": measures}


def test_verdicts_are_counted() -> None:
    """Right and wrong answers, uncertain ones, and refusals, each for answerable and unanswerable questions."""
    results = [
        *[entry("answered", served=1)] * 6,
        *[entry("answered", served=0)] * 2,
        entry("answered", served=None),
        *[entry("uncertain", served=1)] * 3,
        entry("uncertain", served=0),
        *[entry("not_found", served=0)] * 4,
        *[entry("answered", served=None, answerable=False)] * 2,
        *[entry("uncertain", served=None, answerable=False)] * 5,
        *[entry("not_found", served=None, answerable=False)] * 8,
        entry(None, served=1),
    ]
    summary = summarize(results, [], {}, [])
    told = summary.answerability
    assert told.verdicts == {
        "answered": VerdictCounts(answerable=9, judged=8, right=6, unanswerable=2),
        "uncertain": VerdictCounts(answerable=4, judged=4, right=3, unanswerable=5),
        "not_found": VerdictCounts(answerable=4, judged=0, right=0, unanswerable=8),
    }
    assert (told.answerable, told.answered, told.unanswerable, told.refused) == (17, 9, 15, 8)
    assert told.answer_precision == pytest.approx(6 / 10)
    assert (told.refusal_precision, told.refusal_recall) == (pytest.approx(8 / 12), pytest.approx(8 / 15))
    assert verdict_rows(summary) == [
        ("answered", "9", "6 of 8", "2"),
        ("uncertain", "4", "3 of 4", "5"),
        ("not found", "4", "–", "8"),
    ]
    assert "| uncertain | 4 | 3 of 4 | 5 |" in markdown_report(summary)
    without = summarize([entry(None, served=1)], [], {}, [])
    assert verdict_rows(without) == []
    assert without.answerability.answer_precision is None


def test_figures_of_confidence_equal_their_definitions() -> None:
    """Bins hold what is in them; risk is the share of wrong answers among the most confident."""
    bins = reliability(np.array([0.05, 0.15, 0.95, 0.96]), np.array([False, True, True, True]))
    assert [(one.n, one.right) for one in bins] == [(1, 0.0), (1, 1.0), (2, 1.0)]
    assert risk_coverage(np.array([0.9, 0.8, 0.1]), np.array([True, False, True]), (1 / 3, 2 / 3, 1)) == {
        1 / 3: 0.0,
        2 / 3: 0.5,
        1: pytest.approx(1 / 3),
    }


class Interrupted(InProcessAsker):
    """Raises KeyboardInterrupt after two batches."""

    batches = 2

    def ask(self, questions: Sequence[tuple[str, int]]) -> list[Outcome]:
        if not self.batches:
            raise KeyboardInterrupt
        self.batches -= 1
        return super().ask(questions)


def same_but_for_times(one: Path, other: Path) -> None:
    names = {path.name for path in one.iterdir()}
    assert names == {path.name for path in other.iterdir()}
    for name in names - {"times.jsonl", "report.html", "report.md"}:
        first, second = (one / name).read_bytes(), (other / name).read_bytes()
        if name == "summary.json":
            first, second = (re.sub(rb'"(latency_ms|cost)": \{[^}]*\}', b"", text) for text in (first, second))
        assert first == second, name


@pytest.mark.parametrize("tail", [b"", b'{"id": "half a li'])
def test_an_interrupted_evaluation_is_resumed(
    tail: bytes, answerer: QuestionAnswerer, rows: list[dict[str, object]], tmp_path: Path
) -> None:
    """Its files equal those of an uninterrupted one, except for times; a question with half a line is asked again."""
    file = question_file(
        tmp_path / "q.jsonl", [*rows, {"question": "x", "references": [{"document": "n", "content": "y"}]}]
    )
    whole = run(file, answerer, tmp_path / "whole", batch=7)
    questions = QuestionFile(file)
    about = RunFolder(tmp_path / "whole").about()["about"]
    target = Target(Interrupted(answerer), IndexCorpus(answerer.index), about=about)
    with pytest.raises(KeyboardInterrupt):
        evaluate(questions, target, tmp_path / "part", EvaluationOptions(batch=7))
    with (tmp_path / "part" / RESULTS).open("ab") as results:
        results.write(tail)
    assert not RunFolder(tmp_path / "part").about().get("finished")
    with pytest.raises(QuestionFileError, match="is not finished"):
        compare([tmp_path / "whole", tmp_path / "part"])
    embedded: list[str] = []
    original = answerer.prepare
    answerer.prepare = lambda asked: (embedded.extend(text for text, _ in asked), original(asked))[1]  # type: ignore[method-assign]
    again = run(file, answerer, tmp_path / "part", batch=7)
    assert embedded
    assert not {row["question"] for row in rows[:14]} & set(embedded[: len(rows) - 14])
    assert again.means() == whole.means()
    assert [problem.line for problem in again.problems] == [41]
    same_but_for_times(tmp_path / "whole", tmp_path / "part")


def test_a_run_of_an_older_version_is_an_error_that_says_so(
    answerer: QuestionAnswerer, rows: list[dict[str, object]], tmp_path: Path
) -> None:
    """It can't be resumed or compared, but replaced."""
    file = question_file(tmp_path / "q.jsonl", rows)
    run(file, answerer, tmp_path / "run")
    run(file, answerer, tmp_path / "new")
    about = tmp_path / "run/run.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "format": 1}))
    with pytest.raises(QuestionFileError, match="written by another version; evaluate again, with --overwrite or"):
        run(file, answerer, tmp_path / "run")
    with pytest.raises(QuestionFileError, match="written by another version"):
        compare([tmp_path / "run", tmp_path / "new"])
    assert run(file, answerer, tmp_path / "run", overwrite=True).questions == 40


def test_an_output_folder_holds_one_evaluation(
    answerer: QuestionAnswerer, rows: list[dict[str, object]], tmp_path: Path
) -> None:
    """A finished evaluation is replaced only with ``overwrite``; another unfinished one and other files never are."""
    file = question_file(tmp_path / "q.jsonl", rows)
    run(file, answerer, tmp_path / "run")
    with pytest.raises(QuestionFileError, match="holds a finished evaluation; pass --overwrite"):
        run(file, answerer, tmp_path / "run")
    assert run(file, answerer, tmp_path / "run", overwrite=True).questions == 40
    questions = QuestionFile(file)
    target = Target(Interrupted(answerer), IndexCorpus(answerer.index))
    with pytest.raises(KeyboardInterrupt):
        evaluate(questions, target, tmp_path / "part", EvaluationOptions(batch=9))
    question_file(file, rows[:-1])
    with pytest.raises(QuestionFileError, match=r"another unfinished evaluation \(questions sha256, top k differ\)"):
        run(file, answerer, tmp_path / "part", top_k=3)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    for overwrite in (False, True):
        with pytest.raises(QuestionFileError, match="holds other files"):
            run(file, answerer, tmp_path / "mine", overwrite=overwrite)
    with pytest.raises(QuestionFileError, match="is a file"):
        run(file, answerer, file)
    assert (tmp_path / "mine/letter.txt").read_text() == "dear"


@pytest.fixture
def served(answerer: QuestionAnswerer, settings: Settings, fake: FakeEmbedder) -> Iterator[str]:
    """Return the address of a server that answers from the same index."""
    own = settings.model_copy(update={"min_confidence": 0.5})
    with server_of(open_answerer(own, fake)[0], own) as port:
        yield f"http://127.0.0.1:{port}"


def test_over_http_the_results_are_the_same(
    served: str, answerer: QuestionAnswerer, rows: list[dict[str, object]], tmp_path: Path
) -> None:
    """To the byte: spans, whole documents, content anywhere; each question is timed."""
    rows[1] |= {"references": [{"document": "sea", "whole": True}]}
    rows[2] |= {"references": [{"content": "A crab  walks sideways on the beach."}]}
    file = question_file(
        tmp_path / "q.jsonl", [*rows, {"question": "x", "references": [{"document": "n", "content": "y"}]}]
    )
    run(file, answerer, tmp_path / "here")
    remote = RemoteService(served, concurrency=3)
    questions = QuestionFile(file)
    target = Target(remote, remote, url=served)
    summary = evaluate(questions, target, tmp_path / "there", EvaluationOptions())
    remote.close()
    assert summary.latency_ms["n"] == 40
    for name in (RESULTS, RUN_TREC, QRELS_TREC):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


@pytest.mark.parametrize("verdict", [None, "answered", "uncertain", "not_found"])
def test_a_response_has_the_outcome_of_its_answer(verdict: AnswerVerdict | None, answerer: QuestionAnswerer) -> None:
    """Verdict, reason and all quotes are the same in process and over HTTP; none is shown if nothing was found."""
    asked = answerer.ask("What do cat and whale do?", AskOptions(top_k=3))
    first, other = asked.results[0].scored, asked.results[2].scored
    quotes = (Quote(0, first.quote, ((1, 3),)), Quote(2, (0, len(other.passage.text))))
    reason = Reason("conflict", "Two documents say different things.", "", (0, 2))
    answer = replace(asked, verdict=verdict, confidence=0.1234, quotes=quotes, reason=reason)
    here = Outcome.of_answer(answer)
    there = Outcome.of_response(AskResponse.model_validate_json(json.dumps(ask_body("id", answer, 1.0))), 7.5)
    assert there == replace(here, milliseconds=7.5)
    assert (here.verdict, here.confidence, here.reason) == (verdict, 0.123, "conflict")
    if verdict == "not_found":
        assert (here.quotes, here.answer) == ((), None)
        return
    assert here.answer == asked.results[0].citation.quote
    assert [quote.text for quote in here.quotes] == [here.answer, other.passage.text]
    for quote in here.quotes:
        document = answerer.index.document_by_uri(quote.uri)
        assert document is not None
        assert document.text[quote.start : quote.end] == quote.text


def test_an_unreachable_service_is_an_error() -> None:
    """After retrying for the patience."""
    listener = bound_socket("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    with pytest.raises(RemoteError, match="can't be reached"):
        RemoteService(address, patience=0.5)


def test_intervals_and_tests_equal_their_definitions() -> None:
    """Holm's correction by hand, the randomisation test by all sign patterns, the interval by the normal one."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    differences = np.array([0.3, -0.1, 0.2, 0.4, 0.05, 0.25])
    observed = abs(differences.sum())
    signs = list(itertools.product([1, -1], repeat=len(differences)))
    extreme = sum(abs((differences * sign).sum()) >= observed - 1e-12 for sign in signs)
    assert randomisation_p(differences) == pytest.approx(extreme / len(signs))
    assert randomisation_p(np.zeros(5)) == 1.0
    sample = np.random.default_rng(5).normal(0.6, 0.2, 400)
    interval = estimate(sample)
    half = 1.96 * sample.std(ddof=1) / 20
    assert (interval.low, interval.high) == pytest.approx((sample.mean() - half, sample.mean() + half), abs=0.004)
    assert estimate([0.5]).low == 0.5
    for count, low, high in ((0, 0, 0.1611), (20, 0.8389, 1), (13, 0.4329, 0.8188)):  # of scipy
        assert share_interval(count, 20) == pytest.approx((low, high), abs=1e-4)
    assert effect_size(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)
    large = np.random.default_rng(6).normal(0.5, 0.1, 30_000)
    assert estimate(large).high - estimate(large).low == pytest.approx(2 * 1.96 * 0.1 / math.sqrt(30_000), rel=0.02)


@pytest.fixture
def runs(answerer: QuestionAnswerer, rows: list[dict[str, object]], tmp_path: Path) -> tuple[Path, Path, Path]:
    """Make a run, an equal one, and one with one result per question in place of ten."""
    file = question_file(tmp_path / "q.jsonl", rows)
    run(file, answerer, tmp_path / "base")
    run(file, answerer, tmp_path / "same")
    run(file, answerer, tmp_path / "worse", top_k=1)
    return tmp_path / "base", tmp_path / "same", tmp_path / "worse"


def test_runs_are_compared_question_by_question(runs: tuple[Path, Path, Path]) -> None:
    """Verdicts name equal and worse runs; wins, losses and ties add up."""
    comparison = compare(runs)
    assert comparison.runs == ["base", "same", "worse"]
    by = {(one.run, one.measure): one for one in comparison.differences}
    assert all(one.verdict == f"same and base are equal in {one.measure}" for one in by.values() if one.run == "same")
    recall = by["worse", "R@10"]
    assert recall.adjusted_p > recall.p  # there are many tests
    (recall,) = compare(runs[::2], ["R@10"]).differences
    assert recall.significant
    assert recall.verdict.startswith("worse is worse than base in R@10: -0.")
    assert recall.wins == 0
    assert recall.losses > 5
    assert recall.wins + recall.losses + recall.ties == recall.n
    assert recall.after - recall.before == pytest.approx(recall.difference.mean)
    first = by["worse", "Success@1"]
    assert (first.significant, first.verdict) == (False, "worse and base are equal in Success@1")
    assert {moved.run for moved in comparison.moved} == {"worse"}
    changes = [abs(moved.after - moved.before) for moved in comparison.moved]
    assert changes == sorted(changes, reverse=True)
    assert comparison.settings == {"top_k": [10, 10, 1]}
    only = compare(runs[::2], ["R@10"])
    assert [one.measure for one in only.differences] == ["R@10"]
    assert "R@10" in comparison_page(comparison)
    with pytest.raises(SettingsError, match="has no measure 'R@7'"):
        compare(runs, ["R@7"])


def test_a_comparison_names_the_settings_that_differ(runs: tuple[Path, Path, Path]) -> None:
    """In the page; a value that an earlier version did not write is said to be missing, not to be equal."""
    for path, weight in ((runs[0], 0.4), (runs[1], 0.3)):
        about = json.loads((path / "run.json").read_text())
        about["fingerprint"]["settings"] = {"lexical_weight": weight, "reader": "quick", "question_steps": ["parts"]}
        (path / "run.json").write_text(json.dumps(about))
    comparison = compare(runs)
    assert comparison.settings == {
        "top_k": [10, 10, 1],
        "lexical_weight": [0.4, 0.3, None],
    }
    assert comparison.unrecorded == {"worse": ["lexical_weight", "reader", "question_steps"]}
    page = comparison_page(comparison)
    assert '<th scope="row">top_k</th><td>10</td><td>10</td><td>1</td>' in page
    assert '<th scope="row">lexical_weight</th><td>0.4</td><td>0.3</td><td>not recorded</td>' in page
    assert "worse did not record lexical_weight, reader, question_steps." in page
    assert [setting_text(value) for value in ([], ["a", "b"], "", 0, False, None)] == [
        *("none", "a, b", "none", "0", "false", "not recorded"),
    ]
    assert compare([runs[0], runs[0]]).settings == {}
    about["fingerprint"]["target"] = "http://127.0.0.1:8000"  # the settings of a service are unknown
    (runs[1] / "run.json").write_text(json.dumps(about))
    comparison = compare(runs[:2])
    assert comparison.settings == {"asked": ["in process", "http://127.0.0.1:8000"]}
    assert comparison.unrecorded["same"] == ["model", "lexical_weight", "reader", "question_steps"]


def test_an_insignificant_difference_is_called_so(
    answerer: QuestionAnswerer, rows: list[dict[str, object]], runs: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    """One changed question of thirty is not significant."""
    lines = [json.loads(line) for line in (runs[0] / RESULTS).read_text(encoding="utf-8").splitlines()]
    moved = next(line for line in lines if line["measures"].get("RR@10") == 1)
    moved["measures"]["RR@10"] = 0.5
    (runs[1] / RESULTS).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (one,) = compare(runs[:2], ["RR@10"]).differences
    assert (one.wins, one.losses, one.significant) == (0, 1, False)
    assert one.verdict.startswith("not significant: same and base do not differ significantly in RR@10: -0.0")
    assert failures({}, [], compare(runs[:2])) == []
    lines[0]["question"] = "Another?"
    (runs[1] / RESULTS).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with pytest.raises(QuestionFileError, match="have different questions with the id 'q 0/é'"):
        compare(runs[:2])
    question_file(tmp_path / "r.jsonl", [{**GOOD, "id": "else"}])
    run(tmp_path / "r.jsonl", answerer, tmp_path / "else")
    with pytest.raises(QuestionFileError, match="have no question in common"):
        compare([runs[0], tmp_path / "else"])


def test_more_wrong_answers_are_worse(runs: tuple[Path, Path, Path]) -> None:
    """A measure of what goes wrong is better if it is lower."""
    lines = [json.loads(line) for line in (runs[0] / RESULTS).read_text(encoding="utf-8").splitlines()]
    for path, value in ((runs[0], 0.0), (runs[1], 1.0)):
        for line in lines:
            line["measures"]["wrongly-answered"] = value
        (path / RESULTS).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    comparison = compare(runs[:2], ["wrongly-answered"])
    (one,) = comparison.differences
    assert (one.wins, one.losses, one.better, one.difference.mean) == (0, 40, False, 1)
    assert one.verdict.startswith("same is worse than base in wrongly-answered: +1.0000")
    assert failures({}, [], comparison) == [one.verdict]
    page = comparison_page(comparison)
    assert '<li class="bad">same is worse' in page
    assert '<td class="n bad">1.000</td>' in page
    (back,) = compare([runs[1], runs[0]], ["wrongly-answered"]).differences
    assert (back.wins, back.better) == (40, True)
    assert back.verdict.startswith("base is better than same in wrongly-answered: -1.0000")


def test_failures_are_means_below_thresholds_and_significant_losses(runs: tuple[Path, Path, Path]) -> None:
    """Other differences from the baseline are no failures."""
    means = {"nDCG@10": 0.79, "AP": 0.5}
    limits = [Limit.parse("nDCG@10=0.80"), Limit.parse("AP = 0.5")]
    assert failures(means, limits, None) == ["nDCG@10 is 0.7900, below 0.8"]
    assert any("worse than base in R@10" in reason for reason in failures(means, [], compare(runs[::2], ["R@10"])))
    assert failures(means, [], compare(runs[:2])) == []
    with pytest.raises(SettingsError, match="'P@1' was not computed"):
        failures(means, [Limit.parse("P@1=0.5")], None)
    errors = {"served": 0.4, "wrongly-answered": 0.25}
    limits = [Limit.parse("wrongly-answered=0.2", most=True), Limit.parse("served=0.5", most=True)]
    assert failures(errors, limits, None) == ["wrongly-answered is 0.2500, above 0.2"]
    for text in ("nDCG@10", "=0.5", "nDCG@10=high", "nDCG@10=80", "nDCG@10=nan"):
        with pytest.raises(SettingsError, match="invalid threshold"):
            Limit.parse(text)


def test_a_grid_has_every_combination() -> None:
    """Settings may be named as in the environment; a setting that can't be varied is an error."""
    assert grid(["passage_tokens=100, 200", "QA_RERANK=maxsim,none"]) == [
        {"passage_tokens": "100", "rerank": "maxsim"},
        {"passage_tokens": "100", "rerank": "none"},
        {"passage_tokens": "200", "rerank": "maxsim"},
        {"passage_tokens": "200", "rerank": "none"},
    ]
    for text in ("passage_tokens", "passage_tokens=", "nonsense=1", "index=a,b"):
        with pytest.raises(SettingsError, match=r"invalid axis|not a setting that can be varied"):
            grid([text])
    with pytest.raises(SettingsError, match="limit of 200"):
        grid(["top_k=" + ",".join(map(str, range(1, 51))), "cache_mb=1,2,3,4,5"])


def test_a_sweep_finds_the_pareto_front_and_reuses_finished_points(
    folder: Callable[[dict[str, str | bytes]], Path], exported_models: Path, tmp_path: Path
) -> None:
    """A point that can't be built is a row with its problem."""
    folder(TWO_DOCUMENTS)
    settings = load_settings(source=tmp_path / "source", index=exported_models.parent)
    file = question_file(tmp_path / "q.jsonl", [GOOD, {**GOOD, "id": "2", "question": "Where does it sleep?"}])
    points = grid(["passage_tokens=16,64", "rerank=maxsim,/no/such/model"])
    swept = sweep(QuestionFile(file), settings, points, tmp_path / "sweep", EvaluationOptions())
    good = [row for row in swept.rows if not row.problem]
    assert [row.settings["rerank"] for row in good] == ["maxsim", "maxsim"]
    assert all("/no/such/model" in row.problem for row in swept.rows if row.problem)
    assert good[0].passages > good[1].passages
    assert any(row.front for row in good)
    assert len(list((tmp_path / "sweep/indexes").iterdir())) == 2
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("sweep/runs/*/results.jsonl")}
    assert len(before) == 2
    again = sweep(QuestionFile(file), settings, points, tmp_path / "sweep", EvaluationOptions())
    assert again == swept
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("sweep/runs/*/results.jsonl")}
    assert sorted(row.rank for row in good) == ["best", "even"]
    assert all(row.cost["index_bytes"] > 0 for row in good)
    page = sweep_page(swept)
    assert "<svg" in page
    assert "1 of the others can't be told from it" in page


def test_points_of_a_sweep_are_compared_with_the_best_one(runs: tuple[Path, Path, Path]) -> None:
    """An equal one is even, and the faster one of two equal ones is the best; a significantly lower one is worse."""
    rows = [
        SweepRow({"top_k": name}, name, summary_means(runs[0].parent / name), milliseconds)
        for name, milliseconds in (("same", 9.0), ("base", 5.0), ("worse", 1.0))
    ]
    rank_rows(rows, "R@10", runs[0].parent)
    assert [row.rank for row in rows] == ["even", "best", "worse"]
    assert rows[1].difference is None
    worse = rows[2]
    assert worse.difference is not None
    assert worse.adjusted_p is not None
    assert worse.difference.high < 0
    assert worse.adjusted_p < 0.05
    page = sweep_page(Sweep("q", ["top_k"], "R@10", ["R@10"], rows))
    assert "row 2 (top_k base)" in page
    assert '<td class="bad">worse</td>' in page
    for label in (">best<", ">can't be told from it<", ">significantly worse<"):
        assert label in page  # the legend of the plot
    alone = [SweepRow({}, "base", {"R@10": 1.0})]
    rank_rows(alone, "R@10", runs[0].parent)
    assert alone[0].rank == "best"


def summary_means(folder: Path) -> dict[str, float]:
    measures = json.loads((folder / "summary.json").read_text())["measures"]
    return {name: found["mean"] for name, found in measures.items()}


def test_the_pareto_front_has_the_points_that_none_dominates() -> None:
    """A point is on it unless another is better and faster."""
    from qa_service.evaluation.sweep import _beats

    slow, fast, bad = (SweepRow({}, "", {"m": quality}, ms) for quality, ms in ((0.9, 20.0), (0.8, 10.0), (0.7, 15.0)))
    sweep_of_them = Sweep("q", ["x"], "m", ["m"], [slow, fast, bad])
    assert [any(_beats(other, row, "m") for other in sweep_of_them.rows) for row in sweep_of_them.rows] == [
        False,
        False,
        True,
    ]


def test_reports_have_the_figures_and_escape_text(answerer: QuestionAnswerer, tmp_path: Path) -> None:
    """Hostile questions are shown as text, and the page loads nothing."""
    evil = "<script>alert(1)</script> | cat"
    rows = [
        {**GOOD, "question": evil, "tags": [evil], "id": evil},
        {"question": "The whale swims in the deep ocean. It sings for hours."},
    ]
    file = question_file(tmp_path / "q.jsonl", [*rows, {"question": ""}])
    summary = run(file, answerer, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    write_reports(folder, summary, IndexCorpus(answerer.index), folder)
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count("<script") == 1
    assert not re.findall(r"(?:src|href)=[\"'](?!#|data:text/csv)", page)
    assert f"{summary.measures['nDCG@10'].mean:.4f}" in page
    assert "The cat sleeps" in page
    assert page.count("<svg") >= 3
    text = (tmp_path / "run/report.md").read_text(encoding="utf-8")
    assert "| nDCG@10 |" in text
    assert "<script" not in text
    assert "| 3 | the question is empty; write one |" in text
    assert summary.copied == ["2"]


def test_a_killed_evaluation_is_resumed(here: list[str], run: Run, tmp_path: Path) -> None:
    """After SIGKILL, the same command writes the same files as one that was not killed."""
    assert run("index", *here)[0] == 0
    many = [{**GOOD, "id": str(number), "question": f"What does cat {number} do?"} for number in range(300)]
    file = question_file(tmp_path / "q.jsonl", many)
    evaluation = ["evaluate", str(file), *here[2:], "--jobs", "1", "--json", "--output"]
    program = [sys.executable, "-m", "qa_service", *evaluation, str(tmp_path / "killed")]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL) as process:
        results = tmp_path / "killed" / RESULTS
        while not (results.exists() and results.stat().st_size):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert 0 < len(results.read_bytes().splitlines()) < 300
    for name in ("killed", "whole"):
        assert run(*evaluation, tmp_path / name)[0] == 0
    for name in (RESULTS, RUN_TREC, QRELS_TREC):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


EVALUATE_IN_CHILD = textwrap.dedent("""
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from conftest import FakeEmbedder
    from qa_service.evaluation import EvaluationOptions, QuestionFile, Target, evaluate
    from qa_service.evaluation.targets import InProcessAsker
    from qa_service.evaluation.gold import IndexCorpus
    from qa_service.pipeline import open_answerer
    from qa_service.settings import load_settings
    import scipy.stats
    settings = load_settings(source=Path(sys.argv[2]), index=Path(sys.argv[3]), passage_tokens=16, overlap_tokens=0)
    answerer, _ = open_answerer(settings, FakeEmbedder())
    questions = QuestionFile(Path(sys.argv[4]))
    asker = InProcessAsker(answerer)
    print("ready", flush=True)
    sys.stdin.readline()
    target = Target(asker, IndexCorpus(answerer.index), asker)
    evaluate(questions, target, Path(sys.argv[5]), EvaluationOptions(batch=5))
""")


def evaluate_in_child(settings: Settings, file: Path, output: Path, seconds: float | None) -> bool:
    """Evaluate in a child process that is killed after some seconds; tell whether it finished."""
    command = [sys.executable, "-c", EVALUATE_IN_CHILD, str(Path(__file__).parent.parent)]
    command += map(str, (settings.source, settings.index, file, output))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        child.stdin.write(b"go\n")
        child.stdin.flush()
        if seconds is not None:
            time.sleep(seconds)
            child.kill()
    return child.returncode == 0


@pytest.mark.proof
def test_proof_killed_evaluations(
    answerer: QuestionAnswerer, settings: Settings, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """After fifty kills at random moments, the files of an evaluation equal those of one that was not killed."""
    many = [{**GOOD, "id": str(number), "question": f"What does {WORDS[number % 13]} do?"} for number in range(400)]
    file = question_file(tmp_path / "q.jsonl", many)
    started = time.monotonic()
    assert evaluate_in_child(settings, file, tmp_path / "whole", None)
    whole = time.monotonic() - started
    generator = random.Random(20261124)
    kills = rounds = 0
    while kills < 50:
        rounds += 1
        output = tmp_path / f"killed{rounds}"
        finished = False
        for _ in range(5):
            if not finished:
                ended = evaluate_in_child(settings, file, output, generator.uniform(0, whole / 3))
                kills += not ended
                # A kill in its last moment may come after it finished.
                finished = ended or (
                    (output / "run.json").exists() and RunFolder(output).about().get("finished", False)
                )
        assert finished or evaluate_in_child(settings, file, output, None)
        same_but_for_times(tmp_path / "whole", output)
    record_property("figure", f"{kills} kills in {rounds} evaluations, all files equal to those of an unkilled one")
