"""Runs the reader: a BERT of six layers that reads a question together with a window of text.

Both stand in one sequence, ``[CLS] question [SEP] window [SEP]``, as Devlin et al. (2019) read SQuAD. One output is the
logit that the window answers the question, the other one scores each token as the first and the last of the answer.
There are two graphs: the lower one, of four layers, has such outputs too, and the two layers above are run only to
confirm it. training/README.md tells where the weights come from, and how they are trained again.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qa_service.datatypes import FloatArray, Offsets
from qa_service.embedding.graphs import open_graph, open_tokenizer
from qa_service.embedding.models import sha256_of
from qa_service.errors import ModelCorrupt

MAX_QUESTION_TOKENS, MAX_HEADING_TOKENS, MAX_TOKENS = 40, 24, 160
"""Longer questions, headings and windows are cut, as in training; ``MAX_TOKENS`` includes the special tokens."""
CONFIRMED_FROM_LOGIT = 0.5
"""From this logit of the lower graph on, the upper one decides: to few layers a near miss looks like an answer."""
_MAX_ANSWER_TOKENS = 24
_SPECIAL_TOKENS = 3


@dataclass(frozen=True, slots=True)
class Window:
    """A sentence, or several, of a passage; ``heading`` is the heading above, which is read but never the answer."""

    text: str
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """The reader's judgement of a window.

    ``logit`` is that of the window answering the question: 0 stands for even odds on the training data. ``span`` is
    the place in the window of the words that answer best, and ``certainty`` their probability, 0..1, among all spans.
    """

    logit: float
    span: Offsets
    certainty: float


@dataclass(frozen=True, slots=True)
class ReaderFiles:
    """The graphs of a reader with the sha256 of each, and the tokenizer of the embedding model, which it shares."""

    lower: tuple[Path, str]
    upper: tuple[Path, str]
    tokenizer: Path


class Reader:
    """The reader in some files. Not thread-safe.

    Raises :class:`ModelCorrupt` if a file is missing or has another sha256 than expected.
    """

    def __init__(self, files: ReaderFiles) -> None:
        self.files = files
        for path, expected in (files.lower, files.upper):
            try:
                found = sha256_of(path)
            except OSError as error:
                raise ModelCorrupt(f"{path}: {error.strerror}; reinstall qa-service") from error
            if found != expected:
                raise ModelCorrupt(f"{path} has sha256 {found}, expected {expected}; reinstall qa-service")

    def load(self) -> None:
        """Load the model now instead of with the first window."""
        _ = self._lower, self._upper, self._edges

    def read(self, question: str, window: Window, *, deep: bool = False) -> Reading:
        """Return the judgement of one window; with ``deep`` always that of all six layers."""
        asked = self._encoded(question).ids[:MAX_QUESTION_TOKENS]
        heading = self._encoded(window.heading + ":").ids[:MAX_HEADING_TOKENS] if window.heading else []
        text = self._encoded(window.text)
        kept = MAX_TOKENS - _SPECIAL_TOKENS - len(asked) - len(heading)
        begin, end = self._edges
        ids = np.array([[begin, *asked, end, *heading, *text.ids[:kept], end]], np.int64)
        types = np.zeros_like(ids)
        types[0, len(asked) + 2 :] = 1
        logits, edges = self._run(ids, types, deep=deep)
        offsets = text.offsets[:kept]
        if not offsets:
            return Reading(float(logits[0]), (0, 0), 0.0)
        first = len(asked) + 2 + len(heading)
        left, right, certainty = _best_span(edges[0, first : first + len(offsets)])
        return Reading(float(logits[0]), (offsets[left][0], offsets[right][1]), certainty)

    def _run(self, ids: Any, types: Any, *, deep: bool) -> tuple[FloatArray, FloatArray]:
        """Return the logits (1,) and (1, n, 2) of the lower graph, or of the upper one if it has to confirm."""
        mask = np.ones_like(ids)
        values = {"input_ids": ids, "token_type_ids": types, "attention_mask": mask}
        logits, edges, states = self._lower.run(None, values)
        if deep or logits[0] >= CONFIRMED_FROM_LOGIT:
            logits, edges = self._upper.run(None, {"states": states, "attention_mask": mask})
        return logits, edges

    def _encoded(self, text: str) -> Any:
        return self._tokenizer.encode(text, add_special_tokens=False)

    @cached_property
    def _tokenizer(self) -> Any:
        return open_tokenizer(self.files.tokenizer)

    @cached_property
    def _edges(self) -> tuple[int, int]:
        """The ids of the tokens before the question, and after question and window."""
        return self._tokenizer.token_to_id("[CLS]"), self._tokenizer.token_to_id("[SEP]")

    @cached_property
    def _lower(self) -> Any:
        return open_graph(self.files.lower[0])

    @cached_property
    def _upper(self) -> Any:
        return open_graph(self.files.upper[0])


def _best_span(logits: FloatArray) -> tuple[int, int, float]:
    """Return the first and last token of the most probable span, and its probability.

    ``logits`` (t, 2) score each token as the first and as the last one. A span has 24 tokens at most.
    """
    odds = np.exp(logits - logits.max(axis=0))
    starts, ends = (odds / odds.sum(axis=0)).T
    joint = np.triu(np.outer(starts, ends))
    joint -= np.triu(joint, _MAX_ANSWER_TOKENS)
    left, right = divmod(int(joint.argmax()), len(starts))
    return left, right, float(joint[left, right])
