"""Turns examples into batches of token ids, with the answers' places among the tokens."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Encoding
from torch import Tensor

from qa_service.datatypes import Offsets
from qa_service.embedding import packaged_folder
from qa_service.embedding.graphs import open_tokenizer
from qa_service.reading.reader import MAX_QUESTION_TOKENS, MAX_TOKENS
from training.examples import Example

_SHARE_WITH_TITLE = 0.5
NO_SPAN = -1


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples as tensors: b examples, n tokens of the longest."""

    ids: Tensor
    """Token ids (b, n), 0 for padding: ``[CLS] question [SEP] window [SEP]``."""
    types: Tensor
    """1 for tokens of the window and the mark behind it, else 0 (b, n)."""
    answered: Tensor
    """1.0 or 0.0 (b,)."""
    weights: Tensor
    """Weights of the examples in the loss (b,)."""
    spans: Tensor
    """First and last token of the first answer (b, 2); ``NO_SPAN`` without one, or if it is cut off."""


class Encoder:
    """Makes batches with the tokenizer of the embedding model, whose vocabulary is the reader's too."""

    def __init__(self) -> None:
        self._tokenizer = open_tokenizer(packaged_folder() / "tokenizer.json")
        self._start, self._end = (self._tokenizer.token_to_id(mark) for mark in ("[CLS]", "[SEP]"))

    def __call__(self, examples: Sequence[Example], chance: random.Random | None = None) -> Batch:
        """Return a batch. With ``chance``, half of the windows that have a title are read behind it."""
        prefixes = [
            f"{e.title}: " if e.title and chance and chance.random() < _SHARE_WITH_TITLE else "" for e in examples
        ]
        questions = self._tokens([e.question for e in examples])
        windows = self._tokens([prefix + e.window for prefix, e in zip(prefixes, examples, strict=True)])
        ids, types, spans = [], [], []
        for example, prefix, question, window in zip(examples, prefixes, questions, windows, strict=True):
            asked = question.ids[:MAX_QUESTION_TOKENS]
            kept = MAX_TOKENS - len(asked) - 3
            text = window.ids[:kept]
            ids.append(torch.tensor([self._start, *asked, self._end, *text, self._end]))
            types.append(torch.tensor([0] * (len(asked) + 2) + [1] * (len(text) + 1)))
            shifted = [(start + len(prefix), end + len(prefix)) for start, end in example.spans]
            spans.append(token_span(window.offsets[:kept], shifted, first=len(asked) + 2))
        return Batch(
            ids=torch.nn.utils.rnn.pad_sequence(ids, batch_first=True),
            types=torch.nn.utils.rnn.pad_sequence(types, batch_first=True),
            answered=torch.tensor([float(e.is_answered) for e in examples]),
            weights=torch.tensor([e.weight for e in examples]),
            spans=torch.tensor(spans),
        )

    def _tokens(self, texts: list[str]) -> list[Encoding]:
        encoded: list[Encoding] = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        return encoded


def token_span(offsets: Sequence[Offsets], spans: Sequence[Offsets], first: int) -> tuple[int, int]:
    """Return first and last token, counted from ``first``, of the first span of characters that tokens cover."""
    for start, end in spans:
        inside = [place for place, (low, high) in enumerate(offsets) if low < end and high > start]
        if inside and offsets[inside[-1]][1] >= end:
            return first + inside[0], first + inside[-1]
    return NO_SPAN, NO_SPAN
