"""Count the answers that change when questions are wrapped: greetings, thanks, politeness, odd ends, capitals.

    python benchmarks/question_wrapping.py EVAL_FOLDER [--work FOLDER] [--seed N] [--every N] [--show]

The questions are those of the briefing and, every N-th, of EVAL_FOLDER/xquad_en. Each is wrapped once in every way,
by a seeded choice of words. An answer changes if the first passage, the first quote or the verdict do. The first
columns are without the step.
"""

import argparse
import random
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from common import setup

from observing import QuestionSet

from qa_service.datatypes import AskOptions
from qa_service.pipeline import QuestionAnswerer

Wrap = Callable[[random.Random, str], str]
_GREETINGS = """Hi|Hey folks|hello again|Good evening everybody|Hiya!|Hello, hope you're doing well!|Greetings from Oslo
hey guys|Howdy|Good afternoon Sir|Hi, how's it going?|heya|Hi all - new here|Dear helpdesk|Hello dear bot|gm|Hi!!|Yo
Good morning, I hope this finds you well""".replace("\n", "|").split("|")
_THANKS = (
    """Thanks|thank you!|Thanks a bunch.|TIA|Ta very much|Thank you so much in advance!|thx a lot|Many thanks, Jo
Much obliged.|Thanks for any pointers|Cheers mate|Appreciated!|tysm <3|I'd be very grateful.|Thanks, have a good one
Best wishes, Kim Lee|Warm regards\nDr. A. Okafor|Really appreciate your help|Danke!|merci|Thanks and regards, Sam
Thanks for taking the time|Thank you kindly""".replace("\n", "|", 2)
    .replace("\nT", "|T")
    .split("|")
)
_LEAD_INS = """can you help me with this: {}|please answer: {}|I need to know {}|any chance you could tell me {}
could you look up {}|I have been wondering {}|would you be so kind as to tell me {}|Pls tell me {}|one more thing: {}
I'd be interested to know {}|asking for a friend, {}|do you perhaps know {}|here's my question - {}|help! {}
I've forgotten {}|could anybody remind me {}|let me ask you something. {}|For my homework: {}|okay then, {}
would love to know {}|if you don't mind, {}|please could you let me know {}|sorry, silly question, but {}|umm {}
You wouldn't happen to know {}|Would you be able to tell me {}|I'm curious: {}|next question: {}""".replace(
    "\n", "|"
).split("|")
_TAGS = """, please| pretty please?| pls| if you don't mind|, if possible?| - any ideas?|? Do you know?|, anyone?
? Please advise.|? I'm curious.|, do you happen to know?|? Just wondering.|? Please help!|? Need this asap""".replace(
    "\n", "|"
).split("|")
_OTHERS = """Hallo zusammen, {} Vielen Dank!|Bonjour, {} Merci d'avance|Hola, {} Gracias de antemano|Ciao a tutti! {}
Buenos días. {} Saludos|Guten Abend, {} Besten Dank|Salut, {} s'il te plaît|Boa tarde, {} obrigado!
Hoi, {} alvast bedankt|Moin! {} Danke schon mal|Olá, {} por favor""".replace("\n", "|").split("|")
_ENDS = ["", "??", "???", "?!", " ?", "...", "!", ".", " ? ", "?.", "…", "? ?", " ??!"]
_AROUND = [
    '"{}"',
    "“{}”",
    "'{}'",
    "🙂 {}",
    "{} 🤔🤔",
    "{} :-)",
    "👉 {} 🙏🏽",
    "- {}",
    "Q: {}",
    "> {}",
    "*{}*",
    "{} ^^",
    "   {}\n",
]
_INDIRECT = re.compile(
    r"(when|where|why|how|what|who) (is|are|was|were) (the [\w ]+?) ?(\w+ed|located|)\?", re.IGNORECASE
)


def _plain(question: str) -> str:
    return question.rstrip(" ?.!")


def _lowered(question: str) -> str:
    """Return a question with a small first letter, unless it begins with a name."""
    return question[:1].lower() + question[1:] if question[1:2].islower() else question


def _indirect(chance: random.Random, question: str) -> str:
    found = _INDIRECT.fullmatch(question)
    if found is None:
        return question
    asking, verb, subject, participle = found.groups()
    asked = f"{asking.lower()} {subject} {verb} {participle}".strip()
    return chance.choice(["Could you tell me {}?", "I'd like to know {}.", "Do you know {}"]).format(asked)


