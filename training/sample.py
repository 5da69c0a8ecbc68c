"""Print examples of one kind, to check by eye whether their labels are right.

    python -m training.sample WORK KIND [--count N] [--seed N]

KIND is a change that makes near misses (name, number, opposite, negation), or one of near, home, other. Sets are drawn
as often as in training. A window that answers its question has a wrong label.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from training.changes import CHANGES
from training.examples import Example, load
from training.sampling import Sampler

UNCHANGED = ("near", "home", "other")


def changed(sampler: Sampler, way: str) -> Iterator[tuple[str, Example]]:
    """Yield questions as they were, and near misses made of them by one of :data:`CHANGES`."""
    while True:
        example = sampler.drawn("answered")
        if question := CHANGES[way](example, sampler.chance):
            yield example.question, replace(example, question=question, kind="made")


def main() -> None:
    """Print the sample."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("kind", choices=[*CHANGES, *UNCHANGED])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    examples, _ = load(arguments.work)
    sampler = Sampler(examples, arguments.seed)
    made = changed(sampler, arguments.kind) if arguments.kind in CHANGES else None
    for number in range(1, arguments.count + 1):
        if made:
            question, example = next(made)
            print(f"{number}. {question}\n   -> {example.question}")
        else:
            example = sampler.drawn(arguments.kind)
            print(f"{number}. {example.question}")
        marked = "; ".join(example.window[start:end] for start, end in example.spans)
        print(f"   [{example.set_name}] {' '.join(example.window.split())}" + f"\n   answer: {marked}" * bool(marked))


if __name__ == "__main__":
    main()
