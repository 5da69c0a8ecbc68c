"""Draws training examples: fixed shares of kinds, larger sets more often, real users' questions most of all."""

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator

from training.changes import cropped, near_miss, renamed, retyped
from training.examples import Example, Kind

SHARES: dict[Kind, float] = {"answered": 0.44, "near": 0.24, "home": 0.10, "other": 0.12, "made": 0.10}
RANDOM_SHARE = 0.07  # of all examples; the shares above divide the rest
RENAMED_SHARE = 0.08
CROPPED_SHARE = 0.35
SIZE_POWER = 0.75  # a set is drawn in proportion to this power of its number of examples
REAL_USERS = frozenset({"qed_dev", "multispanqa_valid"})  # questions that people typed into a search engine
REAL_USERS_FACTOR = 2.5
BATCHES_SORTED_TOGETHER = 16
_TRIES_TO_CHANGE = 20


class Sampler:
    """Draws from examples without end; all examples of a set have been drawn before one is drawn again."""

    def __init__(self, examples: Iterable[Example], seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._sets: dict[Kind, dict[str, list[Example]]] = defaultdict(dict)
        for example in examples:
            self._sets[example.kind].setdefault(example.set_name, []).append(example)
        self._odds = {kind: [_odds(name, len(of)) for name, of in sets.items()] for kind, sets in self._sets.items()}
        self._queues: dict[tuple[Kind, str], list[Example]] = defaultdict(list)

    def batches(self, size: int) -> Iterator[list[Example]]:
        """Yield batches without end, each of examples of like lengths, so that little is padded."""
        while True:
            pool = sorted(self.examples(size * BATCHES_SORTED_TOGETHER), key=lambda e: len(e.window) + len(e.question))
            ready = [pool[start : start + size] for start in range(0, len(pool), size)]
            self.chance.shuffle(ready)
            while ready:
                yield ready.pop()

    def examples(self, count: int) -> list[Example]:
        """Return examples with windows cut and questions retyped as often as set above."""
        drawn = [self._example() for _ in range(count)]
        drawn = [cropped(example) if self.chance.random() < CROPPED_SHARE else example for example in drawn]
        return [retyped(example, self.chance) for example in drawn]

    def drawn(self, kind: Kind) -> Example:
        """Return the next example of a kind, unchanged."""
        sets = self._sets[kind]
        name = self.chance.choices(list(sets), self._odds[kind])[0]
        queue = self._queues[kind, name]
        if not queue:
            queue.extend(self.chance.sample(sets[name], len(sets[name])))
        return queue.pop()

    def _example(self) -> Example:
        if self.chance.random() < RANDOM_SHARE and (example := self._off_topic()):
            return example
        kind = self.chance.choices(list(SHARES), list(SHARES.values()))[0]
        if kind == "made":
            for _ in range(_TRIES_TO_CHANGE):
                if made := near_miss(self.drawn("answered"), self.chance):
                    return made
            kind = "home"
        example = self.drawn(kind)
        return renamed(example, self.chance) if self.chance.random() < RENAMED_SHARE else example

    def _off_topic(self) -> Example | None:
        """Return a question with the window of a question of another set."""
        asked = self.drawn("answered")
        other = self.drawn(self.chance.choice(("answered", "other")))
        if asked.set_name == other.set_name:
            return None
        return Example(asked.question, other.window, "random", asked.set_name)


def _odds(set_name: str, size: int) -> float:
    factor = REAL_USERS_FACTOR if set_name in REAL_USERS else 1.0
    return math.pow(size, SIZE_POWER) * factor