WAYS: dict[str, Wrap] = {
    "greeting": lambda chance, question: "".join(
        (
            chance.choice(_GREETINGS),
            chance.choice([", ", " ", "! ", "\n"]),
            chance.choice([question, _lowered(question)]),
        )
    ),
    "thanks": lambda chance, question: (
        f"{_plain(question)}{chance.choice(['? ', '?? ', ' ', ', ', '?' + chr(10)])}{chance.choice(_THANKS)}"
    ),
    "politeness": lambda chance, question: chance.choice(_LEAD_INS).format(_lowered(question)),
    "tag behind": lambda chance, question: _plain(question) + chance.choice(_TAGS),
    "all of them": lambda chance, question: (
        f"{chance.choice(_GREETINGS)}, {chance.choice(_LEAD_INS).format(_lowered(_plain(question)))}"
        f"{chance.choice(_TAGS[:7])} {chance.choice(_THANKS)}"
    ),
    "indirect": _indirect,
    "other languages": lambda chance, question: chance.choice(_OTHERS).format(question),
    "end": lambda chance, question: _plain(question) + chance.choice(_ENDS),
    "marks around": lambda chance, question: chance.choice(_AROUND).format(question),
    "capitals": lambda chance, question: chance.choice([str.upper, str.lower, str.title])(question),
}


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("eval_folder", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--seed", type=int, default=29)
    parser.add_argument("--every", type=int, default=2)
    parser.add_argument("--show", action="store_true", help="print the wrapped questions whose answers change")
    arguments = parser.parse_args()
    print(setup(), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name, every in (("briefing", 1), ("xquad_en", arguments.every)):
            work = arguments.work or Path(scratch)
            with_step = QuestionSet(name, arguments.eval_folder, work)
            without = QuestionSet(name, arguments.eval_folder, work, question_steps="parts")
            questions = [question.question for question in with_step.of_file()][::every]
            wrapped = list(wrappings(questions, arguments.seed))
            before = changes(without.answerer, questions, wrapped)
            after = changes(with_step.answerer, questions, wrapped)
            report(name, len(questions), before, after)
            for way, _, text, what in after if arguments.show else ():
                print(f"    {way}: {text!r} changes {what}")


def wrappings(questions: list[str], seed: int) -> Iterator[tuple[str, str, str]]:
    """Yield way, question and wrapped question, leaving out those that a way does not change."""
    chance = random.Random(seed)  # noqa: S311 - a choice of words, the same in every run
    for question in questions:
        for way, wrap in WAYS.items():
            text = wrap(chance, question)
            if text != question:
                yield way, question, text


Change = tuple[str, str, str, str]


def changes(answerer: QuestionAnswerer, questions: list[str], wrapped: list[tuple[str, str, str]]) -> list[Change]:
    """Return way, question, wrapped question and the name of what changes, for each answer that does."""
    plain = {question: _answer(answerer, question) for question in questions}
    found = []
    for way, question, text in wrapped:
        answer = _answer(answerer, text)
        found += [(way, question, text, what) for what in plain[question] if answer[what] != plain[question][what]]
    return found


def _answer(answerer: QuestionAnswerer, question: str) -> dict[str, object]:
    answer = answerer.ask(question, AskOptions(top_k=5))
    first = answer.results[0].scored if answer.results else None
    quote = answer.quotes[0] if answer.quotes else None
    return {
        "passage": first and first.passage.number,
        "quote": quote and (answer.results[quote.result].scored.passage.number, quote.place),
        "verdict": answer.verdict,
    }


def report(name: str, count: int, before: list[Change], after: list[Change]) -> None:
    """Print how many answers change in each way, without and with the step."""
    print(f"{name}, {count} questions, each wrapped in every way: changed passages, quotes, verdicts")
    print(f"  {'':16} {'without the step':24} with it")
    counted = [Counter((way, what) for way, _, _, what in changed) for changed in (before, after)]
    for way in WAYS:
        columns = ("  ".join(f"{one[way, what]:6}" for what in ("passage", "quote", "verdict")) for one in counted)
        print(f"  {way:16} {'   '.join(columns)}", flush=True)


if __name__ == "__main__":
    main()
