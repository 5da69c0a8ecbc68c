"""The reference: a sentence-transformers model run by torch, with which every other runtime is compared."""

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from qa_service.embedding.batching import Batching
from qa_service.embedding.interface import (
    PassageEmbeddings,
    QuestionEmbedding,
    TokenEmbeddings,
    checked_unit_length,
    own_tokens,
    whole_words_of,
)
from qa_service.embedding.models import ModelFiles, checked_window, find_model
from qa_service.errors import ModelCorrupt, ModelMissing
from qa_service.settings import DEFAULT_MODEL

_QUESTION_PROMPTS = ("query",)
_PAD_TO_TOKENS = 32
_PASSAGE_PROMPTS = ("document", "passage", "corpus")


def open_embedder(model: str, *, allow_download: bool = False) -> "SentenceTransformerEmbedder":
    """Return the reference embedder of a model, given as the built-in one's name, a folder, or a hub name.

    Raises :class:`ModelMissing` or :class:`ModelCorrupt`, naming the file.
    """
    return SentenceTransformerEmbedder(find_model(model, allow_download=allow_download))


class SentenceTransformerEmbedder:
    """Runs a model by torch, on the processor or another device of torch. Not thread-safe."""

    batching = Batching()

    def __init__(self, files: ModelFiles, device: str = "cpu") -> None:
        self._device = device
        self.runtime = "torch fp32" if device == "cpu" else f"torch fp32, {device}"
        self.files = files
        self.identity = files.identity

    @cached_property
    def model(self) -> Any:
        """The ``SentenceTransformer``, loaded on first use."""
        return self.load()

    def load(self, **model_options: Any) -> Any:
        """Load the files into a new ``SentenceTransformer``, with options for its transformers model."""
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        try:
            from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - seconds of import
            from transformers.utils import logging  # noqa: PLC0415
        except ImportError as error:
            raise ModelMissing(
                f"{self.identity.name} is run by sentence-transformers, which is not installed; pip install "
                f"sentence-transformers, or use the built-in model ({DEFAULT_MODEL}) with QA_RUNTIME=auto"
            ) from error
        logging.disable_progress_bar()
        try:
            model = SentenceTransformer(
                str(self.files.folder), device=self._device, local_files_only=True, model_kwargs=model_options
            )
        except Exception as error:  # several libraries read these files, each with errors of its own
            raise ModelCorrupt(f"{self.files.folder} can't be loaded: {type(error).__name__}: {error}") from error
        limit, positions = model.max_seq_length, _positions(model)
        if positions is not None and isinstance(limit, int) and limit > positions:
            model.max_seq_length = positions
        return model

    @property
    def dimension(self) -> int:
        """Number of components of a vector."""
        return int(self.model.get_embedding_dimension())

    @property
    def window(self) -> int:
        """The model's own length limit, in tokens."""
        return checked_window(self.model.max_seq_length, self.files.folder)

    @property
    def question_prompt(self) -> str:
        """The prompt that the model expects before a question; for most models it is empty."""
        return self._prompt(_QUESTION_PROMPTS)

    @property
    def passage_prompt(self) -> str:
        """The prompt that the model expects before a passage."""
        return self._prompt(_PASSAGE_PROMPTS)

    def _prompt(self, names: Sequence[str]) -> str:
        """Return the first of these prompts that is not empty.

        sentence-transformers adds an empty "document" to every model, and would prefer it to a "passage" of the model.
        """
        prompts = self.model.prompts
        name = next((name for name in names if prompts.get(name)), self.model.default_prompt_name)
        return str(prompts.get(name) or "")

    def whole_words(self) -> frozenset[str]:
        """Return the words that the tokenizer has as single tokens."""
        return whole_words_of(self.model.tokenizer.get_vocab())

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return each passage's number of tokens, prompt and special tokens included, without truncation."""
        if not texts:
            return []
        prompt = self.passage_prompt
        encoded = self.model.tokenizer([prompt + text for text in texts], truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def embed_questions(self, questions: Sequence[str]) -> list[QuestionEmbedding]:
        """Return vectors of questions and of their tokens, from one forward pass."""
        prompt = self.question_prompt
        return self._split(questions, self._encoded(self.model.encode_query, questions, prompt), prompt).one_by_one()

    def embed_passages(self, texts: Sequence[str]) -> PassageEmbeddings:
        """Return vectors of texts and of their tokens, from one forward pass."""
        prompt = self.passage_prompt
        return self._split(texts, self._encoded(self.model.encode_document, texts, prompt, **self._lengths), prompt)

    @staticmethod
    def _encoded(encode: Callable[..., Any], texts: Sequence[str], prompt: str, **options: Any) -> Any:
        return encode(
            list(texts),
            prompt=prompt,
            output_value=None,
            batch_size=max(1, len(texts)),
            show_progress_bar=False,
            **options,
        )

    @cached_property
    def _lengths(self) -> dict[str, Any]:
        """Options that pad batches to one of a few lengths, if the model supports them.

        Torch caches kernels for every length: a long build would grow by 7 MB with each.
        """
        if not isinstance(getattr(self.model[0], "processing_kwargs", None), dict) or self.window % _PAD_TO_TOKENS:
            return {}
        return {"processing_kwargs": {"text": {"pad_to_multiple_of": _PAD_TO_TOKENS}}}

    def _split(self, texts: Sequence[str], outputs: Sequence[dict[str, Any]], prompt: str) -> PassageEmbeddings:
        vectors = checked_unit_length(
            np.stack([output["sentence_embedding"].float().cpu().numpy() for output in outputs])
        )
        if not getattr(self.model.tokenizer, "is_fast", False) or any(
            output.get("token_embeddings") is None or output.get("input_ids") is None for output in outputs
        ):
            return PassageEmbeddings(vectors, None)
        tokens = (self._tokens(text, output, prompt) for text, output in zip(texts, outputs, strict=True))
        return PassageEmbeddings(vectors, tuple(tokens))

    def _tokens(self, text: str, output: dict[str, Any], prompt: str) -> TokenEmbeddings:
        real = output["attention_mask"].bool()
        encoded = self.model.tokenizer(
            prompt + text,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            truncation=True,
            max_length=self.window,
        )
        return own_tokens(
            text,
            np.array(encoded["offset_mapping"]) - len(prompt),
            encoded["special_tokens_mask"],
            output["input_ids"][real].cpu().numpy(),
            output["token_embeddings"][real].float().cpu().numpy(),
        )


def _positions(model: Any) -> int | None:
    """Return the number of tokens for which a model has positions, or ``None`` if it has no table of them.

    RoBERTa and its relatives number them from ``padding_idx + 1``, so that the first rows of the table are not used.
    """
    for module in model.modules():
        rows = getattr(getattr(module, "position_embeddings", None), "num_embeddings", None)
        if isinstance(rows, int):
            unused = module.position_embeddings.padding_idx
            return rows if unused is None else rows - unused - 1
    return None
