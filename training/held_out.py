"""Judges a checkpoint by the article that training does not see."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import logit

from qa_service.evaluation.statistics import auroc
from training.encoding import NO_SPAN, Encoder
from training.examples import Example, gold_spans
from training.model import Reader
from training.records import Record, Window

BATCH_SIZE = 64
_NO_WINDOW = -50.0  # logit of a question for which nothing was retrieved


@dataclass(frozen=True, slots=True)
class Figures:
    """Measures of one checkpoint, each 0..1."""

    auroc: float
    """Chance that a question that can be answered has a larger logit than one that can't."""
    auroc_of_confidence: float
    """The same for the confidence of the service without a reader."""
    auroc_together: float
    """The same for the sum of both logits, each divided by its standard deviation."""
    span_overlap: float
    """Share of answered windows in which the predicted span touches the answer."""

    def __str__(self) -> str:
        return (
            f"AUROC {self.auroc:.4f} (confidence {self.auroc_of_confidence:.4f}, together {self.auroc_together:.4f}), "
            f"spans {self.span_overlap:.4f}"
        )


def best_windows(records: Sequence[Record]) -> dict[int, Example]:
    """Return questions with the window that the service would show, by the places of their records."""
    best = ((place, record, window) for place, record in enumerate(records) for window in record.windows if window.best)
    return {place: _example(record, window) for place, record, window in best}


def _example(record: Record, window: Window) -> Example:
    spans = gold_spans(record, window)
    return Example(record.question, window.text, "answered" if spans else "near", "", spans=spans)


def evaluate(model: Reader, encoder: Encoder, records: Sequence[Record]) -> tuple[Figures, Figures]:
    """Return the figures of a model's two heads, the early one first; it is in training mode afterwards."""
    model.eval()
    early, last = (_figures(*predicted, records) for predicted in _predict(model, encoder, records))
    model.train()
    return early, last


def _figures(logits: np.ndarray, touched: list[bool], records: Sequence[Record]) -> Figures:
    answerable = np.array([record.answerable for record in records])
    confidence = np.array([_confidence(record) for record in records])
    own = logit(confidence.clip(1e-4, 1 - 1e-4))
    return Figures(
        auroc=auroc(logits, answerable),
        auroc_of_confidence=auroc(confidence, answerable),
        auroc_together=auroc(logits / logits.std() + own / own.std(), answerable),
        span_overlap=float(np.mean(touched)),
    )


def _predict(model: Reader, encoder: Encoder, records: Sequence[Record]) -> list[tuple[np.ndarray, list[bool]]]:
    """Return for each head the logits of records (n,), and whether its span touches the answer of answered windows."""
    windows = best_windows(records)
    order = sorted(windows, key=lambda place: len(windows[place].window) + len(windows[place].question))
    predicted: list[tuple[np.ndarray, list[bool]]] = [(np.full(len(records), _NO_WINDOW), []) for _ in range(2)]
    for start in range(0, len(order), BATCH_SIZE):
        places = order[start : start + BATCH_SIZE]
        batch = encoder([windows[place] for place in places])
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            heads = model(batch.ids, batch.types)
        for (logits, touched), (found, edges) in zip(predicted, heads, strict=True):
            logits[places] = found.float().numpy()
            ends = edges.float().masked_fill((batch.types == 0)[:, :, None], -torch.inf).argmax(1)
            overlap = (ends[:, 0] <= batch.spans[:, 1]) & (ends[:, 1] >= batch.spans[:, 0])
            touched.extend(overlap[batch.spans[:, 0] != NO_SPAN].tolist())
    return predicted


def _confidence(record: Record) -> float:
    return max((window.confidence or 0.0 for window in record.windows if window.best), default=0.0)
