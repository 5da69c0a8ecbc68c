"""Cross-encoder reranking: a second model reads question and passage together, in place of MaxSim."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from qa_service.datatypes import FloatArray
from qa_service.embedding import checked_model_folder
from qa_service.errors import ModelCorrupt

MAXSIM, NONE = "maxsim", "none"
RERANKER_DEPTH = 20


class Reranker(Protocol):
    """Scores passages for a question; higher is better, on a scale of its own."""

    def score(self, question: str, passages: Sequence[str]) -> FloatArray:
        """Return one finite score per passage."""
        ...


class CrossEncoderReranker:
    """A sentence-transformers ``CrossEncoder`` from a folder."""

    def __init__(self, folder: Path) -> None:
        from sentence_transformers import CrossEncoder  # noqa: PLC0415 - seconds of import

        try:
            self._model: Any = CrossEncoder(str(folder), device="cpu", local_files_only=True)
        except Exception as error:  # several libraries read these files, each with its own exceptions
            raise ModelCorrupt(f"the reranker {folder} can't be loaded: {type(error).__name__}: {error}") from error

    def score(self, question: str, passages: Sequence[str]) -> FloatArray:
        """Return the model's relevance scores."""
        pairs = [(question, passage) for passage in passages]
        scores = np.asarray(self._model.predict(pairs, show_progress_bar=False), dtype=np.float32)
        if scores.shape != (len(passages),) or not np.isfinite(scores).all():
            raise ModelCorrupt(
                f"the reranker returned scores of shape {scores.shape}, but must return one number per passage"
            )
        return scores


def open_reranker(name: str, *, allow_download: bool = False) -> Reranker | None:
    """Return the cross-encoder in a folder or with a hub name; ``None`` for ``maxsim`` and ``none``."""
    if name in {MAXSIM, NONE}:
        return None
    return CrossEncoderReranker(checked_model_folder(name, allow_download=allow_download))
